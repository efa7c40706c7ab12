package browser

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/pires/go-proxyproto"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// Relay passes connections on to a server and announces by the PROXY protocol that they come from a
// made-up address: as nginx does in its stream module with proxy_protocol on, say in front of Traefik.
type Relay struct {
	listener net.Listener
	target   string
	header   *proxyproto.Header
	open     context.Context // ends with Close
	end      context.CancelFunc
	running  sync.WaitGroup
}

// StartRelay listens on a loopback port of its own and passes on to target, a host:port, as from the address from. An
// IPv4 address mapped into IPv6 is announced as plain IPv4.
func StartRelay(target, from string) (*Relay, error) {
	source, err := netip.ParseAddr(from)
	if err != nil {
		return nil, fmt.Errorf("relay: source address: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	r := &Relay{listener: listener, target: target, header: lab.ProxyHeader(source.Unmap())}
	r.open, r.end = context.WithCancel(context.Background())
	r.running.Go(r.accept)
	return r, nil
}

// Addr returns the host:port to connect to.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Close stops the relay, ends its connections and waits.
func (r *Relay) Close() {
	r.listener.Close()
	r.end()
	r.running.Wait()
}

func (r *Relay) accept() {
	for {
		conn, err := r.listener.Accept()
		if err != nil {
			return // by Close
		}
		r.running.Go(func() { r.pass(conn.(*net.TCPConn)) })
	}
}

// pass passes one connection on. When the server is not there the client sees an end without an answer.
func (r *Relay) pass(client *net.TCPConn) {
	defer client.Close()
	var dialer net.Dialer
	conn, err := dialer.DialContext(r.open, "tcp", r.target)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	defer context.AfterFunc(r.open, func() { client.Close(); server.Close() })()
	if _, err := r.header.WriteTo(server); err != nil {
		return
	}
	var there sync.WaitGroup
	there.Go(func() { copyTo(server, client) })
	copyTo(client, server)
	there.Wait()
}

// copyTo copies up to src's end and says so to dst.
func copyTo(dst, src *net.TCPConn) {
	_, _ = io.Copy(dst, src)
	_ = dst.CloseWrite()
}
