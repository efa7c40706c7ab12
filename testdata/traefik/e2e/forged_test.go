package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// forgeries are the headers by which proxies and CDNs tell a client's address.
func forgeries(address string) []http.Header {
	headers := []http.Header{
		{"X-Forwarded-For": {address, "203.0.113.99"}},
		{"X-Forwarded-For": {"203.0.113.99", address}},
		{"X-Forwarded-For": {address}, "Connection": {"X-Forwarded-For"}},
		{"Forwarded": {"for=" + address}},
		{"Forwarded": {`for="[` + address + `]"`}},
		{"X_Forwarded_For": {address}},
		{"X-Forwarded-For": {address}, "X-Forwarded-Proto": {"https"}, "X-Real-Ip": {address}},
	}
	for _, name := range []string{
		"X-Forwarded-For", "x-forwarded-for", "X-Real-Ip", "CF-Connecting-IP", "CF-Connecting-IPv6", "True-Client-IP",
		"X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "X-Original-Forwarded-For", "X-Remote-Addr", "Remote-Addr",
		"X-Originating-IP", "X-Remote-IP", "Fastly-Client-IP", "X-Azure-ClientIP", "X-ProxyUser-Ip", "Via",
		"X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-Forwarded-Host", "X-Forwarded", "X-SSL-Client-Verify",
	} {
		headers = append(headers, http.Header{name: {address}})
	}
	return headers
}

func TestForgedHeadersOpenNothing(t *testing.T) {
	for _, row := range []struct {
		name     string
		strategy options
	}{
		{"the connection's address", options{}},
		{"with depth", options{"ipStrategy": options{"depth": 1}}},
		{"with excludedIPs", options{"ipStrategy": options{"excludedIPs": "127.0.0.1"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			plain(nil, row.strategy).live(t)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
			stranger := client(t, "198.51.100.66", nil)
			for _, header := range forgeries("203.0.113.7") {
				if got := ask(stranger, "photos", header); got != "403" {
					t.Errorf("%v: got %s, want 403", header, got)
				}
			}
		})
	}
}

func TestForgedHeadersPlantNothing(t *testing.T) {
	plain(nil, nil).live(t)
	prover := client(t, "198.51.100.66", &home.Phone)
	for _, header := range forgeries("203.0.113.7") {
		if got := ask(prover, "ha", header); got != "200" {
			t.Errorf("%v: got %s, want 200", header, got)
		}
	}
	walk(t, step{"203.0.113.7", nil, "photos", "403"}, step{"203.0.113.99", nil, "photos", "403"}, step{"198.51.100.66", nil, "photos", "200"})
	if got := logged(t, "msg=learned", storeOf(t, "default")); got != 1 {
		t.Errorf("got %d learned lines, want 1", got)
	}
}

func TestNoHeaderIsAProof(t *testing.T) {
	h := plain(nil, nil)
	h.Routes[0].TLS = "ifgiven"
	h.live(t)
	pem := strings.ReplaceAll(string(lab.CertPEM(home.Phone)), "\n", "")
	c := client(t, "203.0.113.7", nil)
	for _, name := range []string{"X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-SSL-Client-Cert", "X-Client-Cert", "X-SSL-Client-Verify"} {
		if got := ask(c, "ha", http.Header{name: {pem}}); got != "403" {
			t.Errorf("%s: got %s, want 403", name, got)
		}
	}
	walk(t, step{"203.0.113.7", nil, "photos", "403"})
}

func TestAPROXYHeaderFromAnUntrustedAddressTellsNothing(t *testing.T) {
	h := plain(nil, nil)
	// This entry point trusts no PROXY header; the learned address is announced there as well.
	h.Routes[1].EntryPoint = "proxied"
	h.live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", nil, "files", "200"})
	c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: home.traefik.Addr("proxied")})
	if response, err := c.Get("http://photos.home.example/"); err == nil && response.Status == http.StatusOK {
		t.Errorf("the PROXY header was believed")
	}
}

// TestBehindAnHTTPProxy is about an entry point that trusts X-Forwarded-For from loopback, as from a CDN.
func TestBehindAnHTTPProxy(t *testing.T) {
	h := plain(nil, options{"ipStrategy": options{"depth": 1}})
	h.Routes[1].EntryPoint = "proxied"
	h.live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
	proxy := keep(t, lab.ClientOptions{Target: home.traefik.Addr("proxied")})
	for _, row := range []struct{ name, forwardedFor, want string }{
		{"the learned address", "203.0.113.7", "200"},
		{"the learned address, written as IPv6", "::ffff:203.0.113.7", "200"},
		{"another", "203.0.113.8", "403"},
		{"what the client itself wrote", "203.0.113.7, 203.0.113.8", "403"},
		{"none", "", "403"},
		{"what is no address", "203.0.113.7, unknown", "403"},
		{"the learned address with a port", "203.0.113.7:4711", "200"},
	} {
		request := check.Must(http.NewRequest(http.MethodGet, "http://photos.home.example/", nil))(t)
		if row.forwardedFor != "" {
			request.Header.Set("X-Forwarded-For", row.forwardedFor)
		}
		response := check.Must(proxy.Do(request))(t)
		if got := http.StatusText(response.Status); got != map[string]string{"200": "OK", "403": "Forbidden"}[row.want] {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
}
