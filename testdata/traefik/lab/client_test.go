package lab

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

func TestClientComesFromTheAnnouncedAddress(t *testing.T) {
	r := open(t, Options{LogLevel: "DEBUG"})
	const secure, plain = "https://" + host + "/x", "http://" + host + "/x"
	for _, row := range []struct {
		name   string
		client *Client
		url    string
		status int
		proto  string
		from   string
	}{
		{"plain", r.plain(friend), plain, 200, "HTTP/1.1", friend},
		{"plain stranger", r.plain(stranger), plain, 403, "HTTP/1.1", ""},
		{"plain without an address", r.plain(""), plain, 403, "HTTP/1.1", ""},
		{"plain IPv6", r.plain("2001:db8:1::5"), plain, 403, "HTTP/1.1", ""},
		{"plain IPv4 mapped into IPv6", r.plain("::ffff:" + friend), plain, 200, "HTTP/1.1", friend},
		{"h2c", NewClient(ClientOptions{From: friend, Target: r.Addr("web"), HTTP2: true}), plain, 200, "HTTP/2.0", friend},
		{"TLS", r.secure(friend, false), secure, 200, "HTTP/1.1", friend},
		{"TLS stranger", r.secure(stranger, false), secure, 403, "HTTP/1.1", ""},
		{"HTTP/2", r.secure(friend, true), secure, 200, "HTTP/2.0", friend},
		{"HTTP/2 stranger", r.secure(stranger, true), secure, 403, "HTTP/2.0", ""},
	} {
		before := r.backend.Requests()
		response, err := row.client.Get(row.url)
		if err != nil || response.Status != row.status || response.Proto != row.proto {
			t.Errorf("%s: got %d %s %v, want %d %s", row.name, response.Status, response.Proto, err, row.status, row.proto)
			continue
		}
		arrived := r.backend.Requests() - before
		if want := map[bool]int{true: 1, false: 0}[row.status == 200]; arrived != want {
			t.Errorf("%s: %d requests arrived, want %d", row.name, arrived, want)
		}
		if row.from == "" {
			continue
		}
		if !strings.HasPrefix(response.Body, "media: GET app.example /x\r\n") {
			t.Errorf("%s: got body %q", row.name, response.Body)
		}
		if got := r.backend.LastHeader().Get("X-Forwarded-For"); got != row.from {
			t.Errorf("%s: got X-Forwarded-For %q, want %q", row.name, got, row.from)
		}
	}

	if err := r.Configure(r.allowing(t, "2001:db8:1::/64")); err != nil {
		t.Fatal(err)
	}
	if response := check.Must(r.secure("2001:db8:1::5", true).Get(secure))(t); response.Status != 200 {
		t.Errorf("TLS IPv6: got %d, want 200", response.Status)
	}
}

func TestMTLS(t *testing.T) {
	r := open(t, Options{})
	intermediate := check.Must(r.clients.Intermediate("phones"))(t)
	phone := check.Must(intermediate.Issue(Leaf{CommonName: "phone", URIs: []string{"spiffe://home/phone"}}))(t)
	other := check.Must(check.Must(NewCA("other CA"))(t).Issue(Leaf{CommonName: "phone"}))(t)
	for _, row := range []struct {
		name  string
		certs []tls.Certificate
		want  bool
	}{
		{"a certificate of the client CA", []tls.Certificate{phone}, true},
		{"a certificate of another CA", []tls.Certificate{other}, false},
		{"no certificate", nil, false},
	} {
		for _, http2 := range []bool{false, true} {
			response, err := r.secure(friend, http2, row.certs...).Get("https://mtls.example/")
			if got := err == nil && response.Status == 200; got != row.want {
				t.Errorf("%s, HTTP/2 %t: got in %t (%d %v), want %t", row.name, http2, got, response.Status, err, row.want)
			}
		}
	}
}

func TestWebSocket(t *testing.T) {
	r := open(t, Options{})
	for name, dial := range map[string]func() (*websocket.Conn, *http.Response, error){
		"ws": func() (*websocket.Conn, *http.Response, error) {
			return r.plain(friend).WebSocket(t.Context(), "ws://"+host+"/ws", nil)
		},
		"wss": func() (*websocket.Conn, *http.Response, error) {
			return r.secure(friend, false).WebSocket(t.Context(), "wss://"+host+"/ws", nil)
		},
	} {
		conn, _, err := dial()
		if err != nil {
			t.Fatal(name, err)
		}
		if err := conn.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
			t.Fatal(name, err)
		}
		if _, message, err := conn.ReadMessage(); string(message) != "hello" || err != nil {
			t.Errorf("%s: got %q %v, want the echo", name, message, err)
		}
		conn.Close()
	}
	_, response, err := r.plain(stranger).WebSocket(t.Context(), "ws://"+host+"/ws", nil)
	if err == nil || response == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("stranger: got %v %v, want 403", response, err)
	}
}

func TestStreamPasses(t *testing.T) {
	r := open(t, Options{})
	for _, client := range []*Client{r.plain(friend), r.secure(friend, true)} {
		url := "http://" + host + "/stream?paced"
		if client.options.HTTP2 {
			url = "https://" + host + "/stream?paced"
		}
		response := check.Must(client.Open(check.Must(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))(t)))(t)
		defer response.Body.Close()
		chunks := bufio.NewScanner(response.Body)
		for chunk := range 5 {
			if chunk > 0 { // only now does the backend send more
				check.Must(http.Get(r.backend.URL() + "/next"))(t).Body.Close()
			}
			if want := fmt.Sprintf("chunk %d", chunk+1); !chunks.Scan() || chunks.Text() != want {
				t.Errorf("got %q %v, want %q", chunks.Text(), chunks.Err(), want)
			}
		}
	}
	if response := check.Must(r.plain(friend).Get("http://" + host + "/stream"))(t); strings.Count(response.Body, "chunk") != 5 {
		t.Errorf("got %q, want 5 chunks", response.Body)
	}
}

func TestRawHTTP(t *testing.T) {
	r := open(t, Options{})
	config := &tls.Config{RootCAs: r.ca.Pool(), ServerName: host}
	for _, row := range []struct{ name, target, from, host, want string }{
		{"friend", "web", friend, host, "HTTP/1.1 200 OK\r\n"},
		{"stranger", "web", stranger, host, "HTTP/1.1 403 Forbidden\r\n"},
		{"unknown host", "web", friend, "nobody.example", "HTTP/1.1 404 Not Found\r\n"},
		{"malformed host", "web", friend, "a b", "HTTP/1.1 400 Bad Request"},
		{"friend with TLS", "websecure", friend, host, "HTTP/1.1 200 OK\r\n"},
	} {
		var over *tls.Config
		if row.target == "websecure" {
			over = config
		}
		request := "GET / HTTP/1.1\r\nHost: " + row.host + "\r\nConnection: close\r\n\r\n"
		got, err := RawHTTP(t.Context(), r.Addr(row.target), row.from, over, request)
		if err != nil || !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: got %q %v, want %q ...", row.name, got, err, row.want)
		}
	}
}

func TestClientConnectsFromALocalAddress(t *testing.T) {
	r := open(t, Options{})
	if err := r.Configure(r.allowing(t, "127.0.0.2")); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, local, from string
		status            int
	}{
		{"allowed", "127.0.0.2", "", 200},
		{"another", "127.0.0.3", "", 403},
		{"the system's choice", "", "", 403},
		{"its PROXY header isn't trusted", "127.0.0.3", "127.0.0.2", 403},
	} {
		c := NewClient(ClientOptions{Local: row.local, From: row.from, Target: r.Addr("web")})
		if response := check.Must(c.Get("http://" + host))(t); response.Status != row.status {
			t.Errorf("%s: got %d, want %d", row.name, response.Status, row.status)
		}
	}
	if _, err := NewClient(ClientOptions{Local: "nowhere", Target: r.Addr("web")}).Get("http://" + host); err == nil {
		t.Error("a local address that is none: got no error")
	}
}
