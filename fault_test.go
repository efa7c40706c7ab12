package mtlsallowlist

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What is told of a fault.
const (
	lasting   = iota // that Redis fails, once, however often it is tried
	momentary        // the same, but the next attempt will do
	quiet            // nothing, for Redis answers to everything
)

// A faultRow is what may happen to Redis, between replicas that are in step with it.
type faultRow struct {
	name  string
	begin func(s *faultySite)
	end   func(s *faultySite)
	kind  int
}

// A faultySite is what a fault happens to.
type faultySite struct {
	redis   *redisServer
	other   *redisServer
	relay   *relay
	garbage net.Listener
}

func (s *faultySite) acl(rules ...string) {
	s.redis.does(append([]string{"ACL", "SETUSER", "traefik"}, rules...)...)
}

const (
	grantsKey  = "{mtlsallowlist:shared}:grants"
	changesKey = "{mtlsallowlist:shared}:changes"
)

func nothing(*faultySite) {}

var redisFaults = []faultRow{
	{"it is killed, and is back empty", func(s *faultySite) { s.redis.kill() }, func(s *faultySite) { s.redis.start(); s.acl(everything...) }, lasting},
	{"it hangs", func(s *faultySite) { s.redis.signal("STOP") }, func(s *faultySite) { s.redis.signal("CONT") }, lasting},
	{"it can't be reached", func(s *faultySite) { s.relay.set(swallows) }, func(s *faultySite) { s.relay.set(passes) }, lasting},
	{"it is out of memory", func(s *faultySite) { s.redis.does("CONFIG", "SET", "maxmemory", "1") }, func(s *faultySite) { s.redis.does("CONFIG", "SET", "maxmemory", "0") }, lasting},
	{"it becomes the replica of an empty one, and read-only", func(s *faultySite) { s.redis.does("REPLICAOF", "127.0.0.1", s.other.port()) }, func(s *faultySite) { s.redis.does("REPLICAOF", "NO", "ONE") }, lasting},
	{"the password is another", func(s *faultySite) { s.acl("resetpass", ">other"); s.redis.does("CLIENT", "KILL", "USER", "traefik") }, func(s *faultySite) { s.acl(">secret") }, lasting},
	{"reading changes is forbidden", func(s *faultySite) { s.acl("-xread") }, func(s *faultySite) { s.acl("+xread") }, lasting},
	{"scripts are forbidden", func(s *faultySite) { s.acl("-eval") }, func(s *faultySite) { s.acl("+eval") }, lasting},
	{"writing is forbidden", func(s *faultySite) { s.acl("-hset") }, func(s *faultySite) { s.acl("+hset") }, lasting},
	{"the keys are forbidden", func(s *faultySite) { s.acl("resetkeys", "~other:*") }, func(s *faultySite) { s.acl("allkeys") }, lasting},
	{"the key of the grants is of another type", func(s *faultySite) { s.redis.does("SET", grantsKey, "x") }, func(s *faultySite) { s.redis.does("DEL", grantsKey) }, lasting},
	{"the key of the changes is of another type", func(s *faultySite) { s.redis.does("SET", changesKey, "x") }, func(s *faultySite) { s.redis.does("DEL", changesKey) }, lasting},
	{"something else answers in its place", func(s *faultySite) { s.redis.kill(); s.babble("$1099511627776\r\n\x00\xff") }, func(s *faultySite) { _ = s.garbage.Close(); s.redis.start(); s.acl(everything...) }, lasting},
	{"a clock that is wrong answers in its place", func(s *faultySite) { s.redis.kill(); s.babble(strings.Repeat("*2\r\n$1\r\n0\r\n$1\r\n0\r\n", 10)) }, func(s *faultySite) { _ = s.garbage.Close(); s.redis.start(); s.acl(everything...) }, lasting},
	{"its connections are killed", func(s *faultySite) { s.redis.does("CLIENT", "KILL", "USER", "traefik") }, nothing, momentary},
	{"it is flushed", func(s *faultySite) { s.redis.does("FLUSHALL") }, nothing, quiet},
	{"the changes are trimmed", func(s *faultySite) { s.redis.does("XTRIM", changesKey, "MAXLEN", "0") }, nothing, quiet},
	{"the epoch is evicted", func(s *faultySite) { s.redis.does("DEL", "{mtlsallowlist:shared}:epoch") }, nothing, quiet},
}

var everything = []string{"on", ">secret", "allkeys", "allchannels", "allcommands"}

// babble answers text at Redis's address, whatever it is asked.
func (s *faultySite) babble(text string) {
	var listener net.Listener
	eventually(s.redis.t, "the port is free", func() bool {
		var err error
		listener, err = net.Listen("tcp", s.redis.address)
		return err == nil
	})
	s.garbage = listener
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, text)
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
}

// TestNoFaultOfRedisForgetsAnybody goes by events alone: while the fault lasts, whoever is learned is back before it ends.
func TestNoFaultOfRedisForgetsAnybody(t *testing.T) {
	other := startRedis(t)
	for _, row := range redisFaults {
		fault := row
		t.Run(fault.name, func(t *testing.T) {
			site := &faultySite{redis: startRedis(t), other: other}
			site.relay = startRelay(t, site.redis.address)
			site.acl(everything...)
			goroutines := runtime.NumGoroutine()
			options := Redis{Username: "traefik", Password: "secret", ReadTimeout: "2s"}
			a := startReplica(t, site.relay.address(), options, 0)
			b := startReplica(t, site.relay.address(), options, 7*time.Minute)
			c := startReplica(t, site.relay.address(), options, -3*time.Minute)
			all := []*replica{a, b, c}
			agree := func() bool {
				return a.inStep() && b.inStep() && c.inStep() && a.held() == b.held() && b.held() == c.held()
			}
			eventually(t, "all are in step", agree)
			a.learn("203.0.113.1")
			b.learn("203.0.113.2")
			c.learn("203.0.113.3")
			eventually(t, "all know all", func() bool { return agree() && strings.Count(a.held(), "\n") == 2 })
			c.revoke("203.0.113.1")
			eventually(t, "all forget one", func() bool { return agree() && strings.Count(a.held(), "\n") == 1 })

			fault.begin(site)
			a.learn("203.0.113.4")
			b.learn("203.0.113.5")
			b.revoke("203.0.113.2")
			if fault.kind != quiet {
				eventually(t, "both have told it", func() bool { return a.logged("failed") == 1 && b.logged("failed") == 1 })
			}
			if fault.kind == lasting {
				a.fails(2)
				b.fails(2)
			}
			for i := 0; i < 50; i++ {
				lasts := !a.inStep()
				a.learn(fmt.Sprint("198.51.100.", i+1))
				if lasts && !a.inStep() && a.waits() {
					t.Fatal("somebody waits for Redis, which isn't there")
				}
			}
			if b.holds("203.0.113.2") || !a.holds("203.0.113.4") || !a.holds("203.0.113.3") {
				t.Error("they don't go on with what they know")
			}
			fault.end(site)
			ended := time.Now()
			eventually(t, "all know all that was learned", func() bool { return agree() && strings.Count(a.held(), "\n") == 52 })
			t.Logf("all in step %v after the end", time.Since(ended).Round(time.Millisecond))
			for i, r := range all {
				if r.holds("203.0.113.1") || r.holds("203.0.113.2") {
					t.Errorf("replica %d holds what was revoked", i)
				}
				eventually(t, "it has told that it is in step again", func() bool { return r.logged(`"in step"`) == r.logged("failed")+1 })
				if failed := r.logged("failed"); failed > 1 || fault.kind == quiet && failed > 0 {
					t.Errorf("replica %d told %d times that it failed:\n%s", i, failed, r.log)
				}
			}
			a.learn("203.0.113.6")
			eventually(t, "all know what is learned later", func() bool { return agree() && c.holds("203.0.113.6") })
			d := startReplica(t, site.relay.address(), options, 0)
			eventually(t, "Redis has all, too", func() bool { return d.inStep() && d.held() == a.held() })
			site.ends(append(all, d), goroutines)
		})
	}
}

// ends ends the replicas, and sees to it that nothing of them is left.
func (s *faultySite) ends(all []*replica, goroutines int) {
	t := s.redis.t
	t.Helper()
	for _, r := range all {
		r.link.end()
	}
	eventually(t, "no connection is left", func() bool { return s.redis.connections() == 0 })
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func TestWhoMissedMoreThanIsKeptLoadsEverything(t *testing.T) {
	redis := startRedis(t)
	relay := startRelay(t, redis.address)
	a, b := startReplica(t, redis.address, Redis{}, 0), startReplica(t, relay.address(), Redis{}, 0)
	eventually(t, "both are in step", func() bool { return a.inStep() && b.inStep() })
	relay.set(holds)
	for i := 0; i < 200; i++ {
		a.learn(fmt.Sprint("203.0.113.", i+1))
	}
	redis.does("XTRIM", changesKey, "MAXLEN", "1")
	relay.set(passes)
	eventually(t, "b knows all", func() bool { return a.held() == b.held() && strings.Count(b.held(), "\n") == 199 })
	if a.logged("failed")+b.logged("failed") > 0 {
		t.Errorf("got %s%s, want no failure", a.log, b.log)
	}
}
