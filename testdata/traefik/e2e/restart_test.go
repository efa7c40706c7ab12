package e2e

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// stopped ends Traefik as a service manager does.
func stopped() error { return home.traefik.Stop(context.Background()) }

// TestARestartKeepsTheGrants waits for real time, as a grant does that expires meanwhile.
func TestARestartKeepsTheGrants(t *testing.T) {
	tablet := issue(t, lab.Leaf{CommonName: "tablet"})
	for _, row := range []struct {
		name string
		end  func() error
	}{
		{"after SIGTERM", stopped},
		{"after kill -9", home.traefik.Kill},
	} {
		t.Run(row.name, func(t *testing.T) {
			path, lasting, brief := stateFile(t), storeOf(t, "default"), storeOf(t, "brief")
			h := watched(options{"stateFile": path}, nil, options{"store": lasting + "," + brief})
			h.Plugins["brief"] = options{"mode": "learn", "store": brief, "ttl": "2s", "stateFile": path + ".brief"}
			h.Routes[2] = route{Host: "files", Middleware: "brief", TLS: "verified"}
			h.live(t)
			walk(t,
				step{"203.0.113.7", &home.Phone, "ha", "200"},
				step{"203.0.113.7", tablet, "ha", "200"},
				step{"2001:db8:1:2::7", &home.Phone, "ha", "200"},
				step{"203.0.113.8", &home.Phone, "ha", "200"},
				step{"203.0.113.9", &home.Phone, "files", "200"},
			)
			page := owner(t, false)
			for _, query := range []string{"ip=203.0.113.8", "ip=203.0.113.7&identity=cn:tablet"} {
				if got := send(t, page, http.MethodDelete, "/grants?"+query, "").Body; got != "{\n  \"ended\": 1\n}\n" {
					t.Errorf("revoking %s: got %s", query, got)
				}
			}
			before := listed(t, page, "/grants")
			if got, want := before.in(lasting)+", "+before.in(brief), "2001:db8:1:2::/64 203.0.113.7/32, 203.0.113.9/32"; got != want {
				t.Fatalf("before: got %s, want %s", got, want)
			}
			expires := before.Stores[1].Grants[0].Expires
			before.Stores[1].Grants = nil
			if err := row.end(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(expires))
			for _, when := range []string{"once", "twice", "three times"} {
				if err := errors.Join(row.end(), home.traefik.Restart(context.Background())); err != nil {
					t.Fatal(err)
				}
				walk(t,
					step{"203.0.113.7", nil, "photos", "200"}, // the very first request
					step{"2001:db8:1:2:ffff::1", nil, "photos", "200"},
					step{"203.0.113.8", nil, "photos", "403"},
					step{"203.0.113.9", nil, "photos", "403"},
				)
				sameGrants(t, "restarted "+when, listed(t, page, "/grants"), before)
				if got, want := readState(t, path, lasting).ips(), "2001:db8:1:2::/64 203.0.113.7/32"; got != want {
					t.Errorf("restarted %s: the file has %s, want %s", when, got, want)
				}
			}
			if got := logged(t, "msg=restored", "store="+lasting, "grants=2 dropped=0"); got != 3 {
				t.Errorf("got %d lines of grants restored, want 3", got)
			}
			if got := logged(t, "msg=restored", "store="+brief, "grants=0 dropped=1"); got != 1 {
				t.Errorf("got %d lines of the grant dropped, want 1", got)
			}
		})
	}
}

func TestWhatARestartKeptIsRenewedRevokedAndEvicted(t *testing.T) {
	path, store := stateFile(t), storeOf(t, "default")
	watched(options{"stateFile": path, "maxIPs": 3}, nil, nil).live(t)
	for _, from := range []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"} {
		walk(t, step{from, &home.Phone, "ha", "200"})
	}
	restarted := func(want string) {
		t.Helper()
		killed(t)
		if got := listed(t, owner(t, true), "/grants").in(store); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	restarted("203.0.113.3/32 203.0.113.2/32 203.0.113.1/32")
	walk(t, step{"203.0.113.1", &home.Phone, "ha", "200"}) // a renewal, so the next is the oldest
	walk(t, step{"203.0.113.4", &home.Phone, "ha", "200"})
	restarted("203.0.113.4/32 203.0.113.1/32 203.0.113.3/32")
	send(t, owner(t, false), http.MethodDelete, "/grants?ip=203.0.113.4", "")
	restarted("203.0.113.1/32 203.0.113.3/32")
	walk(t, step{"203.0.113.4", &home.Phone, "ha", "200"})
	restarted("203.0.113.4/32 203.0.113.1/32 203.0.113.3/32")
	walk(t, step{"203.0.113.2", nil, "photos", "403"}, step{"203.0.113.3", nil, "photos", "200"})
}

func TestRenewalsWithinAMinuteAreNotWritten(t *testing.T) {
	path := stateFile(t)
	watched(options{"stateFile": path}, nil, nil).live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
	before := beside(t, path, "")[0]
	for range 20 {
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
	}
	if got := beside(t, path, "")[0]; got != before {
		t.Errorf("got %s\nwant %s", got, before)
	}
	walk(t, step{"203.0.113.8", &home.Phone, "ha", "200"})
	if got := beside(t, path, "")[0]; got == before {
		t.Errorf("a new grant isn't written")
	}
}
