package replicas

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
)

var soakFor = flag.Duration("soak", 20*time.Second, "how long TestSoak takes")

// A soak is the load on some Traefiks: devices that are learned from ever new addresses, with their apps, and an owner who
// revokes now and then.
type soak struct {
	t        *testing.T
	fleet    []*replica
	over     atomic.Bool
	next     atomic.Int64 // address
	learned  atomic.Int64
	asked    atomic.Int64
	revoked  atomic.Int64
	slow     atomic.Int64 // learning requests of more than half a second
	working  sync.WaitGroup
	failures atomic.Int64
}

func (s *soak) fail(format string, args ...any) {
	if s.failures.Add(1) <= 10 {
		s.t.Errorf(format, args...)
	}
}

// device is learned by one replica from an address, asks it, and proves itself again now and then.
func (s *soak) device(r *replica) {
	for !s.over.Load() {
		from, prefix := lab.Address(int(s.next.Add(1)))
		phone := lab.NewClient(lab.ClientOptions{From: from, Target: r.Addr("websecure"), TLS: tlsConfig(&home.Phone), KeepAlive: true})
		app := lab.NewClient(lab.ClientOptions{From: from, Target: r.Addr("web"), KeepAlive: true})
		for turn := range 5 {
			began := time.Now()
			if got := get(phone, haURL); got != "200" {
				s.fail("learning %s: got %s, want 200", from, got)
			}
			if time.Since(began) > 500*time.Millisecond {
				s.slow.Add(1)
			}
			s.learned.Add(1)
			for range 4 {
				if got := get(app, photosURL); got != "200" {
					s.fail("asking from %s after turn %d: got %s, want 200", from, turn, got)
				}
				s.asked.Add(1)
			}
		}
		if rand.IntN(10) == 0 {
			r.page(http.MethodDelete, "grants?ip="+prefix)
			s.revoked.Add(1)
			if got := get(app, photosURL); got != "403" {
				s.fail("asking from %s after it was revoked: got %s, want 403", from, got)
			}
		}
		phone.Close()
		app.Close()
		time.Sleep(5 * time.Millisecond) // the machine has others to serve
	}
}

// fault breaks Redis for a moment.
func fault(server *redis.Server, number int) (what string) {
	pause := 300*time.Millisecond + time.Duration(rand.IntN(700))*time.Millisecond
	switch number % 5 {
	case 0:
		server.Kill()
		time.Sleep(pause)
		server.Start()
		return "killed"
	case 1:
		server.Hang()
		time.Sleep(pause)
		server.GoOn()
		return "stopped"
	case 2:
		server.CLI("FLUSHALL")
		return "flushed"
	case 3:
		server.CLI("CLIENT", "KILL", "TYPE", "normal")
		return "connections closed"
	}
	server.Hang()
	time.Sleep(5 * time.Second) // longer than a read may take
	server.GoOn()
	return "stopped for long"
}

// TestSoak has two Traefiks serve many clients while Redis fails again and again, and sees whether what they take stays
// bounded. -soak 10m makes it last.
func TestSoak(t *testing.T) {
	server := redis.Start(t)
	fleet := startShared(t, 2, household{redis: redisOptions(server), learner: options{"maxIPs": 500}, static: debugged})
	s := &soak{t: t, fleet: fleet}
	defer func() {
		s.over.Store(true)
		s.working.Wait()
	}()
	for _, r := range fleet {
		for range 3 {
			s.working.Go(func() { s.device(r) })
		}
	}
	began := time.Now()
	table := []string{"time, faults, learned, asked, revoked, heap MiB, resident MiB, goroutines, connections"}
	faults := 0
	var first, last [2]lab.Footprint
	row := func() {
		cells := []string{time.Since(began).Round(time.Second).String(), fmt.Sprint(faults), fmt.Sprint(s.learned.Load()), fmt.Sprint(s.asked.Load()), fmt.Sprint(s.revoked.Load())}
		for i, r := range fleet {
			last[i] = r.footprint()
		}
		cells = append(cells,
			fmt.Sprintf("%d %d", last[0].Heap>>20, last[1].Heap>>20),
			fmt.Sprintf("%d %d", last[0].Resident>>20, last[1].Resident>>20),
			fmt.Sprintf("%d %d", last[0].Goroutines, last[1].Goroutines),
			fmt.Sprint(len(server.Clients())))
		table = append(table, strings.Join(cells, ", "))
	}
	time.Sleep(*soakFor / 20) // what is there from the first requests on is no growth
	row()
	first = last
	for rows := 1; time.Since(began) < *soakFor; {
		fault(server, faults)
		faults++
		time.Sleep(min(*soakFor/20, 3*time.Second))
		if time.Since(began) > *soakFor*time.Duration(rows)/10 {
			row()
			rows++
		}
	}
	s.over.Store(true)
	s.working.Wait()
	defer func() {
		t.Logf("%d learning requests took more than half a second\n%s", s.slow.Load(), strings.Join(table, "\n"))
	}()
	row()
	for i := range 200 { // so that there are as many as there may be, whatever was revoked
		from, _ := lab.Address(1_000_000 + i)
		fleet[i%2].learn(from)
	}
	agree(t, 500, fleet...)
	check.Eventually(t, "the goroutines of connections have ended", func() bool {
		return fleet[0].footprint().Goroutines <= first[0].Goroutines && fleet[1].footprint().Goroutines <= first[1].Goroutines
	})
	row()
	for i := range fleet {
		if last[i].Heap > first[i].Heap+10<<20 {
			t.Errorf("replica %d: got a heap of %d MiB, at the beginning %d", i, last[i].Heap>>20, first[i].Heap>>20)
		}
		if last[i].Resident > first[i].Resident*5/4 {
			t.Errorf("replica %d: got %d MiB in memory, at the beginning %d", i, last[i].Resident>>20, first[i].Resident>>20)
		}
	}
	if got := len(server.Clients()); got > 4 {
		t.Errorf("got %d connections, want at most 4", got)
	}
}
