package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// These tests attack Traefik itself: they say why docs/security.md asks for its version. In an older one they fail.

// dial connects to Traefik's websecure, or to a service where target is given, for as long as the test runs.
func dial(t *testing.T, target, from, host string, protocol string) net.Conn {
	t.Helper()
	config := tlsConfig(nil)
	config.ServerName, config.NextProtos = host, []string{protocol}
	if target == "" {
		target = home.traefik.Addr("websecure")
	} else {
		from, config = "", nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	conn := check.Must(lab.Dial(ctx, target, from, config))(t)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// A recorder is a service that remembers which paths it was asked for, with which headers and trailers. It answers 200.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	paths    []string
	header   http.Header // of the last request
	trailers http.Header
}

func (r *recorder) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body) // trailers come after it
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths = append(r.paths, req.URL.Path)
	r.header, r.trailers = req.Header.Clone(), req.Trailer.Clone()
}

// asked returns how many times the service was asked for path.
func (r *recorder) asked(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := 0
	for _, other := range r.paths {
		if other == path {
			count++
		}
	}
	return count
}

func (r *recorder) last() (header, trailers http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.header, r.trailers
}

func startRecorder(t *testing.T) *recorder {
	r := &recorder{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// startTunnel runs a service that goes on in HTTP/2 on the same connection when it is asked to, as RFC 7540 has it, but
// without a look at what Connection names: Traefik passes on no more than "Connection: Upgrade".
func startTunnel(t *testing.T) *recorder {
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		r.ServeHTTP(rw, req)
		if !strings.Contains(strings.ToLower(strings.Join(req.Header["Upgrade"], ",")), "h2c") {
			return
		}
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
		(&http2.Server{}).ServeConn(conn, &http2.ServeConnOpts{Handler: r})
	}))
	t.Cleanup(r.Close)
	return r
}

// guarded is a household with a service of which "/hidden" has the enforcer, and everything else no middleware at all.
func guarded(t *testing.T, service *recorder) *dynamic.Configuration {
	t.Helper()
	h := plain(nil, nil)
	h.Routes = append(h.Routes, route{Host: "beside"}, route{Host: "beside", Path: "/hidden", Middleware: "enforce"})
	configuration := h.dynamic(t)
	configuration.HTTP.Services["beside"] = config.Service(service.URL)
	return configuration
}

// TestNobodyTunnelsPastTheEnforcer is about CVE-2026-88008.
func TestNobodyTunnelsPastTheEnforcer(t *testing.T) {
	service := startTunnel(t)
	live(t, guarded(t, service))
	const host = "beside.home.example"
	for _, row := range []struct {
		name    string
		target  string // empty: Traefik
		headers string
		tunnel  bool
	}{
		{"the service itself takes the upgrade", strings.TrimPrefix(service.URL, "http://"), "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n", true},
		{"through Traefik", "", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n", false},
		{"in small letters", "", "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n", false},
		{"in capitals", "", "Connection: Upgrade\r\nUpgrade: H2C\r\n", false},
		{"without settings", "", "Connection: Upgrade\r\nUpgrade: h2c\r\n", false},
		{"beside another protocol", "", "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n", false},
		{"after another protocol", "", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", false},
		{"in a second header", "", "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := service.asked("/hidden")
			conn := dial(t, row.target, "203.0.113.7", host, "http/1.1")
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "+host+"\r\n"+row.headers+"\r\n"); err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(conn)
			response := check.Must(http.ReadResponse(reader, nil))(t)
			want := map[bool]int{true: 101, false: 200}[row.tunnel]
			if response.StatusCode != want {
				t.Errorf("the upgrade: got %s, want %d", response.Status, want)
			}
			if response.StatusCode == http.StatusSwitchingProtocols {
				tunnel := check.Must((&http2.Transport{}).NewClientConn(&resumed{conn, reader}))(t)
				answer := check.Must(tunnel.RoundTrip(written(t, http.MethodGet, "https://"+host+"/hidden", "")))(t)
				answer.Body.Close()
			}
			if got := service.asked("/hidden") - before; (got > 0) != row.tunnel {
				t.Errorf("the hidden part was asked %d times, want that only in a tunnel", got)
			}
		})
	}
}

// resumed is a connection of which a reader has read ahead.
type resumed struct {
	net.Conn
	reader *bufio.Reader
}

func (r *resumed) Read(p []byte) (int, error) { return r.reader.Read(p) }

// TestATargetWithoutALeadingSlashGetsNowhere is about CVE-2026-88009.
func TestATargetWithoutALeadingSlashGetsNowhere(t *testing.T) {
	service := startRecorder(t)
	live(t, guarded(t, service))
	const host = "beside.home.example"
	for _, target := range []string{
		"http:http://beside.home.example/hidden",
		"https:http://beside.home.example/hidden",
		"x:http://beside.home.example/hidden",
		"http:beside.home.example/hidden",
		"http:hidden",
		"http:%2fhidden",
		"hidden",
		"./hidden",
		"?/hidden",
	} {
		t.Run(target, func(t *testing.T) {
			for protocol, ask := range map[string]func(*testing.T, net.Conn, string, string) int{"http/1.1": askHTTP1, "h2": askHTTP2} {
				before := service.asked("/hidden")
				if got := ask(t, dial(t, "", "203.0.113.7", host, protocol), host, target); got != 400 {
					t.Errorf("%s: got %d, want 400", protocol, got)
				}
				if service.asked("/hidden") != before {
					t.Errorf("%s: the service was asked for its hidden part", protocol)
				}
			}
		})
	}
	for protocol, ask := range map[string]func(*testing.T, net.Conn, string, string) int{"http/1.1": askHTTP1, "h2": askHTTP2} {
		for target, want := range map[string]int{"/": 200, "/hidden": 403} {
			if got := ask(t, dial(t, "", "203.0.113.7", host, protocol), host, target); got != want {
				t.Errorf("%s: %s: got %d, want %d", protocol, target, got, want)
			}
		}
	}
}

// askHTTP1 asks for a target as it stands, and returns the status.
func askHTTP1(t *testing.T, conn net.Conn, host, target string) int {
	t.Helper()
	if _, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response := check.Must(http.ReadResponse(bufio.NewReader(conn), nil))(t)
	return response.StatusCode
}

// askHTTP2 does the same in frames, since Go's client would refuse such a target. A stream that is reset counts as 400.
func askHTTP2(t *testing.T, conn net.Conn, host, target string) int {
	t.Helper()
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", host}, {":path", target}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndHeaders: true, EndStream: true}); err != nil {
		t.Fatal(err)
	}
	for {
		frame := check.Must(framer.ReadFrame())(t)
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			var status int
			_, _ = fmt.Sscan(frame.PseudoValue("status"), &status)
			return status
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return http.StatusBadRequest
		}
	}
}

// TestATrailerIsNoHeader is about CVE-2026-88004.
func TestATrailerIsNoHeader(t *testing.T) {
	service := startRecorder(t)
	h := plain(options{"proof": "request", "identityHeader": "X-User"}, options{"ipStrategy": options{"depth": 1}})
	// Behind a middleware that reads the body first, the trailers are there before the others are asked.
	h.Others = map[string]*dynamic.Middleware{"buffer": {Retry: &dynamic.Retry{Attempts: 2, Status: []string{"502"}, RetryNonIdempotentMethod: true}}}
	h.Routes[0].TLS = ""
	for i := range h.Routes {
		h.Routes[i].Middleware = "buffer " + h.Routes[i].Middleware
	}
	h.Routes = append(h.Routes, route{Host: "open", Middleware: "buffer"})
	configuration := h.dynamic(t)
	configuration.HTTP.Services["open"] = config.Service(service.URL)
	live(t, configuration)
	walk(t, step{"203.0.113.7", nil, "ha", "403"})
	if got := send(t, client(t, "203.0.113.7", nil), http.MethodGet, "https://ha.home.example/", "", "X-User: alice").Status; got != 200 {
		t.Fatalf("with the header: got %d, want 200", got) // so it is the trailer that counts for nothing
	}
	for _, name := range []string{"X-User", "x-user", "X_User", "X.User", "X-Forwarded-For", "X-Real-Ip", "X-Forwarded-Proto"} {
		for _, http2 := range []bool{false, true} {
			c := keep(t, lab.ClientOptions{From: "203.0.113.8", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: http2})
			for host, want := range map[string]int{"ha": 403, "photos": 403, "open": 200} {
				request := written(t, http.MethodPost, "https://"+host+".home.example/", "body")
				request.ContentLength = -1 // chunked: else HTTP/1.1 has no trailers
				request.Trailer = http.Header{name: {"203.0.113.7"}}
				response := check.Must(c.Do(request))(t)
				if response.Status != want {
					t.Errorf("%s with trailer %s, HTTP/2 %t: got %d, want %d", host, name, http2, response.Status, want)
				}
			}
			header, trailers := service.last()
			for _, got := range []http.Header{header, trailers} {
				for key, values := range got {
					if strings.EqualFold(key, name) && slices.Contains(values, "203.0.113.7") {
						t.Errorf("the service got %s: %v", key, values)
					}
				}
			}
		}
	}
	if got := logged(t, "msg=learned", storeOf(t, "default"), "ip=203.0.113.8 "); got != 0 {
		t.Errorf("got %d learned lines, want none", got)
	}
}
