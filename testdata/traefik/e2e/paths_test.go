package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

var link = regexp.MustCompile(`<a href="([^"]*)">`)

// A reader goes where the page and its answers lead, as a browser does.
type reader struct {
	*lab.Client
	at *url.URL
}

func readerAt(t *testing.T, c *lab.Client, path string) *reader {
	t.Helper()
	at := check.Must(url.Parse(pageURL + path))(t)
	return &reader{c, at}
}

// visit goes to a reference from where the reader is, follows redirects, and returns the answer there.
func (r *reader) visit(t *testing.T, method, reference, body string, headers ...string) lab.Response {
	t.Helper()
	for range 5 {
		var err error
		if r.at, err = r.at.Parse(reference); err != nil {
			t.Fatal(err)
		}
		response := send(t, r.Client, method, r.at.String(), body, headers...)
		reference = response.Header.Get("Location")
		switch response.Status {
		case http.StatusTemporaryRedirect:
		case http.StatusSeeOther:
			method, body = http.MethodGet, ""
		default:
			return response
		}
	}
	t.Fatalf("%s leads on and on", r.at)
	return lab.Response{}
}

const (
	asBrowser = "Accept: text/html,*/*;q=0.8"
	asProgram = "Accept: application/json"
)

func TestWhereThePageStands(t *testing.T) {
	for _, row := range []struct {
		name   string
		path   string // that the router takes
		strip  string // of it
		asked  string
		stands string // where the page does
	}{
		{"a host of its own", "", "", "/", "/"},
		{"under a prefix", "/allowlist", "", "/allowlist/", "/allowlist/"},
		{"under a prefix, without its slash", "/allowlist", "", "/allowlist", "/allowlist/"},
		{"under a prefix with a blank, without its slash", "/home/allow list", "", "/home/allow%20list", "/home/allow%20list/"},
		{"under a stripped prefix", "/allowlist", "/allowlist", "/allowlist/", "/allowlist/"},
		{"under a stripped prefix, without its slash", "/allowlist", "/allowlist", "/allowlist", "/allowlist/"},
		{"under a prefix that is stripped with its slash", "/allowlist/", "/allowlist/", "/allowlist/", "/allowlist/"},
		{"under a prefix of which a part is stripped", "/home/allowlist", "/home", "/home/allowlist", "/home/allowlist/"},
		{"under a stripped prefix with an umlaut", "/hörer", "/hörer", "/h%C3%B6rer/", "/h%C3%B6rer/"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := watched(nil, nil, nil)
			page := &h.Routes[len(h.Routes)-1]
			page.Path = row.path
			if row.strip != "" {
				page.Middleware = "strip page"
				h.Others = map[string]*dynamic.Middleware{"strip": {StripPrefix: &dynamic.StripPrefix{Prefixes: []string{row.strip}}}}
			}
			h.live(t)
			for _, http2 := range []bool{false, true} {
				c := owner(t, http2)
				walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
				read(t, c, row.asked, row.stands)
				walk(t, step{"203.0.113.7", nil, "photos", "403"})
				program := readerAt(t, c, "/")
				if got := program.visit(t, http.MethodGet, row.asked, "", asProgram); got.Status != http.StatusOK || got.Header.Get("Content-Type") != "application/json" {
					t.Errorf("a program got %d at %s: %s", got.Status, program.at, got.Body)
				}
				for path, want := range map[string]int{"grants": 200, "metrics": 200, "none": 404} {
					if got := send(t, c, http.MethodGet, row.stands+path, "").Status; got != want {
						t.Errorf("%s: got %d, want %d", row.stands+path, got, want)
					}
				}
				walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
				if got := send(t, c, http.MethodDelete, row.stands+"grants?ip=203.0.113.7", ""); got.Body != "{\n  \"ended\": 1\n}\n" {
					t.Errorf("DELETE: got %d, %s", got.Status, got.Body)
				}
			}
		})
	}
}

// read asks for the page as a browser does, follows its links, and revokes by its form.
func read(t *testing.T, c *lab.Client, asked, stands string) {
	t.Helper()
	there := func(r *reader) bool { // where the host stands, too
		return strings.TrimSuffix(r.at.EscapedPath(), "/") == strings.TrimSuffix(stands, "/")
	}
	r := readerAt(t, c, "/")
	shown := r.visit(t, http.MethodGet, asked, "", asBrowser)
	if shown.Status != http.StatusOK || !there(r) || !strings.Contains(shown.Body, "203.0.113.7") {
		t.Fatalf("%s leads to %s: got %d: %s", asked, r.at, shown.Status, shown.Body)
	}
	links := link.FindAllStringSubmatch(shown.Body, -1)
	for i, want := range []string{"text/html; charset=utf-8", "application/json", "text/plain; version=0.0.4; charset=utf-8"} {
		other := &reader{c, r.at}
		if got, want := links[i][1], stands+[]string{"", "grants", "metrics"}[i]; got != want {
			t.Errorf("got the link %s, want %s", got, want)
		}
		if got := other.visit(t, http.MethodGet, links[i][1], "", asBrowser); got.Status != http.StatusOK || got.Header.Get("Content-Type") != want {
			t.Errorf("the link %s leads to %s: got %d, %s", links[i][1], other.at, got.Status, got.Header.Get("Content-Type"))
		}
	}
	// Without an action, a form goes to the page that it is on.
	after := r.visit(t, http.MethodPost, "", "ip=203.0.113.7%2F32&identity=cn%3Aphone", asBrowser, "Origin: "+pageURL, "Sec-Fetch-Site: same-origin")
	if after.Status != http.StatusOK || !strings.Contains(after.Body, "1 grant revoked.") || !there(r) {
		t.Errorf("the form leads to %s: got %d: %s", r.at, after.Status, after.Body)
	}
}

// TestForgedPrefixesLeadNowhereElse is about an entry point that believes X-Forwarded-Prefix, and about one that
// doesn't.
func TestForgedPrefixesLeadNowhereElse(t *testing.T) {
	h := watched(nil, nil, options{"proof": "request"})
	page := &h.Routes[len(h.Routes)-1]
	page.TLS = ""
	trusting := *page
	trusting.EntryPoint = "proxied"
	h.Routes = append(h.Routes, trusting)
	h.live(t)
	for base, c := range map[string]*lab.Client{
		pageURL:                         client(t, "198.51.100.1", nil),
		"http://allowlist.home.example": keep(t, lab.ClientOptions{Target: home.traefik.Addr("proxied")}),
	} {
		for _, prefix := range []string{
			"//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "https:evil.example", "evil.example",
			"javascript:alert(1)", "/\t/evil.example", "\t//evil.example", "/%2fevil.example", "/..//evil.example", "/.//evil.example", "/a/..//../\\evil.example",
			"/?x=", "/#x", "/\"><script>alert(1)</script>", "@evil.example", ":80@evil.example", "/\u202e", "//", "/",
		} {
			for _, path := range []string{"/x", "/", "//evil.example/x", "//evil.example/%2e%2e/x", "/%5cevil.example/x", "/%09/evil.example"} {
				for _, request := range []struct{ method, body string }{{http.MethodGet, ""}, {http.MethodPost, "ip=198.51.100.77"}} {
					response := send(t, c, request.method, base+path, request.body, "Accept: text/html", "X-Forwarded-Prefix: "+prefix)
					if strings.Contains(response.Body, "<script") || strings.Contains(response.Body, `href="//`) || strings.Contains(response.Body, `href="/\`) {
						t.Errorf("%q before %s: the page leads elsewhere: %s", prefix, path, response.Body)
					}
					location := strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(response.Header.Get("Location")) // as browsers do
					if location == "" {
						continue
					}
					if !strings.HasPrefix(location, "/") || strings.HasPrefix(location, "//") {
						t.Errorf("%q before %s: got Location %q", prefix, path, response.Header.Get("Location"))
					}
				}
			}
		}
	}
	noPanic(t)
}
