package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// lenient is a service with the share link /s/right and a page beside, which takes paths in whatever way leads to one of
// its pages. Its answers begin with the path that it was sent.
func lenient(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		sent, _, _ := strings.Cut(req.RequestURI, "?")
		read := sent
		for range 3 {
			if decoded, err := url.PathUnescape(read); err == nil {
				read = decoded
			}
		}
		read = strings.NewReplacer(`\`, "/", "\xc0\xaf", "/", "\xc0\xae", ".", "\t", "", "．", ".", "／", "/").Replace(read)
		segments := strings.Split(read, "/")
		for i, segment := range segments {
			segment, _, _ = strings.Cut(segment, ";")
			segments[i] = strings.TrimRight(segment, " \x00")
		}
		read = path.Clean(strings.Join(segments, "/"))
		if strings.HasPrefix(read, "/s/") && !strings.HasPrefix(read, "/s/right") {
			http.Error(rw, "no such link", http.StatusNotFound)
			return
		}
		fmt.Fprintf(rw, "%s is %s", sent, read)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestNoPathEscapesFromTheLinks asks a service that decodes and cleans paths, with the entry point of the example, and
// with one that lets everything through.
func TestNoPathEscapesFromTheLinks(t *testing.T) {
	service := lenient(t).URL
	strict, err := lab.Start(t.Context(), lab.Options{
		Binary: home.Binary, Dir: t.TempDir(), LogLevel: "DEBUG",
		Static: exampleStatic(t, "share-links"), Dynamic: exampleDynamic(t, "share-links/dynamic.yml", sharesPairs(t, service)...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := strict.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	shares(t, service)
	hosts := 0
	for _, row := range []struct {
		path   string
		read   string // by the service; empty: as it is sent, which is as it is asked for
		status int
		strict int // status with the example's entry point
		opens  bool
	}{
		{"/s/..%2fstatus", "/s/..%2Fstatus is /status", 200, 400, false},
		{"/s/%2e%2e%2fstatus", "/s/..%2Fstatus is /status", 200, 400, false},
		{"/s/x/..%2f..%2fstatus", "/s/x/..%2F..%2Fstatus is /status", 200, 400, false},
		{"/s/..%2Fstatus", "/s/..%2Fstatus is /status", 200, 400, false},
		{"/s/right/..%2f..%2fstatus", "/s/right/..%2F..%2Fstatus is /status", 200, 400, false},
		{"/s/a%2f..%2f..%2fstatus", "/s/a%2F..%2F..%2Fstatus is /status", 200, 400, false},
		{"/s/..%5cstatus", "/s/..%5Cstatus is /status", 200, 200, false},
		{`/s/..\status`, "/s/..%5Cstatus is /status", 200, 200, false},
		{"/s/..;/status", "/s/..;/status is /status", 200, 200, false},
		{"/s/..%3b/status", "/s/..%3B/status is /status", 200, 200, false},
		{"/s/..%252fstatus", "/s/..%252fstatus is /status", 200, 200, false},
		{"/s/%252e%252e/status", "/s/%252e%252e/status is /status", 200, 200, false},
		{"/s/%252e%252e%252fstatus", "/s/%252e%252e%252fstatus is /status", 200, 200, false},
		{"/s/..%25252fstatus", "/s/..%25252fstatus is /status", 200, 200, false},
		{"/s/..%c0%afstatus", "/s/..%C0%AFstatus is /status", 200, 200, false},
		{"/s/%c0%ae%c0%ae/status", "/s/%C0%AE%C0%AE/status is /status", 200, 200, false},
		{"/s/%EF%BC%8E%EF%BC%8E/status", "/s/%EF%BC%8E%EF%BC%8E/status is /status", 200, 200, false},
		{"/s/..%EF%BC%8Fstatus", "/s/..%EF%BC%8Fstatus is /status", 200, 200, false},
		{"/s/..%20/status", "/s/..%20/status is /status", 200, 200, false},
		{"/s/..%00/status", "/s/..%00/status is /status", 200, 200, false},
		{"/s/.%09./status", "/s/.%09./status is /status", 200, 200, false},
		{"/s/wrong", "", 404, 404, false},
		{"/s/right", "", 200, 200, true},
		{"/s/right/", "/s/right/ is /s/right", 200, 200, true},
		{"/s/right/our%20photo%20(1).jpg", "/s/right/our%20photo%20(1).jpg is /s/right/our photo (1).jpg", 200, 200, true},
		{"/s/right/gr%C3%BC%C3%9Fe+.jpg", "/s/right/gr%C3%BC%C3%9Fe+.jpg is /s/right/grüße+.jpg", 200, 200, true},
		{"/s/right/%70hoto.jpg", "/s/right/photo.jpg is /s/right/photo.jpg", 200, 200, true},
	} {
		for _, http2 := range []bool{false, true} {
			for traefik, want := range map[*lab.Traefik]int{home.traefik: row.status, strict: row.strict} {
				hosts++
				from := fmt.Sprint("203.0.", hosts/250, ".", 1+hosts%250)
				c := keep(t, lab.ClientOptions{From: from, Target: traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: http2})
				when := fmt.Sprintf("%s (HTTP/2: %t, the example's entry point: %t)", row.path, http2, traefik == strict)
				if got := send(t, c, http.MethodGet, cloudURL+"/apps", "").Status; got != 404 {
					t.Errorf("%s: before: got %d, want 404", when, got)
				}
				request := written(t, http.MethodGet, cloudURL, "")
				request.URL.Opaque = row.path // as it is written
				response, err := c.Do(request)
				if err != nil {
					t.Errorf("%s: %v", when, err)
					continue
				}
				if response.Status != want {
					t.Errorf("%s: got %d, want %d", when, response.Status, want)
				}
				if row.read != "" && want == 200 && response.Body != row.read {
					t.Errorf("%s: got %q, want %q", when, response.Body, row.read)
				}
				next := map[bool]int{true: 200, false: 404}[row.opens]
				if got := send(t, c, http.MethodGet, cloudURL+"/status", "").Status; got != next {
					t.Errorf("%s: the next request: got %d, want %d", when, got, next)
				}
			}
		}
	}
	plain(nil, nil).live(t)
	if got := logged(t, "not learned", storeOf(t, "links"), "ambiguous path: the service may take it for one outside the learner's router"); got != 1 {
		t.Errorf("the log says %d times that a path is ambiguous, want once", got)
	}
}
