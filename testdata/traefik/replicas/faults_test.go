package replicas

import (
	"slices"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
)

// A site is what a fault happens to.
type site struct {
	*redis.Server
	t        *testing.T
	relay    *relay    // between the Traefiks and the server; nil: there is none
	impostor *impostor // in the server's place
}

var traefiksRules = []string{"ACL", "SETUSER", "traefik", "on", ">correct horse", "~*", "+@all"}

func (s *site) back() {
	s.Start() // empty
	s.CLI(traefiksRules...)
}

// says has something else answer in the server's place.
func (s *site) says(texts ...string) {
	s.Kill()
	s.impostor = startImpostor(s.t, s.Address, texts...)
}

func (s *site) backInItsPlace() {
	s.impostor.close()
	s.back()
}

const (
	grantsKey       = "{mtlsallowlist:default}:grants"
	direct, relayed = false, true
)

// faults are ways in which Redis fails, as a Traefik with the default timeouts sees it from outside.
var faults = []struct {
	name    string
	relayed bool
	lasts   time.Duration
	breaks  func(s *site)
	heals   func(s *site)
}{
	{"it is killed and comes back empty", direct, time.Second, func(s *site) { s.Kill() }, (*site).back},
	{"it hangs, longer than a read may take", direct, 6 * time.Second, func(s *site) { s.Hang() }, func(s *site) { s.GoOn() }},
	{"it can't be reached for a minute", relayed, time.Minute,
		func(s *site) { s.relay.silent.Store(true) },
		func(s *site) { s.relay.silent.Store(false) }},
	{"its password changes", direct, time.Second, func(s *site) {
		s.CLI("ACL", "SETUSER", "traefik", "resetpass", ">another")
		s.CLI("CLIENT", "KILL", "USER", "traefik")
	}, func(s *site) { s.CLI(traefiksRules...) }},
	{"its rules are too tight", direct, time.Second,
		func(s *site) { s.CLI("ACL", "SETUSER", "traefik", "-hset") },
		func(s *site) { s.CLI("ACL", "SETUSER", "traefik", "+hset") }},
	{"its memory is used up", direct, time.Second,
		func(s *site) { s.CLI("CONFIG", "SET", "maxmemory", "1mb") },
		func(s *site) { s.CLI("CONFIG", "SET", "maxmemory", "0") }},
	{"it is the replica of nobody, so it doesn't write", direct, time.Second,
		func(s *site) { s.CLI("REPLICAOF", "127.0.0.1", "1") },
		func(s *site) { s.CLI("REPLICAOF", "NO", "ONE") }},
	{"its key is another's", direct, time.Second, func(s *site) {
		s.CLI("SET", grantsKey, "no hash")
		s.CLI("CLIENT", "KILL", "USER", "traefik")
	}, func(s *site) { s.CLI("DEL", grantsKey) }},
	{"it answers garbage", direct, 3 * time.Second, func(s *site) {
		s.says("HTTP/1.1 400 Bad Request\r\n\r\n", "\x00\xff\x80", "\r\n", "+OK\r\n", ":1\r\n", "-MOVED 1 \r\n",
			"$-7\r\n", "*2\r\n", "*1000000000\r\n",
			"*2\r\n$1\r\n0\r\n$1\r\n0\r\n", "*2\r\n$10\r\n9000000000\r\n$1\r\n0\r\n") // as TIME answers, far from now
	}, (*site).backInItsPlace},
	{"it announces 1 TB, and goes on and on", direct, 3 * time.Second, func(s *site) { s.says("$1099511627776\r\n") }, (*site).backInItsPlace},
}

func TestRedisFails(t *testing.T) {
	for _, row := range faults {
		t.Run(row.name, func(t *testing.T) {
			s := &site{Server: redis.Start(t), t: t}
			s.CLI(traefiksRules...)
			shared := redisOptions(s.Server)
			shared["username"], shared["password"] = "traefik", "correct horse"
			if row.relayed {
				s.relay = startRelay(t, s.Address, 0)
				shared["endpoints"] = s.relay.address()
			}
			fleet := startShared(t, 2, household{redis: shared, static: debugged})
			a, b := fleet[0], fleet[1]
			next := 0
			learning := []time.Duration{}
			learn := func(r *replica) (from string) {
				t.Helper()
				from, _ = lab.Address(next)
				next++
				learning = append(learning, timed(func() { r.learn(from) }))
				return from
			}
			spreading := time.Duration(0)
			known := []string{}
			for i := range 20 {
				from := learn(fleet[i%2])
				spreading = max(spreading, fleet[1-i%2].awaits("200", from))
				known = append(known, from)
			}
			// revoke has a replica revoke one of those that both know.
			revoked := [][]string{{}, {}}
			revoke := func(by int) {
				t.Helper()
				fleet[by].revoke(known[0])
				fleet[by].want("403", known[0])
				revoked[by] = append(revoked[by], known[0])
				known = known[1:]
			}
			revoke(0)
			b.awaits("403", revoked[0][0])
			agree(t, len(known), a, b)
			usual, usualWorst := median(learning), slices.Max(learning)
			before := []lab.Footprint{a.footprint(), b.footprint()}
			connections := len(s.Clients())
			if connections != 4 {
				t.Errorf("got %d connections, want 2 of each Traefik: %q", connections, s.Clients())
			}

			row.breaks(s)
			learning = nil
			alone := [][]string{{}, {}}
			asking, passing := []time.Duration{}, []time.Duration{}
			end := time.Now().Add(row.lasts)
			for i := 0; time.Now().Before(end) || i < 20; i++ {
				r := fleet[i%2]
				passing = append(passing, timed(r.passes))
				from := learn(r)
				alone[i%2] = append(alone[i%2], from)
				asking = append(asking, timed(func() { r.want("200", from) }), timed(func() { r.want("200", known[i%len(known)]) }))
				r.want("403", "203.0.113.99")
				if i < 2 {
					revoke(i)
				}
				time.Sleep(50 * time.Millisecond) // as some clients in a second
			}
			revoke(0)
			revoke(1)
			a.want("200", revoked[1]...) // as Redis tells nobody
			b.want("200", revoked[0][1:]...)
			for i, r := range fleet {
				now := r.footprint()
				t.Logf("replica %d has a heap of %d KiB, before %d; resident %d KiB, before %d", i, now.Heap>>10, before[i].Heap>>10, now.Resident>>10, before[i].Resident>>10)
				if now.Heap > before[i].Heap+16<<20 || now.Resident > before[i].Resident+flood/4 {
					t.Errorf("replica %d: got %+v, before %+v", i, now, before[i])
				}
			}

			t.Logf("learning takes %v at the median of %d, %v at worst; before it was %v, %v", median(learning), len(learning), slices.Max(learning), usual, usualWorst)
			t.Logf("asking takes %v at the median of %d, %v at worst; what concerns no middleware, %v, %v", median(asking), len(asking), slices.Max(asking), median(passing), slices.Max(passing))
			// Whoever waits for an answer of Redis, waits for 3 s.
			wantWithin(t, "the slowest is learned", slices.Max(learning), acknowledged, max(usualWorst, slices.Max(passing)))
			waited, slow := atLeast(acknowledged, learning), atLeast(acknowledged, passing)
			t.Logf("%d may have waited for Redis; %d that can't have took as long", waited, slow)
			if waited > 2+2*slow+len(learning)/10 {
				t.Errorf("got %d of %d that waited for Redis, want one of each replica, and what a busy machine adds, such as %d", waited, len(learning), slow)
			}
			if median(asking) > 20*median(passing) {
				t.Errorf("got %v at the median for asking, want as ever, when what concerns no middleware takes %v", median(asking), median(passing))
			}

			row.heals(s)
			delay := timed(func() {
				a.awaits("200", alone[1][0]) // the first that was learned, which is taken over last
				b.awaits("200", alone[0][0])
			})
			for i, r := range fleet {
				for _, from := range alone[1-i] {
					r.awaits("200", from)
				}
				for _, from := range revoked[1-i] {
					r.awaits("403", from)
				}
			}
			agree(t, next-5, a, b)
			for i, r := range fleet { // so that both have something to tell
				spreading = max(spreading, fleet[1-i].awaits("200", learn(r)))
			}
			wantWithin(t, "both know what the other has learned", delay, 2*time.Second, max(spreading, usualWorst, slices.Max(passing)))
			for i, r := range fleet {
				r.want("200", known...)
				r.want("403", slices.Concat(revoked...)...)
				r.told(1, "msg=failed", "redis: ")
				r.told(1, "msg=failed")
				r.told(2, `msg="in step"`)
				check.Eventually(t, "there are as many goroutines as before", func() bool { return r.footprint().Goroutines <= before[i].Goroutines })
			}
			check.Eventually(t, "there are as many connections as before", func() bool { return len(s.Clients()) == connections })
		})
	}
}
