package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// cloud is a service with a share link, /s/right, and what else answers may be.
func cloud(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, req *http.Request) { fmt.Fprintf(rw, "cloud: %s", req.URL.Path) })
	mux.HandleFunc("/s/", func(rw http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodOptions {
			rw.Header().Set("Allow", "GET, OPTIONS") // as many do on every path
			return
		}
		http.Error(rw, "no such link", http.StatusNotFound)
	})
	mux.HandleFunc("/s/right", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "photos of the party") })
	mux.HandleFunc("/s/status/{status}", func(rw http.ResponseWriter, req *http.Request) {
		status, _ := strconv.Atoi(req.PathValue("status"))
		rw.Header().Set("Location", "/s/right")
		rw.WriteHeader(status)
	})
	mux.HandleFunc("/s/hints/{status}", func(rw http.ResponseWriter, req *http.Request) {
		status, _ := strconv.Atoi(req.PathValue("status"))
		rw.Header().Set("Link", "</style.css>; rel=preload")
		rw.WriteHeader(http.StatusEarlyHints)
		rw.WriteHeader(status)
	})
	mux.HandleFunc("/s/broken", func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err == nil {
			conn.Close()
		}
	})
	mux.HandleFunc("/s/ws", func(rw http.ResponseWriter, req *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(rw, req, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, message) != nil {
				return
			}
		}
	})
	mux.HandleFunc("/s/film", func(rw http.ResponseWriter, req *http.Request) {
		http.ServeContent(rw, req, "film.mp4", time.Unix(1_700_000_000, 0), strings.NewReader(strings.Repeat("film", 2<<20)))
	})
	mux.HandleFunc("/s/trailers", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(rw, "data")
		rw.Header().Set("X-Sum", "4")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// shares makes the example of share links live, in front of a service, with a store of the test's own.
func shares(t *testing.T, service string) {
	t.Helper()
	liveExample(t, "share-links/dynamic.yml", sharesPairs(t, service)...)
}

func sharesPairs(t *testing.T, service string) []string {
	return []string{
		"http://192.168.1.10:8080", service,
		"store: links", "store: " + storeOf(t, "links"),
		"[default, links]", "[" + storeOf(t, "default") + ", " + storeOf(t, "links") + "]",
		"average: 30", "average: 0", // no limit: the test asks often
	}
}

const cloudURL = "https://cloud.example.com"

func TestARightLinkOpensItsStore(t *testing.T) {
	shares(t, cloud(t).URL)
	for i, row := range []struct {
		name         string
		method, path string
		status       int
		opens        bool
	}{
		{"no link", http.MethodGet, "/apps", 404, false},
		{"a wrong link", http.MethodGet, "/s/wrong", 404, false},
		{"a wrong link, asked for its options", http.MethodOptions, "/s/wrong", 200, false},
		{"a wrong link below a right one", http.MethodGet, "/s/right/../wrong", 404, false},
		{"a link that leads elsewhere", http.MethodGet, "/s/status/302", 302, false},
		{"a link that was not modified", http.MethodGet, "/s/status/304", 304, false},
		{"a link that wants a password", http.MethodGet, "/s/status/401", 401, false},
		{"a link that breaks the service", http.MethodGet, "/s/status/500", 500, false},
		{"a link at which the service hangs up", http.MethodGet, "/s/broken", 502, false},
		{"early hints of a wrong link", http.MethodGet, "/s/hints/404", 404, false},
		{"early hints of a right link", http.MethodGet, "/s/hints/200", 200, true},
		{"a right link", http.MethodGet, "/s/right", 200, true},
		{"a right link, asked for its size", http.MethodHead, "/s/right", 200, true},
		{"a right link, asked for its options", http.MethodOptions, "/s/right", 200, false},
		{"a link with nothing behind it", http.MethodGet, "/s/status/204", 204, true},
		{"a film", http.MethodGet, "/s/film", 200, true},
	} {
		for _, http2 := range []bool{false, true} {
			from := fmt.Sprintf("203.0.113.%d", 100+2*i+map[bool]int{true: 1, false: 0}[http2])
			c := keep(t, lab.ClientOptions{From: from, Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: http2})
			if got := send(t, c, http.MethodGet, cloudURL+"/apps", "").Status; got != 404 {
				t.Errorf("%s: before the link: got %d, want 404", row.name, got)
			}
			if got := send(t, c, row.method, cloudURL+row.path, "").Status; got != row.status {
				t.Errorf("%s: got %d, want %d", row.name, got, row.status)
			}
			want := map[bool]int{true: 200, false: 404}[row.opens]
			if got := send(t, c, http.MethodGet, cloudURL+"/apps", "").Status; got != want {
				t.Errorf("%s: after the link: got %d, want %d", row.name, got, want)
			}
			if got := send(t, client(t, "203.0.113.99", nil), http.MethodGet, cloudURL+"/apps", "").Status; got != 404 {
				t.Errorf("%s: at another address: got %d, want 404", row.name, got)
			}
		}
	}
}

func TestAStoreOfLinksIsSmall(t *testing.T) {
	shares(t, cloud(t).URL)
	for i := range 21 { // one more than maxIPs
		if got := send(t, client(t, fmt.Sprintf("198.51.100.%d", i), nil), http.MethodGet, cloudURL+"/s/right", "").Status; got != 200 {
			t.Fatalf("guest %d: got %d", i, got)
		}
	}
	for from, want := range map[string]int{"198.51.100.0": 404, "198.51.100.1": 200, "198.51.100.20": 200} {
		if got := send(t, client(t, from, nil), http.MethodGet, cloudURL+"/apps", "").Status; got != want {
			t.Errorf("%s: got %d, want %d", from, got, want)
		}
	}
}

// TestLinksPassAnswersOn compares what comes through the learner with what comes without any middleware.
func TestLinksPassAnswersOn(t *testing.T) {
	service := cloud(t).URL
	for _, http2 := range []bool{false, true} {
		for _, row := range []struct {
			name, method, path string
			headers            []string
		}{
			{"a page", http.MethodGet, "/s/right", nil},
			{"a head", http.MethodHead, "/s/right", nil},
			{"nothing", http.MethodGet, "/s/status/204", nil},
			{"not modified", http.MethodGet, "/s/film", []string{"If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT"}},
			{"an error", http.MethodGet, "/s/wrong", nil},
			{"eight megabytes", http.MethodGet, "/s/film", nil},
			{"a part of them", http.MethodGet, "/s/film", []string{"Range: bytes=1000000-6999999"}},
			{"trailers", http.MethodGet, "/s/trailers", nil},
			{"a redirect", http.MethodGet, "/s/status/302", nil},
		} {
			get := func() string {
				c := keep(t, lab.ClientOptions{From: "203.0.113.98", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: http2})
				response := check.Must(c.Open(written(t, row.method, cloudURL+row.path, "", row.headers...)))(t)
				defer response.Body.Close()
				sum := sha256.New()
				length, err := io.Copy(sum, response.Body)
				header := maps.Clone(response.Header)
				header.Del("Date")
				return fmt.Sprintf("%s, header %v, length %d, body %d bytes (%v) %x, trailers %v, %v",
					response.Status, header, response.ContentLength, length, err, sum.Sum(nil), response.Trailer, response.TransferEncoding)
			}
			shares(t, service)
			through := get()
			liveExample(t, "share-links/dynamic.yml", "http://192.168.1.10:8080", service, "[guesses, learn-links]", "[]")
			if direct := get(); through != direct {
				t.Errorf("%s (HTTP/2: %v):\ngot  %s\nwant %s", row.name, http2, through, direct)
			}
		}
	}
}

// TestStreamsAndWebSocketsPassLinks also sees that the head of an answer comes before its body begins.
func TestStreamsAndWebSocketsPassLinks(t *testing.T) {
	next := make(chan string)
	service := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		rw.WriteHeader(http.StatusOK)
		for {
			_ = http.NewResponseController(rw).Flush()
			select {
			case line, more := <-next:
				if !more {
					return
				}
				fmt.Fprintln(rw, line)
			case <-req.Context().Done():
				return
			}
		}
	}))
	defer service.Close()
	for _, http2 := range []bool{false, true} {
		next = make(chan string)
		shares(t, service.URL)
		c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: http2})
		response := check.Must(c.Open(written(t, http.MethodGet, cloudURL+"/s/events", "")))(t)
		defer response.Body.Close()
		if got := response.StatusCode; got != 200 {
			t.Fatalf("got %d before the first event", got)
		}
		lines := bufio.NewScanner(response.Body)
		for _, line := range []string{"one", "two", "three"} {
			next <- line // not before the line before was read
			if !lines.Scan() || lines.Text() != line {
				t.Fatalf("HTTP/2 %v: got %q and %v, want %q", http2, lines.Text(), lines.Err(), line)
			}
		}
		close(next)
		if lines.Scan() {
			t.Errorf("got %q after the end", lines.Text())
		}
	}

	shares(t, cloud(t).URL)
	c := client(t, "203.0.113.8", nil)
	conn, _, err := c.WebSocket(context.Background(), "wss://cloud.example.com/s/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, message := range []string{"hello", strings.Repeat("again", 100_000)} {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != message {
			t.Errorf("got %d bytes and %v, want %d", len(got), err, len(message))
		}
	}
	if got := send(t, c, http.MethodGet, cloudURL+"/apps", "").Status; got != 404 {
		t.Errorf("a WebSocket opened the store: got %d, want 404", got)
	}
}
