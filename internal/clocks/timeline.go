package clocks

import "time"

// A Timeline turns moments into milliseconds since 1970, and back. It goes by the wall clock as it was when the process
// began, or else by Redis's clock, which all replicas share: then grants have stamps.
type Timeline struct {
	Ahead  int64 // the time at moment 0, in milliseconds since 1970
	Shared bool  // whether it goes by Redis's clock
}

// NewTimeline returns one that goes by the wall clock.
func NewTimeline() Timeline {
	return Timeline{Ahead: Epoch.UnixMilli()}
}

// At returns the time of a moment, rounded up.
func (t *Timeline) At(m Moment) int64 {
	n := t.Until(m)
	if m%time.Millisecond != 0 {
		n++
	}
	return n
}

// Until returns the time of a moment, rounded down: no grant lasts longer elsewhere.
func (t *Timeline) Until(m Moment) int64 {
	n := int64(m / time.Millisecond)
	if m%time.Millisecond < 0 {
		n--
	}
	return n + t.Ahead
}

// Moment returns the moment of a time.
func (t *Timeline) Moment(at int64) Moment {
	return Moment(at-t.Ahead) * time.Millisecond
}
