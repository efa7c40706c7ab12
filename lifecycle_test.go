package mtlsallowlist

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"
)

// An installation is a Traefik with one store, reloaded now and then.
type installation struct {
	t        *testing.T
	store    string
	log      *lines
	cancel   context.CancelFunc // of the last reload
	handlers []http.Handler     // the first learns, the others enforce
}

// reload makes five middlewares, as Traefik does at every reload.
func (i *installation) reload(redis *Redis) {
	i.t.Helper()
	i.cancel()
	var ctx context.Context
	ctx, i.cancel = context.WithCancel(context.Background())
	welcome := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusOK) })
	i.handlers = nil
	for _, mode := range []string{"learn", "enforce", "either", "enforce", "enforce"} {
		config := &Config{Mode: mode, Store: []string{i.store}, Redis: redis}
		handler, err := newHandler(ctx, welcome, config, mode, clock{now: time.Now, since: time.Since}, slog.New(slog.NewTextHandler(i.log, nil)))
		if err != nil {
			i.t.Fatal(err)
		}
		i.handlers = append(i.handlers, handler)
	}
}

func newInstallation(t *testing.T, store string) *installation {
	houses++
	i := &installation{t: t, store: fmt.Sprint(store, "-", houses), log: &lines{}, cancel: func() {}}
	t.Cleanup(func() { i.cancel() })
	return i
}

// ask sends a request, with a certificate if it is to be learned, and returns the status.
func (i *installation) ask(handler int, from string, proves bool) int {
	req := httptest.NewRequest(http.MethodGet, "https://home.example/", nil)
	req.RemoteAddr = from + ":4711"
	if proves {
		leaf := certificate("cn:phone")
		leaf.NotBefore, leaf.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		req.TLS = verified(leaf)
	}
	rw := httptest.NewRecorder()
	i.handlers[handler].ServeHTTP(rw, req)
	return rw.Code
}

func (i *installation) inStep() bool {
	l := linkOf(openStore(i.store))
	if l == nil {
		return false
	}
	_, inStep := l.current()
	return inStep
}

func TestReloadsKeepTheConnections(t *testing.T) {
	redis := startRedis(t)
	goroutines := runtime.NumGoroutine()
	i := newInstallation(t, "lifecycle")
	first := &Redis{Endpoints: []string{redis.address}}
	i.reload(first)
	eventually(t, "it is in step", i.inStep)
	if got := i.ask(0, "203.0.113.7", true); got != http.StatusOK {
		t.Fatalf("got %d", got)
	}
	eventually(t, "it has two connections", func() bool { return redis.connections() == 2 })
	ids := clientIDs(redis)
	for n := 0; n < 200; n++ {
		i.reload(first)
		if got := i.ask(1+n%4, "203.0.113.7", false); got != http.StatusOK {
			t.Fatalf("reload %d: got %d", n, got)
		}
	}
	if got := clientIDs(redis); got != ids {
		t.Errorf("got the connections %s after 200 reloads, want those from before: %s", got, ids)
	}
	if got := strings.Count(i.log.String(), "in step"); got != 1 {
		t.Errorf("got %d times in step, want once", got)
	}

	i.reload(&Redis{Endpoints: []string{redis.address}, DB: "1", ReadTimeout: "2s"})
	eventually(t, "what was learned is in the other database", func() bool { return redis.cli("-n", "1", "HLEN", "{mtlsallowlist:"+i.store+"}:grants") == "1" })
	i.ask(0, "203.0.113.8", true)
	eventually(t, "only connections to the other database are left", func() bool {
		return redis.connections() == 2 && strings.Count(redis.cli("CLIENT", "LIST"), "db=1") == 2
	})

	i.reload(nil)
	eventually(t, "none is left", func() bool { return redis.connections() == 0 })
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	if got := i.ask(1, "203.0.113.7", false); got != http.StatusOK {
		t.Errorf("got %d, want what is known to hold", got)
	}

	openStore(i.store).revoke(netip.MustParsePrefix("203.0.113.7/32"), "", when(time.Since(epoch)))
	i.reload(first)
	eventually(t, "it is in step again", i.inStep)
	eventually(t, "Redis knows of the revocation", func() bool {
		return strings.Contains(redis.cli("HVALS", "{mtlsallowlist:"+i.store+"}:grants"), " r ")
	})
	if i.ask(1, "203.0.113.7", false) == http.StatusOK || i.ask(1, "203.0.113.8", false) != http.StatusOK {
		t.Error("what was revoked in the meantime is back, or else is gone")
	}
}

// clientIDs returns those of all connections but that of redis-cli.
func clientIDs(redis *redisServer) string {
	ids := []string{}
	for _, line := range strings.Split(redis.cli("CLIENT", "LIST", "TYPE", "NORMAL"), "\n") {
		if !strings.Contains(line, "cmd=client|list") {
			ids = append(ids, strings.Fields(line)[0])
		}
	}
	return strings.Join(ids, " ")
}

func TestSettingsThatTakeOverWhileRedisIsAwayForgetNoRevocation(t *testing.T) {
	redis := startRedis(t)
	i := newInstallation(t, "takeover")
	i.reload(&Redis{Endpoints: []string{redis.address}})
	eventually(t, "it is in step", i.inStep)
	i.ask(0, "203.0.113.7", true)
	eventually(t, "Redis has the grant", func() bool { return redis.cli("HLEN", "{mtlsallowlist:"+i.store+"}:grants") == "1" })
	redis.signal("STOP")
	openStore(i.store).revoke(netip.MustParsePrefix("203.0.113.7/32"), "", when(time.Since(epoch)))
	i.reload(&Redis{Endpoints: []string{redis.address}, ReadTimeout: "1s"})
	redis.signal("CONT")
	eventually(t, "it is in step again", i.inStep)
	if i.ask(1, "203.0.113.7", false) == http.StatusOK {
		t.Error("what was revoked is back")
	}
	eventually(t, "Redis knows of the revocation", func() bool {
		return strings.Contains(redis.cli("HVALS", "{mtlsallowlist:"+i.store+"}:grants"), " r ")
	})
}

func TestALearnerWithoutRedisLearnsAlone(t *testing.T) {
	redis := startRedis(t)
	redis.kill()
	i := newInstallation(t, "alone")
	i.reload(&Redis{Endpoints: []string{redis.address}})
	i.ask(0, "203.0.113.7", true)
	if i.ask(1, "203.0.113.7", false) != http.StatusOK {
		t.Error("it isn't let in")
	}
	redis.start()
	eventually(t, "it is in step", i.inStep)
	eventually(t, "Redis has the grant", func() bool { return redis.cli("HLEN", "{mtlsallowlist:"+i.store+"}:grants") == "1" })
}
