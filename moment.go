package mtlsallowlist

import (
	"math"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
)

// A moment is the time since epoch, by the monotonic clock: Yaegi compares two numbers in a tenth of the time that a
// call of time.Time's Before takes. What the wall clock says besides is noticed apart from it: see wallClock.
type moment = time.Duration

var epoch = time.Now()

// epochTime is the same by the wall clock alone.
var epochTime = epoch.Round(0)

// Moments before all others, when there is no grant (any more).
const (
	over    moment = math.MinInt64 // the grant was removed
	unknown moment = over + 1      // there is none, and nobody has learned anything since: see store.find
)

// A clock is time.Now and time.Since, or what stands in for them in a test.
type clock struct {
	now   func() time.Time
	since func(time.Time) time.Duration
}

// A reading is what the wall clock and the monotonic one show at one time.
type reading struct {
	wall time.Time
	mono moment
}

func (c clock) read() reading {
	return reading{wall: c.now(), mono: c.since(epoch)}
}

// timeOf returns the time of a moment by the wall clock.
func (r reading) timeOf(m moment) time.Time {
	return r.wall.Add(m - r.mono)
}

// pastMomentOf returns the moment of a time by the wall clock, which is now if the time is yet to come.
func (r reading) pastMomentOf(t time.Time) moment {
	m := r.momentOf(t)
	if m > r.mono {
		return r.mono
	}
	return m
}

// momentOf returns the moment of a time by the wall clock, a hundred years from r at most.
func (r reading) momentOf(t time.Time) moment {
	d := t.Sub(r.wall)
	if d < 0 {
		return r.mono - within(-d, option.MaxDuration)
	}
	return r.mono + within(d, option.MaxDuration)
}
