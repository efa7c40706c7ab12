package lab

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// Backend is a service behind Traefik, on a loopback port of its own. Every path answers "name: METHOD host path",
// then the request's headers, an empty line and its body. Two paths do more: /ws echoes WebSocket messages and
// /stream sends five chunks, each after the one before was flushed; with /stream?paced each chunk but the first
// also waits for a request to /next. It is safe for concurrent use.
type Backend struct {
	name   string
	url    string
	server *http.Server
	next   chan struct{}

	mu       sync.Mutex
	requests int
	header   http.Header
}

// StartBackend starts a backend.
func StartBackend(name string) (*Backend, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("backend %s: %w", name, err)
	}
	b := &Backend{name: name, url: "http://" + listener.Addr().String(), next: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("/", b.echo)
	mux.HandleFunc("/ws", b.webSocket)
	mux.HandleFunc("/stream", b.stream)
	mux.HandleFunc("/next", b.release)
	b.server = &http.Server{Handler: b.count(mux)}
	go b.server.Serve(listener) //nolint:errcheck // it ends with Close
	return b, nil
}

// URL returns the backend's address, http://host:port.
func (b *Backend) URL() string { return b.url }

// Close stops the backend and its connections.
func (b *Backend) Close() { b.server.Close() }

// Requests returns how many requests have arrived.
func (b *Backend) Requests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests
}

// LastHeader returns the headers of the request that arrived last; nil before the first.
func (b *Backend) LastHeader() http.Header {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.header.Clone()
}

func (b *Backend) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		b.mu.Lock()
		b.requests++
		b.header = req.Header.Clone()
		b.mu.Unlock()
		next.ServeHTTP(rw, req)
	})
}

func (b *Backend) echo(rw http.ResponseWriter, req *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(rw, "%s: %s %s %s\r\n", b.name, req.Method, req.Host, req.URL.Path)
	_ = req.Header.Write(rw)
	_, _ = io.WriteString(rw, "\r\n")
	_, _ = io.Copy(rw, req.Body)
}

func (b *Backend) webSocket(rw http.ResponseWriter, req *http.Request) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(rw, req, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer conn.Close()
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if err := conn.WriteMessage(kind, message); err != nil {
			return
		}
	}
}

func (b *Backend) stream(rw http.ResponseWriter, req *http.Request) {
	paced := req.URL.Query().Has("paced")
	control := http.NewResponseController(rw)
	for chunk := range 5 {
		if paced && chunk > 0 {
			select {
			case <-b.next:
			case <-req.Context().Done():
				return
			}
		}
		fmt.Fprintf(rw, "chunk %d\n", chunk+1)
		if err := control.Flush(); err != nil {
			return
		}
	}
}

func (b *Backend) release(_ http.ResponseWriter, req *http.Request) {
	select {
	case b.next <- struct{}{}:
	case <-req.Context().Done():
	}
}
