package mtlsallowlist

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity/identitytest"
	"github.com/mtlsallowlist/mtlsallowlist/internal/page"
	"github.com/mtlsallowlist/mtlsallowlist/internal/replica"
)

// get asks a middleware for a path, from 203.0.113.7 and without a certificate.
func (h *house) get(middleware, path, accept string) *httptest.ResponseRecorder {
	return h.fetch(middleware, http.MethodGet, path, "203.0.113.7", http.Header{"Accept": {accept}})
}

func (h *house) fetch(middleware, method, path, from string, header http.Header) *httptest.ResponseRecorder {
	return h.post(middleware, method, path, from, header, "")
}

func (h *house) post(middleware, method, path, from string, header http.Header, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, "https://status.example"+path, strings.NewReader(body))
	req.RemoteAddr = from + ":4711"
	req.Header = header
	rw := httptest.NewRecorder()
	h.handlers[middleware].ServeHTTP(rw, req)
	return rw
}

// A listing is what the status page tells to programs, as they read it.
type listing struct {
	Stores []listedStore
	You    listedViewer
}

type listedViewer struct {
	IP       string
	Admitted bool
}

type listedStore struct {
	Name   string
	MaxIPs int
	Redis  *listedRedis
	Grants []listedGrant
}

type listedRedis struct {
	InStep  bool
	Since   time.Time
	Error   string
	Skipped int
}

type listedGrant struct {
	IP          string
	Identity    string
	Fingerprint string
	Serial      string
	Learned     time.Time
	Proved      time.Time
	Expires     time.Time
}

// listing asks for what the page tells to programs.
func (h *house) listing(middleware, from string) listing {
	h.t.Helper()
	var l listing
	rw := h.fetch(middleware, http.MethodGet, "/grants", from, http.Header{})
	if err := json.Unmarshal(rw.Body.Bytes(), &l); err != nil {
		h.t.Fatalf("%v: %s", err, rw.Body)
	}
	return l
}

func TestWhoMaySeeTheStatusPage(t *testing.T) {
	configs := map[string]Config{
		"learn":     {Mode: "learn"},
		"guarded":   {Mode: "status"},
		"written":   {Mode: "status", Proof: "certificate", Identities: []string{"cn:owner"}, RejectStatusCode: "404"},
		"open":      {Mode: "status", Proof: "request"},
		"logged in": {Mode: "status", Proof: "request", IdentityHeader: "X-User"},
		"alice":     {Mode: "status", Proof: "request", IdentityHeader: "x-user", Identities: []string{"header:alice"}},
	}
	h := newHouse(t, configs)
	h.walk("a phone", "learn 203.0.113.7 cn:secret-phone=200")
	for _, row := range []struct {
		middleware, certificate, user string
		want                          int
	}{
		{"guarded", "", "", 403}, {"guarded", "", "alice", 403}, {"guarded", "cn:anybody", "", 200},
		{"written", "", "", 404}, {"written", "cn:anybody", "", 404}, {"written", "cn:owner", "", 200},
		{"open", "", "", 200},
		{"logged in", "", "", 403}, {"logged in", "cn:owner", "", 403}, {"logged in", "", "bob", 200},
		{"alice", "", "bob", 403}, {"alice", "cn:alice", "", 403}, {"alice", "", "alice", 200},
	} {
		for _, path := range []string{"/", "/grants", "/metrics", "/none"} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodHead} {
				req := httptest.NewRequest(method, "https://status.example"+path, nil)
				if row.certificate != "" {
					req.TLS = identitytest.Verified(identitytest.Certificate(row.certificate))
				} else {
					req.TLS = nil
				}
				if row.user != "" {
					req.Header.Set("X-User", row.user)
				}
				rw := httptest.NewRecorder()
				h.handlers[row.middleware].ServeHTTP(rw, req)
				if row.want != 200 && (rw.Code != row.want || strings.Contains(rw.Body.String(), "phone") || rw.Header().Get("Allow") != "") {
					t.Errorf("%s %s of %v: got %d with %q", method, path, row, rw.Code, rw.Body)
				}
				if row.want == 200 && method == http.MethodGet && path == "/grants" && (rw.Code != 200 || !strings.Contains(rw.Body.String(), "secret-phone")) {
					t.Errorf("%s of %v: got %d with %q", path, row, rw.Code, rw.Body)
				}
			}
		}
	}
	for why, want := range map[error]int{identity.ErrNoTLS: 3 * 16, identity.ErrNoUser: 3 * 16, errIdentity: 2 * 16} { // rows, of 16 requests each
		if got := *openStore(h.store("default")).rejections(why); got != want {
			t.Errorf("%v is the reason of %d rejections, want %d", why, got, want)
		}
	}
	if grants := h.listing("open", "203.0.113.7").Stores[0].Grants; len(grants) != 1 {
		t.Errorf("after all that there are %v, want the phone alone", grants)
	}
	if log := h.log.String(); strings.Count(log, "msg=refused middleware=written") != 1 || !strings.Contains(log, `reason="identity not among identities"`) {
		t.Errorf("the log says %s", log)
	}
}

func TestWhereTheStatusPageStands(t *testing.T) {
	h := newHouse(t, map[string]Config{"status": {Mode: "status", Proof: "request"}})
	const page, program = "text/html,application/xhtml+xml,*/*;q=0.8", "application/json"
	for _, row := range []struct {
		method, path, accept, prefix string
		want                         int
		says                         string // in the type of its content, or where to
	}{
		{"GET", "/", page, "", 200, "text/html; charset=utf-8"},
		{"GET", "/", "*/*", "", 200, "text/html; charset=utf-8"},
		{"GET", "/", program, "", 200, "application/json"},
		{"GET", "/", program + ", text/html", "", 200, "text/html; charset=utf-8"},
		{"GET", "/?revoked=1", page, "", 200, "text/html; charset=utf-8"},
		{"HEAD", "/", page, "", 200, "text/html; charset=utf-8"},
		{"GET", "/allowlist/", page, "", 200, "text/html; charset=utf-8"},
		{"GET", "/a/b/", program, "", 200, "application/json"},
		{"GET", "/grants", page, "", 200, "application/json"},
		{"GET", "/allowlist/grants", "", "", 200, "application/json"},
		{"GET", "/metrics", page, "", 200, "text/plain; version=0.0.4; charset=utf-8"},
		{"HEAD", "/allowlist/metrics", "", "", 200, "text/plain; version=0.0.4; charset=utf-8"},
		{"GET", "/allowlist", page, "", 307, "/allowlist/"},
		{"GET", "/allowlist", program, "", 307, "/allowlist/"},
		{"GET", "/allowlist", page, "/behind", 307, "/behind/allowlist/"},
		{"GET", "/allowlist", page, "//evil.example", 307, "/allowlist/"},
		{"GET", "/allowlist", page, "https://evil.example", 307, "/allowlist/"},
		{"GET", "/allowlist", page, "/\\evil.example", 307, "/allowlist/"},
		{"GET", "/allowlist", page, "/behind/", 307, "/behind/allowlist/"},
		{"GET", "//evil.example/x", page, "", 307, "/evil.example/x/"},
		{"GET", "/none", "*/*", "", 404, ""},
		{"GET", "/none", "", "", 404, ""},
		{"GET", "/allowlist/none", "", "", 404, ""},
		{"GET", "/grants.json", "", "", 404, ""},
		{"POST", "/none", page, "", 404, ""},
		{"PUT", "/", page, "", 405, "GET, HEAD, POST"},
		{"DELETE", "/", "", "", 405, "GET, HEAD, POST"},
		{"OPTIONS", "/", "", "", 405, "GET, HEAD, POST"},
		{"POST", "/grants", "", "", 405, "GET, HEAD, DELETE"},
		{"POST", "/metrics", "", "", 405, "GET, HEAD"},
		{"DELETE", "/metrics", "", "", 405, "GET, HEAD"},
	} {
		header := http.Header{"Accept": {row.accept}}
		if row.prefix != "" {
			header.Set("X-Forwarded-Prefix", row.prefix)
		}
		rw := h.fetch("status", row.method, row.path, "203.0.113.7", header)
		got := rw.Header().Get("Content-Type")
		switch row.want {
		case 307:
			got = rw.Header().Get("Location")
		case 404:
			got = ""
		case 405:
			got = rw.Header().Get("Allow")
		}
		if rw.Code != row.want || got != row.says {
			t.Errorf("%s %s (%s, %s): got %d, %q, want %d, %q", row.method, row.path, row.accept, row.prefix, rw.Code, got, row.want, row.says)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'sha256-", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Cross-Origin-Resource-Policy": "same-origin", "Referrer-Policy": "same-origin", "Vary": "Accept",
		} {
			if got := rw.Header().Get(name); !strings.HasPrefix(got, want) {
				t.Errorf("%s %s has %s: %q, want %q", row.method, row.path, name, got, want)
			}
		}
	}
}

func TestTheListingTellsAll(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn":  {Mode: "learn", TTL: "1h", MaxIPs: "5", Store: []string{"a"}},
		"status": {Mode: "status", Proof: "request", Store: []string{"a", "b"}},
	})
	h.walk("two", "learn 203.0.113.7 cn:phone=200; wait 1m; learn 2001:db8::7 cn:pad=200; wait 1m; learn 203.0.113.7 cn:phone=200; wait 1m")
	id := identity.FromCertificate(identitytest.Certificate("cn:phone"))
	want := fmt.Sprintf(`{"stores":[{"name":%q,"maxIPs":5,"grants":[`+
		`{"ip":"203.0.113.7/32","identity":"cn:phone","fingerprint":%q,"serial":"c0ffee","learned":"2026-01-01T00:00:00Z","proved":"2026-01-01T00:02:00Z","expires":"2026-01-01T01:02:00Z"},`+
		`{"ip":"2001:db8::/64","identity":"cn:pad","fingerprint":%q,"serial":"c0ffee","learned":"2026-01-01T00:01:00Z","proved":"2026-01-01T00:01:00Z","expires":"2026-01-01T01:01:00Z"}]},`+
		`{"name":%q,"maxIPs":0,"grants":[]}],"you":{"ip":"203.0.113.7/32","admitted":true}}`,
		h.store("a"), id.Fingerprint(), identity.FromCertificate(identitytest.Certificate("cn:pad")).Fingerprint(), h.store("b"))
	got := h.get("status", "/", "application/json").Body.String()
	if compact(got) != want {
		t.Errorf("got %s\nwant %s", compact(got), want)
	}
	if you := h.listing("status", "203.0.113.8").You; you != (listedViewer{IP: "203.0.113.8/32"}) {
		t.Errorf("a stranger is told %v", you)
	}
	if you := h.listing("status", "nobody").You; you != (listedViewer{}) {
		t.Errorf("who has no address is told %v", you)
	}
	h.walk("later", "wait 58m")
	if l := h.listing("status", "203.0.113.7"); len(l.Stores[0].Grants) != 1 || !l.You.Admitted {
		t.Errorf("after an hour: got %v", l)
	}
}

// compact drops what only readers need.
func compact(text string) string {
	buffer := &bytes.Buffer{}
	if err := json.Compact(buffer, []byte(text)); err != nil {
		return err.Error()
	}
	return buffer.String()
}

func TestRevoking(t *testing.T) {
	configs := map[string]Config{
		"a":      {Mode: "learn", Store: []string{"a"}, TTL: "1h"},
		"b":      {Mode: "learn", Store: []string{"b"}, TTL: "1h"},
		"in a":   {Mode: "enforce", Store: []string{"a"}},
		"status": {Mode: "status", Proof: "request", Store: []string{"a", "b"}},
	}
	for _, row := range []struct {
		query string // STORE stands for a
		want  int    // of five: phone and pad at .1, phone at .2 and in a /64, all in a; phone at .1 in b
		left  string // in a, as addresses
	}{
		{"store=STORE", 4, ""},
		{"ip=203.0.113.1", 3, "2001:db8::/64 203.0.113.2"},
		{"ip=203.0.113.1/32&store=STORE", 2, "2001:db8::/64 203.0.113.2"},
		{"ip=203.0.113.0/24", 4, "2001:db8::/64"},
		{"ip=2001:db8::77", 1, "203.0.113.1 203.0.113.1 203.0.113.2"},
		{"ip=64:ff9b::203.0.113.2", 1, "2001:db8::/64 203.0.113.1 203.0.113.1"},
		{"ip=64:ff9b::/96", -1, ""},
		{"ip=::ffff:203.0.113.2", 1, "2001:db8::/64 203.0.113.1 203.0.113.1"},
		{"identity=cn:phone", 4, "203.0.113.1"},
		{"identity=dns:pad.lan", 1, "2001:db8::/64 203.0.113.1 203.0.113.2"},
		{"identity=cn:phone&ip=203.0.113.1&store=STORE", 1, "2001:db8::/64 203.0.113.1 203.0.113.2"},
		{"identity=cn:nobody", 0, "2001:db8::/64 203.0.113.1 203.0.113.1 203.0.113.2"},
		{"ip=198.51.100.1", 0, "2001:db8::/64 203.0.113.1 203.0.113.1 203.0.113.2"},
		{"", -1, ""}, {"stoer=x", -1, ""}, {"store=", -1, ""}, {"store=STORE&ip=", -1, ""}, {"identity=", -1, ""}, {"store=none", -1, ""},
		{`identity="cn:phone"`, 4, "203.0.113.1"}, {`identity="cn:phone`, -1, ""},
		{"ip=203.0.113", -1, ""}, {"ip=203.0.113.1&ip=203.0.113.2", -1, ""}, {"ip=%zz", -1, ""}, {"identity=cn:phone&ip=%zz", -1, ""}, {"identity=cn:phone&x=1", -1, ""},
	} {
		for _, method := range []string{http.MethodDelete, http.MethodPost} {
			h := newHouse(t, configs)
			h.walk("four", "a 203.0.113.1 cn:phone=200; a 203.0.113.1 cn:pad dns:pad.lan=200; a 203.0.113.2 cn:phone=200; a 2001:db8::1 cn:phone=200; b 203.0.113.1 cn:phone=200")
			query := strings.ReplaceAll(row.query, "STORE", h.store("a"))
			rw := h.fetch("status", method, "/grants?"+query, "198.51.100.1", http.Header{})
			said := fmt.Sprintf("{\n  \"ended\": %d\n}\n", row.want)
			if method == http.MethodPost {
				rw = h.post("status", method, "/", "198.51.100.1", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, query)
				said = ""
			}
			left := listedIPs(h.listing("status", "198.51.100.1").Stores[0])
			if row.want < 0 {
				if row.query == "store=none" && !strings.Contains(rw.Body.String(), "want one of "+h.store("a")+", "+h.store("b")) {
					t.Errorf("%s: the answer is %s", row.query, rw.Body)
				}
				if rw.Code != 400 || len(strings.Fields(left)) != 4 {
					t.Errorf("%s %s: got %d with %q, left are %s", method, row.query, rw.Code, rw.Body, left)
				}
				continue
			}
			location := rw.Header().Get("Location")
			if rw.Body.String() != said || left != row.left || method == http.MethodPost && (rw.Code != 303 || location != fmt.Sprint("/?revoked=", row.want)) {
				t.Errorf("%s %s: got %d, %q, %q, left are %s, want %d and %s", method, row.query, rw.Code, rw.Body, location, left, row.want, row.left)
			}
			if kind := rw.Header().Get("Content-Type"); method == http.MethodDelete && kind != "application/json" {
				t.Errorf("%s: the answer is %q, want JSON", row.query, kind)
			}
			if got := strings.Count(h.log.String(), "msg=revoked"); got != row.want {
				t.Errorf("%s %s: the log tells of %d, want %d", method, row.query, got, row.want)
			}
			for _, ip := range []string{"203.0.113.1", "203.0.113.2", "2001:db8::"} {
				want := 403
				if strings.Contains(left, ip) {
					want = 200
				}
				if got := h.ask("in a", ip, ""); got != want {
					t.Errorf("%s %s: %s gets %d, want %d", method, row.query, ip, got, want)
				}
			}
		}
	}
}

func TestARevocationIsOnDiskAndTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	h := newHouse(t, map[string]Config{
		"learn":  {Mode: "learn", StateFile: path},
		"status": {Mode: "status", Proof: "request", IdentityHeader: "X-User"},
		"open":   {Mode: "status", Proof: "request"},
	})
	h.walk("two", "learn 203.0.113.7 cn:phone=200; wait 1s; learn 203.0.113.8 cn:pad=200")
	h.fetch("status", http.MethodDelete, "/grants?identity=cn:phone", "198.51.100.1", http.Header{"X-User": {"alice"}})
	if got := saved(t, path).ips(); got != "203.0.113.8" {
		t.Errorf("the file holds %q", got)
	}
	h.fetch("open", http.MethodDelete, "/grants?ip=203.0.113.8", "198.51.100.1", http.Header{})
	if got := saved(t, path).ips(); got != "" {
		t.Errorf("the file holds %q", got)
	}
	for _, want := range []string{" ip=203.0.113.7 identity=cn:phone fingerprint=", "by=header:alice\n", "by=anonymous:request\n"} {
		if !strings.Contains(h.log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, h.log.String())
		}
	}
	before := looks(t, filepath.Dir(path))
	h.now = h.now.Add(2 * renewalInterval)
	h.fetch("open", http.MethodDelete, "/grants?ip=203.0.113.8", "198.51.100.1", http.Header{})
	if got := looks(t, filepath.Dir(path)); got != before {
		t.Errorf("the file was written when nothing was revoked: %s", got)
	}
}

func TestARequestWithoutAMethodRevokesNothing(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn"}, "status": {Mode: "status", Proof: "request"}})
	h.walk("a phone", "learn 203.0.113.7 cn:phone=200")
	for _, path := range []string{"/", "/grants", "/metrics"} {
		rw := httptest.NewRecorder()
		h.handlers["status"].ServeHTTP(rw, &http.Request{URL: &url.URL{Path: path, RawQuery: "identity=cn:phone"}})
		if left := listedIPs(h.listing("status", "203.0.113.7").Stores[0]); rw.Code != 405 || left != "203.0.113.7" {
			t.Errorf("%s: got %d, left is %q", path, rw.Code, left)
		}
	}
}

func TestFormsAreBounded(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn"}, "status": {Mode: "status", Proof: "request"}})
	h.walk("a phone", "learn 203.0.113.7 cn:phone=200")
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for length, want := range map[int]int{maxForm: 303, maxForm + 1: 400} {
		body := "identity=" + strings.Repeat("x", length-len("identity="))
		if got := h.post("status", http.MethodPost, "/", "203.0.113.7", form, body).Code; got != want {
			t.Errorf("%d bytes: got %d, want %d", length, got, want)
		}
	}
	for _, row := range []struct{ kind, body string }{
		{"application/x-www-form-urlencoded", "identity=%zz"}, {"application/json", `{"identity":"cn:phone"}`}, {"", "identity=cn:phone"}, {"application/x-www-form-urlencoded", ""},
		{"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"identity\"\r\n\r\ncn:phone\r\n--x--\r\n"},
	} {
		if got := h.post("status", http.MethodPost, "/", "203.0.113.7", http.Header{"Content-Type": {row.kind}}, row.body).Code; got != 400 {
			t.Errorf("%s %s: got %d, want 400", row.kind, row.body, got)
		}
	}
	if got := listedIPs(h.listing("status", "203.0.113.7").Stores[0]); got != "203.0.113.7" {
		t.Errorf("left is %q", got)
	}
}

// listedIPs are those of a store in the order of their texts.
func listedIPs(s listedStore) string {
	texts := []string{}
	for _, g := range s.Grants {
		texts = append(texts, strings.TrimSuffix(g.IP, "/32"))
	}
	sort.Strings(texts)
	return strings.Join(texts, " ")
}

func TestOtherSitesRevokeNothing(t *testing.T) {
	for _, row := range []struct {
		name, site, origin string
		want               bool
	}{
		{"a program", "", "", true},
		{"the page itself", "same-origin", "https://status.example", true},
		{"an old browser", "", "https://status.example", true},
		{"letters of another case", "", "https://Status.Example", true},
		{"typed in", "none", "", true},
		{"another site", "cross-site", "https://evil.example", false},
		{"another site without Origin", "cross-site", "", false},
		{"another host of the site", "same-site", "https://photos.status.example", false},
		{"an old browser on another site", "", "https://evil.example", false},
		{"a site of the same name with another port", "", "https://status.example:8443", false},
		{"nobody's site", "", "null", false},
		{"an Origin that is none", "", "://", false},
		{"a liar", "same-origin", "https://evil.example", false},
		{"an unknown site", "other", "", false},
	} {
		for _, method := range []string{http.MethodDelete, http.MethodPost} {
			h := newHouse(t, map[string]Config{"learn": {Mode: "learn"}, "enforce": {Mode: "enforce"}, "status": {Mode: "status", Proof: "request"}})
			h.walk("a phone", "learn 203.0.113.7 cn:phone=200")
			header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
			if row.site != "" {
				header.Set("Sec-Fetch-Site", row.site)
			}
			if row.origin != "" {
				header.Set("Origin", row.origin)
			}
			path, query := "/", "identity=cn:phone"
			if method == http.MethodDelete {
				path = "/grants?" + query
			}
			rw := h.post("status", method, path, "198.51.100.1", header, query)
			if told := strings.Contains(h.log.String(), `reason="cross-site request"`); told == row.want {
				t.Errorf("%s by %s is told: %t", method, row.name, told)
			}
			if revoked := h.ask("enforce", "203.0.113.7", "") == 403; revoked != row.want || (rw.Code == 403) == row.want {
				t.Errorf("%s by %s: got %d, revoked: %t, want %t", method, row.name, rw.Code, revoked, row.want)
			}
		}
	}
}

// TestNothingShownIsMarkup is about names that come from certificates.
func TestNothingShownIsMarkup(t *testing.T) {
	const bidi = "\u202egnp.exe\u2066\u200b"
	h := newHouse(t, map[string]Config{
		"learn":  {Mode: "learn", Store: []string{`<img src=x onerror="alert(1)">`}},
		"status": {Mode: "status", Proof: "request", Store: []string{`<img src=x onerror="alert(1)">`}},
	})
	names := []string{`</title><script>alert(1)</script>`, `" autofocus onfocus="alert(1)`, "{{.}}${7*7}", "a\x00b\x1b[31m\r\nSet-Cookie: x=1", bidi, strings.Repeat("<b>", 250)}
	for i, name := range names {
		h.now = h.now.Add(time.Second)
		leaf := identitytest.Certificate("cn:x")
		leaf.Subject.CommonName = name
		leaf.Raw = append(leaf.Raw, byte(i))
		h.send("learn", fmt.Sprint("203.0.113.", i), identitytest.Verified(leaf))
	}
	page := h.get("status", "/?revoked=%3Cscript%3E", "text/html").Body.String()
	for _, bad := range []string{"<script", "<img", "<b>", `onfocus="`, bidi, "\u202e", "\u2066", "\u200b", "\x00", "\x1b", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, good := range []string{"&lt;script&gt;alert(1)&lt;/script&gt;", `cn:\u202egnp.exe\u2066\u200b`, "cn:{{.}}${7*7}", "(753 bytes)"} {
		if !strings.Contains(page, good) {
			t.Errorf("the page lacks %q", good)
		}
	}
	if len(page) > 200_000 {
		t.Errorf("the page has %d bytes", len(page))
	}
	grants := h.listing("status", "203.0.113.7").Stores[0].Grants
	for i, g := range grants {
		name := "cn:" + names[len(names)-1-i]
		if g.Identity != name {
			t.Errorf("the listing tells %.60q, want %.60q", g.Identity, name)
		}
		_, field, _ := strings.Cut(page, `name="identity" value="`+html.EscapeString(strconv.QuoteToASCII(name))[:20])
		field, _, _ = strings.Cut(field, `"`)
		field = html.UnescapeString(html.EscapeString(strconv.QuoteToASCII(name))[:20] + field)
		body := url.Values{"identity": {field}}.Encode()
		rw := h.post("status", http.MethodPost, "/", "203.0.113.7", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body)
		if rw.Header().Get("Location") != "/?revoked=1" {
			t.Errorf("revoking %.60q by %.60q: got %d, %s", name, field, rw.Code, rw.Body)
		}
	}
}

func TestThePageSaysWhatToDoNext(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn":  {Mode: "learn", Store: []string{"a"}, MaxIPs: "4", TTL: "1h"},
		"status": {Mode: "status", Proof: "request", Store: []string{"a", "b"}},
	})
	shows := func(name, from string, wants ...string) {
		t.Helper()
		page := h.fetch("status", http.MethodGet, "/", from, http.Header{"Accept": {"text/html"}}).Body.String()
		for _, want := range wants {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page lacks %q: %s", name, want, page)
			}
		}
	}
	shows("empty", "203.0.113.7", "Nobody is on this list.", "Nobody learns for this list.", "0 of 4 addresses", "None since Traefik was started.", "isn’t on the list")
	shows("a gateway's address", "192.168.0.1", "192.168.0.1", "It is a private address")
	shows("no address", "nowhere", "Your address can&#39;t be read")
	h.walk("two", "learn 203.0.113.7 cn:phone=200; learn 203.0.113.8 cn:pad=200; wait 90m; learn 203.0.113.7 cn:phone=200; wait 15m")
	shows("one is in", "203.0.113.7", "is let in", "1 of 4 addresses", "25 percent full", "45 min left", "15 min ago", `title="2026-01-01 02:30:00 UTC"`, `aria-label="Revoke cn:phone at 203.0.113.7"`, "you</span>", "learned</b>", `<rect class="level" width="75"`)
	h.fetch("status", http.MethodDelete, "/grants?ip=203.0.113.7", "203.0.113.7", http.Header{})
	shows("revoked", "203.0.113.7", "isn’t on the list", "revoked</b>", "Nobody is on this list.")
}

func TestThePageTellsWhatWasRevoked(t *testing.T) {
	h := newHouse(t, map[string]Config{"status": {Mode: "status", Proof: "request"}})
	for _, row := range []struct{ query, want string }{
		{"?revoked=0", "0 grants revoked."},
		{"?revoked=1", "1 grant revoked."},
		{"?revoked=2", "2 grants revoked."},
		{"?revoked=-1", ""},
		{"?revoked=one", ""},
		{"?revoked=", ""},
		{"", ""},
	} {
		page := h.get("status", "/"+row.query, "text/html").Body.String()
		if got := strings.Contains(page, " revoked."); got != (row.want != "") || !strings.Contains(page, row.want) {
			t.Errorf("%s: the page doesn't say %q, or something like it: %s", row.query, row.want, page)
		}
	}
}

func TestThePageTellsWhyWhoeverLooksIsNotOnTheList(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn":  {Mode: "learn", AllowPrivate: "true"},
		"status": {Mode: "status", Proof: "request"},
	})
	h.walk("two", "learn 192.168.0.1 cn:a=200; learn 203.0.113.7 cn:b=200")
	for _, row := range []struct{ from, want, hint string }{
		{"203.0.113.7", "is let in", ""},
		{"203.0.113.8", "isn’t on the list", ""},
		{"192.168.0.1", "is let in", ""},
		{"192.168.0.2", "isn’t on the list", "It is a private address"},
		{"[64:ff9b::203.0.113.7]", "is let in", ""},
		{"[64:ff9b:1::203.0.113.7]", "isn’t on the list", "It is a private address"},
		{"nowhere", "", "Your address can&#39;t be read"},
	} {
		page := h.fetch("status", http.MethodGet, "/", row.from, http.Header{}).Body.String()
		_, you, _ := strings.Cut(page, `<p class="you `)
		you, _, _ = strings.Cut(you, "</p>")
		if !strings.Contains(you, row.want) || !strings.Contains(you, row.hint) || row.hint == "" && strings.Contains(you, "address") {
			t.Errorf("%s: got %s, want %s %s", row.from, you, row.want, row.hint)
		}
	}
}

func TestThePageHasTheStyleThatItsPolicyAllows(t *testing.T) {
	h := newHouse(t, map[string]Config{"status": {Mode: "status", Proof: "request"}})
	rw := h.fetch("status", http.MethodGet, "/", "203.0.113.7", http.Header{})
	_, style, _ := strings.Cut(rw.Body.String(), "<style>")
	style, after, _ := strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	if style == "" || strings.Contains(after, "<style") {
		t.Errorf("the page has no style, or two: %s", rw.Body)
	}
	if policy := rw.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy allows another style: %s", policy)
	}
}

func TestWhatAStoreShows(t *testing.T) {
	s := newStore("house")
	s.learnBy(terms{learner: true, limits: limits{maxIPs: 2}}, atTime(t0))
	wide := limits{time.Hour, 9, 0}
	s.learn(ipOf("B"), named("cn:phone"), wide, atTime(t0))
	s.learn(ipOf("A"), named("header:alice"), limits{2 * time.Hour, 9, 0}, atTime(t0.Add(time.Minute)))
	s.learn(ipOf("B"), named("cn:phone"), wide, atTime(t0.Add(16*time.Minute)))
	s.record(page.Event{At: t0, What: "refused", Why: "no TLS"})
	v := s.survey(atTime(t0.Add(31 * time.Minute)))
	got := fmt.Sprintf("%s %d", v.Name, v.MaxIPs)
	for _, g := range v.Grants {
		got += fmt.Sprintf("; %s %s %v %v %v", letterOf(g.IP), g.Identity.Name(), g.Learned.Sub(t0), g.Proved.Sub(t0), g.Expires.Sub(t0))
	}
	if want := "house 2; B cn:phone 0s 16m0s 1h16m0s; A header:alice 1m0s 1m0s 2h1m0s"; got != want || len(v.Events) != 1 || v.Events[0].Why != "no TLS" || v.StateFile != "" {
		t.Errorf("got %s, want %s; %+v", got, want, v.Events)
	}
}

func TestAStoreShowsItsStateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", StateFile: path}})
	if v := openStore(h.store("default")).survey(atTime(h.now)); v.StateFile != path || v.StateFailure != nil {
		t.Errorf("got %q, which fails by %v, want %q", v.StateFile, v.StateFailure, path)
	}
}

func TestAStoreShowsHowItIsReplicated(t *testing.T) {
	s := newStore(t.Name())
	if s.figures(atTime(t0)).Replication != nil || s.survey(atTime(t0)).Replication != nil {
		t.Error("it is shown as replicated, and isn't")
	}
	replicator, err := warmUpReplication(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	stores.replicas[s.name] = &replication{replicator: replicator, store: s}
	defer delete(stores.replicas, s.name)
	figures, survey := s.figures(atTime(t0)).Replication, s.survey(atTime(t0)).Replication
	if figures == nil || figures.Failures != 1 || survey == nil || *survey != *figures {
		t.Errorf("got %+v and %+v, want one failure", figures, survey)
	}
	state := replica.State{Synced: true, Since: t0, Failure: "it is away", Failures: 2, Invalid: 3}
	if got, want := *viewOf(state), (page.Replication{Synced: true, Since: t0, Failure: "it is away", Failures: 2, Invalid: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestTimesAreShownAsTheWallClockShowedThem although the machine has slept since, and a grant counts for that much older.
func TestTimesAreShownAsTheWallClockShowedThem(t *testing.T) {
	s := newStore(t.Name())
	day := limits{24 * time.Hour, 9, 0}
	s.learn(home, cnA, day, atTime(t0))
	s.learn(home, cnA, day, atTime(t0.Add(time.Hour)))
	now := clocks.Reading{Wall: t0.Add(10 * time.Hour), Mono: at(t0.Add(2 * time.Hour))}
	s.notice(now)
	shown := s.survey(now).Grants
	if len(shown) != 1 || !shown[0].Learned.Equal(t0) || !shown[0].Proved.Equal(t0.Add(time.Hour)) || !shown[0].Expires.Equal(t0.Add(25*time.Hour)) {
		t.Errorf("got %+v", shown)
	}
}

func TestMetricsCount(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn":   {Mode: "learn", TTL: "1h", MaxIPs: "2"},
		"enforce": {Mode: "enforce"},
		"both":    {Mode: "enforce", Store: []string{"default", "other"}},
		"proxied": {Mode: "enforce", SourceRange: []string{"203.0.113.66"}, IPStrategy: IPStrategy{Depth: "1"}},
		"status":  {Mode: "status", Proof: "request"},
	})
	h.walk("a day", strings.Join([]string{
		"learn 203.0.113.1 cn:a=200", "learn 203.0.113.1 cn:a=200", "wait 1s", "learn 203.0.113.2 cn:b=200", "wait 1s", "learn 203.0.113.3 cn:c=200", // evicts .1
		"enforce 203.0.113.3=200", "enforce 203.0.113.3=200", "both 203.0.113.3=200", "enforce 203.0.113.1=403", "enforce 203.0.113.1=403", "both 203.0.113.1=403",
		"learn 203.0.113.3=403", "proxied 203.0.113.3=403", "wait 59m58s", "wait 1s", "learn 203.0.113.4 cn:d=200",
	}, "; "))
	state := identitytest.Verified(identitytest.Certificate("cn:d"))
	h.answer("learn", "203.0.113.4:9", state)
	h.answer("learn", "203.0.113.4:9", state) // on the same connection
	h.fetch("status", "DELETE", "/grants?identity=cn:d", "203.0.113.4", nil)
	got := h.get("status", "/metrics", "").Body.String()
	for _, want := range []string{
		`grants{store="STORE"} 1`, `ips{store="STORE"} 1`, `ips_limit{store="STORE"} 2`, `learned_total{store="STORE"} 4`, `renewed_total{store="STORE"} 3`,
		`evicted_total{store="STORE"} 1`, `revoked_total{store="STORE"} 1`, `admitted_total{store="STORE"} 3`, `state_file_failures_total{store="STORE"} 0`,
		`rejected_total{store="STORE",reason="not on the allowlist"} 3`, `rejected_total{store="STORE",reason="no TLS"} 1`, `rejected_total{store="STORE",reason="no usable client address"} 1`,
	} {
		if want = "\nmtlsallowlist_" + strings.ReplaceAll(want, "STORE", h.store("default")) + "\n"; !strings.Contains(got, want) {
			t.Errorf("the metrics lack %q: %s", want, got)
		}
	}
	h.now = h.now.Add(time.Hour)
	if got := h.get("status", "/metrics", "").Body.String(); !strings.Contains(got, `mtlsallowlist_grants{store="`+h.store("default")+`"} 0`) {
		t.Errorf("after an hour: %s", got)
	}
}

// TestLookingAtTheMetricsChangesNone since an enforcer counts by a pointer that it holds.
func TestLookingAtTheMetricsChangesNone(t *testing.T) {
	h := newHouse(t, map[string]Config{"enforce": {Mode: "enforce"}, "status": {Mode: "status", Proof: "request"}})
	for _, want := range []string{"1", "2", "3"} {
		h.walk("a stranger", "enforce 203.0.113.7=403")
		got := h.get("status", "/metrics", "").Body.String()
		if want := `mtlsallowlist_rejected_total{store="` + h.store("default") + `",reason="not on the allowlist"} ` + want + "\n"; !strings.Contains(got, want) {
			t.Errorf("the metrics lack %q: %s", want, got)
		}
		if strings.Count(got, "reason=") != 1 {
			t.Errorf("want one sample with a reason: %s", got)
		}
	}
}

func TestAnIdentityOfOneNameIsTold(t *testing.T) {
	h := newHouse(t, map[string]Config{"status": {Mode: "status", Proof: "request", IdentityHeader: "X-User", Identities: []string{"header:alice"}}})
	h.fetch("status", "GET", "/", "203.0.113.7", http.Header{"X-User": {"bob"}})
	if want := `ip=203.0.113.7 identity=header:bob remote=203.0.113.7:4711 reason="identity not among identities"`; !strings.Contains(h.log.String(), want) {
		t.Errorf("the log lacks %s: %s", want, h.log.String())
	}
}

func TestAStoreKeepsItsLastEvents(t *testing.T) {
	s := newStore("events")
	for i := 0; i < maxEvents+7; i++ {
		s.record(page.Event{At: t0.Add(time.Duration(i))})
	}
	events := s.lastEvents()
	if len(events) != maxEvents || events[0].At != t0.Add(7) || events[maxEvents-1].At != t0.Add(maxEvents+6) {
		t.Errorf("got %d events from %v to %v", len(events), events[0].At, events[len(events)-1].At)
	}
}
