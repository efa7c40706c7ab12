package mtlsallowlist

import (
	"log/slog"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/page"
	"github.com/mtlsallowlist/mtlsallowlist/internal/replica"
)

// The names of the observers.
const (
	observerFile  = "state file"
	observerRedis = "redis"
)

// replicaTolerance is how far in the future a proof of another replica may be, in milliseconds, before the store's clock is set
// ahead: clocks are compared no more exactly than that.
const replicaTolerance = 50

// A replicated store is one as its replicator needs it.
type replicated struct {
	*store
	clock clocks.Clock
}

// Name returns the store's name.
func (r replicated) Name() string {
	return r.name
}

// Notice compares the clocks of this machine.
func (r replicated) Notice() {
	r.notice(r.clock.Read())
}

// Moment returns what the monotonic clock shows.
func (r replicated) Moment() time.Duration {
	return r.clock.Since(clocks.Epoch)
}

// Settle waits until the state file has what was applied.
func (r replicated) Settle() {
	now := r.clock.Read()
	r.settleBut(observerRedis, now)
}

// Apply merges changes that other replicas have made.
func (r replicated) Apply(changes []change.Change, now time.Duration) (invalid int) {
	return r.applyRemote(changes, now)
}

// At returns the time of a moment by the store's clock.
func (s *store) At(m time.Duration) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list.At(m)
}

// applyRemote merges changes that other replicas have made. What has happened isn't in the future: if need be, the store's
// clock is set ahead.
func (s *store) applyRemote(changes []change.Change, now clocks.Moment) (invalid int) {
	terms := s.notBefore(changes, now)
	_, invalid = s.apply(changes, observerRedis, terms, now)
	return invalid
}

func (s *store) notBefore(changes []change.Change, now clocks.Moment) terms {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := s.list.At(now)
	latest := newest + change.MaxAhead
	for _, c := range changes {
		if c.Kind == change.Granted && c.Proved > newest && c.Proved <= latest {
			newest = c.Proved
		}
	}
	if by := newest - s.list.At(now); by > replicaTolerance {
		s.setAheadLocked(by)
	}
	return s.terms
}

// Compare compares the store's clock with Redis's, which showed that many milliseconds since 1970 at now, give or take slack
// milliseconds. The store's never goes back: Compare returns how far Redis's is behind then. The first time, the store
// begins to go by it.
func (s *store) Compare(redis int64, now time.Duration, slack int64) (behind int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.list.Shared {
		ahead := redis - int64(now/time.Millisecond)
		s.clockSetLocked(ahead - s.list.Ahead)
		s.list.share(ahead)
		s.aged = 0
		return 0
	}
	behind = s.list.At(now) - redis
	if behind < -slack {
		s.setAheadLocked(-behind)
	}
	s.aged = 0
	if behind > slack {
		return behind
	}
	return 0
}

// setAheadLocked sets the clock ahead, in milliseconds: so much more time has passed than went by here. Grants are older by as
// much, unless the wall clock has said so already.
func (s *store) setAheadLocked(by int64) {
	s.clockSetLocked(by)
	s.list.Ahead += by
	older := time.Duration(by)*time.Millisecond - s.aged
	s.aged = 0
	if older > 0 {
		s.list.age(older)
	}
}

func (s *store) clockSetLocked(by int64) {
	for _, o := range s.observers {
		o.ClockSet(by)
	}
}

// A replicationLog logs how a store is replicated.
type replicationLog struct {
	reporter
	now func() time.Time
}

// Synced logs that the store is in sync.
func (l replicationLog) Synced(endpoint string) {
	l.report(slog.LevelInfo, page.Event{At: l.now(), What: "in step"}, "redis", endpoint)
}

// Failed logs why it isn't in sync any more.
func (l replicationLog) Failed(err error) {
	l.report(slog.LevelError, page.Event{At: l.now(), What: "failed", Why: err.Error()})
}

// Fault logs a fault in the plugin.
func (l replicationLog) Fault(cause any) {
	l.log.Error("a fault in the plugin", "panic", cause)
}

var _ replica.Store = replicated{}
