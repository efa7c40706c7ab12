package mtlsallowlist

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWhatIsOnTheWay(t *testing.T) {
	s := newShared(terms{learner: true, limits: house24})
	learn := func(letter string) { s.learn(ipOf(letter), cnA, house24, when(time.Second)) }
	drained := func() string {
		entries, told, _ := s.drain(1)
		return fmt.Sprintf("%d of %d", len(entries), told)
	}
	learn("A")
	if s.pends() || s.collect(1) != 0 || s.pends() {
		t.Error("something is on the way that nobody collects")
	}
	learn("B")
	if !s.pends() || s.told() != 1 {
		t.Errorf("got %d, want what has just been learned", s.told())
	}
	s.drop(2) // somebody else
	if got := drained(); got != "1 of 1" || s.pends() {
		t.Errorf("got %s, want 1 of 1, and nothing then", got)
	}
	learn("C")
	learn("C")
	if got := drained(); got != "1 of 3" {
		t.Errorf("got %s, want the last of one grant", got)
	}
	learn("D")
	if got := s.collect(1); got != 4 {
		t.Errorf("got %d before collecting again, want 4", got)
	}
	s.drop(1)
	if s.pends() {
		t.Error("what was dropped is on the way")
	}
	learn("E")
	if s.pends() || s.told() != 4 {
		t.Error("something is on the way that nobody collects any more")
	}
	for _, by := range []int{1, -1} {
		if entries, told, _ := s.drain(by); entries == nil || len(entries) != 0 || told != 0 {
			t.Errorf("%d got %v and %d", by, entries, told)
		}
	}
}

func TestAllThatOthersShouldKnowIsToldOldestFirst(t *testing.T) {
	s := newShared(terms{learner: true, limits: house24})
	const n = 2*chunk + 10
	for i := 0; i < n; i++ {
		at := time.Duration((i*37)%n+1) * time.Second // in no order
		s.adopt(told(t, fmt.Sprintf("%dms g 203.0.113.%d/32 cn:a", at.Milliseconds(), i+1)), time.Hour/2)
	}
	entries := s.entries(time.Hour / 2)
	if len(entries) != n {
		t.Fatalf("got %d, want %d", len(entries), n)
	}
	for i, e := range entries {
		if want := int64(clockAt0 + 1000*(i+1)); e.stamp != want {
			t.Fatalf("number %d is of %d, want %d", i, e.stamp, want)
		}
	}
}

func TestWhatWaitsForRedisIsBounded(t *testing.T) {
	few := limits{ttl: time.Hour, maxIPs: 10}
	s := newShared(terms{learner: true, limits: few})
	s.collect(1)
	for i := 0; i < maxPending/2; i++ { // each has another make room
		s.learn(numbered(i), cnA, few, when(time.Second))
	}
	if entries, _, overflown := s.drain(1); overflown || len(entries) != maxPending/2 {
		t.Fatalf("got %d and %t", len(entries), overflown)
	}
	for i := 0; i < 2*maxPending; i++ {
		s.learn(numbered(i), cnA, few, when(2*time.Second))
	}
	if entries, _, overflown := s.drain(1); !overflown || len(entries) != 0 {
		t.Errorf("of more than there may be, got %d, and %t that they were too many", len(entries), overflown)
	}
	s.collect(1)
	if _, _, overflown := s.drain(1); overflown {
		t.Error("they are too many once more, after all was told anew")
	}
}

// TestNothingWaitsForARedisThatWasTakenOut, or for another one that is away.
func TestNothingWaitsForARedisThatWasTakenOut(t *testing.T) {
	r := startReplica(t, startRedis(t).address, Redis{}, 0)
	eventually(t, "it is in step", r.inStep)
	r.link.end()
	for i := 0; i < 10; i++ {
		r.learn(fmt.Sprint("203.0.113.", i+1))
	}
	if r.store.pends() {
		t.Error("something waits for a link that has ended")
	}
}

// TestALotThatRedisDoesntTakeIsToldLater is about a Redis that hangs for as long as it may, and a flood of proofs.
func TestALotThatRedisDoesntTakeIsToldLater(t *testing.T) {
	redis := startRedis(t)
	options := Redis{ReadTimeout: "20s"}
	a, b := startReplica(t, redis.address, options, 0), startReplica(t, redis.address, options, 0)
	eventually(t, "both are in step", func() bool { return a.inStep() && b.inStep() })
	redis.signal("STOP")
	many := limits{ttl: time.Hour, maxIPs: 1000}
	most := 0
	for i := 0; i < maxPending+100; i++ {
		a.store.learn(numbered(i), cnA, many, atTime(time.Now()))
		a.store.mu.Lock()
		if n := len(a.store.sharing.pending); n > most {
			most = n
		}
		a.store.mu.Unlock()
	}
	if most < maxPending/2 || most > maxPending {
		t.Errorf("%d waited, want %d at most", most, maxPending)
	}
	redis.signal("CONT")
	a.link.poke()
	eventually(t, "both hold the same", func() bool {
		return a.inStep() && b.inStep() && a.held() == b.held() && strings.Count(a.held(), "\n") == 999
	})
}
