package replicas

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

// A relay stands between Traefik and Redis.
type relay struct {
	listener net.Listener
	target   string
	lag      time.Duration // what comes through takes so long, each way
	silent   atomic.Bool   // nothing comes through, as if somebody had pulled out a cable
}

func startRelay(t *testing.T, target string, lag time.Duration) *relay {
	t.Helper()
	listener := check.Must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = listener.Close() })
	r := &relay{listener: listener, target: target, lag: lag}
	go r.accept()
	return r
}

func (r *relay) address() string { return r.listener.Addr().String() }

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		lost := &atomic.Bool{}
		go r.copy(client, server, lost)
		go r.copy(server, client, lost)
	}
}

// copy passes on what comes. A connection that has lost something never gets over it.
func (r *relay) copy(to, from net.Conn, lost *atomic.Bool) {
	defer to.Close()
	for chunk := make([]byte, 4096); ; {
		n, err := from.Read(chunk)
		if err != nil {
			return
		}
		if r.silent.Load() {
			lost.Store(true)
		}
		if lost.Load() {
			continue
		}
		time.Sleep(r.lag)
		if _, err := to.Write(chunk[:n]); err != nil {
			return
		}
	}
}
