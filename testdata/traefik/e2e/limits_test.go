package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

func TestMaxIPsKeepsTheAddressesProvedLast(t *testing.T) {
	plain(options{"maxIPs": 2}, nil).live(t)
	walk(t,
		step{"203.0.113.1", &home.Phone, "ha", "200"},
		step{"203.0.113.2", &home.Phone, "ha", "200"},
		step{"203.0.113.1", &home.Phone, "ha", "200"}, // renewed, so not the oldest
		step{"203.0.113.3", &home.Phone, "ha", "200"},
		step{"203.0.113.1", nil, "photos", "200"},
		step{"203.0.113.2", nil, "photos", "403"},
		step{"203.0.113.3", nil, "photos", "200"},
	)
	if got := logged(t, "msg=evicted", storeOf(t, "default"), "ip=203.0.113.2 "); got != 1 {
		t.Errorf("got %d evicted lines, want 1", got)
	}
}

func TestAFloodOfAddressesKeepsTheLimit(t *testing.T) {
	plain(options{"maxIPs": 5}, nil).live(t)
	for i := range 200 {
		walk(t, step{fmt.Sprint("203.0.113.", i), &home.Phone, "ha", "200"})
	}
	for i := range 200 {
		want := "403"
		if i >= 195 {
			want = "200"
		}
		walk(t, step{fmt.Sprint("203.0.113.", i), nil, "photos", want})
	}
}

func TestMaxIPsPerIdentityReplacesADevicesOldAddress(t *testing.T) {
	h := plain(options{"maxIPsPerIdentity": 1}, nil)
	h.Plugins["tablets"] = options{"mode": "enforce", "identities": "cn:tablet"}
	h.Routes[2].Middleware = "tablets"
	h.live(t)
	tablet := issue(t, lab.Leaf{CommonName: "tablet"})
	walk(t,
		step{"203.0.113.1", &home.Phone, "ha", "200"},
		step{"203.0.113.1", tablet, "ha", "200"},
		step{"203.0.113.5", &home.Phone, "ha", "200"},
		step{"203.0.113.5", nil, "photos", "200"},
		step{"203.0.113.5", nil, "files", "403"},
		step{"203.0.113.1", nil, "photos", "200"}, // by the tablet's grant, which the phone's move left alone
		step{"203.0.113.1", nil, "files", "200"},
		step{"203.0.113.6", tablet, "ha", "200"},
		step{"203.0.113.1", nil, "photos", "403"},
	)
}

// TestTTLRunsFromTheLastProof waits for real time, as a grant does.
func TestTTLRunsFromTheLastProof(t *testing.T) {
	const ttl = 3 * time.Second
	plain(options{"ttl": "3s"}, nil).live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.8", &home.Phone, "ha", "200"})
	learned := time.Now() // a moment after the proofs
	time.Sleep(time.Until(learned.Add(ttl / 2)))
	asked := time.Now() // a moment before the renewal
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.8", nil, "photos", "200"})
	time.Sleep(time.Until(learned.Add(ttl)))
	if got := status(client(t, "203.0.113.7", nil), "photos"); got != "200" && time.Now().Before(asked.Add(ttl)) {
		t.Errorf("a renewed grant: got %s, want 200", got)
	}
	walk(t, step{"203.0.113.8", nil, "photos", "403"}) // being let in was no proof
	time.Sleep(time.Until(asked.Add(ttl + time.Second)))
	walk(t, step{"203.0.113.7", nil, "photos", "403"})
}

func TestIdentitiesMatchByKind(t *testing.T) {
	device := issue(t, lab.Leaf{
		CommonName: "phone", DNSNames: []string{"Phone.home.lan"}, EmailAddresses: []string{"anna@home.example"}, URIs: []string{"spiffe://home/anna/phone"},
	})
	for _, row := range []struct {
		identities string
		want       string
	}{
		{"cn:phone", "200"},
		{"cn:ph*", "200"},
		{"cn:*one", "200"},
		{"cn:Phone", "403"},
		{"cn:phone.home.lan", "403"},
		{"dns:phone.home.lan", "200"},
		{"dns:*.home.lan", "200"},
		{"dns:*.lan.home", "403"},
		{"dns:phone", "403"},
		{"email:anna@home.example", "200"},
		{"email:*@home.example", "200"},
		{"email:otto@home.example", "403"},
		{"uri:spiffe://home/anna/phone", "200"},
		{"uri:spiffe://home/anna/*", "200"},
		{"uri:spiffe://home/otto/*", "403"},
		{"sha256:" + fingerprint(*device), "200"},
		{"sha256:" + fingerprint(*device)[:8] + "*", "200"},
		{"sha256:" + fingerprint(home.Phone), "403"},
		{"cn:tablet, uri:spiffe://home/anna/*", "200"},
	} {
		t.Run(row.identities, func(t *testing.T) {
			h := plain(options{"identities": row.identities}, nil)
			h.Plugins["all"] = options{"mode": "learn", "store": storeOf(t, "all")}
			h.Plugins["some"] = options{"mode": "enforce", "store": storeOf(t, "all"), "identities": row.identities}
			h.Routes[2] = route{Host: "files", Middleware: "some"}
			h.live(t)
			walk(t, step{"203.0.113.7", device, "ha", row.want}, step{"203.0.113.7", nil, "photos", row.want})
			// The same patterns on an enforcer, with a learner that takes everybody.
			h.Routes[0].Middleware = "all"
			h.live(t)
			walk(t, step{"203.0.113.7", device, "ha", "200"}, step{"203.0.113.7", nil, "files", row.want})
		})
	}
}

func TestStoresDontSeeEachOther(t *testing.T) {
	family, guests := storeOf(t, "family"), storeOf(t, "guests")
	h := household{config.Site{
		Plugins: map[string]options{
			"learn":  {"mode": "learn", "store": guests},
			"family": {"mode": "enforce", "store": family},
			"both":   {"mode": "enforce", "store": family + ", " + guests},
		},
		Routes: []route{{Host: "ha", Middleware: "learn", TLS: "verified"}, {Host: "photos", Middleware: "family"}, {Host: "files", Middleware: "both"}},
	}}
	h.live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", nil, "photos", "403"}, step{"203.0.113.7", nil, "files", "200"})
}

func TestTheSourceRangeIsAlwaysLetIn(t *testing.T) {
	plain(options{"sourceRange": "203.0.113.0/24"}, options{"sourceRange": []string{"192.168.0.0/16", "2001:db8:7::/48"}}).live(t)
	walk(t,
		step{"192.168.1.5", nil, "photos", "200"},
		step{"2001:db8:7::5", nil, "photos", "200"},
		step{"203.0.113.7", &home.Phone, "ha", "200"}, // let in, but no grant is spent on it
		step{"203.0.113.7", nil, "photos", "403"},
	)
}
