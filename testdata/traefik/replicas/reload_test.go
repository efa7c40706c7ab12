package replicas

import (
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
)

// TestReloadsKeepTheConnections reloads the configuration of one of two Traefiks, with five middlewares that share the
// store and in which something changes each time, while the other one learns.
func TestReloadsKeepTheConnections(t *testing.T) {
	server := redis.Start(t)
	shared := redisOptions(server)
	h := household{redis: shared, hidden: 3, static: debugged}
	fleet := startShared(t, 2, h)
	a, b := fleet[0], fleet[1]
	a.learn("203.0.113.1") // so that both have something to tell, and so both their connections
	b.learn("203.0.113.2")
	agree(t, 2, a, b)
	if got := server.Clients(); len(got) != 4 {
		t.Errorf("got %d connections, want 2 of each Traefik: %q", len(got), got)
	}
	before := a.footprint()
	most := 0
	for i := range 200 {
		changed := h
		changed.learner = options{"ttl": time.Duration(i+1) * time.Hour, "maxIPs": 1000 + i}
		a.configure(changed)
		if i%20 == 0 {
			from, _ := lab.Address(i)
			b.learn(from)
			a.awaits("200", from)
		}
		most = max(most, len(server.Clients()))
	}
	if most != 4 {
		t.Errorf("got up to %d connections, want 4: %q", most, server.Clients())
	}
	a.told(0, "msg=failed")
	a.told(1, `msg="in step"`)
	after := a.footprint()
	t.Logf("after 200 reloads: %d goroutines, before %d; heap %d KiB, before %d", after.Goroutines, before.Goroutines, after.Heap>>10, before.Heap>>10)
	check.Eventually(t, "there are as many goroutines as before, and the heap is about as large", func() bool {
		after = a.footprint()
		return after.Goroutines <= before.Goroutines && after.Heap < before.Heap+5<<20
	})

	other := h
	other.redis = redisOptions(server)
	other.redis["db"] = 1
	a.configure(other)
	a.awaitInStep(2)
	a.learn("203.0.113.3")
	a.want("200", "203.0.113.1", "203.0.113.2", "203.0.113.3")
	check.Eventually(t, "a has connections to the other db alone", func() bool {
		clients := server.Clients()
		return len(clients) == 4 && strings.Count(strings.Join(clients, "\n"), " db=1 ") == 2
	})
	b.learn("203.0.113.4")
	b.want("403", "203.0.113.3")
	a.want("403", "203.0.113.4")
	b.configure(other)
	b.awaits("200", "203.0.113.3")
	a.awaits("200", "203.0.113.4")

	alone := h
	alone.redis = nil
	a.configure(alone)
	b.configure(alone)
	took := check.Eventually(t, "no connection is left", func() bool { return len(server.Clients()) == 0 })
	t.Logf("without redis, the connections close within %v", took)
	a.learn("203.0.113.5")
	a.want("200", "203.0.113.1", "203.0.113.4", "203.0.113.5")
	b.want("403", "203.0.113.5")
	a.configure(h) // and again
	b.configure(h)
	b.awaits("200", "203.0.113.5")
	for _, r := range fleet {
		r.told(0, "msg=failed")
	}
}

// TestOneStoreHasOneRedis has a learner and an enforcer of a store differ in how they share it. Whichever Traefik makes last
// is refused, until a reload, which may change the settings of both.
func TestOneStoreHasOneRedis(t *testing.T) {
	server := redis.Start(t)
	h := household{redis: redisOptions(server)}
	r := startShared(t, 1, h)[0]
	r.learn("203.0.113.1")
	r.want("200", "203.0.113.1")

	other := redisOptions(server)
	other["db"] = 1
	other["password"] = "correct horse" // which nobody is told
	torn := h
	torn.enforcer = options{"redis": other}
	r.configure(torn)
	closed := 0
	for _, got := range []string{r.proves("203.0.113.1"), r.asks("203.0.113.1")} {
		if got == "404" {
			closed++
		} else if got != "200" && got != "403" {
			t.Errorf("got %s, want a router that serves or none", got)
		}
	}
	if closed != 1 {
		t.Errorf("got %d routers without their middleware, want 1", closed)
	}
	r.awaitLines(1, "is shared by other settings already", "learn@file", "enforce@file", "they differ in redis.password, redis.db;")
	r.told(0, "correct horse")

	changed := h
	changed.redis = redisOptions(server)
	changed.redis["db"] = 2
	told := r.Log().Count("by other settings already")
	r.configure(changed)
	r.learn("203.0.113.2")
	r.want("200", "203.0.113.1", "203.0.113.2")
	check.Eventually(t, "all connections are to the other db", func() bool {
		clients := server.Clients()
		return len(clients) == 2 && strings.Count(strings.Join(clients, "\n"), " db=2 ") == 2
	})
	r.told(told, "by other settings already")
}

// TestRedisAtTheLearnerAlone has the enforcer and the status page of a store share what its learner shares.
func TestRedisAtTheLearnerAlone(t *testing.T) {
	server := redis.Start(t)
	h := household{learner: options{"redis": redisOptions(server)}}
	fleet := startShared(t, 2, h)
	fleet[0].learn("203.0.113.1")
	fleet[1].awaits("200", "203.0.113.1")
	fleet[1].revoke("203.0.113.1")
	fleet[0].awaits("403", "203.0.113.1")
}
