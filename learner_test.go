package mtlsallowlist

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity/identitytest"
	"github.com/mtlsallowlist/mtlsallowlist/internal/proof"
)

// TestAProofIsTakenOncePerConnection counts how often a learner reads an address.
func TestAProofIsTakenOncePerConnection(t *testing.T) {
	h := newHouse(t, nil)
	for _, row := range []struct {
		name     string
		config   Config
		observed bool // renewals are told to others once a minute
		shared   bool // each is told to other replicas
		want     int
	}{
		{"without limits", Config{}, false, false, 1},
		{"with a full store", Config{MaxIPs: "1"}, false, false, 1},
		{"with one IP per identity", Config{MaxIPsPerIdentity: "1"}, false, false, 1},
		{"with more IPs per identity than it has", Config{MaxIPsPerIdentity: "2"}, false, false, 1},
		{"behind a proxy, where a connection is of many clients", Config{IPStrategy: IPStrategy{Depth: "1"}}, false, false, 4},
		{"with a file", Config{}, true, false, 3},
		{"with other replicas", Config{}, false, true, 4},
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
		if row.observed {
			collect(s.stores[0])
		}
		if row.shared {
			stores.replicas[s.stores[0].name] = &replication{}
		}
		next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
		handler := newLearner(*s, next, nil, h.clock(), reporter{log: h.logger, store: s.stores[0]}).handler()
		state := identitytest.Verified(identitytest.Certificate("cn:p"))
		state.VerifiedChains[0][0].NotAfter = h.now.Add(2 * time.Hour) // the moment of the last request
		for _, wait := range []time.Duration{0, 0, time.Hour, time.Hour} {
			h.now = h.now.Add(wait)
			req := &http.Request{RemoteAddr: "203.0.113.7:1", TLS: state, Header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}}
			handler.ServeHTTP(httptest.NewRecorder(), req)
		}
		delete(stores.replicas, s.stores[0].name)
		if reads != row.want {
			t.Errorf("%s: four requests read %d addresses, want %d", row.name, reads, row.want)
		}
	}
}

func TestAFastRenewalKeepsTheLimits(t *testing.T) {
	h := newHouse(t, map[string]Config{"one": {Mode: "learn", MaxIPsPerIdentity: "1"}, "wide": {Mode: "learn"}, "photos": {Mode: "enforce"}})
	state := identitytest.Verified(identitytest.Certificate("cn:p"))
	h.answer("one", "203.0.113.7:1", state)
	h.now = h.now.Add(time.Second)
	h.answer("wide", "203.0.113.8:1", state)
	h.walk("beyond the limit of the one", "photos 203.0.113.7=200; photos 203.0.113.8=200; wait 1s")
	h.answer("one", "203.0.113.7:1", state)
	h.walk("within it", "photos 203.0.113.7=200; photos 203.0.113.8=403")
}

func TestAFastRenewalEndsWithItsGrant(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", TTL: "60"}})
	state := identitytest.Verified(identitytest.Certificate("cn:p"))
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
		state := identitytest.Verified(identitytest.Certificate("cn:p"))
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
	before := looks(t, filepath.Dir(path))
	h.now = h.now.Add(2 * renewalInterval)
	h.walk("a private address, and one of the source range", "learn 192.168.0.1 cn:p=200; learn 203.0.113.7 cn:p=200")
	if got := looks(t, filepath.Dir(path)); got != before {
		t.Errorf("the file was written: %s", got)
	}
	h.walk("another", "learn 198.51.100.1 cn:p=200")
	if looks(t, filepath.Dir(path)) == before {
		t.Error("the file wasn't written")
	}
}

// TestOnlyWhatIsNewIsWaitedFor since whoever waits does so for a disk.
func TestOnlyWhatIsNewIsWaitedFor(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", SourceRange: []string{"203.0.113.64/26"}}})
	m := collect(openStore(h.store("default")))
	for _, row := range []struct {
		name, from, certificate string
		want                    int
	}{
		{"a new address", "203.0.113.7", "cn:p", 1},
		{"a renewal", "203.0.113.7", "cn:p", 0},
		{"a private address", "192.168.0.1", "cn:p", 0},
		{"an address of the source range", "203.0.113.65", "cn:p", 0},
		{"a name that is too long to be kept", "203.0.113.8", "cn:" + strings.Repeat("x", identity.MaxNames), 0},
	} {
		m.settled = 0
		if got := h.ask("learn", row.from, row.certificate); got != 200 || m.settled != row.want {
			t.Errorf("%s: got %d after %d waits, want 200 after %d", row.name, got, m.settled, row.want)
		}
	}
}

// oneConnection is that on which all requests of asks come.
var oneConnection = &tls.ConnectionState{}

// asks sends a request of 203.0.113.7 with header lines ("X-User: alice") to a middleware, and returns the status.
func (h *house) asks(middleware, method string, lines ...string) int {
	req := httptest.NewRequest(method, "https://home.example/", nil)
	req.RemoteAddr = "203.0.113.7:4711"
	req.TLS = oneConnection
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ": ")
		req.Header[key] = append(req.Header[key], value)
	}
	rw := httptest.NewRecorder()
	h.handlers[middleware].ServeHTTP(rw, req)
	return rw.Code
}

func TestRequestsAsProof(t *testing.T) {
	byHeader := Config{Mode: "learn", Proof: "request", IdentityHeader: "X-User"}
	either := Config{Mode: "either", Proof: "request", IdentityHeader: "X-User"}
	alice := Config{Mode: "learn", Proof: "request", IdentityHeader: "X-User", Identities: []string{"header:alice"}}
	for _, row := range []struct {
		name    string
		learner Config
		lines   []string
		status  int
		logged  string // "" if nothing is learned
	}{
		{"whoever gets this far", Config{Mode: "learn", Proof: "request"}, nil, 200, "identity=anonymous:request expires="},
		{"a user", byHeader, []string{"X-User: alice"}, 200, "identity=header:alice expires="},
		{"a user, by a header in another case", Config{Mode: "learn", Proof: "request", IdentityHeader: "x-uSER"}, []string{"X-User: alice"}, 200, "identity=header:alice "},
		{"a user as a middleware spells it, before what the client spells", byHeader, []string{"X-User: alice", "X-USER: bob"}, 200, "identity=header:bob "},
		{"nobody", byHeader, nil, 403, ""},
		{"an empty user", byHeader, []string{"X-User: "}, 403, ""},
		{"a user in another header", byHeader, []string{"X-Forwarded-User: alice"}, 403, ""},
		{"a user of identities", alice, []string{"X-User: alice"}, 200, "identity=header:alice "},
		{"a user outside identities", alice, []string{"X-User: alice2"}, 403, ""},
		{"either: a user", either, []string{"X-User: alice"}, 200, "identity=header:alice "},
		{"either: nobody, from an address that isn't in", either, nil, 403, ""},
		{"a response, too", Config{Mode: "learn", Proof: "response"}, nil, 200, "identity=anonymous:response expires="},
		{"a response to a user", Config{Mode: "learn", Proof: "response", IdentityHeader: "X-User"}, []string{"X-User: alice"}, 200, "identity=header:alice "},
		{"a response to nobody", Config{Mode: "learn", Proof: "response", IdentityHeader: "X-User"}, nil, 403, ""},
	} {
		h := newHouse(t, map[string]Config{"learn": row.learner, "photos": {Mode: "enforce"}})
		if got := h.asks("learn", http.MethodGet, row.lines...); got != row.status {
			t.Errorf("%s: got %d, want %d", row.name, got, row.status)
		}
		opened := 403
		if row.logged != "" {
			opened = 200
		}
		if got := h.asks("photos", http.MethodGet); got != opened {
			t.Errorf("%s: the hidden service answered %d, want %d", row.name, got, opened)
		}
		if log := h.log.String(); strings.Contains(log, "msg=learned") != (row.logged != "") || !strings.Contains(log, row.logged) {
			t.Errorf("%s: got %q, want %q", row.name, log, row.logged)
		}
	}
}

// TestUsersShareNoConnection asks as different users on one connection, as they come through another proxy.
func TestUsersShareNoConnection(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn": {Mode: "learn", Proof: "request", IdentityHeader: "X-User"}, "bob": {Mode: "enforce", Identities: []string{"header:bob"}},
	})
	for _, row := range []struct{ user, bobs int }{{200, 403}, {200, 403}} {
		if got := h.asks("learn", http.MethodGet, "X-User: alice"); got != row.user {
			t.Errorf("alice: got %d, want %d", got, row.user)
		}
		if got := h.asks("bob", http.MethodGet); got != row.bobs {
			t.Errorf("bob's service before bob: got %d, want %d", got, row.bobs)
		}
	}
	if got := h.asks("learn", http.MethodGet); got != 403 {
		t.Errorf("nobody after alice: got %d, want 403", got)
	}
	if got := h.asks("learn", http.MethodGet, "X-User: bob"); got != 200 {
		t.Errorf("bob: got %d, want 200", got)
	}
	if got := h.asks("bob", http.MethodGet); got != 200 {
		t.Errorf("bob's service after bob: got %d, want 200", got)
	}
}

func TestAnonymousGrantsOpenToNoPattern(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn": {Mode: "learn", Proof: "request"}, "photos": {Mode: "enforce"},
		"users": {Mode: "enforce", Identities: []string{"header:*", "cn:*", "dns:*", "email:*", "uri:*", "sha256:*"}},
	})
	if got := h.asks("learn", http.MethodGet); got != 200 {
		t.Errorf("the learner: got %d, want 200", got)
	}
	if got := h.asks("users", http.MethodGet); got != 403 {
		t.Errorf("a service for whoever has a name: got %d, want 403", got)
	}
	if got := h.asks("photos", http.MethodGet); got != 200 {
		t.Errorf("a service for everybody: got %d, want 200", got)
	}
}

// asksOver sends a request of 203.0.113.7 to the middleware "share" through a real server, and returns the status: a
// recorder knows nothing of statuses below 200.
func (h *house) asksOver(method string) int {
	h.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		req.RemoteAddr = "203.0.113.7:4711"
		h.handlers["share"].ServeHTTP(rw, req)
	}))
	defer server.Close()
	req, err := http.NewRequest(method, server.URL, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(req) // follows no redirect
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

func TestWhichAnswersAreAProof(t *testing.T) {
	status := func(statuses ...int) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			for _, status := range statuses {
				rw.WriteHeader(status)
			}
		}
	}
	for _, row := range []struct {
		name    string
		method  string
		service http.HandlerFunc
		status  int
		learned bool
	}{
		{"200", "GET", status(200), 200, true},
		{"204", "DELETE", status(204), 204, true},
		{"206, as for part of a film", "GET", status(206), 206, true},
		{"299", "GET", status(299), 299, true},
		{"200 to HEAD", "HEAD", status(200), 200, true},
		{"201 to POST", "POST", status(201), 201, true},
		{"text without a status", "GET", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "welcome") }, 200, true},
		{"nothing at all", "GET", func(http.ResponseWriter, *http.Request) {}, 200, true},
		{"early hints, then 200", "GET", status(103, 200), 200, true},
		{"early hints, then 404", "GET", status(103, 404), 404, false},
		{"a status of nobody below 200, then 200", "GET", status(199, 200), 200, true},
		{"a status of nobody below 200, then 404", "GET", status(199, 404), 404, false},
		{"300", "GET", status(300), 300, false},
		{"302", "GET", status(302), 302, false},
		{"304", "GET", status(304), 304, false},
		{"401", "GET", status(401), 401, false},
		{"404", "GET", status(404), 404, false},
		{"404, then 200, which nobody sees", "GET", status(404, 200), 404, false},
		{"404 with text", "GET", func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no such link", http.StatusNotFound) }, 404, false},
		{"500", "GET", status(500), 500, false},
		{"204 to OPTIONS, which many services answer on every path", "OPTIONS", status(204), 204, false},
		{"200 to TRACE", "TRACE", status(200), 200, false},
		{"200 to a method of nobody", "LINK", status(200), 200, false},
	} {
		h := newHouse(t, map[string]Config{"share": {Mode: "learn", Proof: "response"}, "photos": {Mode: "enforce"}})
		h.service = row.service
		if got := h.asksOver(row.method); got != row.status {
			t.Errorf("%s: got %d, want %d", row.name, got, row.status)
		}
		h.service = nil
		if got := h.asks("photos", http.MethodGet) == 200; got != row.learned {
			t.Errorf("%s: the hidden service opened: %v, want %v", row.name, got, row.learned)
		}
		if got := strings.Contains(h.log.String(), "msg=learned"); got != row.learned {
			t.Errorf("%s: learned %v, want %v", row.name, got, row.learned)
		}
	}
}

// TestTheAnswerIsLearnedBeforeItIsSeen looks from within the service, which has written nothing that the client could have.
func TestTheAnswerIsLearnedBeforeItIsSeen(t *testing.T) {
	h := newHouse(t, map[string]Config{"share": {Mode: "learn", Proof: "response"}, "photos": {Mode: "enforce"}})
	rw := httptest.NewRecorder()
	h.service = func(out http.ResponseWriter, req *http.Request) {
		h.service = nil
		if got := h.asks("photos", http.MethodGet); got != 403 {
			t.Errorf("before the service answers: got %d, want 403", got)
		}
		fmt.Fprint(out, "one,")
		if got := rw.Body.String(); got != "one," || !rw.Flushed {
			t.Errorf("the client has %q (flushed: %v), want the first part at once", got, rw.Flushed)
		}
		if got := h.asks("photos", http.MethodGet); got != 200 {
			t.Errorf("after the first byte: got %d, want 200", got)
		}
		fmt.Fprint(out, "two")
	}
	req := httptest.NewRequest(http.MethodGet, "https://home.example/", nil)
	req.RemoteAddr = "203.0.113.7:4711"
	h.handlers["share"].ServeHTTP(rw, req)
	if got := rw.Body.String(); got != "one,two" {
		t.Errorf("got %q, want all of it", got)
	}
	if got := strings.Count(h.log.String(), "msg=learned"); got != 1 {
		t.Errorf("learned %d times, want once", got)
	}
}

// TestTheHeadIsLearnedBeforeItIsSeen looks from within a service that has answered with a status alone.
func TestTheHeadIsLearnedBeforeItIsSeen(t *testing.T) {
	h := newHouse(t, map[string]Config{"share": {Mode: "learn", Proof: "response"}, "photos": {Mode: "enforce"}})
	h.service = func(out http.ResponseWriter, req *http.Request) {
		h.service = nil
		out.WriteHeader(http.StatusOK)
		if got := h.asks("photos", http.MethodGet); got != 200 {
			t.Errorf("after the status: got %d, want 200", got)
		}
	}
	h.asks("share", http.MethodGet)
}

// TestAHijackedConnectionProvesNothing hands one over as for a WebSocket, and asks in vain where there is none.
func TestAHijackedConnectionProvesNothing(t *testing.T) {
	h := newHouse(t, map[string]Config{"share": {Mode: "learn", Proof: "response"}, "photos": {Mode: "enforce"}})
	h.service = func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	}
	if got := h.asksOver(http.MethodGet); got != 101 {
		t.Errorf("got %d, want 101", got)
	}
	h.service = nil
	if got := h.asks("photos", http.MethodGet); got != 403 {
		t.Errorf("after the WebSocket: got %d, want 403", got)
	}
	h.service = func(rw http.ResponseWriter, _ *http.Request) {
		if _, _, err := http.NewResponseController(rw).Hijack(); err == nil {
			t.Error("a recorder has handed over a connection")
		}
		rw.WriteHeader(http.StatusOK)
	}
	h.asks("share", http.MethodGet)
	h.service = nil
	if got := h.asks("photos", http.MethodGet); got != 200 {
		t.Errorf("after an answer instead: got %d, want 200", got)
	}
}

// TestAServiceThatBreaksOffProvesNothing panics as Traefik's proxy does when a service can't be read any more.
func TestAServiceThatBreaksOffProvesNothing(t *testing.T) {
	h := newHouse(t, map[string]Config{"share": {Mode: "learn", Proof: "response"}, "photos": {Mode: "enforce"}})
	h.service = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was kept from Traefik")
			}
		}()
		h.asks("share", http.MethodGet)
	}()
	h.service = nil
	if got := h.asks("photos", http.MethodGet); got != 403 {
		t.Errorf("got %d, want 403", got)
	}
}

// TestTheUserIsWhoAsked has a service that writes another user into the request.
func TestTheUserIsWhoAsked(t *testing.T) {
	h := newHouse(t, map[string]Config{"share": {Mode: "learn", Proof: "response", IdentityHeader: "X-User"}})
	h.service = func(rw http.ResponseWriter, req *http.Request) {
		req.Header.Set("X-User", "mallory")
		rw.WriteHeader(http.StatusNoContent)
	}
	h.asks("share", http.MethodGet, "X-User: alice")
	if log := h.log.String(); !strings.Contains(log, "identity=header:alice ") {
		t.Errorf("got %q, want alice", log)
	}
}

var siteRows = []struct {
	name   string
	header string // "Name: value; …"
	counts bool
	apart  bool // whether Chromium has a connection for it on which nothing counts
}{
	{"an app, which tells nothing", "", true, false},
	{"an address that somebody types", "Sec-Fetch-Site: none; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: document", true, false},
	{"the page itself", "Sec-Fetch-Site: same-origin; Sec-Fetch-Mode: cors; Sec-Fetch-Dest: empty", true, false},
	{"another host of the site", "Sec-Fetch-Site: same-site; Sec-Fetch-Mode: no-cors; Sec-Fetch-Dest: image", true, false},
	{"a link that somebody follows", "Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: document; Sec-Fetch-User: ?1", true, false},
	{"a login that leads back", "Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: document", true, false},
	{"a picture", "Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: no-cors; Sec-Fetch-Dest: image", false, false},
	{"a script's request", "Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: cors; Sec-Fetch-Dest: empty", false, false},
	{"a frame", "Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: iframe", false, false},
	{"a frame of an old kind", "Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: frame", false, false},
	{"an object", "Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: object", false, false},
	{"a document that nobody navigates to", "Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: no-cors; Sec-Fetch-Dest: document", false, false},
	{"a document that is fetched before somebody follows the link", "Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: document; Sec-Purpose: prefetch;prerender", false, false},
	{"a WebSocket", "Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: websocket; Sec-Fetch-Dest: empty", false, false},
	{"a WebSocket of Chromium", "Origin: https://evil.example", false, true},
	{"a WebSocket of Chromium, from a document of nobody", "Origin: null", false, true},
	{"a WebSocket of Chromium, from something that is no origin", "Origin: https://%zz", false, true},
	{"a WebSocket of the page itself", "Origin: https://HOME.example", true, false},
	{"a WebSocket of the page itself, at another port", "Origin: https://home.example:8443", true, false},
	{"a form of the page itself", "Origin: https://home.example; Sec-Fetch-Site: same-origin; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: document", true, false},
	{"a form that leads back", "Origin: https://login.example; Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: document", true, false},
	{"what a frame loads", "Sec-Fetch-Site: same-origin; Sec-Fetch-Mode: no-cors; Sec-Fetch-Dest: image; Sec-Fetch-Storage-Access: none", false, true},
	{"what a frame loads that may see its cookies", "Sec-Fetch-Site: same-origin; Sec-Fetch-Mode: cors; Sec-Fetch-Dest: empty; Sec-Fetch-Storage-Access: active", false, true},
	{"another site, and no more", "Sec-Fetch-Site: cross-site", false, false},
}

// visit is a request of 203.0.113.7 on the connection from a port, with a user and a header.
func (h *house) visit(middleware, port string, connection *tls.ConnectionState, header string) int {
	req := httptest.NewRequest(http.MethodGet, "https://home.example/", nil)
	req.RemoteAddr, req.TLS = "203.0.113.7:"+port, connection
	req.Header.Set("X-User", "alice")
	for _, line := range strings.Split(header, "; ") {
		if name, value, found := strings.Cut(line, ": "); found {
			req.Header.Set(name, value)
		}
	}
	rw := httptest.NewRecorder()
	h.handlers[middleware].ServeHTTP(rw, req)
	return rw.Code
}

func TestWhatAnotherSiteMakesABrowserSendIsNotLearned(t *testing.T) {
	for _, learner := range []Config{
		{Mode: "learn"}, {Mode: "either"}, {Mode: "learn", Proof: "response"},
		{Mode: "learn", Proof: "request", IdentityHeader: "X-User"}, {Mode: "either", Proof: "request", IdentityHeader: "X-User"},
	} {
		for _, row := range siteRows {
			name := strings.TrimSpace(learner.Mode + " " + learner.Proof + ": " + row.name)
			h := newHouse(t, map[string]Config{"learn": learner, "photos": {Mode: "enforce"}})
			connection := identitytest.Verified(identitytest.Certificate("cn:phone"))
			want, lines := 200, 0
			if !row.counts {
				want, lines = 403, 1
			}
			for i := 0; i < 3; i++ {
				if got := h.visit("learn", "1", connection, row.header); got != 200 {
					t.Errorf("%s: got %d, want 200", name, got)
				}
				if got := h.ask("photos", "203.0.113.7", ""); got != want {
					t.Errorf("%s: the hidden service answers %d, want %d", name, got, want)
				}
			}
			if got := strings.Count(h.log.String(), `reason="request that another site has made the browser send"`); got != lines || strings.Count(h.log.String(), "\n") != 1 {
				t.Errorf("%s: got %d lines about it, want %d: %s", name, got, lines, h.log.String())
			}
		}
	}
}

// TestWhatAnotherSiteMakesABrowserSendRenewsNothing is about the fast path, too: all comes on a connection that has proved
// before, unless Chromium has one for it.
func TestWhatAnotherSiteMakesABrowserSendRenewsNothing(t *testing.T) {
	for _, row := range siteRows {
		h := newHouse(t, map[string]Config{"learn": {Mode: "learn", TTL: "60"}, "photos": {Mode: "enforce"}})
		own := identitytest.Verified(identitytest.Certificate("cn:phone"))
		other, port := own, "1"
		if row.apart {
			other, port = identitytest.Verified(identitytest.Certificate("cn:phone")), "2"
		}
		for _, got := range []int{
			h.visit("learn", "1", own, ""), h.visit("learn", port, other, row.header), h.visit("learn", "1", own, "Sec-Fetch-Site: same-origin"),
		} {
			if got != 200 {
				t.Errorf("%s: got %d, want 200", row.name, got)
			}
		}
		h.now = h.now.Add(30 * time.Second)
		h.visit("learn", port, other, row.header)
		h.now = h.now.Add(30 * time.Second)
		want := map[bool]int{true: 200, false: 403}[row.counts]
		if got := h.ask("photos", "203.0.113.7", ""); got != want {
			t.Errorf("%s: a lifetime after the last proof of one's own the hidden service answers %d, want %d", row.name, got, want)
		}
	}
}

func TestTheSourceRangeIsNotToldOfOtherSites(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", SourceRange: []string{"203.0.113.0/24"}}})
	if got := h.visit("learn", "1", identitytest.Verified(identitytest.Certificate("cn:phone")), "Sec-Fetch-Site: cross-site"); got != 200 || h.log.Len() > 0 {
		t.Errorf("got %d and %q, want 200 and no line", got, h.log.String())
	}
}

var sharePaths = []struct {
	name, path string
	counts     bool
}{
	{"a link", "/s/right", true},
	{"a link with a slash behind it", "/s/right/", true},
	{"the prefix alone", "/s/", true},
	{"a picture", "/s/right/photo.jpg", true},
	{"a name of several dots", "/s/right/holidays.2024.tar.gz", true},
	{"a name that begins with a dot", "/s/right/.thumbnails/1.jpg", true},
	{"a name that begins with two", "/s/..right", true},
	{"a name that ends with dots", "/s/right...", true},
	{"a blank", "/s/our%20holidays/photo%20(1).jpg", true},
	{"a plus sign", "/s/our+holidays", true},
	{"an umlaut", "/s/gr%C3%BC%C3%9Fe", true},
	{"an umlaut of two characters, as a Mac writes it", "/s/gru%CC%88n", true},
	{"an umlaut that isn't encoded", "/s/grün", true},
	{"other writings", "/s/%E5%AE%B6%E6%97%8F/%D9%A3/%E0%A4%A8%E0%A4%BF", true},
	{"a time", "/s/right/12:30.jpg", true},
	{"letters that are encoded without need", "/s/%72ight", true},
	{"signs", "/s/~a-b_c!$&'()*,=@", true},
	{"a query", "/s/right?path=/../%2e%2e%2f", true},
	{"the root", "/", true},

	{"an encoded slash", "/s/..%2fstatus", false},
	{"an encoded slash in capitals", "/s/..%2Fstatus", false},
	{"encoded dots and an encoded slash", "/s/%2e%2e%2fstatus", false},
	{"encoded dots", "/s/%2e%2e/status", false},
	{"encoded dots, one in capitals", "/s/%2E%2e/status", false},
	{"one encoded dot", "/s/.%2e/status", false},
	{"back from deeper", "/s/x/..%2f..%2fstatus", false},
	{"dots", "/s/../status", false},
	{"dots at the end", "/s/..", false},
	{"one dot", "/s/./right", false},
	{"one dot at the end", "/s/right/.", false},
	{"three dots, as old Windows goes back twice", "/s/.../status", false},
	{"two slashes", "/s//status", false},
	{"two slashes in front", "//s/right", false},
	{"two slashes at the end", "/s/right//", false},
	{"an encoded slash that does no harm", "/s/a%2fb", false},
	{"an encoded dot that does no harm", "/s/photo%2ejpg", false},
	{"a backslash", `/s/..\status`, false},
	{"an encoded backslash", "/s/..%5cstatus", false},
	{"an encoded backslash in capitals", "/s/..%5Cstatus", false},
	{"a slash encoded twice", "/s/..%252fstatus", false},
	{"dots encoded twice", "/s/%252e%252e/status", false},
	{"a backslash encoded twice", "/s/..%255cstatus", false},
	{"a slash encoded three times", "/s/..%25252fstatus", false},
	{"dots encoded as of Microsoft", "/s/%25u002e%25u002e/status", false},
	{"a percent sign", "/s/100%25", false},
	{"dots with a parameter", "/s/..;/status", false},
	{"dots with a parameter that has a value", "/s/..;a=b/status", false},
	{"dots with an encoded parameter", "/s/..%3b/status", false},
	{"a parameter alone", "/s/;a/status", false},
	{"a parameter that does no harm", "/s/right;a=b", false},
	{"a slash in three bytes", "/s/..%e0%80%afstatus", false},
	{"a slash in two bytes", "/s/..%c0%afstatus", false},
	{"dots in two bytes", "/s/%c0%ae%c0%ae/status", false},
	{"a backslash in two bytes", "/s/..%c1%9cstatus", false},
	{"a byte that is no UTF-8", "/s/gr%FCn", false},
	{"a slash of double width", "/s/..%EF%BC%8Fstatus", false},
	{"dots of double width", "/s/%EF%BC%8E%EF%BC%8E/status", false},
	{"a backslash of double width", "/s/..%EF%BC%BCstatus", false},
	{"a two-dot leader", "/s/%E2%80%A5/status", false},
	{"an ellipsis", "/s/%E2%80%A6/status", false},
	{"one-dot leaders", "/s/%E2%80%A4%E2%80%A4/status", false},
	{"a division slash", "/s/..%E2%88%95status", false},
	{"a fraction slash", "/s/..%E2%81%84status", false},
	{"a yen sign, which is a backslash in Japan", "/s/..%C2%A5status", false},
	{"an account of", "/s/%E2%84%80", false},
	{"a NUL behind dots", "/s/..%00/status", false},
	{"a NUL behind a name", "/s/right%00.jpg", false},
	{"a tab between dots, as browsers drop it", "/s/.%09./status", false},
	{"a line feed between dots", "/s/.%0a./status", false},
	{"a carriage return behind dots", "/s/..%0d/status", false},
	{"a blank behind dots, as Windows drops it", "/s/..%20/status", false},
	{"a blank in front of dots", "/s/%20../status", false},
	{"a plus sign behind dots, which may be a blank", "/s/..+/status", false},
	{"a blank alone", "/s/%20/right", false},
	{"an accent on dots", "/s/..%CC%81/status", false},
	{"a stream of dots, on Windows", "/s/..::$INDEX_ALLOCATION/status", false},
	{"a zero-width blank between dots", "/s/.%E2%80%8B./status", false},
	{"a blank that doesn't break", "/s/..%C2%A0/status", false},
	{"an encoded question mark", "/s/..%3f/status", false},
	{"an encoded number sign", "/s/..%23/status", false},
	{"a quotation mark", "/s/%22", false},
	{"angle brackets", "/s/%3Cb%3E", false},
}

// asked returns a GET as Go's server reads it off the connection; nil if it reads none.
func asked(target string) *http.Request {
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: cloud.example.com\r\n\r\n")))
	if err != nil {
		return nil
	}
	req.RemoteAddr = "203.0.113.7:4711"
	return req
}

// sanitized returns req as Traefik's sanitizePath makes it.
func sanitized(req *http.Request) *http.Request {
	clean := req.Clone(context.Background())
	clean.URL = req.URL.JoinPath()
	clean.RequestURI = clean.URL.RequestURI()
	return clean
}

func TestPathsThatCountAsProof(t *testing.T) {
	for _, row := range sharePaths {
		h := newHouse(t, map[string]Config{"share": {Mode: "learn", Proof: "response"}, "photos": {Mode: "enforce"}})
		sent := ""
		h.service = func(rw http.ResponseWriter, req *http.Request) { sent = req.RequestURI }
		req := asked(row.path)
		if req == nil {
			t.Errorf("%s: %s is no request", row.name, row.path)
			continue
		}
		h.handlers["share"].ServeHTTP(httptest.NewRecorder(), req)
		if sent != row.path {
			t.Errorf("%s: the service got %s, want %s", row.name, sent, row.path)
		}
		h.service = nil
		want, lines := 403, 1
		if row.counts {
			want, lines = 200, 0
		}
		if got := h.ask("photos", "203.0.113.7", ""); got != want {
			t.Errorf("%s: after %s the hidden service answers %d, want %d", row.name, row.path, got, want)
		}
		if got := strings.Count(h.log.String(), `msg="not learned" middleware=share `); got != lines {
			t.Errorf("%s: got %d lines about it, want %d: %s", row.name, got, lines, h.log.String())
		}
	}
}

// TestPathsCountAsTheServiceGetsThem is about middlewares before the learner, and other forms of a request.
func TestPathsCountAsTheServiceGetsThem(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(req *http.Request)
		counts bool
	}{
		{"nothing", func(*http.Request) {}, true},
		{"the whole address, as to a proxy", func(req *http.Request) { req.RequestURI = "https://cloud.example.com/s/right?a=b" }, true},
		{"the whole address, with dots", func(req *http.Request) { req.RequestURI = "https://cloud.example.com/s/../status" }, false},
		{"no RequestURI, as in a request of Traefik's own", func(req *http.Request) { req.RequestURI = "" }, true},
		{"a path from outside in RequestURI alone", func(req *http.Request) { req.RequestURI = "/s/..%2fstatus" }, false},
		{"a RequestURI that is none", func(req *http.Request) { req.RequestURI = "s/right" }, false},
		{"a RequestURI that can't be decoded", func(req *http.Request) { req.RequestURI = "/s/%zz" }, false},
		{"an opaque RequestURI", func(req *http.Request) { req.RequestURI = "https:s/right" }, false},
		{"an opaque URL", func(req *http.Request) { req.URL.Opaque = "/s/right" }, false},
		{"a path from outside in URL alone", func(req *http.Request) { req.URL.Path = "/s/../status" }, false},
		{"an encoded slash in URL alone", func(req *http.Request) { req.URL.Path, req.URL.RawPath = "/s/a/b", "/s/a%2Fb" }, false},
		{"a raw path that isn't that of the path", func(req *http.Request) { req.URL.RawPath = "/s/../status" }, true},
		{"no path", func(req *http.Request) { req.URL.Path = "" }, false},
		{"a path without its slash", func(req *http.Request) { req.URL.Path = "s/right" }, false},
		{"an asterisk", func(req *http.Request) { req.URL.Path, req.RequestURI = "*", "*" }, false},
	} {
		h := newHouse(t, map[string]Config{"share": {Mode: "learn", Proof: "response"}, "photos": {Mode: "enforce"}})
		req := asked("/s/right")
		row.change(req)
		h.handlers["share"].ServeHTTP(httptest.NewRecorder(), req)
		want := 403
		if row.counts {
			want = 200
		}
		if got := h.ask("photos", "203.0.113.7", ""); got != want {
			t.Errorf("%s: the hidden service answers %d, want %d", row.name, got, want)
		}
	}
}

func TestAmbiguousPathsCountWithOtherProofsAndAreToldOnce(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"share": {Mode: "learn", Proof: "response", Store: []string{"links"}}, "cloud": {Mode: "enforce", Store: []string{"links"}},
		"login": {Mode: "learn", Proof: "request"}, "photos": {Mode: "enforce"},
	})
	for i := 0; i < 50; i++ {
		h.handlers["share"].ServeHTTP(httptest.NewRecorder(), asked("/s/..%2fstatus"))
	}
	want := `level=WARN msg="not learned" middleware=share store=` + h.store("links") + ` ip=203.0.113.7 identity=anonymous:response remote=203.0.113.7:4711 reason="ambiguous path: the service may take it for one outside the learner's router"` + "\n"
	if got := h.log.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want its one line to end with %q", got, want)
	}
	h.walk("the link", "cloud 203.0.113.7=403")
	h.handlers["login"].ServeHTTP(httptest.NewRecorder(), asked("/s/..%2fstatus"))
	h.walk("the login", "photos 203.0.113.7=200")
	h.service = func(rw http.ResponseWriter, req *http.Request) { http.NotFound(rw, req) }
	h.now = h.now.Add(noteInterval)
	h.handlers["share"].ServeHTTP(httptest.NewRecorder(), asked("/s/..%2fstatus"))
	if got := strings.Count(h.log.String(), "not learned"); got != 1 {
		t.Errorf("what the service refuses is told, too: got %d lines, want 1", got)
	}
}

var (
	asBrowsersDo = strings.NewReplacer("\t", "", "\n", "", "\r", "", `\`, "/")
	// widened are dots and slashes in more bytes than they take, and in characters that are made for it.
	widened = strings.NewReplacer("\xc0\xaf", "/", "\xe0\x80\xaf", "/", "\xc0\xae", ".", "\xc1\x9c", `\`,
		"．", ".", "／", "/", "＼", `\`, "․", ".", "‥", "..", "…", "...")
)

// readings are what services may make of a path.
var readings = []func(string) string{
	func(p string) string { // decodes what can be decoded
		decoded, err := url.PathUnescape(p)
		if err != nil {
			return p
		}
		return decoded
	},
	func(p string) string { // decodes the rest, too, as lenient services do
		decoded := strings.Builder{}
		for i := 0; i < len(p); i++ {
			if i+2 < len(p) && p[i] == '%' {
				if c, err := url.PathUnescape(p[i : i+3]); err == nil {
					decoded.WriteString(c)
					i += 2
					continue
				}
			}
			decoded.WriteByte(p[i])
		}
		return decoded.String()
	},
	path.Clean,
	func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
	func(p string) string { return strings.ReplaceAll(p, "+", " ") },
	func(p string) string {
		return eachSegment(p, func(s string) string { before, _, _ := strings.Cut(s, ";"); return before })
	},
	func(p string) string {
		return eachSegment(p, func(s string) string { before, _, _ := strings.Cut(s, ":"); return before })
	},
	func(p string) string { return eachSegment(p, strings.TrimSpace) },
	asBrowsersDo.Replace,
	func(p string) string { before, _, _ := strings.Cut(p, "\x00"); return before },
	widened.Replace,
}

func eachSegment(p string, change func(string) string) string {
	segments := strings.Split(p, "/")
	for i, segment := range segments {
		segments[i] = change(segment)
	}
	return strings.Join(segments, "/")
}

// outside returns what services read that is outside of the prefix /s/, in whatever order they do what they do, at most
// four times in all; empty if there is nothing.
func outside(p string) string {
	known := map[string]bool{p: true}
	latest := []string{p}
	for depth := 0; depth < 4; depth++ {
		next := []string{}
		for _, p := range latest {
			for _, read := range readings {
				q := read(p)
				if !strings.HasPrefix(path.Clean(q)+"/", "/s/") {
					return q
				}
				if !known[q] {
					known[q] = true
					next = append(next, q)
				}
			}
		}
		latest = next
	}
	return ""
}

// FuzzSharePath looks for a path of the learner's router that counts as proof, and that some service answers from outside.
func FuzzSharePath(f *testing.F) {
	for _, row := range sharePaths {
		f.Add(row.path)
	}
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	frozen := clocks.Clock{Now: func() time.Time { return t0 }, Since: t0.Sub}
	learner, err := newHandler(context.Background(), next, &Config{Mode: "learn", Proof: "response", Store: []string{"share paths"}}, "share", frozen, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		f.Fatal(err)
	}
	learned := openStore("share paths")
	f.Fuzz(func(t *testing.T, target string) {
		plain := asked(target)
		if plain == nil || plain.URL.Opaque != "" {
			return
		}
		for _, req := range []*http.Request{plain, sanitized(plain)} {
			if !strings.HasPrefix(req.URL.EscapedPath(), "/s/") && !strings.HasPrefix(req.URL.Path, "/s/") { // newer Traefik, or older
				continue
			}
			learner.ServeHTTP(httptest.NewRecorder(), req)
			if len(learned.revoke(clientip.Prefix(netip.MustParseAddr("203.0.113.7"), 64), "", atTime(t0))) == 0 {
				continue
			}
			sent, _, _ := strings.Cut(req.RequestURI, "?")
			if u, err := url.ParseRequestURI(req.RequestURI); err == nil && u.IsAbs() {
				sent = u.EscapedPath()
			}
			if got := outside(sent); got != "" {
				t.Errorf("%q counts as proof, and can be read as %q", sent, got)
			}
		}
	})
}

// issued makes a real certificate, which has signed itself, with n DNS names.
func issued(t *testing.T, cn string, n int) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: cn}, SerialNumber: big.NewInt(0xc0ffee),
		NotBefore: t0.Add(-time.Hour), NotAfter: t0.Add(1000 * time.Hour),
	}
	for i := 0; i < n; i++ {
		template.DNSNames = append(template.DNSNames, fmt.Sprintf("host-%03d.home.example", i))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func TestACertificateOfManyNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	configs := map[string]Config{
		"learn":  {Mode: "learn", TTL: "1h", Identities: []string{"dns:host-199.*"}, StateFile: path},
		"all":    {Mode: "enforce"},
		"by cn":  {Mode: "enforce", Identities: []string{"cn:cluster"}},
		"by sum": {Mode: "enforce", Identities: []string{"sha256:*"}},
		"first":  {Mode: "enforce", Identities: []string{"dns:host-000.home.example"}},
		"last":   {Mode: "enforce", Identities: []string{"dns:host-199.home.example"}},
		"status": {Mode: "status", Proof: "request"},
	}
	h := newHouse(t, configs)
	leaf := issued(t, "cluster", 200)
	if got := h.send("learn", "203.0.113.7", identitytest.Verified(leaf)).Code; got != http.StatusOK {
		t.Fatalf("the learner, which goes by the last of all names, answered %d", got)
	}
	walk := func(when string) {
		t.Helper()
		for _, middleware := range []string{"all", "by cn", "by sum", "first", "last"} {
			want := 200
			if middleware == "last" { // it is kept nowhere
				want = 403
			}
			if got := h.ask(middleware, "203.0.113.7", ""); got != want {
				t.Errorf("%s: %s answered %d, want %d", when, middleware, got, want)
			}
		}
	}
	walk("learned")
	before := h.listing("status", "203.0.113.7")
	h.restart(configs)
	walk("restarted")
	if after := h.listing("status", "203.0.113.7"); fmt.Sprint(after) != fmt.Sprint(before) || strings.Contains(h.log.String(), "unreadable") {
		t.Errorf("after a restart: got %v, want %v", after, before)
	}
	for _, e := range entriesOf(openStore(h.store("default")), h.now) {
		if got, err := change.Parse(e.Line()); err != nil || len(e.Line()) > identity.MaxEntry || len(got.Identity.Names) < 100 {
			t.Errorf("another replica takes %d names of an entry of %d bytes: %v", len(got.Identity.Names), len(e.Line()), err)
		}
	}
}

// entriesOf returns what a store tells of its grants to other replicas.
func entriesOf(s *store, now time.Time) []change.Change {
	s.Compare(now.UnixMilli(), at(now), replicaTolerance)
	return allOf(s, at(now))
}

func TestWhoseNameIsTooLongIsServedButNotLearned(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn"}, "user": {Mode: "learn", Proof: "request", IdentityHeader: "X-User"}, "enforce": {Mode: "enforce"}})
	if got := h.send("learn", "203.0.113.7", identitytest.Verified(issued(t, strings.Repeat("x", 4000), 0))).Code; got != http.StatusOK {
		t.Errorf("the learner answered %d", got)
	}
	if got := h.fetch("user", http.MethodGet, "/", "203.0.113.8", http.Header{"X-User": {strings.Repeat("x", 4000)}}).Code; got != http.StatusOK {
		t.Errorf("behind a login, the learner answered %d", got)
	}
	h.walk("both", "enforce 203.0.113.7=403; enforce 203.0.113.8=403")
	if log := h.log.String(); strings.Count(log, `msg="not learned"`) != 1 || !strings.Contains(log, `reason="the name is too long: what is kept of an identity has 4 KiB at most"`) || strings.Contains(log, "msg=learned") {
		t.Errorf("the log says %.1000s", log)
	}
}

// A viewing is a status page without a proof, for any store.
type viewing struct {
	page *status
}

func newViewing() *viewing {
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	s := settings{stores: []*store{newStore("x")}, proof: proof.Request, address: clientip.NewReader(0, clientip.NewSet(nil)), ipv6Subnet: 64, rejectStatusCode: 403}
	return &viewing{page: newStatus(s, clocks.Clock{Now: func() time.Time { return t0 }, Since: t0.Sub}, silent)}
}

// shows fails unless all that the page tells of a store can be had.
func (v *viewing) shows(t *testing.T, s *store) {
	t.Helper()
	v.page.stores = []*store{s}
	for _, path := range []string{"/", "/grants", "/metrics"} {
		req := httptest.NewRequest(http.MethodGet, "https://status.example"+path, nil)
		rw := httptest.NewRecorder()
		v.page.ServeHTTP(rw, req)
		if rw.Code != http.StatusOK {
			t.Errorf("%s: got %d: %s", path, rw.Code, rw.Body)
		}
		if path == "/grants" && !json.Valid(rw.Body.Bytes()) {
			t.Errorf("the listing is %s", rw.Body)
		}
	}
}

// TestThePageShowsWhateverAStoreHolds is about names that nothing lets into a store.
func TestThePageShowsWhateverAStoreHolds(t *testing.T) {
	v := newViewing()
	for _, names := range [][]string{{"sha256:abc"}, {"cn:a", "sha256:abc"}, {"sha256:"}, {"cn:a", "sha256:"}, {""}, {":"}, {"cn:a", "sha256:\u202e" + someSum}, {"sha256:" + strings.Repeat("z", 64)}} {
		s := newStore("x")
		s.learn(netip.MustParsePrefix("203.0.113.7/32"), identity.Identity{Names: names}, hour, atTime(t0))
		v.shows(t, s)
	}
}

// FuzzKept is about what a certificate may hold: what is kept of it can be told to others, and read at the next start.
func FuzzKept(f *testing.F) {
	f.Add("phone", "phone.lan", "a@b.c", "spiffe://home/phone", 1)
	f.Add("", "", "", "", 1)
	f.Add("\xff\x00,%\n", "A b", "é", ":", 300)
	f.Add(strings.Repeat("x", 1877), "", "", "", 1)
	f.Add(strings.Repeat("\xff", 300), "a", "", "", 2)
	v := newViewing()
	f.Fuzz(func(t *testing.T, cn, dns, email, uri string, n int) {
		leaf := &x509.Certificate{Raw: []byte(cn), Subject: pkix.Name{CommonName: cn}, SerialNumber: big.NewInt(int64(n)), URIs: []*url.URL{{Opaque: uri, Scheme: uri}}}
		for i := 0; i < n && i < 1000; i++ {
			leaf.DNSNames = append(leaf.DNSNames, dns)
			leaf.EmailAddresses = append(leaf.EmailAddresses, email)
		}
		all := identity.FromCertificate(leaf)
		id, err := all.Kept()
		if err != nil {
			if len(all.Name())*9 < 1800 {
				t.Errorf("%q can't be kept: %v", all.Names, err)
			}
			return
		}
		if id.Name() != all.Name() || id.Fingerprint() != all.Fingerprint() {
			t.Errorf("of %q, %q is kept", all.Names, id.Names)
		}
		e := change.Change{Kind: change.Granted, IP: netip.MustParsePrefix("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128"), Identity: id, Learned: change.MaxStamp, Stamp: change.MaxStamp, Expires: change.MaxStamp}
		if _, err := change.Parse(e.Line()); err != nil || len(e.Line()) > identity.MaxEntry {
			t.Errorf("others don't take %q, of %d bytes: %v", e.Line(), len(e.Line()), err)
		}
		s := newStore("x")
		s.learn(netip.MustParsePrefix("203.0.113.7/32"), id, hour, atTime(t0))
		for _, c := range allOf(s, at(t0)) {
			if _, err := change.Parse(c.Line()); err != nil {
				t.Errorf("a state file has %q, which isn't read", c.Line())
			}
		}
		v.shows(t, s)
	})
}

// twins returns a learner, enforcers that want one certificate each, what restarts them, and what sends a proof by one of
// several certificates of one name.
func twins(t *testing.T, learn Config) (h *house, restart func(), prove func(from string, twin int)) {
	fingerprint := func(twin int) string {
		leaf := identitytest.Certificate("cn:home")
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
		leaf := identitytest.Certificate("cn:home")
		leaf.Raw = []byte(fmt.Sprint("twin ", twin))
		if rw := h.send("learn", fmt.Sprintf("%s:%d", from, twin), identitytest.Verified(leaf)); rw.Code != 200 {
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
	twin := identitytest.Certificate("cn:home")
	twin.Raw = []byte("twin 2")
	if want := identity.FromCertificate(twin).Fingerprint(); grants[0].Fingerprint != want {
		t.Errorf("got the fingerprint %s, want that of the last proof, %s", grants[0].Fingerprint, want)
	}
	if got := openStore(h.store("default")).figures(atTime(h.now)).Grants; got != 1 {
		t.Errorf("got %d grants in the metrics, want 1", got)
	}
	if got := len(openStore(h.store("default")).revoke(ipOf("\x07"), "", atTime(h.now))); got != 1 {
		t.Errorf("got %d revoked, want 1", got)
	}
	h.walk("both have ended", "one 203.0.113.7=403; two 203.0.113.7=403")
	if got := openStore(h.store("default")).figures(atTime(h.now)).Grants; got != 0 {
		t.Errorf("got %d grants after that, want none", got)
	}
}
