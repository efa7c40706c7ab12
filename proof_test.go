package mtlsallowlist

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

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
