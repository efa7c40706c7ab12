package mtlsallowlist

import (
	"math"
	"time"
)

// A moment is the time since epoch, by the monotonic clock: no clock that is set ends or prolongs a grant, and Yaegi
// compares two numbers in a tenth of the time that a call of time.Time's Before takes.
type moment = time.Duration

var epoch = time.Now()

// Moments before all others, when there is no grant (any more).
const (
	over    moment = math.MinInt64 // the grant was removed
	unknown moment = over + 1      // there is none, and nobody has learned anything since: see store.find
)
