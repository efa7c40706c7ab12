package mtlsallowlist

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/internal/proof"
)

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
		{"404 with text", "GET", func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no such link", 404) }, 404, false},
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

func TestWhichStatusesAreFlushed(t *testing.T) {
	for _, row := range []struct {
		status  int
		flushed bool
	}{{103, false}, {199, false}, {200, true}, {201, true}, {204, false}, {206, true}, {304, false}, {404, true}} {
		rw := httptest.NewRecorder()
		a := proof.NewAnswer(rw, func() {})
		a.WriteHeader(row.status)
		if rw.Flushed != row.flushed {
			t.Errorf("%d: flushed %v, want %v", row.status, rw.Flushed, row.flushed)
		}
	}
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
