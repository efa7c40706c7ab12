package replicas

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
)

func TestAReplicaWithoutRedisWorksAloneAndJoins(t *testing.T) {
	server := redis.New(t)
	fleet := start(t, household{redis: redisOptions(server)}, household{redis: redisOptions(server)})
	a, b := fleet[0], fleet[1]
	a.learn("203.0.113.1", "203.0.113.2")
	b.learn("203.0.113.3")
	a.want("200", "203.0.113.1", "203.0.113.2")
	a.want("403", "203.0.113.3")
	b.want("200", "203.0.113.3")
	b.want("403", "203.0.113.1")
	a.revoke("203.0.113.2")
	a.want("403", "203.0.113.2")
	server.Start()
	delay := timed(func() {
		b.awaits("200", "203.0.113.1")
		a.awaits("200", "203.0.113.3")
	})
	agree(t, 2, a, b)
	b.learn("203.0.113.4")
	wantWithin(t, "both know all", delay, 2*time.Second, a.awaits("200", "203.0.113.4"))
	for _, r := range fleet {
		r.told(1, "msg=failed", "reason=\"redis: ")
		r.told(1, `msg="in step"`)
		r.want("403", "203.0.113.2")
	}
}

// A watch is clients with a grant that keep asking one replica. While it restarts it needn't answer, but it may not reject.
type watch struct {
	replica  *replica
	excused  atomic.Int64 // changes when the replica begins to restart, and when it serves again; odd: it restarts
	asked    atomic.Int64 // requests that counted
	rejected atomic.Int64 // of those, how many weren't let in
	why      atomic.Value // the last such answer
}

func (w *watch) keepAsking(from string, until *atomic.Bool) {
	c := lab.NewClient(lab.ClientOptions{From: from, Target: w.replica.Addr("web"), KeepAlive: true})
	defer c.Close()
	for !until.Load() {
		before := w.excused.Load()
		answer := get(c, photosURL)
		restarts := before%2 == 1 || w.excused.Load() != before
		if restarts && answer != "200" && answer != "403" {
			time.Sleep(time.Millisecond) // nobody listens, or there is no router yet
			continue
		}
		w.asked.Add(1)
		if answer != "200" {
			w.rejected.Add(1)
			w.why.Store(fmt.Sprint(from, ": ", answer))
		}
	}
}

// TestARollingRestartForgetsNobody restarts three replicas one after another, twice, as a new version is rolled out, under
// the load of clients that have a grant, and of others that are learned meanwhile.
func TestARollingRestartForgetsNobody(t *testing.T) {
	relay := startRelay(t, redis.Start(t).Address, 10*time.Millisecond) // so that it takes a while until a replica knows all
	fleet := startShared(t, 3, household{redis: options{"endpoints": relay.address()}})
	const clients = 6
	for i := range clients {
		from, _ := lab.Address(i)
		fleet[i%3].learn(from)
	}
	agree(t, clients, fleet...)
	var over atomic.Bool
	var asking sync.WaitGroup
	watches := []*watch{}
	for i, r := range fleet {
		w := &watch{replica: r}
		watches = append(watches, w)
		for n := range clients {
			if n%3 == i { // each learned by another replica than the one asked
				from, _ := lab.Address(n + 1)
				if n+1 == clients {
					from, _ = lab.Address(0)
				}
				asking.Go(func() { w.keepAsking(from, &over) })
			}
		}
	}
	newcomers := 0
	for round := range 2 {
		for i, w := range watches {
			asked := w.asked.Load()
			check.Eventually(t, "the replica lets in", func() bool { return w.asked.Load() > asked+20 })
			w.excused.Add(1)
			w.replica.restart()
			w.excused.Add(1)
			delay := timed(func() { w.replica.awaitInStep(2 + round) })
			t.Logf("replica %d is in step %v after it is configured; it has rejected %d of %d", i, delay, w.rejected.Load(), w.asked.Load())
			from, _ := lab.Address(1000 + newcomers)
			newcomers++
			fleet[(i+1)%3].learn(from)
			w.replica.awaits("200", from)
		}
	}
	for _, w := range watches {
		asked := w.asked.Load()
		check.Eventually(t, "the replica lets in", func() bool { return w.asked.Load() > asked+20 })
	}
	over.Store(true)
	asking.Wait()
	for i, w := range watches {
		if w.rejected.Load() > 0 {
			t.Errorf("replica %d has rejected %d of %d, such as %v", i, w.rejected.Load(), w.asked.Load(), w.why.Load())
		}
	}
	agree(t, clients+newcomers, fleet...)
}
