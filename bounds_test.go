package mtlsallowlist

import (
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
	"github.com/mtlsallowlist/mtlsallowlist/internal/wording"
)

// TestBounds is there since all other tests take the bounds from the constants: a slip in one would go unnoticed.
func TestBounds(t *testing.T) {
	for _, row := range []struct {
		name      string
		got, want int64
	}{
		{"identities behind one IP", maxGrantsPerIP, 100},
		{"bytes of a text that a client is remembered by", maxSource, 256},
		{"clients that an enforcer remembers", maxKnown, 16_384},
		{"connections that a learner remembers", maxProofs, 1000},
		{"bytes of a form", maxForm, 1_048_576},
		{"bytes of a state file", maxState, 67_108_864},
		{"version of the state file", stateFormat, 1},
		{"seconds between two writes for renewals alone", int64(renewalInterval / time.Second), 60},
		{"seconds of quiet about a matter that recurs", int64(noteInterval / time.Second), 60},
		{"days of the longest lifetime", int64(option.MaxDuration / time.Hour / 24), 36_500},
		{"events that are kept", maxEvents, 50},
		{"bytes of an entry", identity.MaxEntry, 4096},
		{"bytes of the names in it", identity.MaxNames, 3840},
		{"digits of a serial", identity.MaxSerial, 128},
		{"milliseconds up to the last moment that anybody may mean", maxStamp, 100_000_000_000_000},
		{"hours that Redis's clock may be set back", maxAhead / 3_600_000, 24},
		{"grants that are handed out at once", chunk, 50},
		{"IPs that a store without a learner takes over", maxShared, 100_000},
		{"milliseconds between times that are taken for the same", near, 50},
		{"events that are shown", shownEvents, 20},
		{"letters of a name that are shown", wording.ShownRunes, 120},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %d, want %d", row.name, row.got, row.want)
		}
	}
}
