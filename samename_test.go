package mtlsallowlist

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// twins returns a learner, enforcers that want one certificate each, what restarts them, and what sends a proof by one of
// several certificates of one name.
func twins(t *testing.T, learn Config) (h *house, restart func(), prove func(from string, twin int)) {
	fingerprint := func(twin int) string {
		leaf := certificate("cn:home")
		leaf.Raw = []byte(fmt.Sprint("twin ", twin))
		return "sha256:" + identity.FromCertificate(leaf).Fingerprint()
	}
	configs := map[string]Config{
		"learn": learn,
		"any":   {Mode: "enforce"},
		"one":   {Mode: "enforce", Identities: []string{fingerprint(1)}},
		"two":   {Mode: "enforce", Identities: []string{fingerprint(2)}},
	}
	h = newHouse(t, configs)
	return h, func() { h.restart(configs) }, func(from string, twin int) {
		t.Helper()
		leaf := certificate("cn:home")
		leaf.Raw = []byte(fmt.Sprint("twin ", twin))
		if rw := h.send("learn", fmt.Sprintf("%s:%d", from, twin), verified(leaf)); rw.Code != 200 {
			t.Errorf("twin %d got %d", twin, rw.Code)
		}
	}
}

func TestBothOfTwoCertificatesOfOneNameCount(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	h, _, prove := twins(t, Config{Mode: "learn", TTL: "1h", StateFile: path})
	prove("203.0.113.7", 1)
	h.walk("one has proved", "any 203.0.113.7=200; one 203.0.113.7=200; two 203.0.113.7=403")
	prove("203.0.113.7", 2)
	h.walk("both have", "any 203.0.113.7=200; one 203.0.113.7=200; two 203.0.113.7=200")
	writes := 0
	last, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 100; i++ {
		for _, twin := range []int{1, 2} {
			prove("203.0.113.7", twin)
			now, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if !os.SameFile(now, last) {
				writes++
				last = now
			}
		}
	}
	h.walk("in turns", "one 203.0.113.7=200; two 203.0.113.7=200")
	if writes > 0 {
		t.Errorf("200 renewals within no time wrote the state file %d times", writes)
	}
	if got := strings.Count(h.log.String(), "msg=learned"); got != 1 {
		t.Errorf("got %d lines that it was learned, want 1", got)
	}
	h.now = h.now.Add(30 * time.Minute)
	prove("203.0.113.7", 2)
	h.walk("each ends by its own proof", "wait 29m; one 203.0.113.7=200; two 203.0.113.7=200; wait 1m; any 203.0.113.7=200; one 203.0.113.7=403; two 203.0.113.7=200; wait 30m; any 203.0.113.7=403; two 203.0.113.7=403")
}

func TestBothOfTwoCertificatesOfOneNameSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	h, restart, prove := twins(t, Config{Mode: "learn", TTL: "1h", StateFile: path})
	prove("203.0.113.7", 1)
	h.now = h.now.Add(time.Minute)
	prove("203.0.113.7", 2)
	restart()
	h.walk("after it", "one 203.0.113.7=200; two 203.0.113.7=200; wait 59m; one 203.0.113.7=403; two 203.0.113.7=200; wait 1m; two 203.0.113.7=403")
}

func TestCertificatesOfOneNameAreBounded(t *testing.T) {
	h, _, prove := twins(t, Config{Mode: "learn", MaxIPsPerIdentity: "2"})
	for twin := 1; twin <= 3*maxCertificates; twin++ {
		h.now = h.now.Add(time.Minute)
		prove("203.0.113.7", twin)
	}
	grants := openStore(h.store("default")).list.addresses[ipOf("\x07")].grants
	if len(grants) != maxCertificates || grants[0].identity.Fingerprint() == grants[1].identity.Fingerprint() {
		t.Errorf("got %d grants, want %d", len(grants), maxCertificates)
	}
	h.walk("the first has been replaced", "any 203.0.113.7=200; one 203.0.113.7=403")
	if strings.Contains(h.log.String(), "evicted") || openStore(h.store("default")).counts.evicted > 0 {
		t.Error("what newer certificates have replaced is told as evicted")
	}
	for i, want := range []string{"203.0.113.7", "203.0.113.7 203.0.113.8", "203.0.113.8 203.0.113.9"} {
		h.now = h.now.Add(time.Minute)
		prove(fmt.Sprint("203.0.113.", 7+i), 1)
		prove(fmt.Sprint("203.0.113.", 7+i), 2)
		got := []string{}
		for n := 7; n < 10; n++ {
			if h.ask("any", fmt.Sprint("203.0.113.", n), "") == 200 {
				got = append(got, fmt.Sprint("203.0.113.", n))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("with two addresses an identity, got %v, want %s", got, want)
		}
	}
	if got := strings.Count(h.log.String(), "msg=evicted"); got != 1 {
		t.Errorf("got %d lines for the address that went, want 1", got)
	}
}

// TestCertificatesOfOneNameAreOneGrantForPeople is about the status page, its JSON, metrics and the log.
func TestCertificatesOfOneNameAreOneGrantForPeople(t *testing.T) {
	h, _, prove := twins(t, Config{Mode: "learn", TTL: "1h"})
	h.handlers["status"] = h.reload(map[string]Config{"status": {Mode: "status", Proof: "request"}})["status"]
	prove("203.0.113.7", 1)
	h.now = h.now.Add(time.Minute)
	prove("203.0.113.7", 2)
	grants := h.listing("status", "203.0.113.7").Stores[0].Grants
	if len(grants) != 1 || !grants[0].Learned.Equal(t0) || !grants[0].Proved.Equal(t0.Add(time.Minute)) || !grants[0].Expires.Equal(t0.Add(time.Hour+time.Minute)) {
		t.Errorf("got %+v, want one", grants)
	}
	twin := certificate("cn:home")
	twin.Raw = []byte("twin 2")
	if want := identity.FromCertificate(twin).Fingerprint(); grants[0].Fingerprint != want {
		t.Errorf("got the fingerprint %s, want that of the last proof, %s", grants[0].Fingerprint, want)
	}
	if got := openStore(h.store("default")).census(at(h.now)).grants; got != 1 {
		t.Errorf("got %d grants in the metrics, want 1", got)
	}
	if got := len(openStore(h.store("default")).revoke(ipOf("\x07"), "", atTime(h.now))); got != 1 {
		t.Errorf("got %d revoked, want 1", got)
	}
	h.walk("both have ended", "one 203.0.113.7=403; two 203.0.113.7=403")
	if got := openStore(h.store("default")).census(at(h.now)).grants; got != 0 {
		t.Errorf("got %d grants after that, want none", got)
	}
}
