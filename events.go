package mtlsallowlist

import (
	"context"
	"log/slog"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/page"
)

// maxEvents is how many events a store keeps for the status page.
const maxEvents = 50

// noteInterval is how long a store keeps quiet about a matter that recurs with every request.
const noteInterval = time.Minute

// events are a store's last ones. They are guarded by the store's lock.
type events struct {
	last  []page.Event         // the oldest first
	noted map[string]time.Time // when a recurring matter was last reported
}

func newEvents() events {
	return events{noted: map[string]time.Time{}}
}

func (e *events) record(one page.Event) {
	if len(e.last) == maxEvents {
		e.last = append([]page.Event{}, e.last[1:]...)
	}
	e.last = append(e.last, one)
}

func (e *events) note(matter string, now time.Time) bool {
	last, seen := e.noted[matter]
	if seen && now.Sub(last) < noteInterval {
		return false
	}
	e.noted[matter] = now
	return true
}

// lastEvents returns what happened last, the oldest first.
func (s *store) lastEvents() []page.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]page.Event{}, s.events.last...)
}

// note returns whether matter is to be reported: it is unless it was within noteInterval.
// Matters must be few and fixed, not made of what clients send.
func (s *store) note(matter string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events.note(matter, now)
}

// record keeps an event for the status page.
func (s *store) record(e page.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events.record(e)
}

// A reporter reports events of a store: in the log, and on the status page.
type reporter struct {
	log   *slog.Logger
	store *store
}

// warn reports what recurs with every request: once a minute and store.
func (r reporter) warn(e page.Event, args ...any) {
	if r.store.note(e.Why, e.At) {
		r.report(slog.LevelWarn, e, args...)
	}
}

// report adds args, slog's keys and values, to the line in the log.
func (r reporter) report(level slog.Level, e page.Event, args ...any) {
	r.store.record(e)
	line := []any{"store", r.store.name}
	switch {
	case e.IP.IsSingleIP():
		line = append(line, "ip", e.IP.Addr().String())
	case e.IP.IsValid():
		line = append(line, "ip", e.IP.String())
	}
	if len(e.Identity.Names) > 0 {
		line = append(line, "identity", e.Identity.Name())
	}
	if e.Identity.Serial != "" {
		line = append(line, "fingerprint", e.Identity.Fingerprint(), "serial", e.Identity.Serial)
	}
	line = append(line, args...)
	if e.Why != "" {
		line = append(line, "reason", e.Why)
	}
	r.log.Log(context.Background(), level, e.What, line...)
}
