package mtlsallowlist

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
)

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
	frozen := clock{now: func() time.Time { return t0 }, since: t0.Sub}
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
