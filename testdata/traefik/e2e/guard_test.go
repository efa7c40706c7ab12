package e2e

import (
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

// everywhere asks for all that the page answers to, and tries to revoke. It returns the statuses, without repetitions.
func everywhere(t *testing.T, c *lab.Client, base string, headers ...string) (statuses []int, bodies string) {
	t.Helper()
	for _, request := range []struct{ method, path, body string }{
		{http.MethodGet, "/", ""},
		{http.MethodHead, "/", ""},
		{http.MethodGet, "/grants", ""},
		{http.MethodGet, "/metrics", ""},
		{http.MethodGet, "/none", ""},
		{http.MethodGet, "/?revoked=1", ""},
		{http.MethodPut, "/", "ip=203.0.113.7"},
		{http.MethodOptions, "/grants", ""},
		{http.MethodPost, "/", "ip=203.0.113.7"},
		{http.MethodDelete, "/grants?ip=203.0.113.7", ""},
	} {
		response := send(t, c, request.method, base+request.path, request.body, headers...)
		statuses = append(statuses, response.Status)
		bodies += response.Body
	}
	slices.Sort(statuses)
	return slices.Compact(statuses), bodies
}

func TestWithoutAProofThePageShowsNothing(t *testing.T) {
	foreign := check.Must(home.stranger.Issue(lab.Leaf{CommonName: "owner"}))(t)
	for _, row := range []struct {
		name        string
		page        options
		tls         string
		entryPoint  string
		certificate *tls.Certificate
		header      string
		want        int
	}{
		{"no certificate", nil, "ifgiven", "", nil, "", 403},
		{"another CA's certificate that nobody verifies", nil, "any", "", &foreign, "", 403},
		{"a good certificate that nobody verifies", nil, "request", "", &home.Owner, "", 403},
		{"a good certificate without TLS options", nil, "", "", &home.Owner, "", 403},
		{"plain HTTP", nil, "", "web", nil, "", 403},
		{"plain HTTP behind a proxy that may forward", nil, "", "proxied", nil, "X-Forwarded-Proto: https", 403},
		{"a forwarded certificate", nil, "ifgiven", "", nil, "X-Forwarded-Tls-Client-Cert: " + strings.ReplaceAll(string(lab.CertPEM(home.Owner)), "\n", ""), 403},
		{"somebody else's certificate", options{"identities": "cn:owner"}, "verified", "", &home.Phone, "", 403},
		{"somebody else's certificate, with the owner's name in a header", options{"identities": "cn:owner"}, "verified", "", &home.Phone, "X-Forwarded-User: owner", 403},
		{"as if there were no page", options{"rejectStatusCode": 404}, "ifgiven", "", nil, "", 404},
		{"without the header of a user", options{"proof": "request", "identityHeader": "X-User"}, "", "", nil, "", 403},
		{"with an empty header of a user", options{"proof": "request", "identityHeader": "X-User"}, "", "", nil, "X-User: ", 403},
		{"with the header of another user", options{"proof": "request", "identityHeader": "X-User", "identities": "header:owner"}, "", "", nil, "X-User: owner2", 403},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := watched(nil, nil, row.page)
			page := &h.Routes[len(h.Routes)-1]
			page.TLS, page.EntryPoint = row.tls, row.entryPoint
			h.live(t)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
			headers := []string{"Accept: text/html"}
			if row.header != "" {
				headers = append(headers, row.header)
			}
			for _, http2 := range []bool{false, true} {
				base, options := pageURL, lab.ClientOptions{From: "203.0.113.7", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(row.certificate), HTTP2: http2}
				if row.entryPoint != "" {
					base, options = "http://allowlist.home.example", lab.ClientOptions{Target: home.traefik.Addr(row.entryPoint), HTTP2: http2}
				}
				got, bodies := everywhere(t, keep(t, options), base, headers...)
				if !slices.Equal(got, []int{row.want}) {
					t.Errorf("got %v, want %d always", got, row.want)
				}
				for _, secret := range []string{"203.0.113", "phone", "owner", t.Name(), "<form", "{", "mtlsallowlist"} {
					if strings.Contains(bodies, secret) {
						t.Errorf("%q is shown: %s", secret, bodies)
					}
				}
			}
			walk(t, step{"203.0.113.7", nil, "photos", "200"}) // nothing was revoked
			if got := logged(t, "level=WARN msg=refused", "middleware=page@file", "store=", "reason="); got == 0 {
				t.Errorf("the log doesn't tell")
			}
		})
	}
}

func TestWhoLooksAtThePageIsNotLearned(t *testing.T) {
	for _, row := range []struct {
		page        options
		tls         string
		certificate *tls.Certificate
	}{
		{nil, "verified", &home.Owner},
		{options{"proof": "request"}, "", nil},
		{options{"proof": "request", "identityHeader": "X-User"}, "", nil},
	} {
		h := watched(nil, nil, row.page)
		h.Routes[len(h.Routes)-1].TLS = row.tls
		h.live(t)
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
		c := client(t, "198.51.100.7", row.certificate)
		for range 3 {
			everywhere(t, c, pageURL, "X-User: owner")
		}
		walk(t, step{"198.51.100.7", nil, "photos", "403"})
		if got := logged(t, "msg=learned", storeOf(t, "default"), "ip=198.51.100.7 "); got != 0 {
			t.Errorf("got %d learned lines", got)
		}
	}
}

func TestBehindBasicAuthAClientCantForgeTheUser(t *testing.T) {
	sum := sha1.Sum([]byte("secret"))
	password := ":{SHA}" + base64.StdEncoding.EncodeToString(sum[:])
	for _, header := range []string{"X-Forwarded-User", "X-WebAuth-User"} { // Go writes the second, as in Traefik's documentation, otherwise
		t.Run(header, func(t *testing.T) {
			h := watched(nil, nil, options{"proof": "request", "identityHeader": header, "identities": "header:alice"})
			h.Others = map[string]*dynamic.Middleware{"users": {BasicAuth: &dynamic.BasicAuth{
				Users: dynamic.Users{"alice" + password, "mallory" + password}, HeaderField: header,
			}}}
			page := &h.Routes[len(h.Routes)-1]
			page.Middleware, page.TLS = "users page", ""
			h.live(t)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
			for _, row := range []struct {
				name, user string
				headers    []string
				want       int
			}{
				{"nobody", "", nil, 401},
				{"nobody who says alice", "", []string{header + ": alice"}, 401},
				{"mallory", "mallory:secret", nil, 403},
				{"mallory who says alice", "mallory:secret", []string{header + ": alice"}, 403},
				{"mallory who says alice in small letters", "mallory:secret", []string{strings.ToLower(header) + ": alice"}, 403},
				{"mallory who says alice as Go writes it", "mallory:secret", []string{http.CanonicalHeaderKey(header) + ": alice"}, 403},
				{"mallory who says alice with underscores", "mallory:secret", []string{strings.ReplaceAll(header, "-", "_") + ": alice"}, 403},
				{"mallory who says alice twice", "mallory:secret", []string{header + ": alice", strings.ToUpper(header) + ": alice"}, 403},
				{"mallory who has the header taken away", "mallory:secret", []string{header + ": alice", "Connection: " + header}, 403},
				{"alice with another password", "alice:guess", []string{header + ": alice"}, 401},
				{"alice", "alice:secret", nil, 200},
				{"alice who says mallory", "alice:secret", []string{http.CanonicalHeaderKey(header) + ": mallory"}, 200},
			} {
				for _, http2 := range []bool{false, true} {
					c := keep(t, lab.ClientOptions{From: "203.0.113.8", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: http2})
					headers := row.headers
					if row.user != "" {
						headers = append(headers, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(row.user)))
					}
					if http2 {
						headers = slices.DeleteFunc(slices.Clone(headers), func(h string) bool { return strings.HasPrefix(h, "Connection") })
					}
					if got := send(t, c, http.MethodGet, "/grants", "", headers...); got.Status != row.want || (got.Status == 200) != strings.Contains(got.Body, "203.0.113.7") {
						t.Errorf("%s: got %d with %s, want %d", row.name, got.Status, got.Body, row.want)
					}
				}
			}
			mallory := base64.StdEncoding.EncodeToString([]byte("mallory:secret"))
			for _, spelling := range []string{header + " ", " " + header, header + "\t", strings.Replace(header, "s", "ſ", 1), "\u200b" + header, header + "\x00"} {
				request := "GET /grants HTTP/1.1\r\nHost: HOST\r\nAuthorization: Basic " + mallory + "\r\n" + spelling + ": alice\r\nConnection: close\r\n\r\n"
				if got := raw(t, "203.0.113.8", "allowlist.home.example", request); strings.Contains(got, " 200 OK\r\n") {
					t.Errorf("mallory who spells it %q: got %s", spelling, got)
				}
			}
		})
	}
}
