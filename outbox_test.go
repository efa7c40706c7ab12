package mtlsallowlist

import (
	"fmt"
	"testing"
	"time"
)

func TestWhatIsOnTheWay(t *testing.T) {
	s := newShared(terms{learner: true, limits: house24})
	learn := func(letter string) { s.learn(ipOf(letter), cnA, house24, time.Second) }
	drained := func() string {
		entries, told := s.drain(1)
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
		if entries, told := s.drain(by); entries == nil || len(entries) != 0 || told != 0 {
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
