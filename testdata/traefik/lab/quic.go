package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// QUICOptions says where an HTTP/3 client comes from, where it goes to and how. There is no PROXY protocol over QUIC:
// clients differ by their loopback addresses.
type QUICOptions struct {
	Local  string      // loopback address to come from
	Target string      // host:port
	TLS    *tls.Config // roots, client certificates, sessions; copied
	SNI    string      // server name to ask for and to verify
	Early  bool        // offer 0-RTT: send requests before the handshake is complete
}

// QUIC is an HTTP/3 client on one QUIC connection. It is safe for concurrent use, but for Move and Close.
type QUIC struct {
	conn    *quic.Conn
	http    *http3.ClientConn
	close   context.CancelFunc
	sockets []*quic.Transport
}

// DialQUIC opens a connection; unless it is early, its handshake is complete.
//
// With TLS 1.3 that doesn't mean that the server has taken the client's certificate: the first request tells.
func DialQUIC(ctx context.Context, o QUICOptions) (*QUIC, error) {
	target, err := net.ResolveUDPAddr("udp", o.Target)
	if err != nil {
		return nil, err
	}
	config := o.TLS.Clone()
	config.ServerName = o.SNI
	config.NextProtos = []string{http3.NextProtoH3}
	c := &QUIC{}
	socket, err := c.socket(o.Local)
	if err != nil {
		return nil, err
	}
	ctx, c.close = context.WithCancel(ctx) // QUIC itself bounds the handshake, to 5 seconds without a word
	dial := socket.Dial
	if o.Early {
		dial = socket.DialEarly
	}
	if c.conn, err = dial(ctx, target, config, nil); err != nil {
		c.Close()
		return nil, err
	}
	c.http = (&http3.Transport{DisableCompression: true}).NewClientConn(c.conn)
	return c, nil
}

// socket opens a UDP socket, which closes with c.
func (c *QUIC) socket(bind string) (*quic.Transport, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(bind)})
	if err != nil {
		return nil, err
	}
	socket := &quic.Transport{Conn: conn}
	c.sockets = append(c.sockets, socket)
	return socket, nil
}

// Move goes on from another loopback address, as a phone does that changes networks. The server takes note with one of
// the next packets.
func (c *QUIC) Move(ctx context.Context, bind string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	socket, err := c.socket(bind)
	if err != nil {
		return err
	}
	path, err := c.conn.AddPath(socket)
	if err != nil {
		return fmt.Errorf("a path from %s: %w", bind, err)
	}
	if err := path.Probe(ctx); err != nil {
		return fmt.Errorf("probing the path from %s: %w", bind, err)
	}
	return path.Switch()
}

// Get asks for url, by its host whatever the connection's server name is, and reads the whole answer.
func (c *QUIC) Get(ctx context.Context, url string) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Response{}, err
	}
	response, err := c.http.RoundTrip(request)
	if err != nil {
		return Response{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Response{Status: response.StatusCode, Header: response.Header, Body: string(body), Proto: response.Proto}, err
}

// State tells of the connection: whether it was resumed, and by 0-RTT.
func (c *QUIC) State() quic.ConnectionState { return c.conn.ConnectionState() }

// Close ends the connection and its sockets.
func (c *QUIC) Close() {
	if c.conn != nil {
		_ = c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
	}
	c.close()
	for _, socket := range c.sockets {
		socket.Close()
		socket.Conn.Close()
	}
}
