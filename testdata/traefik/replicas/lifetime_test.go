package replicas

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
)

// An end is when a replica ceased to let in: after it was asked the last time and still let in, before it answered that it
// no longer does.
type end struct{ after, before time.Time }

// ends waits until each of replicas rejects an address.
func ends(t *testing.T, from string, replicas ...*replica) []end {
	t.Helper()
	ends := make([]end, len(replicas))
	check.Within(t, time.Minute, "all replicas reject "+from, func() bool {
		all := true
		for i, r := range replicas {
			asked := time.Now()
			switch {
			case !ends[i].before.IsZero():
			case r.asks(from) == "200":
				ends[i].after = asked
				all = false
			default:
				ends[i].before = time.Now()
			}
		}
		return all
	})
	return ends
}

func TestAGrantEndsAtTheSameMomentEverywhere(t *testing.T) {
	fleet := startShared(t, 2, household{redis: redisOptions(redis.Start(t)), learner: options{"ttl": "3s"}})
	a, b := fleet[0], fleet[1]
	const tolerance = 50 * time.Millisecond // between the clocks, as measured from afar
	usual := timed(func() { a.learn("203.0.113.9") })
	for _, row := range []struct {
		name  string
		from  string
		renew func(from string) // one and a half seconds after it was learned
		then  func()            // happens before it ends
	}{
		{"learned once", "203.0.113.1", nil, nil},
		{"renewed where it was learned", "203.0.113.2", func(from string) { a.learn(from) }, nil},
		{"renewed at another replica", "203.0.113.3", func(from string) { b.learn(from) }, nil},
		{"learned before another replica restarts", "203.0.113.4", nil, func() {
			time.Sleep(time.Second) // so that it shows if the lifetime is counted from when the grant is taken over
			b.restart()
			b.awaitInStep(2)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := time.Now()
			a.learn(row.from)
			learned := time.Now()
			usual = max(usual, learned.Sub(before), b.awaits("200", row.from)) // so much longer it takes to measure a clock, too
			if row.renew != nil {
				time.Sleep(time.Until(learned.Add(1500 * time.Millisecond))) // what a renewal adds is real time
				before = time.Now()
				row.renew(row.from)
				learned = time.Now()
			}
			if row.then != nil {
				row.then()
			}
			for i, e := range ends(t, row.from, a, b) {
				t.Logf("replica %d ends it %v to %v after its proof", i, e.after.Sub(learned), e.before.Sub(before))
				if e.before.Before(before.Add(3*time.Second)) || e.after.After(learned.Add(3*time.Second+tolerance+20*usual)) {
					t.Errorf("replica %d: got a grant of %v to %v, want 3s", i, e.after.Sub(learned), e.before.Sub(before))
				}
			}
		})
	}
}

func TestRevokingClosesAllReplicas(t *testing.T) {
	fleet := startShared(t, 2, household{redis: redisOptions(redis.Start(t))})
	a, b := fleet[0], fleet[1]
	worst, usual := time.Duration(0), time.Duration(0)
	for i := range 20 {
		from, prefix := lab.Address(i)
		a.learn(from)
		usual = max(usual, b.awaits("200", from))
		b.revoke(prefix)
		delay := a.awaits("403", from)
		b.want("403", from)
		worst = max(worst, delay)
	}
	wantWithin(t, "another replica rejects", worst, time.Second, usual)
	from, prefix := lab.Address(0)
	b.learn(from) // a proof after the revocation
	a.awaits("200", from)
	a.revoke(prefix)
	b.awaits("403", from)
}

// TestWhatWasRevokedStaysAway has a grant learned by one replica and revoked at another, and then something happen.
func TestWhatWasRevokedStaysAway(t *testing.T) {
	for _, row := range []struct {
		name      string
		stateFile bool // of the replica that learned
		happens   func(server *redis.Server, a, b *replica)
	}{
		{"Redis loses everything", false, func(server *redis.Server, a, b *replica) {
			server.Kill()
			server.Start()
			a.awaitInStep(2)
			b.awaitInStep(2)
		}},
		{"Redis is flushed", false, func(server *redis.Server, a, b *replica) {
			server.CLI("FLUSHALL")
			check.Eventually(a.t, "the replicas tell Redis again", func() bool { return server.CLI("HLEN", "{mtlsallowlist:default}:grants") == "2" })
		}},
		{"the replica that learned restarts", false, func(_ *redis.Server, a, _ *replica) {
			a.restart()
			a.awaitInStep(2)
		}},
		{"the replica that learned restarts, and has a state file", true, func(_ *redis.Server, a, _ *replica) {
			a.restart()
			a.awaitInStep(2)
		}},
		{"the replica that learned restarts from its state file without Redis, which comes back empty", true, func(server *redis.Server, a, b *replica) {
			server.Kill()
			a.restart()
			a.want("403", "203.0.113.1")
			server.Start()
			a.awaitInStep(2)
			b.awaitInStep(2)
		}},
		{"the replica that revoked restarts", false, func(_ *redis.Server, _, b *replica) {
			b.restart()
			b.awaitInStep(2)
		}},
		{"all restart, one from its state file", true, func(_ *redis.Server, a, b *replica) {
			a.restart()
			b.restart()
			a.awaitInStep(2)
			b.awaitInStep(2)
		}},
		{"all restart, one from its state file, and Redis loses everything", true, func(server *redis.Server, a, b *replica) {
			a.restart()
			b.restart()
			server.Kill()
			server.Start()
			a.learn("203.0.113.2") // so that it is known when both are in step
			b.awaits("200", "203.0.113.2")
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := redis.Start(t)
			h := household{redis: redisOptions(server)}
			learning := h
			path := filepath.Join(t.TempDir(), "state.json")
			if row.stateFile {
				learning.learner = options{"stateFile": path}
			}
			fleet := start(t, learning, h)
			a, b := fleet[0], fleet[1]
			a.awaitInStep(1)
			b.awaitInStep(1)
			a.learn("203.0.113.1", "203.0.113.2")
			b.awaits("200", "203.0.113.2")
			b.revoke("203.0.113.1")
			a.awaits("403", "203.0.113.1")
			if row.stateFile {
				check.Eventually(t, "the state file has the revocation behind the grant", func() bool {
					data, err := os.ReadFile(path)
					_, last, found := cutLast(string(data), "\n203.0.113.1/32 ")
					line, _, whole := strings.Cut(last, "\n")
					return err == nil && found && whole && strings.Contains(line, " r ")
				})
			}
			row.happens(server, a, b)
			agree(t, 1, a, b)
			for _, r := range fleet {
				r.want("403", "203.0.113.1")
				r.want("200", "203.0.113.2")
			}
		})
	}
}

// TestARevocationOutlivesWhoRevoked has the grant in the state file of a replica that is down when it is revoked, and then
// the replica that revoked go down, too, and Redis lose everything: a third one remembers.
func TestARevocationOutlivesWhoRevoked(t *testing.T) {
	server := redis.Start(t)
	h := household{redis: redisOptions(server)}
	saving := h
	saving.learner = options{"stateFile": filepath.Join(t.TempDir(), "state.json")}
	fleet := start(t, saving, h, h)
	a, b, c := fleet[0], fleet[1], fleet[2]
	for _, r := range fleet {
		r.awaitInStep(1)
	}
	a.learn("203.0.113.1", "203.0.113.2")
	b.awaits("200", "203.0.113.2")
	b.awaits("200", "203.0.113.1")
	c.awaits("200", "203.0.113.1")
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.revoke("203.0.113.1")
	c.awaits("403", "203.0.113.1")
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Start()
	a.restart()
	b.restart()
	for _, r := range fleet {
		r.awaitInStep(2)
	}
	if ips := agree(t, 1, fleet...); !ips["203.0.113.2/32"] {
		t.Errorf("got grants for %v, want 203.0.113.2/32", ips)
	}
}

// TestARevocationWithoutRedisOutlivesARestart has a replica with a state file revoke while Redis is away, and restart
// before it is back: the other one, which knows the grant, hears of the revocation all the same.
func TestARevocationWithoutRedisOutlivesARestart(t *testing.T) {
	server := redis.Start(t)
	h := household{redis: redisOptions(server)}
	revoking := h
	revoking.learner = options{"stateFile": filepath.Join(t.TempDir(), "state.json")}
	fleet := start(t, h, revoking)
	a, b := fleet[0], fleet[1]
	a.awaitInStep(1)
	b.awaitInStep(1)
	a.learn("203.0.113.1", "203.0.113.2")
	b.awaits("200", "203.0.113.2")
	server.Kill()
	b.revoke("203.0.113.1")
	b.restart()
	a.want("200", "203.0.113.1")
	server.Start()
	a.awaits("403", "203.0.113.1")
	agree(t, 1, a, b)
	for _, r := range fleet {
		r.want("403", "203.0.113.1")
		r.want("200", "203.0.113.2")
	}
}

// cutLast cuts around the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}
