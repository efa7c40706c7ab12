package hosted

import (
	"bytes"
	"context"
	"io/fs"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/runtime"
	"github.com/traefik/traefik/v3/pkg/server/middleware"
	"github.com/traefik/traefik/v3/pkg/server/provider"
)

// redisPassword is the one in examples/redis/redis.conf.
const redisPassword = "change-me"

func readRedisFile(files fs.FS) (example, error) { return readBesideFile(files, "redis") }

// startExampleRedis starts a server with the configuration in examples/redis.
func startExampleRedis(t *testing.T) *redis.Server {
	t.Helper()
	return redis.Start(t, filepath.Join(root, "examples", "redis/redis.conf"))
}

// shareByOwnRedis puts a server of the test's own in the place of the example's, if it shares its stores.
func shareByOwnRedis(t *testing.T, configuration dynamic.Configuration) bool {
	t.Helper()
	address := ""
	for _, m := range configuration.HTTP.Middlewares {
		options, ok := m.Plugin[pluginName]["redis"].(map[string]any)
		if !ok {
			continue
		}
		if address == "" {
			address = startExampleRedis(t).Address
			t.Setenv("MTLSALLOWLIST_REDIS_PASSWORD", redisPassword)
		}
		options["endpoints"] = []any{address}
	}
	return address != ""
}

// checkSharing wants a replica to let in whom another has learned in checkBehaviour.
func checkSharing(t *testing.T, configuration dynamic.Configuration) {
	t.Helper()
	builder := middleware.NewBuilder(runtime.NewConfig(configuration).Middlewares, nil, newBuilder(t))
	for _, name := range routersOf(configuration) {
		if pluginOf(configuration, name)["mode"] != "enforce" {
			continue
		}
		ctx := provider.AddInContext(context.Background(), name)
		handler, err := builder.BuildMiddlewareChain(ctx, configuration.HTTP.Routers[name].Middlewares).Then(service)
		if err != nil {
			t.Fatalf("router %s: %v", name, err)
		}
		until := time.Now().Add(10 * time.Second)
		for status(handler, "203.0.113.7:1", nil, nil) != http.StatusOK && time.Now().Before(until) {
			time.Sleep(time.Millisecond)
		}
		if got := status(handler, "203.0.113.7:1", nil, nil); got != http.StatusOK {
			t.Errorf("router %s of another replica: got %d, want %d", name, got, http.StatusOK)
		}
		if got := status(handler, "203.0.113.8:1", nil, nil); got != notFound {
			t.Errorf("router %s of another replica, a stranger: got %d, want %d", name, got, notFound)
		}
	}
}

func TestMetricsOfASharedStore(t *testing.T) {
	builder := newBuilder(t)
	server := startExampleRedis(t)
	fromYAML(t, builder, "mode: enforce, store: shared, redis: {endpoints: ['%s'], username: traefik, password: %s}", server.Address, redisPassword)
	fromYAML(t, builder, "mode: enforce, store: refused, redis: {endpoints: ['%s'], username: traefik, password: wrong}", server.Address)
	page := fromYAML(t, builder, "mode: status, store: [shared, refused, alone]")
	inStep := func() bool { return samples(t, scrape(t, page))[[3]string{"redis_in_step", "shared"}] == 1 }
	failed := func() bool { return samples(t, scrape(t, page))[[3]string{"redis_failures_total", "refused"}] > 0 }
	for until := time.Now().Add(10 * time.Second); !(inStep() && failed()) && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	got := samples(t, scrape(t, page))
	if failures := got[[3]string{"redis_failures_total", "refused"}]; failures < 1 {
		t.Errorf("with a wrong password: got %v failures", failures)
	}
	for key, want := range map[[3]string]float64{
		{"redis_in_step", "shared"}: 1, {"redis_failures_total", "shared"}: 0, {"redis_skipped_total", "shared"}: 0,
		{"redis_in_step", "refused"}: 0, {"redis_skipped_total", "refused"}: 0,
	} {
		if value, ok := got[key]; !ok || value != want {
			t.Errorf("got %q %v, %t, want %v", key, value, ok, want)
		}
	}
	for _, name := range []string{"redis_in_step", "redis_failures_total", "redis_skipped_total"} {
		if value, ok := got[[3]string{name, "alone"}]; ok {
			t.Errorf("got %s %v of a store that isn't shared", name, value)
		}
	}
}

// TestWhereThePasswordMayComeFrom is about Traefik's part; the plugin's own ways are in the examples.
func TestWhereThePasswordMayComeFrom(t *testing.T) {
	t.Setenv("MTLSALLOWLIST_REDIS_PASSWORD", redisPassword)
	const file, cluster, secret = "redis/dynamic.yml", "redis/mtlsallowlist.yaml", "urn:k8s:secret:redis:password"
	for _, c := range []struct {
		name     string
		read     exampleReader
		file     string
		old, new string
		want     any
	}{
		{"a template in a file", readRedisFile, file, "passwordEnv: MTLSALLOWLIST_REDIS_PASSWORD", `password: '{{ env "MTLSALLOWLIST_REDIS_PASSWORD" }}'`, redisPassword},
		{"a variable in a file stays as it is", readRedisFile, file, "passwordEnv: MTLSALLOWLIST_REDIS_PASSWORD", "password: ${MTLSALLOWLIST_REDIS_PASSWORD}", "${MTLSALLOWLIST_REDIS_PASSWORD}"},
		{"a secret in Kubernetes", readKubernetesRedis, cluster, secret, secret, redisPassword},
		{"a variable in Kubernetes stays as it is", readKubernetesRedis, cluster, secret, "${MTLSALLOWLIST_REDIS_PASSWORD}", "${MTLSALLOWLIST_REDIS_PASSWORD}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := check.Must(fs.ReadFile(examplesFolder(), c.file))(t)
			if !bytes.Contains(data, []byte(c.old)) {
				t.Fatalf("%s has no %q", c.file, c.old)
			}
			e := check.Must(c.read(edited{examplesFolder(), c.file, bytes.ReplaceAll(data, []byte(c.old), []byte(c.new))}))(t)
			shared := 0
			for _, configuration := range e.dynamic {
				for name, m := range configuration.HTTP.Middlewares {
					options, ok := m.Plugin[pluginName]["redis"].(map[string]any)
					if !ok {
						continue
					}
					shared++
					if got := options["password"]; got != c.want {
						t.Errorf("%s: got %v, want %v", name, got, c.want)
					}
				}
			}
			if shared != 2 {
				t.Errorf("got %d middlewares with Redis, want 2", shared)
			}
		})
	}
}
