package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

// A savedState is what a state file holds.
type savedState struct {
	Format int
	Store  string
	Grants []savedGrant // the one proved last first
}

type savedGrant struct {
	IP     string
	Names  []string
	Serial string
	stamp  int64
}

// stateFile returns where a state file of the test's own could be.
func stateFile(t *testing.T) string {
	return filepath.Join(t.TempDir(), "state.json")
}

// readState reads the state file of a store, which has to be whole, and nobody else's to read.
func readState(t *testing.T, path, store string) savedState {
	t.Helper()
	info := check.Must(os.Stat(path))(t)
	if info.Mode() != 0o600 {
		t.Errorf("%s has mode %v", path, info.Mode())
	}
	data := check.Must(os.ReadFile(path))(t)
	first, rest, _ := strings.Cut(string(data), "\n")
	var state savedState
	if err := json.Unmarshal([]byte(first), &state); err != nil || state.Format != 1 || state.Store != store {
		t.Fatalf("the state file isn't whole: %v: format %d of %q in %d bytes ending in %.50q", err, state.Format, state.Store, len(data), data[max(0, len(data)-50):])
	}
	lines := strings.Split(rest, "\n")
	lines = lines[:len(lines)-1] // the last was being written when Traefik was killed, or is none
	later := map[string]bool{}   // grants of which a later line has told
	for i := len(lines) - 1; i >= 0; i-- {
		words := strings.Split(lines[i], " ")
		if len(words) != 10 {
			t.Fatalf("line %d of the state file isn't whole: %q", i+2, lines[i])
		}
		member := strings.Join(words[:3], " ")
		if later[member] {
			continue
		}
		later[member] = true
		if words[5] != "g" {
			continue
		}
		g := savedGrant{IP: words[0], Serial: strings.TrimPrefix(words[8], "0")}
		for _, name := range append(strings.Split(words[9], ","), words[2]) {
			g.Names = append(g.Names, check.Must(url.PathUnescape(name))(t))
		}
		g.stamp = check.Must(strconv.ParseInt(words[3], 10, 64))(t)
		if g.IP == "" || len(words[2]) < 2 || g.Serial == "" {
			t.Fatalf("line %d of the state file isn't whole: %q", i+2, lines[i])
		}
		state.Grants = append(state.Grants, g)
	}
	slices.SortFunc(state.Grants, func(a, b savedGrant) int { // as the status page does
		return cmp.Or(cmp.Compare(b.stamp, a.stamp), netip.MustParsePrefix(a.IP).Addr().Compare(netip.MustParsePrefix(b.IP).Addr()))
	})
	return state
}

// ips are the prefixes of the state's grants, the one proved last first.
func (s savedState) ips() string {
	prefixes := []string{}
	for _, g := range s.Grants {
		prefixes = append(prefixes, g.IP)
	}
	return strings.Join(prefixes, " ")
}

// beside returns the contents of the files beside path whose names go on with a pattern.
func beside(t *testing.T, path, pattern string) []string {
	t.Helper()
	found := check.Must(filepath.Glob(path + pattern))(t)
	contents := []string{}
	for _, name := range found {
		data := check.Must(os.ReadFile(name))(t)
		contents = append(contents, string(data))
	}
	return contents
}

// sameGrants fails unless both have the same grants with the same times, to what a listing rounds them to.
func sameGrants(t *testing.T, when string, got, want listing) {
	t.Helper()
	near := func(a, b time.Time) bool { return a.Sub(b).Abs() <= 2*time.Millisecond }
	for i, store := range want.Stores {
		same := i < len(got.Stores) && len(got.Stores[i].Grants) == len(store.Grants)
		for j, g := range store.Grants {
			if !same {
				break
			}
			other := got.Stores[i].Grants[j]
			same = near(other.Learned, g.Learned) && near(other.Proved, g.Proved) && near(other.Expires, g.Expires)
			other.Learned, other.Proved, other.Expires = g.Learned, g.Proved, g.Expires
			same = same && other == g
		}
		if !same {
			t.Errorf("%s: got %s\nwant %s", when, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
}
