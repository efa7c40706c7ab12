package hosted

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/traefik/traefik/v3/pkg/plugins"
)

// A listing is what a status page tells to programs.
type listing struct {
	Stores []struct {
		Name   string
		Grants []listedGrant
	}
}

type listedGrant struct {
	IP, Identity, Fingerprint, Serial string
	Learned, Proved, Expires          time.Time
}

// grantsOf returns the grants of a store as its status page tells them, by address, and apart from them their times, which
// differ a little from one process to the next. So may the page's order of grants that were proved within a moment.
func grantsOf(t *testing.T, builder *plugins.Builder, store string) (grants []listedGrant, times [][3]time.Time) {
	t.Helper()
	page := mustBuild(t, builder, map[string]any{"mode": "status", "store": store, "proof": "request"}, "status")
	response := answer(page, request(http.MethodGet, "/grants", "198.51.100.1:1", nil))
	var l listing
	if err := json.Unmarshal(response.Body.Bytes(), &l); err != nil {
		t.Fatalf("%v in %q", err, response.Body)
	}
	if len(l.Stores) != 1 || l.Stores[0].Name != store {
		t.Fatalf("got %+v, want the store %q", l, store)
	}
	slices.SortFunc(l.Stores[0].Grants, func(a, b listedGrant) int { return strings.Compare(a.IP, b.IP) })
	for _, g := range l.Stores[0].Grants {
		times = append(times, [3]time.Time{g.Learned, g.Proved, g.Expires})
		g.Learned, g.Proved, g.Expires = time.Time{}, time.Time{}, time.Time{}
		grants = append(grants, g)
	}
	return grants, times
}

// A restart of Traefik is a new builder: it interprets the plugin anew, and all that is left is the state file.
func TestStateFileOutlivesARestart(t *testing.T) {
	first, second, third := newBuilder(t), newBuilder(t), newBuilder(t)
	for _, s := range spellings {
		for _, mode := range []string{"learn", "either"} {
			t.Run(mode+"/"+s.name, func(t *testing.T) {
				store := "statefile " + mode + " " + s.name
				file := filepath.Join(t.TempDir(), "state.json")
				learn := check.Must(s.decode(t, "mode="+mode+"; store="+store+"; stateFile="+file, "{mode: "+mode+", store: "+store+", stateFile: '"+file+"'}"))(t)
				enter := map[string]any{"mode": "enforce", "store": store, "identities": "dns:phone.lan"} // which isn't the canonical name

				events(t, func(read func() []string) {
					checkEvents := func(when string, want ...string) {
						t.Helper()
						var got []string
						for _, line := range read() {
							got = append(got, summary(line))
						}
						if !slices.Equal(got, want) {
							t.Errorf("%s: got %q, want %q", when, got, want)
						}
					}
					learner := mustBuild(t, first, learn, "learn")
					for _, from := range []string{"203.0.113.7:1", "[2001:db8::7]:1", "203.0.113.7:1"} {
						if got := status(learner, from, nil, proof(t, "phone")); got != http.StatusOK {
							t.Fatalf("%s: got %d, want %d", from, got, http.StatusOK)
						}
					}
					status(learner, "203.0.113.8:1", nil, proof(t, "watch"))
					checkEvents("learning", "learned cn:phone 203.0.113.7 for 24h0m0s", "learned cn:phone 2001:db8::/64 for 24h0m0s",
						"learned cn:watch 203.0.113.8 for 24h0m0s")
					wantGrants, wantTimes := grantsOf(t, first, store)

					enforcer := mustBuild(t, second, enter, "enter")
					check := func(when, from string, want int) {
						t.Helper()
						if got := status(enforcer, from, nil, nil); got != want {
							t.Errorf("%s, from %s: got %d, want %d", when, from, got, want)
						}
					}
					check("before the learner is there", "203.0.113.7:1", http.StatusForbidden)
					mustBuild(t, second, learn, "learn")
					mustBuild(t, second, learn, "learn") // for another router
					checkEvents("restart", "restored")
					check("after a restart", "203.0.113.7:1", http.StatusOK)
					check("after a restart", "[2001:db8::8]:1", http.StatusOK)
					check("after a restart, an identity of another enforcer", "203.0.113.8:1", http.StatusForbidden)
					check("after a restart, a stranger", "203.0.113.9:1", http.StatusForbidden)

					grants, times := grantsOf(t, second, store)
					if !reflect.DeepEqual(grants, wantGrants) {
						t.Errorf("got %+v, want %+v", grants, wantGrants)
					}
					for i := range min(len(times), len(wantTimes)) {
						for j := range times[i] {
							if d := times[i][j].Sub(wantTimes[i][j]).Abs(); d > time.Second {
								t.Errorf("grant %d, time %d: got %v, want %v", i, j, times[i][j], wantTimes[i][j])
							}
						}
					}

					page := mustBuild(t, second, map[string]any{"mode": "status", "store": store}, "status")
					revoke := request(http.MethodDelete, "/grants?ip=203.0.113.7", "198.51.100.1:1", proof(t, "phone"))
					if response := answer(page, revoke); response.Code != http.StatusOK {
						t.Errorf("revoking: got %d %s, want %d", response.Code, response.Body, http.StatusOK)
					}
					checkEvents("revoking", "revoked cn:phone 203.0.113.7")
					enforcer = mustBuild(t, third, enter, "enter")
					mustBuild(t, third, learn, "learn")
					checkEvents("another restart", "restored")
					check("revoked before the restart", "203.0.113.7:1", http.StatusForbidden)
					check("not revoked", "[2001:db8::8]:1", http.StatusOK)
				})
			})
		}
	}
}

// At a reload, Traefik first cancels the context of all handlers, and then makes new ones.
func TestStateFileMayBeMovedByAReload(t *testing.T) {
	builder, folder := newBuilder(t), t.TempDir()
	const store = "statefile moved"
	learner := func(ctx context.Context, name, file string) (http.Handler, error) {
		t.Helper()
		options := map[string]any{"mode": "learn", "store": store, "stateFile": filepath.Join(folder, file)}
		constructor := check.Must(builder.Build(pluginName, options, name))(t)
		return constructor(ctx, service)
	}
	events(t, func(func() []string) {
		ctx, reload := context.WithCancel(context.Background())
		before := check.Must(learner(ctx, "a@docker", "old.json"))(t)
		status(before, "203.0.113.7:1", nil, proof(t, "phone"))
		if _, err := learner(ctx, "b@docker", "new.json"); err == nil || !strings.Contains(err.Error(), `for middleware "a@docker": a store has one file`) {
			t.Errorf("two files at once: got %v, want a fault", err)
		}
		reload()
		if _, err := learner(context.Background(), "b@docker", "new.json"); err != nil {
			t.Fatalf("another file after a reload: %v", err)
		}
		data, err := os.ReadFile(filepath.Join(folder, "new.json"))
		if err != nil || !strings.Contains(string(data), "203.0.113.7/32") {
			t.Errorf("got %s, %v, want what was learned before the reload", data, err)
		}
	})
}

func TestUnreadableStateFileIsSetAside(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(file, []byte(`{"format":1,"store":"statefile torn","gra`), 0o600); err != nil {
		t.Fatal(err)
	}
	builder := newBuilder(t)
	events(t, func(read func() []string) {
		options := map[string]any{"mode": "learn", "store": "statefile torn", "stateFile": file}
		learner := mustBuild(t, builder, options, "learn")
		lines := read()
		if len(lines) != 1 || field(lines[0], "msg") != "failed" || field(lines[0], "reason") != "want the format and the store in the first line" {
			t.Fatalf("got %q, want one failure", lines)
		}
		if _, err := os.Stat(field(lines[0], "movedTo")); err != nil {
			t.Error(err)
		}
		if got := status(learner, "203.0.113.7:1", nil, proof(t, "phone")); got != http.StatusOK {
			t.Errorf("got %d, want %d", got, http.StatusOK)
		}
		if grants, _ := grantsOf(t, builder, "statefile torn"); len(grants) != 1 {
			t.Errorf("got %v, want one grant", grants)
		}
	})
}
