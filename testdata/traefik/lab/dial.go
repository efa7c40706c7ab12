package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"
)

// dial connects to target, from the address local where it is not empty, and announces from, where that is not empty, as
// the source address in a PROXY header.
func dial(ctx context.Context, local, target, from string) (net.Conn, error) {
	var header *proxyproto.Header
	if from != "" {
		source, err := netip.ParseAddr(from)
		if err != nil {
			return nil, fmt.Errorf("source address: %w", err)
		}
		header = ProxyHeader(source)
	}
	var dialer net.Dialer
	if local != "" {
		addr, err := netip.ParseAddr(local)
		if err != nil {
			return nil, fmt.Errorf("local address: %w", err)
		}
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0))
	}
	conn, err := dialer.DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, err
	}
	if header != nil {
		if _, err := header.WriteTo(conn); err != nil {
			conn.Close()
			return nil, fmt.Errorf("PROXY header: %w", err)
		}
	}
	return conn, nil
}

// ProxyHeader announces source by the PROXY protocol. The destination and the ports are made up: Traefik uses the source
// address only.
func ProxyHeader(source netip.Addr) *proxyproto.Header {
	header := &proxyproto.Header{
		Version:           1,
		Command:           proxyproto.PROXY,
		TransportProtocol: proxyproto.TCPv4,
		SourceAddr:        net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 40000)),
		DestinationAddr:   &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443},
	}
	if source.Is6() {
		// Version 2, because version 1 writes an IPv4-mapped address as plain IPv4.
		header.Version = 2
		header.TransportProtocol = proxyproto.TCPv6
		header.DestinationAddr = &net.TCPAddr{IP: net.IPv6loopback, Port: 443}
	}
	return header
}

// Dial connects to target, as from the source address from (empty: loopback, without a PROXY header) and through TLS
// where config is given. The connection is the caller's to close; it ends with ctx.
func Dial(ctx context.Context, target, from string, config *tls.Config) (net.Conn, error) {
	socket, err := dial(ctx, "", target, from)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { socket.Close() })
	if config == nil {
		return socket, nil
	}
	return tls.Client(socket, config), nil
}

// RawHTTP sends request as it stands by a connection of Dial, and returns all bytes until the other side closes the
// connection: request should ask for that. With an error it returns what had arrived by then.
func RawHTTP(ctx context.Context, target, from string, config *tls.Config, request string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := Dial(ctx, target, from, config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	response, err := io.ReadAll(conn)
	if ctx.Err() != nil {
		err = ctx.Err() // rather than "use of closed network connection"
	}
	return string(response), err
}
