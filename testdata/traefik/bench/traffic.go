package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// patience bounds the wait for an answer.
const patience = 30 * time.Second

// A backend answers every request alike, and costs as little as it can: it shares the cores with Traefik.
type backend struct{ net.Listener }

func startBackend() (*backend, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &backend{listener}
	go func() {
		for {
			conn, err := b.Accept()
			if err != nil {
				return // closed
			}
			go answer(conn)
		}
	}()
	return b, nil
}

func (b *backend) url() string { return "http://" + b.Addr().String() }

// answer serves requests without a body until the other side closes.
func answer(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for {
		for {
			line, err := reader.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(bytes.TrimSpace(line)) == 0 {
				break
			}
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"); err != nil {
			return
		}
	}
}

// A visitor is one connection to Traefik, on which requests follow each other.
type visitor struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
	want    int // status
}

// An address is where visitors go to, and from where, and as whom.
type address struct {
	target string // host:port of the entry point
	host   string
	from   string      // IPv4 address to announce by the PROXY protocol
	tls    *tls.Config // nil: plain HTTP
	want   int         // status
}

// visit connects, and shakes hands if there is TLS.
func visit(ctx context.Context, a address) (*visitor, error) {
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
	return &visitor{
		conn:    conn,
		reader:  bufio.NewReader(conn),
		request: []byte("GET /api/assets?page=2 HTTP/1.1\r\nHost: " + a.host + "\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"),
		want:    a.want,
	}, nil
}

// ask sends the request and reads the answer; a wrong one is an error.
func (v *visitor) ask() error {
	if _, err := v.conn.Write(v.request); err != nil {
		return err
	}
	line, err := v.reader.ReadSlice('\n')
	if err != nil {
		return err
	}
	// HTTP/1.1 200 OK
	if len(line) < 12 {
		return fmt.Errorf("got status line %q", line)
	}
	if status, err := strconv.Atoi(string(line[9:12])); err != nil || status != v.want {
		return fmt.Errorf("got %q, want status %d, to %q", line, v.want, v.request)
	}
	length := -1
	for {
		line, err := v.reader.ReadSlice('\n')
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
		return fmt.Errorf("got no Content-Length, to %q", v.request)
	}
	_, err = v.reader.Discard(length)
	return err
}

// A crowd is some connections to one router.
type crowd []*visitor

func gather(ctx context.Context, n int, a address) (crowd, error) {
	var c crowd
	for range n {
		v, err := visit(ctx, a)
		if err != nil {
			c.leave()
			return nil, err
		}
		c = append(c, v)
	}
	return c, nil
}

func (c crowd) leave() {
	for _, v := range c {
		v.conn.Close()
	}
}

// visits has each visitor ask, one after another, as long as more says so of its number of requests so far. It returns
// how long each request took, and fails with the first error of any.
func (c crowd) visits(ctx context.Context, more func(asked int) bool) ([]time.Duration, error) {
	took, errs := make([][]time.Duration, len(c)), make([]error, len(c))
	var busy sync.WaitGroup
	for i, v := range c {
		busy.Go(func() {
			errs[i] = v.conn.SetDeadline(time.Now().Add(patience))
			for asked := 0; errs[i] == nil && ctx.Err() == nil && more(asked); asked++ {
				start := time.Now()
				errs[i] = v.ask()
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	busy.Wait()
	var all []time.Duration
	for i := range c {
		if errs[i] != nil {
			return nil, errs[i]
		}
		all = append(all, took[i]...)
	}
	return all, ctx.Err()
}

// during has the crowd ask for that long, and returns requests per second and how long each took.
func (c crowd) during(ctx context.Context, window time.Duration) (float64, []time.Duration, error) {
	start := time.Now()
	took, err := c.visits(ctx, func(int) bool { return time.Since(start) < window })
	return float64(len(took)) / time.Since(start).Seconds(), took, err
}
