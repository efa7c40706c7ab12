package mtlsallowlist

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func TestStoresAreSharedByName(t *testing.T) {
	first, second, other := openStore(t.Name()), openStore(t.Name()), openStore("another")
	if first != second {
		t.Errorf("one name gives two stores")
	}
	if first == other {
		t.Errorf("two names give one store")
	}
}

func TestNoteIsQuietForAMinute(t *testing.T) {
	s := newStore(t.Name())
	for _, row := range []struct {
		matter string
		at     time.Duration
		want   bool
	}{
		{"a", 0, true},
		{"a", time.Second, false},
		{"b", time.Second, true},
		{"a", noteInterval - 1, false},
		{"a", noteInterval, true},
		{"a", noteInterval + 1, false},
	} {
		if got := s.note(row.matter, t0.Add(row.at)); got != row.want {
			t.Errorf("%s at %v: got %v, want %v", row.matter, row.at, got, row.want)
		}
	}
}

// TestWhatIsAChange is about what a state file has to have, and enforcers have to ask for again.
func TestWhatIsAChange(t *testing.T) {
	s := newStore(t.Name())
	learn := func(letter string, maxIPs int, after time.Duration) func() {
		return func() { s.learn(ipOf(letter), named("p"), limits{time.Hour, maxIPs, 0}, atTime(t0.Add(after))) }
	}
	revoke := func(letter string, after time.Duration, want int) func() {
		return func() {
			if got := len(s.revoke(ipOf(letter), "", atTime(t0.Add(after)))); got != want {
				t.Errorf("%d are revoked, want %d", got, want)
			}
		}
	}
	for _, row := range []struct {
		name string
		do   func()
		want int // changes so far
	}{
		{"a new grant is", learn("A", 9, 1), 1},
		{"a renewal isn't", learn("A", 9, 2), 1},
		{"another is", learn("B", 9, 3), 2},
		{"an eviction by a renewal is", learn("B", 1, 4), 3},
		{"a new grant with an eviction is one", learn("C", 1, 5), 4},
		{"revoking nothing isn't", revoke("A", 6, 0), 4},
		{"a revocation is", revoke("C", 7, 1), 5},
		{"one more grant is", learn("D", 9, 8), 6},
		{"what has expired can't be revoked", revoke("D", time.Hour+8, 0), 6},
	} {
		nobody, _ := s.find(ipOf("X"), nil, atTime(t0))
		before := s.changes
		row.do()
		if s.changes != row.want {
			t.Errorf("%s: got %d changes, want %d", row.name, s.changes, row.want)
		}
		if asked := nobody.expires == over; asked != (s.changes != before) {
			t.Errorf("%s: who had no grant is asked for again: %t", row.name, asked)
		}
	}
}

func TestWhoIsLeastRecentlyProved(t *testing.T) {
	grants := []*grant{}
	for i, proved := range []moment{3, 2, 1, 1, 4} {
		grants = append(grants, &grant{proved: proved, identity: named(fmt.Sprint("cn:", i)), address: &address{}})
	}
	for _, row := range []struct {
		name   string
		except *grant
		want   *grant
	}{
		{"of two at the same moment, that of the lower name", nil, grants[2]},
		{"but for one", grants[2], grants[3]},
		{"but for another", grants[1], grants[2]},
	} {
		if got := earliest(grants, row.except); got != row.want {
			t.Errorf("%s: got that of %d", row.name, got.proved)
		}
	}
	if got := earliest(grants[:1], grants[0]); got != nil {
		t.Errorf("of one but for that one: got that of %d", got.proved)
	}
}

func TestParallelProofsAreLearnedOnceAndNeverLost(t *testing.T) {
	s := newStore(t.Name())
	limit := limits{time.Hour, 1000, 0}
	var wg sync.WaitGroup
	var mu sync.Mutex
	learnedBy := map[string]int{}
	for i := 0; i < 32; i++ {
		wg.Add(1)
		go func(client int) {
			defer wg.Done()
			for round := 0; round < 20; round++ {
				// All learn a common address; each has one of its own as well.
				for _, last := range []byte{255, byte(client)} {
					ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, last}), 32)
					_, learned, evicted := s.learn(ip, named("cn:phone"), limit, atTime(t0))
					_, found := s.find(ip, nil, atTime(t0))
					if !found || len(evicted) > 0 {
						t.Errorf("%s was lost", ip)
					}
					if learned {
						mu.Lock()
						learnedBy[fmt.Sprint(ip)]++
						mu.Unlock()
					}
				}
			}
		}(i)
	}
	wg.Wait()
	if len(learnedBy) != 33 {
		t.Errorf("got %d addresses learned, want 33", len(learnedBy))
	}
	for ip, times := range learnedBy {
		if times != 1 {
			t.Errorf("%s was learned %d times", ip, times)
		}
	}
}
