package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// TestACertificateOfManyNames has more names than are kept: a learner goes by all of them, a restart by those that are kept.
func TestACertificateOfManyNames(t *testing.T) {
	names := []string{}
	for i := range 200 {
		names = append(names, fmt.Sprintf("host-%03d.home.example", i))
	}
	cluster := issue(t, lab.Leaf{CommonName: "cluster", DNSNames: names})
	path, store := stateFile(t), storeOf(t, "default")
	h := watched(options{"stateFile": path, "identities": "dns:host-199.home.example"}, nil, nil)
	h.live(t)
	walk(t, step{"203.0.113.7", cluster, "ha", "200"}, step{"203.0.113.8", &home.Phone, "ha", "403"}, step{"203.0.113.7", nil, "photos", "200"})
	for _, when := range []string{"learned", "restarted"} {
		for identities, want := range map[string]string{"cn:cluster": "200", "dns:host-000.home.example": "200", "sha256:" + fingerprint(*cluster): "200", "dns:host-199.home.example": "403"} {
			h.Plugins["some"] = options{"mode": "enforce", "identities": identities}
			h.Routes[2] = route{Host: "files", Middleware: "some"}
			h.live(t)
			if got := status(client(t, "203.0.113.7", nil), "files"); got != want {
				t.Errorf("%s: an enforcer for %s answers %s, want %s", when, identities, got, want)
			}
		}
		if got, want := listed(t, owner(t, false), "/grants").holders(store), "203.0.113.7/32 cn:cluster "+fingerprint(*cluster); got != want {
			t.Errorf("%s: got %s, want %s", when, got, want)
		}
		if got := len(readState(t, path, store).Grants[0].Names); got < 100 || got >= 200 {
			t.Errorf("%s: %d names are kept, want some of 200", when, got)
		}
		killed(t)
	}
	noPanic(t)
}

func TestWhoseNameIsTooLongIsServedButNotLearned(t *testing.T) {
	path, store := stateFile(t), storeOf(t, "default")
	watched(options{"stateFile": path}, nil, nil).live(t)
	walk(t,
		step{"203.0.113.7", issue(t, lab.Leaf{CommonName: strings.Repeat("<b>", 9000)}), "ha", "200"},
		step{"203.0.113.7", nil, "photos", "403"},
		step{"203.0.113.8", &home.Phone, "ha", "200"},
	)
	if got := readState(t, path, store).ips(); got != "203.0.113.8/32" {
		t.Errorf("the file has %s", got)
	}
	if got := logged(t, `msg="not learned"`, "store="+store, "ip=203.0.113.7 ", "the name is too long"); got != 1 {
		t.Errorf("got %d lines about it, want 1", got)
	}
}
