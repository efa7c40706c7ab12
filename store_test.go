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
					_, learned, _, evicted := s.learn(ip, named("cn:phone"), limit, at(t0))
					_, found := s.find(ip, nil, at(t0))
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
