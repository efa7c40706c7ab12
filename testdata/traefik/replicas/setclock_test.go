package replicas

import (
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
)

// TestRedissClockIsSet has the clock of a real Redis set while two Traefiks share a store, and sees that no grant lasts
// longer for it, whether it was learned before or after, and whoever has restarted since.
func TestRedissClockIsSet(t *testing.T) {
	for _, row := range []struct {
		name         string
		begin, then  time.Duration // how far the clock is ahead
		ended        bool          // whether what was learned before ends at once
		noted        bool          // whether Redis is told that its clock was set back
		restartAfter bool          // whether a replica restarts after that
	}{
		{"back by an hour", time.Hour, 0, false, true, false},
		{"back by an hour, and a replica restarts", time.Hour, 0, false, true, true},
		{"back by two days, and a replica restarts", 48 * time.Hour, 0, false, true, true},
		{"ahead by an hour", 0, time.Hour, true, false, false},
		{"ahead by an hour, and a replica restarts", 0, time.Hour, true, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			ttl := 5 * time.Second
			if row.restartAfter {
				ttl = 20 * time.Second // a restart takes a few
			}
			server := redis.New(t)
			server.Clock = redis.NewClock(t)
			server.Clock.Set(row.begin)
			server.Start()
			fleet := startShared(t, 2, household{redis: redisOptions(server), learner: options{"ttl": ttl.String()}})
			a, b := fleet[0], fleet[1]
			before := "203.0.113.1"
			began := time.Now()
			a.learn(before)
			learned := time.Now()
			usual := learned.Sub(began) + b.awaits("200", before)
			server.Clock.Set(row.then)
			if row.noted {
				check.Eventually(t, "the replicas tell Redis that its clock was set back", func() bool {
					return server.CLI("HEXISTS", "{mtlsallowlist:default}:epoch", "behind") == "1"
				})
			}
			if row.ended {
				a.awaits("403", before)
				b.awaits("403", before)
			}
			if row.restartAfter {
				b.restart()
				b.awaitInStep(2)
			}
			if !row.ended {
				b.want("200", before)
				for i, e := range ends(t, before, a, b) {
					t.Logf("learned before: replica %d ends it %v to %v after its proof", i, e.after.Sub(learned), e.before.Sub(began))
					if e.after.After(learned.Add(ttl + 100*time.Millisecond + 20*usual)) {
						t.Errorf("learned before: replica %d still lets in %v after the proof, want %v at most", i, e.after.Sub(learned), ttl)
					}
				}
			}
			after := "203.0.113.2"
			began = time.Now()
			a.learn(after)
			learned = time.Now()
			b.awaits("200", after)
			for i, e := range ends(t, after, a, b) {
				t.Logf("learned after: replica %d ends it %v to %v after its proof", i, e.after.Sub(learned), e.before.Sub(began))
				if e.before.Before(began.Add(ttl)) || e.after.After(learned.Add(ttl+100*time.Millisecond+20*usual)) {
					t.Errorf("learned after: replica %d: got a grant of %v to %v, want %v", i, e.after.Sub(learned), e.before.Sub(began), ttl)
				}
			}
			a.learn(after)
			b.awaits("200", after)
			b.revoke(after)
			a.awaits("403", after)
			b.want("403", after)
		})
	}
}
