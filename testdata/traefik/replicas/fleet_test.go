package replicas

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

type options = config.Options

// A household is the configuration of a Traefik: Home Assistant behind mutual TLS, photos hidden, and a status page.
type household struct {
	learner  options // more than mode
	enforcer options // likewise
	redis    options // nil: none
	hidden   int     // how many more hidden hosts there are, each with a middleware of its own
	static   options // of Traefik
}

// redisOptions are those for some servers.
func redisOptions(servers ...*redis.Server) options {
	endpoints := []string{}
	for _, server := range servers {
		endpoints = append(endpoints, server.Address)
	}
	return options{"endpoints": endpoints}
}

func (h household) dynamic() *dynamic.Configuration {
	learner := options{"mode": "learn", "maxIPs": 100_000}
	maps.Copy(learner, h.learner)
	enforcer := options{"mode": "enforce"}
	if h.redis != nil {
		learner["redis"], enforcer["redis"] = h.redis, h.redis
	}
	maps.Copy(enforcer, h.enforcer)
	site := config.Site{
		Domain:  "home.example",
		Plugins: map[string]options{"learn": learner, "enforce": enforcer, "page": {"mode": "status"}},
		Routes: []config.Route{
			{Host: "ha", Service: "service", Middleware: "learn", TLS: "verified"},
			{Host: "photos", Service: "service", Middleware: "enforce", EntryPoint: "web"},
			{Host: "allowlist", Service: "noop@internal", Middleware: "page", TLS: "verified"},
		},
		Services:    map[string]string{"service": home.service.URL()},
		TLS:         map[string]string{"verified": "RequireAndVerifyClientCert"},
		CA:          filepath.Join(home.Dir, "ca.pem"),
		Certificate: filepath.Join(home.Dir, "server.pem"),
		Key:         filepath.Join(home.Dir, "server-key.pem"),
	}
	for i := range h.hidden {
		name := fmt.Sprint("hidden", i)
		site.Plugins[name] = enforcer
		site.Routes = append(site.Routes, config.Route{Host: name, Service: "service", Middleware: name, EntryPoint: "web"})
	}
	return site.Dynamic()
}

// A replica is a Traefik of its own.
type replica struct {
	*lab.Traefik
	t *testing.T
}

// start runs a Traefik for each household, side by side, until the test ends.
func start(t *testing.T, households ...household) []*replica {
	t.Helper()
	replicas := make([]*replica, len(households))
	var starting sync.WaitGroup
	for i, h := range households {
		dir := t.TempDir()
		starting.Go(func() {
			traefik, err := lab.Start(t.Context(), lab.Options{Binary: home.Binary, Dir: dir, Static: h.static, Dynamic: h.dynamic()})
			if err != nil {
				t.Error(err)
				return
			}
			replicas[i] = &replica{Traefik: traefik, t: t}
		})
	}
	starting.Wait()
	for i, r := range replicas {
		if r == nil {
			continue
		}
		t.Cleanup(func() {
			if err := r.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if n := r.panics(); n > 0 {
				t.Errorf("replica %d: got %d lines of a panic or a fault in the plugin, want none", i, n)
			}
			if t.Failed() {
				t.Logf("replica %d wrote:\n%s", i, strings.Join(r.Log().Lines(), "\n"))
			}
		})
	}
	if t.Failed() {
		t.FailNow()
	}
	return replicas
}

// startShared starts n Traefiks with the same configuration, and returns when they are in step.
func startShared(t *testing.T, n int, h household) []*replica {
	t.Helper()
	households := []household{}
	for range n {
		households = append(households, h)
	}
	replicas := start(t, households...)
	for _, r := range replicas {
		r.awaitInStep(1)
	}
	return replicas
}

// panics returns how many lines tell of a panic, or of an error that shouldn't be.
func (r *replica) panics() int {
	return r.Log().Count("panic") + r.Log().Count("fault in the plugin") + r.Log().Count("goroutine ")
}

// awaitInStep waits until Traefik, over all restarts, has told so many times that it is in step with Redis.
func (r *replica) awaitInStep(times int) {
	r.t.Helper()
	r.awaitLines(times, `msg="in step"`)
}

func (r *replica) awaitLines(times int, substrings ...string) {
	r.t.Helper()
	check.Eventually(r.t, fmt.Sprint(times, " lines with ", substrings), func() bool { return r.Log().Count(substrings...) >= times })
}

// told compares how many times Traefik has told something.
func (r *replica) told(want int, substrings ...string) {
	r.t.Helper()
	if got := r.Log().Count(substrings...); got != want {
		r.t.Errorf("got %d lines with %q, want %d", got, substrings, want)
	}
}

func (r *replica) restart() {
	r.t.Helper()
	if err := r.Restart(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *replica) configure(h household) {
	r.t.Helper()
	if err := r.Configure(h.dynamic()); err != nil {
		r.t.Fatal(err)
	}
}

// agree waits until all replicas hold the grants of the same n IPs, and go on doing so for a second and a half: by
// then whatever was on the way has come. It returns the IPs.
func agree(t *testing.T, n int, replicas ...*replica) map[string]bool {
	t.Helper()
	var since time.Time
	var agreed map[string]bool
	defer func() {
		if t.Failed() {
			for i, r := range replicas {
				t.Logf("replica %d holds %d IPs: %.300s", i, len(r.ips()), fmt.Sprint(r.ips()))
			}
		}
	}()
	check.Eventually(t, fmt.Sprint("all replicas hold the same ", n, " IPs"), func() bool {
		ips := replicas[0].ips()
		same := len(ips) == n
		for _, r := range replicas[1:] {
			same = same && maps.Equal(ips, r.ips())
		}
		switch {
		case !same:
			agreed = nil
		case !maps.Equal(ips, agreed):
			agreed, since = ips, time.Now()
		}
		return same && time.Since(since) > 1500*time.Millisecond
	})
	return agreed
}
