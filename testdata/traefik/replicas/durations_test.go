package replicas

import (
	"slices"
	"testing"
	"time"
)

// acknowledged is how long a learning request waits for Redis, at most.
const acknowledged = 100 * time.Millisecond

// wantWithin compares how long something took with what is promised. On a busy machine it may take longer: by 20 times what
// the like of it took at worst in the same test, when nothing was wrong.
func wantWithin(t *testing.T, what string, took, promised, usual time.Duration) {
	t.Helper()
	t.Logf("%s after %v; when nothing is wrong, the like takes %v at worst", what, took, usual)
	if limit := promised + 20*usual; took > limit {
		t.Errorf("%s: got %v, want at most %v and what a busy machine adds, %v", what, took, promised, limit)
	}
}

func timed(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

func median(durations []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[len(sorted)/2]
}

// atLeast returns how many durations aren't shorter than d.
func atLeast(d time.Duration, durations []time.Duration) int {
	n := 0
	for _, one := range durations {
		if one >= d {
			n++
		}
	}
	return n
}
