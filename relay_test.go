package mtlsallowlist

import (
	"net"
	"sync"
	"testing"
)

// What a relay does with the bytes that come.
const (
	passes   = iota
	swallows // them, and all that come later on the connections of that time
	holds    // them, and passes them later
)

// A relay stands between a replica and Redis. It makes a connection of its own for each that comes.
type relay struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	changed *sync.Cond
	mode    int
	conns   []net.Conn
}

func startRelay(t *testing.T, target string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, target: target}
	r.changed = sync.NewCond(&r.mu)
	go r.accept()
	t.Cleanup(func() { r.close() })
	return r
}

func (r *relay) address() string {
	return r.listener.Addr().String()
}

func (r *relay) close() {
	_ = r.listener.Close()
	r.set(passes)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		_ = conn.Close()
	}
}

func (r *relay) set(mode int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = mode
	r.changed.Broadcast()
}

func (r *relay) accept() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = from.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, from, to)
		r.mu.Unlock()
		go r.copy(from, to)
		go r.copy(to, from)
	}
}

func (r *relay) copy(from, to net.Conn) {
	chunk := make([]byte, 4096)
	swallowed := false
	for {
		n, err := from.Read(chunk)
		if err != nil {
			_ = to.Close()
			return
		}
		r.mu.Lock()
		for r.mode == holds {
			r.changed.Wait()
		}
		swallowed = swallowed || r.mode == swallows
		r.mu.Unlock()
		if swallowed {
			continue
		}
		if _, err := to.Write(chunk[:n]); err != nil {
			_ = from.Close()
			return
		}
	}
}
