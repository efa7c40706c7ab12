package mtlsallowlist

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAProofIsTakenOncePerConnection counts how often a learner reads an address.
func TestAProofIsTakenOncePerConnection(t *testing.T) {
	h := newHouse(t, nil)
	for _, row := range []struct {
		name   string
		config Config
		want   int
	}{
		{"without limits", Config{}, 1},
		{"with a full store", Config{MaxIPs: "1"}, 1},
		{"with one IP per identity", Config{MaxIPsPerIdentity: "1"}, 1},
		{"with more IPs per identity than it has", Config{MaxIPsPerIdentity: "2"}, 1},
		{"behind a proxy, where a connection is of many clients", Config{IPStrategy: IPStrategy{Depth: "1"}}, 4},
	} {
		row.config.Mode, row.config.Store = "learn", []string{h.store(row.name)}
		s, err := parse(&row.config)
		if err != nil {
			t.Fatal(err)
		}
		reads := 0
		address := s.address
		s.address = func(req *http.Request) (netip.Addr, error) {
			reads++
			return address(req)
		}
		next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		handler := newLearner(*s, next, nil, h.clock(), teller{log: h.logger, store: s.stores[0]}).handler()
		state := verified(certificate("cn:p"))
		state.VerifiedChains[0][0].NotAfter = h.now.Add(2 * time.Hour) // the moment of the last request
		for _, wait := range []time.Duration{0, 0, time.Hour, time.Hour} {
			h.now = h.now.Add(wait)
			req := &http.Request{RemoteAddr: "203.0.113.7:1", TLS: state, Header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}}
			handler.ServeHTTP(httptest.NewRecorder(), req)
		}
		if reads != row.want {
			t.Errorf("%s: four requests read %d addresses, want %d", row.name, reads, row.want)
		}
	}
}

func TestAFastRenewalKeepsTheLimits(t *testing.T) {
	h := newHouse(t, map[string]Config{"one": {Mode: "learn", MaxIPsPerIdentity: "1"}, "wide": {Mode: "learn"}, "photos": {Mode: "enforce"}})
	state := verified(certificate("cn:p"))
	h.answer("one", "203.0.113.7:1", state)
	h.now = h.now.Add(time.Second)
	h.answer("wide", "203.0.113.8:1", state)
	h.walk("beyond the limit of the one", "photos 203.0.113.7=200; photos 203.0.113.8=200; wait 1s")
	h.answer("one", "203.0.113.7:1", state)
	h.walk("within it", "photos 203.0.113.7=200; photos 203.0.113.8=403")
}

func TestAFastRenewalEndsWithItsGrant(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", TTL: "60"}})
	state := verified(certificate("cn:p"))
	for _, row := range []struct {
		wait time.Duration
		want int
	}{{0, 1}, {time.Minute - 1, 1}, {time.Minute, 2}, {time.Minute + 1, 3}} {
		h.now = h.now.Add(row.wait)
		h.answer("learn", "203.0.113.7:1", state)
		if got := strings.Count(h.log.String(), "msg=learned"); got != row.want {
			t.Errorf("%v after the last proof: it was learned %d times, want %d", row.wait, got, row.want)
		}
	}
}

// TestACertificateEndsOnItsConnectionToo although the state file asks for a renewal only later.
func TestACertificateEndsOnItsConnectionToo(t *testing.T) {
	for _, stateFile := range []string{"", filepath.Join(t.TempDir(), "state.json")} {
		h := newHouse(t, map[string]Config{"learn": {Mode: "learn", StateFile: stateFile}})
		state := verified(certificate("cn:p"))
		state.VerifiedChains[0][0].NotAfter = h.now.Add(renewalInterval / 2)
		for _, row := range []struct {
			wait time.Duration
			want int
		}{{0, 200}, {renewalInterval / 2, 200}, {1, 403}} {
			h.now = h.now.Add(row.wait)
			if got := h.answer("learn", "203.0.113.7:1", state); got != row.want {
				t.Errorf("state file %q: after another %v: got %d, want %d", stateFile, row.wait, got, row.want)
			}
		}
	}
}

func TestWhoIsNotLearnedWritesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", StateFile: path, SourceRange: []string{"203.0.113.0/24"}}})
	file := openStore(h.store("default")).stateFile()
	before := file.fresh()
	h.now = h.now.Add(2 * renewalInterval)
	h.walk("a private address, and one of the source range", "learn 192.168.0.1 cn:p=200; learn 203.0.113.7 cn:p=200")
	if got := file.fresh(); !got.Equal(before) {
		t.Errorf("the file was written at %v", got.Add(-renewalInterval))
	}
	h.walk("another", "learn 198.51.100.1 cn:p=200")
	if got := file.fresh(); got.Equal(before) {
		t.Error("the file wasn't written")
	}
}
