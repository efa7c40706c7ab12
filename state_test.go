package mtlsallowlist

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

func TestGrantsOfTheSameMomentAreInTheOrderOfTheirIPs(t *testing.T) {
	s := newStore(t.Name())
	for _, letter := range []string{"C", "A", "E", "B", "D"} {
		s.learn(ipOf(letter), named("p"), limits{time.Hour, 9, 0}, atTime(t0))
	}
	s.learn(ipOf("F"), named("p"), limits{time.Hour, 9, 0}, atTime(t0.Add(1)))
	held, _ := s.grants(atTime(t0.Add(1)))
	got := ""
	for _, g := range held {
		got += letterOf(g.ip)
	}
	if got != "FABCDE" {
		t.Errorf("got %s, want the one proved last, and then FABCDE", got)
	}
}

func TestWhatIsRestoredIsAChange(t *testing.T) {
	settings, err := parse(&Config{Mode: "learn", Store: []string{t.Name()}})
	if err != nil {
		t.Fatal(err)
	}
	s := settings.stores[0]
	grant := savedGrant{IP: "203.0.113.7/32", Names: []string{"cn:p"}, Learned: t0, Proved: t0, Expires: t0.Add(time.Hour)}
	for _, row := range []struct {
		name             string
		saved            []savedGrant
		restored, change int
	}{
		{"nothing", nil, 0, 0},
		{"a grant", []savedGrant{grant}, 1, 1},
		{"the same again", []savedGrant{grant}, 0, 0},
	} {
		before := s.changes
		if got := s.restore(row.saved, settings, atTime(t0)); got != row.restored || s.changes-before != row.change {
			t.Errorf("%s: %d are restored by %d changes, want %d by %d", row.name, got, s.changes-before, row.restored, row.change)
		}
	}
}

// TestAnEnforcerLetsInWhoIsRestored although it has rejected them before.
func TestAnEnforcerLetsInWhoIsRestored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	learn := Config{Mode: "learn", StateFile: path}
	h := newHouse(t, map[string]Config{"learn": learn})
	h.walk("before", "learn 203.0.113.7 cn:phone=200")
	h.restart(map[string]Config{"photos": {Mode: "enforce"}})
	h.walk("before the learner is there", "photos 203.0.113.7=403; photos 203.0.113.7=403")
	photos := h.handlers["photos"]
	h.handlers = h.reload(map[string]Config{"learn": learn})
	h.handlers["photos"] = photos
	h.walk("with it", "photos 203.0.113.7=200")
}

func TestWithin(t *testing.T) {
	for _, row := range [][3]time.Duration{{-2, 9, 0}, {-1, 9, 0}, {0, 9, 0}, {1, 9, 1}, {9, 9, 9}, {10, 9, 9}, {3, 0, 0}} {
		if got := within(row[0], row[1]); got != row[2] {
			t.Errorf("%d of at most %d: got %d, want %d", row[0], row[1], got, row[2])
		}
	}
}

// FuzzState is about what a state file may hold: what is read of it can be shown, told to others, and written and read again.
func FuzzState(f *testing.F) {
	const times = `"learned":"2026-01-01T00:00:00Z","proved":"2026-01-01T00:00:00Z","expires":"2036-01-01T00:00:00Z"`
	for _, names := range []string{`"cn:phone","sha256:` + someSum + `"`, `"sha256:abc"`, `"cn:"`, `"cn:\ud800\u0000"`, `"header:a"`, `"anonymous:request"`} {
		for _, ip := range []string{"203.0.113.7/32", "2001:db8::/64", "0.0.0.0/0"} {
			f.Add(`{"format":1,"store":"x","grants":[{"ip":"` + ip + `","names":[` + names + `],"serial":"c0ffee",` + times + `}],"revoked":[{"ip":"` + ip + `","names":[` + names + `],"revoked":"2026-01-01T00:00:00Z","expires":"2036-01-01T00:00:00Z"}]}`)
		}
	}
	f.Add(`{"format":1,"store":"x","grants":[{"ip":"203.0.113.7/32","names":["cn:a"],"learned":"0001-01-01T00:00:01Z","proved":"0001-01-01T00:00:01Z","expires":"5137-01-01T00:00:00Z"}]}`)
	f.Add(`{"format":2,"store":"x"}`)
	f.Add("")
	v := newViewing()
	f.Fuzz(func(t *testing.T, text string) {
		if checkHead([]byte(text), "x") != nil {
			return
		}
		read, err := parseState([]byte(text))
		if err != nil || read.Store != "x" {
			return
		}
		s := newStore("x")
		s.share()
		restored := s.restore(read.Grants, &settings{limits: house24, ipv6Subnet: 64, allowPrivate: true}, atTime(t0))
		s.restoreRevoked(read.Revoked, atTime(t0))
		v.shows(t, s)
		written, _ := s.state(atTime(t0))
		if again := rereads(t, written); len(again.Grants) != restored {
			t.Errorf("of %d grants %d are written", restored, len(again.Grants))
		}
		s.timeBy(t0.UnixMilli(), at(t0), near)
		for _, e := range s.entries(at(t0)) {
			if len(line(e)) > identity.MaxEntry || identity.CheckNames(e.identity.Names) != nil || identity.CheckSerial(e.identity.Serial) != nil {
				t.Errorf("others are told %q", line(e))
			}
		}
	})
}
