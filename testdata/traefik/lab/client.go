package lab

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"

	"github.com/gorilla/websocket"
)

// ClientOptions says where a client seems to come from, where it goes to and how.
type ClientOptions struct {
	Local     string      // address on this machine to connect from, e.g. 127.0.0.2; empty: the system's choice
	From      string      // source address to announce by the PROXY protocol; empty: loopback, without a PROXY header
	Target    string      // host:port that every request is sent to, whatever its URL says
	TLS       *tls.Config // roots, client certificates; copied
	HTTP2     bool        // HTTP/2 and nothing else (without TLS: h2c); default HTTP/1.1 and nothing else
	SNI       string      // server name to ask for and to verify; empty: the URL's host
	KeepAlive bool        // reuse connections; default a new one for each request
}

// Client is an HTTP client at a made-up address. It does not follow redirects. It is safe for concurrent use.
type Client struct {
	options ClientOptions
	http    *http.Client
}

// Response is an answer with its whole body.
type Response struct {
	Status int
	Header http.Header
	Body   string
	Proto  string
}

// NewClient returns a client; a faulty Local, From or Target is reported by its first request.
func NewClient(options ClientOptions) *Client {
	options.TLS = options.TLS.Clone()
	if options.TLS == nil {
		options.TLS = &tls.Config{}
	}
	if options.SNI != "" {
		options.TLS.ServerName = options.SNI
	}
	c := &Client{options: options}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!options.HTTP2)
	protocols.SetHTTP2(options.HTTP2)
	protocols.SetUnencryptedHTTP2(options.HTTP2)
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:       c.dial,
			TLSClientConfig:   options.TLS.Clone(),
			Protocols:         protocols,
			DisableKeepAlives: !options.KeepAlive,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
	return c
}

func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return dial(ctx, c.options.Local, c.options.Target, c.options.From)
}

// Get asks for url.
func (c *Client) Get(url string) (Response, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return Response{}, err
	}
	return c.Do(request)
}

// Do sends request and reads the whole answer.
func (c *Client) Do(request *http.Request) (Response, error) {
	response, err := c.Open(request)
	if err != nil {
		return Response{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Response{
		Status: response.StatusCode,
		Header: response.Header,
		Body:   string(body),
		Proto:  response.Proto,
	}, err
}

// Open sends request and returns as soon as the answer begins; its body, read as it arrives, is the caller's to close.
func (c *Client) Open(request *http.Request) (*http.Response, error) {
	return c.http.Do(request)
}

// WebSocket opens a WebSocket at a ws or wss url. When the server refuses, the response tells its status.
func (c *Client) WebSocket(ctx context.Context, url string, header http.Header) (*websocket.Conn, *http.Response, error) {
	dialer := websocket.Dialer{
		NetDialContext:   c.dial,
		TLSClientConfig:  c.options.TLS.Clone(),
		HandshakeTimeout: patience,
	}
	return dialer.DialContext(ctx, url, header)
}

// Close closes the connections kept alive.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
}
