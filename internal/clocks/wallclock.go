package clocks

import "time"

// ClockTolerance is how far the wall clock may run from the monotonic one before that counts as a step: the two are
// never read at quite the same time.
const ClockTolerance = time.Second

// A Wall notices when the wall clock is set, and when the machine slept: the monotonic clock stands still then. A
// grant ends as soon as either clock says that its time is over.
type Wall struct {
	known  bool
	ahead  time.Duration // how far the wall clock was ahead of the monotonic one at the last look, both counted from epoch
	behind time.Duration // how far the wall clock is known to be behind: a state file has a later time
}

// Step returns how much more time the wall clock says has passed since the last look than the monotonic one, and whether
// the wall clock was set at all. Time that it was known to be behind doesn't count: a Raspberry Pi starts in the past.
func (w *Wall) Step(now Reading) (forward time.Duration, stepped bool) {
	ahead := now.Wall.Round(0).Sub(EpochTime) - now.Mono
	change := ahead - w.ahead
	if w.known && change >= -ClockTolerance && change <= ClockTolerance {
		return 0, false
	}
	w.ahead = ahead
	if !w.known {
		w.known = true
		return 0, false
	}
	if change < 0 {
		return 0, true
	}
	made := Within(w.behind, change)
	w.behind -= made
	return change - made, true
}

// NotBefore makes known a time that was in the past already at now.
func (w *Wall) NotBefore(t time.Time, now Reading) {
	if behind := t.Sub(now.Wall); behind > w.behind {
		w.behind = behind
	}
}
