package mtlsallowlist

import (
	"fmt"
	"math/rand"
	"net/netip"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// convergenceRounds is how many worlds are tried, each with a seed of its own.
const convergenceRounds = 300

// A world has three stores, and what each has told the others and they haven't heard yet. Time is the same for all, but
// for what each takes for Redis's clock.
type world struct {
	random *rand.Rand
	limits limits
	stores []*store
	mail   [][]entry // by receiver
	now    moment
	proofs map[string]int64 // the stamp of the last proof that somebody gave, by member
	ends   map[string]int64 // that of the last revocation
}

func newWorld(seed int64) *world {
	w := &world{random: rand.New(rand.NewSource(seed)), now: time.Second, mail: make([][]entry, 3), proofs: map[string]int64{}, ends: map[string]int64{}}
	w.limits = limits{ttl: time.Minute, maxIPs: 1 + w.random.Intn(7), maxIPsPerIdentity: w.random.Intn(4)}
	for i := 0; i < 3; i++ {
		s := newStore(fmt.Sprint(i))
		s.share()
		s.learnBy(terms{learner: true, limits: w.limits}, when(0))
		s.timeBy(clockAt0+int64(w.random.Intn(40)), 0, near)
		s.collect(1)
		w.stores = append(w.stores, s)
	}
	return w
}

// step has something happen.
func (w *world) step() {
	w.now += time.Duration(w.random.Intn(3)) * time.Duration(w.random.Intn(4000)) * time.Millisecond
	i := w.random.Intn(3)
	s := w.stores[i]
	ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + w.random.Intn(8))}), 32)
	id := identity.Identity{Names: []string{fmt.Sprint("cn:", w.random.Intn(2))}}
	switch w.random.Intn(11) {
	case 0, 1, 2, 3:
		g, _, _ := s.learn(ip, id, w.limits, when(w.now))
		w.proofs[member(ip, id)] = later(w.proofs[member(ip, id)], g.stamp)
	case 4, 10:
		s.revoke(ip, id.Name(), when(w.now))
		for _, e := range s.entries(w.now) {
			if e.kind == entryRevoked {
				w.ends[e.member()] = later(w.ends[e.member()], e.stamp)
			}
		}
	case 5, 6:
		w.send(i)
	case 7: // who was away hears everything at once
		w.deliver(i, w.stores[w.random.Intn(3)].entries(w.now))
	case 8: // a connection breaks: what was on the way to all is lost
		s.drop(1)
		s.collect(1)
		w.mail[i] = nil
	case 9:
		for _, j := range w.random.Perm(len(w.mail[i])) {
			w.deliver(i, w.mail[i][j:j+1])
		}
		w.mail[i] = nil
	}
}

func later(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}

// send puts into the others' mail what a store has to tell.
func (w *world) send(from int) {
	entries, _, _ := w.stores[from].drain(1)
	for i := range w.stores {
		if i != from {
			w.mail[i] = append(w.mail[i], entries...)
		}
	}
}

// deliver has a store hear entries as anybody would write them down.
func (w *world) deliver(to int, entries []entry) {
	all := []entry{}
	for _, e := range entries {
		heard, err := parseEntry(line(e))
		if err != nil {
			panic(err)
		}
		all = append(all, heard)
	}
	sortLatestFirst(all)
	w.stores[to].adopt(all, w.now)
}

// settle exchanges everything, until nobody hears anything new.
func (w *world) settle() {
	before := "-"
	for round := 0; round < 10 && before != w.held(); round++ {
		before = w.held()
		for i := range w.stores {
			w.send(i)
		}
		for i := range w.stores {
			w.deliver(i, w.mail[i])
			w.mail[i] = nil
			for _, other := range w.stores {
				w.deliver(i, other.entries(w.now))
			}
		}
	}
}

// waitForNoEnd lets time pass until nothing is about to end: in that moment it holds for some, whose clocks differ a little.
func (w *world) waitForNoEnd() {
	for again := true; again; {
		again = false
		for _, s := range w.stores {
			for _, e := range s.entries(w.now) {
				again = again || e.kind != entryEvicted && e.expires <= s.sharing.at(w.now)+100
			}
		}
		w.now += 100 * time.Millisecond
	}
}

func (w *world) held() string {
	all := ""
	for _, s := range w.stores {
		all += heldBy(s, w.now) + "\n\n"
	}
	return all
}

func TestAllReplicasComeToHoldTheSame(t *testing.T) {
	held, revoked := 0, 0
	for seed := int64(1); seed <= convergenceRounds; seed++ {
		w := newWorld(seed)
		for i := 0; i < 60; i++ {
			w.step()
		}
		w.waitForNoEnd()
		w.settle()
		first := w.stores[0]
		want := heldBy(first, w.now)
		for i, s := range w.stores {
			if got := heldBy(s, w.now); got != want {
				t.Fatalf("seed %d: store %d holds\n%s\nwant\n%s", seed, i, got, want)
			}
			if n := len(s.list.addresses); n > w.limits.maxIPs {
				t.Errorf("seed %d: store %d holds %d addresses, want %d at most", seed, i, n, w.limits.maxIPs)
			}
			for _, g := range s.list.due {
				about := member(g.address.ip, g.identity)
				if w.proofs[about] <= w.ends[about] {
					t.Errorf("seed %d: store %d holds %s, which was revoked", seed, i, about)
				}
				if g.expires < g.due || g.stamp < s.sharing.until(g.proved)-40 {
					t.Errorf("seed %d: store %d: %s is due %v, expires %v", seed, i, about, g.due, g.expires)
				}
				held++
			}
			for e := s.list.recency.Front(); e != nil && e.Next() != nil; e = e.Next() {
				if !e.Value.(*address).before(e.Next().Value.(*address)) {
					t.Errorf("seed %d: store %d isn't in order", seed, i)
				}
			}
		}
		revoked += len(w.ends)
	}
	if held < convergenceRounds || revoked < convergenceRounds {
		t.Errorf("%d grants held and %d revoked in %d worlds: they are too empty to tell anything", held, revoked, convergenceRounds)
	}
}
