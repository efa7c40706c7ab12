package check

import (
	"errors"
	"testing"
	"time"
)

// A recorder is a test that notes its end instead of ending.
type recorder struct {
	testing.TB
	ended bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Fatal(...any)          { r.ended = true }
func (r *recorder) Fatalf(string, ...any) { r.ended = true }

func TestWhatDoesNotHoldEndsTheTest(t *testing.T) {
	calls := 0
	for _, row := range []struct {
		name string
		run  func(t testing.TB)
		ends bool
	}{
		{"no error", func(t testing.TB) { Must(1, nil)(t) }, false},
		{"an error", func(t testing.TB) { Must(1, errors.New("x"))(t) }, true},
		{"at the third time", func(t testing.TB) { Eventually(t, "three", func() bool { calls++; return calls == 3 }) }, false},
		{"never", func(t testing.TB) { Within(t, 5*time.Millisecond, "never", func() bool { return false }) }, true},
	} {
		r := &recorder{TB: t}
		row.run(r)
		if r.ended != row.ends {
			t.Errorf("%s: got ended %t, want %t", row.name, r.ended, row.ends)
		}
	}
	if got := Must(7, nil)(t); got != 7 || calls != 3 {
		t.Errorf("got %d after %d calls, want 7 and 3", got, calls)
	}
}
