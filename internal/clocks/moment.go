// Package clocks compares the wall clock with the monotonic one, and turns moments by the one into times by the other. It
// sets no clock, and knows no grants.
package clocks

import (
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
)

// A Moment is the time since Epoch, by the monotonic clock: Yaegi compares two numbers in a tenth of the time that a
// call of time.Time's Before takes. What the wall clock says besides is noticed apart from it: see Wall.
type Moment = time.Duration

// Epoch is moment 0: when the process began.
var Epoch = wholeMillisecond(time.Now())

// wholeMillisecond returns t without what is less than a millisecond, so that times by the wall clock come back from a
// state file as they were.
func wholeMillisecond(t time.Time) time.Time {
	return t.Add(-time.Duration(t.Nanosecond() % int(time.Millisecond)))
}

// EpochTime is the same by the wall clock alone.
var EpochTime = Epoch.Round(0)

// A Clock is time.Now and time.Since, or what stands in for them in a test.
type Clock struct {
	Now   func() time.Time
	Since func(time.Time) time.Duration
}

// A Reading is what the wall clock and the monotonic one show at one time.
type Reading struct {
	Wall time.Time
	Mono Moment
}

// Read reads both clocks.
func (c Clock) Read() Reading {
	return Reading{Wall: c.Now(), Mono: c.Since(Epoch)}
}

// TimeOf returns the time of a moment by the wall clock.
func (r Reading) TimeOf(m Moment) time.Time {
	return r.Wall.Add(m - r.Mono)
}

// MomentOf returns the moment of a time by the wall clock, a hundred years from r at most.
func (r Reading) MomentOf(t time.Time) Moment {
	d := t.Sub(r.Wall)
	if d < 0 {
		return r.Mono - Within(-d, option.MaxDuration)
	}
	return r.Mono + Within(d, option.MaxDuration)
}

// Within returns d, but no less than 0 and no more than most.
func Within(d, most time.Duration) time.Duration {
	if d < 0 {
		return 0
	}
	if d > most {
		return most
	}
	return d
}
