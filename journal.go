package mtlsallowlist

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// maxEvents is how many events a store keeps for the status page.
const maxEvents = 50

// noteInterval is how long a store keeps quiet about a matter that recurs with every request.
const noteInterval = time.Minute

// An event is what happened to a store: learned, refused, not learned, evicted, revoked, restored, or failed.
type event struct {
	at       time.Time
	what     string
	ip       netip.Prefix      // zero: it is about none
	identity identity.Identity // without names: it is about none
	why      string
}

// A journal holds a store's last events. It is guarded by the store's lock.
type journal struct {
	events []event              // the oldest first
	noted  map[string]time.Time // when a recurring matter was last told
}

func newJournal() journal {
	return journal{noted: map[string]time.Time{}}
}

func (j *journal) record(e event) {
	if len(j.events) == maxEvents {
		j.events = append([]event{}, j.events[1:]...)
	}
	j.events = append(j.events, e)
}

func (j *journal) note(matter string, now time.Time) bool {
	last, seen := j.noted[matter]
	if seen && now.Sub(last) < noteInterval {
		return false
	}
	j.noted[matter] = now
	return true
}

// A teller tells events of a store: in the log, and on the status page.
type teller struct {
	log   *slog.Logger
	store *store
}

// note tells a matter that recurs with every request: once a minute and store.
func (t teller) note(e event, args ...any) {
	if t.store.note(e.why, e.at) {
		t.tell(slog.LevelWarn, e, args...)
	}
}

// tell adds args, slog's keys and values, to the line in the log.
func (t teller) tell(level slog.Level, e event, args ...any) {
	t.store.record(e)
	line := []any{"store", t.store.name}
	switch {
	case e.ip.IsSingleIP():
		line = append(line, "ip", e.ip.Addr().String())
	case e.ip.IsValid():
		line = append(line, "ip", e.ip.String())
	}
	if len(e.identity.Names) > 0 {
		line = append(line, "identity", e.identity.Name())
	}
	if e.identity.Serial != "" {
		line = append(line, "fingerprint", e.identity.Fingerprint(), "serial", e.identity.Serial)
	}
	line = append(line, args...)
	if e.why != "" {
		line = append(line, "reason", e.why)
	}
	t.log.Log(context.Background(), level, e.what, line...)
}
