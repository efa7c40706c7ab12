package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// A listing is what the status page tells to programs.
type listing struct {
	Stores []listedStore
	You    struct {
		IP       string
		Admitted bool
	}
}

type listedStore struct {
	Name   string
	MaxIPs int
	Grants []listedGrant
}

type listedGrant struct {
	IP, Identity, Fingerprint, Serial string
	Learned, Proved, Expires          time.Time
}

const pageURL = "https://allowlist.home.example"

// watched is the plain household with a status page on a host of its own, for who has a certificate.
func watched(learner, enforcer, page options) household {
	h := plain(learner, enforcer)
	h.Plugins["page"] = options{"mode": "status"}
	for key, value := range page {
		h.Plugins["page"][key] = value
	}
	h.Routes = append(h.Routes, route{Host: "allowlist", Service: "noop@internal", Middleware: "page", TLS: "ifgiven"})
	return h
}

// owner returns the client of who looks at the page, at an address of its own. It keeps its connection.
func owner(t *testing.T, http2 bool) *lab.Client {
	t.Helper()
	return keep(t, lab.ClientOptions{
		From: "198.51.100.1", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(&home.Owner), HTTP2: http2, KeepAlive: true,
	})
}

// send sends a request, as written, and returns the answer.
func send(t *testing.T, c *lab.Client, method, url, body string, headers ...string) lab.Response {
	t.Helper()
	response, err := c.Do(written(t, method, url, body, headers...))
	if err != nil {
		t.Fatalf("%s %.100s: %v", method, url, err)
	}
	return response
}

// written returns a request to url, which may be a path of the page; each header is "Name: value". A body is a form,
// unless a header tells otherwise.
func written(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	if strings.HasPrefix(url, "/") {
		url = pageURL + url
	}
	request := check.Must(http.NewRequest(method, url, strings.NewReader(body)))(t)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header[name] = append(request.Header[name], value)
	}
	if body != "" && request.Header["Content-Type"] == nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return request
}

// listed asks the page at a path for its listing.
func listed(t *testing.T, c *lab.Client, path string) listing {
	t.Helper()
	response := send(t, c, http.MethodGet, path, "")
	if response.Status != http.StatusOK {
		t.Fatalf("%s: got %d: %s", path, response.Status, response.Body)
	}
	var l listing
	if err := json.Unmarshal([]byte(response.Body), &l); err != nil {
		t.Fatalf("%s: %v: %.200s", path, err, response.Body)
	}
	return l
}

// in returns the prefixes of a listing's grants, those of the one proved last first.
func (l listing) in(store string) string {
	prefixes := []string{}
	for _, s := range l.Stores {
		for _, g := range s.Grants {
			if s.Name == store {
				prefixes = append(prefixes, g.IP)
			}
		}
	}
	return strings.Join(prefixes, " ")
}
