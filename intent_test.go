package mtlsallowlist

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

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
			connection := verified(certificate("cn:phone"))
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
		own := verified(certificate("cn:phone"))
		other, port := own, "1"
		if row.apart {
			other, port = verified(certificate("cn:phone")), "2"
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
	if got := h.visit("learn", "1", verified(certificate("cn:phone")), "Sec-Fetch-Site: cross-site"); got != 200 || h.log.Len() > 0 {
		t.Errorf("got %d and %q, want 200 and no line", got, h.log.String())
	}
}
