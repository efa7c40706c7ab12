package e2e

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

var date = regexp.MustCompile(`(?i)date: [^\r\n]*`)

// raw sends a request as it is, with HOST replaced, and returns the answer to the letter, but for the date.
func raw(t *testing.T, from, host, request string) string {
	t.Helper()
	config := tlsConfig(nil)
	config.ServerName = host
	config.NextProtos = []string{"http/1.1"}
	answer := check.Must(lab.RawHTTP(context.Background(), home.traefik.Addr("websecure"), from, config, strings.ReplaceAll(request, "HOST", host)))(t)
	return date.ReplaceAllString(answer, "date")
}

func TestStatus404CantBeToldFromAnUnknownHost(t *testing.T) {
	h := plain(options{"rejectStatusCode": 404}, options{"rejectStatusCode": "404"})
	h.Routes[0].TLS = ""
	h.live(t)
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: HOST\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
		"POST /a/b?c=d HTTP/1.1\r\nHost: HOST\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
		"OPTIONS * HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
		"GET /ws HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: HOST\r\nAccept-Encoding: gzip\r\nExpect: 100-continue\r\nContent-Length: 1\r\nConnection: close\r\n\r\na",
	} {
		unknown := raw(t, "203.0.113.7", "nobody.invalid", request)
		for _, host := range []string{"photos.home.example", "ha.home.example"} {
			if got := raw(t, "203.0.113.7", host, request); got != unknown {
				t.Errorf("%.20q to %s: got %q, want %q", request, host, got, unknown)
			}
		}
		if strings.HasPrefix(request, "GET / HTTP/1.1") && !strings.Contains(unknown, " 404 Not Found\r\n") {
			t.Errorf("an unknown host got %q", unknown)
		}
	}
	c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: true})
	overHTTP2 := func(host string) string {
		response := check.Must(c.Get("https://" + host + "/"))(t)
		response.Header.Del("Date")
		return fmt.Sprint(response)
	}
	if got, want := overHTTP2("photos.home.example"), overHTTP2("nobody.invalid"); got != want {
		t.Errorf("over HTTP/2: got %s, want %s", got, want)
	}
}

func TestRejectStatusCode(t *testing.T) {
	for _, code := range []int{403, 401, 410, 503} {
		plain(nil, options{"rejectStatusCode": code}).live(t)
		got := raw(t, "203.0.113.7", "photos.home.example", "GET / HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")
		if !strings.Contains(got, fmt.Sprintf(" %d %s\r\n", code, http.StatusText(code))) {
			t.Errorf("%d: got %q", code, got)
		}
	}
}

func TestARejectionStandsInTheLogAtDebugOnly(t *testing.T) {
	plain(nil, nil).live(t)
	const line = "mtlsallowlist: enforce@file rejected 203.0.113.251:"
	all, debug := logged(t, line), logged(t, "DBG", line)
	walk(t, step{"203.0.113.251", nil, "photos", "403"})
	if got := logged(t, line) - all; got != 1 {
		t.Errorf("got %d lines, want 1", got)
	}
	if got := logged(t, "DBG", line) - debug; got != 1 {
		t.Errorf("got %d of the lines at DEBUG, want 1", got)
	}
}

func TestHostileRequests(t *testing.T) {
	plain(nil, options{"ipStrategy": options{"depth": 1}}).live(t)
	huge := strings.Repeat("203.0.113.7, ", 70_000)
	for name, request := range map[string]string{
		"a huge X-Forwarded-For":      "GET / HTTP/1.1\r\nHost: HOST\r\nX-Forwarded-For: " + huge + "\r\nConnection: close\r\n\r\n",
		"a thousand X-Forwarded-For":  "GET / HTTP/1.1\r\nHost: HOST\r\n" + strings.Repeat("X-Forwarded-For: 203.0.113.7\r\n", 1000) + "Connection: close\r\n\r\n",
		"control characters":          "GET / HTTP/1.1\r\nHost: HOST\r\nX-Forwarded-For: 203.0.113.7\t\x7f\r\nConnection: close\r\n\r\n",
		"two hosts":                   "GET / HTTP/1.1\r\nHost: HOST\r\nHost: ha.home.example\r\nConnection: close\r\n\r\n",
		"an absolute URI elsewhere":   "GET https://ha.home.example/ HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
		"a request in a request":      "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: ha.home.example\r\n\r\n",
		"no HTTP at all":              "\x16\x03\x01\x00\x00\r\n\r\n",
		"a PROXY header inside":       "PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n",
		"a zone of a million letters": "GET / HTTP/1.1\r\nHost: HOST\r\nX-Forwarded-For: fe80::1%" + strings.Repeat("z", 1_000_000) + "\r\nConnection: close\r\n\r\n",
	} {
		if answer := raw(t, "203.0.113.66", "photos.home.example", request); strings.Contains(answer, " 200 OK\r\n") {
			t.Errorf("%s: got %.200q", name, answer)
		}
	}
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}) // Traefik lives
	noPanic(t)
}

func noPanic(t *testing.T) {
	t.Helper()
	for _, line := range home.traefik.Log().Lines() {
		if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") || strings.Contains(line, "goroutine ") {
			t.Errorf("in Traefik's log: %s", line)
		}
	}
}
