package proof

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// asked is a request with headers, as "Name: value; ...".
func asked(headers string) *http.Request {
	req := httptest.NewRequest(http.MethodGet, "https://home.example/", nil)
	for _, line := range strings.Split(headers, "; ") {
		if name, value, found := strings.Cut(line, ": "); found {
			req.Header.Set(name, value)
		}
	}
	return req
}

func TestCheckPath(t *testing.T) {
	for _, row := range []struct {
		sent  string // RequestURI; empty: there is none
		path  string // of the URL, escaped
		plain bool
	}{
		{"/s/right", "/s/right", true},
		{"/", "/", true},
		{"/s/gr%C3%BC%C3%9Fe?a=/../b", "/s/gr%C3%BC%C3%9Fe", true},
		{"", "/s/right/", true},
		{"/s/..%2fstatus", "/s/..%2fstatus", false},
		{"/s/..%2fstatus", "/s/right", false},
		{"/s/right", "/s/../status", false},
		{"/s/%2e%2e/status", "/s/%2e%2e/status", false},
		{"/s/..%5cstatus", "/s/..%5cstatus", false},
		{"/s/..;/status", "/s/..;/status", false},
		{"/s//status", "/s//status", false},
		{"/s/a%2Eb", "/s/a%2Eb", false},
		{"/s/a%2Fb", "/s/a%2Fb", false},
		{"/s/%zz", "/s/right", false},
		{"*", "*", false},
	} {
		u := &url.URL{Path: row.path}
		if parsed, err := url.Parse(row.path); err == nil {
			u = parsed
		}
		err := CheckPath(&http.Request{RequestURI: row.sent, URL: u})
		if (err == nil) != row.plain {
			t.Errorf("%q with the URL %q: got %v", row.sent, row.path, err)
		}
	}
	if err := CheckPath(&http.Request{URL: &url.URL{Opaque: "/status", Path: "/s/right"}}); err == nil {
		t.Error("an opaque URL is taken for a plain path")
	}
}

func TestCheckIntent(t *testing.T) {
	for _, row := range []struct {
		headers string
		counts  bool
	}{
		{"", true},
		{"Sec-Fetch-Site: none; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: document", true},
		{"Sec-Fetch-Site: same-origin; Sec-Fetch-Mode: cors; Sec-Fetch-Dest: empty", true},
		{"Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: document", true},
		{"Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: document; Sec-Purpose: prefetch", false},
		{"Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: navigate; Sec-Fetch-Dest: iframe", false},
		{"Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: no-cors; Sec-Fetch-Dest: image", false},
		{"Sec-Fetch-Site: cross-site; Sec-Fetch-Mode: no-cors; Sec-Fetch-Dest: document", false},
		{"Sec-Fetch-Site: same-origin; Sec-Fetch-Storage-Access: none", false},
		{"Sec-Fetch-Site: same-origin; Origin: https://elsewhere.example", true}, // it knows better
		{"Origin: https://evil.example", false},
		{"Origin: https://HOME.example:8443", true},
		{"Origin: https://%zz", false},
	} {
		if err := CheckIntent(asked(row.headers)); (err == nil) != row.counts {
			t.Errorf("%q: got %v", row.headers, err)
		}
	}
}

func TestIsCrossSite(t *testing.T) {
	for _, row := range []struct {
		headers string
		want    bool
	}{
		{"", false},
		{"Sec-Fetch-Site: none", false},
		{"Sec-Fetch-Site: same-origin", false},
		{"Sec-Fetch-Site: same-site", true},
		{"Sec-Fetch-Site: cross-site", true},
		{"Origin: https://HOME.example", false},
		{"Origin: https://home.example:8443", true},
		{"Origin: null", true},
		{"Origin: https://%zz", true},
	} {
		if got := IsCrossSite(asked(row.headers)); got != row.want {
			t.Errorf("%q: got %t", row.headers, got)
		}
	}
}

func TestWhatCountsAsProof(t *testing.T) {
	now := time.Now()
	for _, row := range []struct {
		proof, header, headers string
		want                   string // the identity; empty: none
	}{
		{Certificate, "", "X-User: alice", ""}, // there is no TLS
		{Request, "X-User", "X-User: alice", "header:alice"},
		{Request, "X-User", "", ""},
		{Response, "X-User", "X-User: alice", "header:alice"},
		{Request, "", "", identity.Anonymous + ":request"},
		{Response, "", "X-User: alice", identity.Anonymous + ":response"},
	} {
		req := asked(row.headers)
		req.TLS = nil
		id, _, err := New(row.proof, row.header)(req, now)
		if (err == nil) != (row.want != "") || err == nil && id.Name() != row.want {
			t.Errorf("%s by %q: got %v and %v, want %q", row.proof, row.header, id.Names, err, row.want)
		}
	}
}

func TestWhichStatusesAreFlushed(t *testing.T) {
	for _, row := range []struct {
		status  int
		flushed bool
	}{{103, false}, {199, false}, {200, true}, {201, true}, {204, false}, {206, true}, {304, false}, {404, true}} {
		rw := httptest.NewRecorder()
		a := NewAnswer(rw, func() {})
		a.WriteHeader(row.status)
		if rw.Flushed != row.flushed {
			t.Errorf("%d: flushed %v, want %v", row.status, rw.Flushed, row.flushed)
		}
	}
}

func TestWhenAnAnswerSucceeds(t *testing.T) {
	const write = 0 // instead of a status
	for _, row := range []struct {
		name      string
		calls     []int
		successes int
		code      int
	}{
		{"200", []int{200}, 1, 200},
		{"the last of 2xx", []int{299}, 1, 299},
		{"the first of 3xx", []int{300}, 0, 300},
		{"404", []int{404}, 0, 404},
		{"early hints alone", []int{103}, 0, 103},
		{"the last that comes before the response's own", []int{199}, 0, 199},
		{"early hints, then a success", []int{103, 200}, 1, 103},
		{"early hints, then a failure", []int{103, 404}, 0, 103},
		{"data without a status", []int{write}, 1, 200},
		{"data of a success", []int{201, write, write}, 1, 201},
		{"data of a failure", []int{404, write}, 0, 404},
		{"a second status doesn't count", []int{404, 200}, 0, 404},
		{"a success counts once", []int{200, 200, write}, 1, 200},
	} {
		rw := httptest.NewRecorder()
		successes, sent := 0, ""
		a := NewAnswer(rw, func() {
			successes++
			if rw.Flushed || rw.Body.Len() > 0 {
				t.Errorf("%s: the client sees it before it succeeds", row.name)
			}
		})
		for _, status := range row.calls {
			if status != write {
				a.WriteHeader(status)
				continue
			}
			rw.Flushed = false
			sent += "x"
			if n, err := a.Write([]byte("x")); n != 1 || err != nil || !rw.Flushed {
				t.Errorf("%s: wrote %d bytes, flushed: %t, %v", row.name, n, rw.Flushed, err)
			}
		}
		if successes != row.successes || rw.Code != row.code || rw.Body.String() != sent {
			t.Errorf("%s: got %d successes, %d and %q, want %d, %d and %q", row.name, successes, rw.Code, rw.Body, row.successes, row.code, sent)
		}
	}
}

func TestAConnectionThatIsHandedOverIsNoSuccess(t *testing.T) {
	successes := 0
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		a := NewAnswer(rw, func() { successes++ })
		conn, _, err := a.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		a.Begin(http.StatusOK) // as when the handler returns
		_, _ = conn.Write([]byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
		_ = conn.Close()
	}))
	defer server.Close()
	res, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if successes != 0 || res.StatusCode != http.StatusNotFound {
		t.Errorf("got %d successes and %s", successes, res.Status)
	}
	a := NewAnswer(httptest.NewRecorder(), func() { successes++ })
	_, _, err = a.Hijack()
	a.Begin(http.StatusOK)
	if err == nil || successes != 1 {
		t.Errorf("where there is no connection: got %v and %d successes, want an error and 1", err, successes)
	}
}
