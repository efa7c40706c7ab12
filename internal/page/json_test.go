package page

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func TestTheListingTellsOfReplication(t *testing.T) {
	since := t0.Add(1500 * time.Microsecond).In(time.FixedZone("far", 7*60*60))
	for _, row := range []struct {
		state *Replication
		want  string // in the listing of the store
	}{
		{nil, `"maxIPs": 2,      "grants": []`},
		{&Replication{Synced: true, Since: since, Invalid: 3}, `"redis": {        "inStep": true,        "since": "2026-01-01T00:00:00.002Z",        "error": "",        "skipped": 3      },`},
		{&Replication{Failure: "refused", Since: since}, `"redis": {        "inStep": false,        "since": "2026-01-01T00:00:00.002Z",        "error": "refused",        "skipped": 0      },`},
	} {
		text := &strings.Builder{}
		if err := WriteGrants(text, Viewer{}, []Store{{Name: "a", MaxIPs: 2, Replication: row.state}}); err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(text.String(), "\n", ""); !strings.Contains(got, row.want) {
			t.Errorf("got %s, want %s in it", got, row.want)
		}
	}
}

func TestWhatCanNotBeWrittenIsAnError(t *testing.T) {
	text := &strings.Builder{}
	if err := WriteJSON(text, math.Inf(1)); err == nil || text.Len() > 0 {
		t.Errorf("infinity: got %v and %q, want an error alone", err, text)
	}
	reader, writer := io.Pipe()
	away := errors.New("nobody is there")
	_ = reader.CloseWithError(away)
	if err := WriteJSON(writer, 1); !errors.Is(err, away) {
		t.Errorf("to nobody: got %v, want %v", err, away)
	}
}
