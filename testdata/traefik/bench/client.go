package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"
)

// patience bounds the wait for an answer.
const patience = 30 * time.Second

// A client is one connection to Traefik, on which requests follow each other.
type client struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
	want    int // status
}

// An address is where clients go to, and from where, and as whom.
type address struct {
	target string // host:port of the entry point
	host   string
	from   string      // IPv4 address to announce by the PROXY protocol
	tls    *tls.Config // nil: plain HTTP
	want   int         // status
}

// connect connects, and shakes hands if there is TLS.
func connect(ctx context.Context, a address) (*client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", a.target)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "PROXY TCP4 %s 127.0.0.1 40000 443\r\n", a.from); err != nil {
		conn.Close()
		return nil, err
	}
	if a.tls != nil {
		config := a.tls.Clone()
		config.ServerName = a.host
		secure := tls.Client(conn, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("%s from %s: %w", a.host, a.from, err)
		}
		conn = secure
	}
	return &client{
		conn:    conn,
		reader:  bufio.NewReader(conn),
		request: []byte("GET /api/assets?page=2 HTTP/1.1\r\nHost: " + a.host + "\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"),
		want:    a.want,
	}, nil
}

// ask sends the request and reads the answer; a wrong one is an error.
func (c *client) ask() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	// HTTP/1.1 200 OK
	if len(line) < 12 {
		return fmt.Errorf("got status line %q", line)
	}
	if status, err := strconv.Atoi(string(line[9:12])); err != nil || status != c.want {
		return fmt.Errorf("got %q, want status %d, to %q", line, c.want, c.request)
	}
	length := -1
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return fmt.Errorf("got header %q", line)
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("got no Content-Length, to %q", c.request)
	}
	_, err = c.reader.Discard(length)
	return err
}
