// Package redis is a small client of Redis, by RESP2, with TLS and logins. It bounds what a server may send; it knows neither
// clusters nor what the plugin keeps there.
package redis

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/wording"
)

// What a reply of Redis may take, so that a broken or hostile server can't fill the memory.
const (
	maxReplyLine  = 64 << 10 // bytes
	maxReplyText  = 64 << 20 // bytes of one text
	maxReplyItems = 10_000   // of one array
	maxReplyDepth = 5        // of arrays in arrays
	maxReply      = 96 << 20 // bytes of all of it, each item counted as itemBytes at least
	itemBytes     = 100
)

// What Do fails with, besides the errors of the connection.
var (
	ErrReply = errors.New("what answers doesn't speak Redis's protocol, or says too much")
	ErrRedis = errors.New("redis") // begins what are Redis's own words
)

// Options tell how to reach a Redis, and how to log in.
type Options struct {
	Endpoints    []string // "host:port" of one server, or of some of a cluster's
	Username     string   // empty: the default user
	Password     string   // empty: none
	DB           int
	TLS          *tls.Config   // nil: none
	ReadTimeout  time.Duration // of each answer; 0: none
	WriteTimeout time.Duration // of each command; 0: none
	DialTimeout  time.Duration // of each step of connecting
}

// A Reply is text, a number, an error of Redis, nothing, or several replies.
type Reply struct {
	Kind  byte // of RESP2: '+' and '$' text, ':' number as text, '-' error, '*' items, '_' nothing
	Text  string
	Items []Reply
}

// A Conn is a connection to a Redis server, by RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/).
// It is not safe for concurrent use, but for close.
type Conn struct {
	conn   net.Conn
	reader *bufio.Reader
	stop   func() bool   // forgets the context that the connection lasts with
	writes time.Duration // how long a write may take; 0: as long as it likes
	left   int           // how many bytes more the reply may take that is being read
}

// Dial connects to address, "host:port", and logs in: each step within limit. The connection lasts until ctx is done.
func Dial(ctx context.Context, s *Options, address string, limit time.Duration) (*Conn, error) {
	dialer := &net.Dialer{Timeout: limit}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	plain := conn
	stop := context.AfterFunc(ctx, func() { _ = plain.Close() })
	if s.TLS != nil {
		config := s.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName = clientip.Host(address)
		}
		secure := tls.Client(conn, config)
		_ = secure.SetDeadline(time.Now().Add(limit)) // each command sets its own
		if err := secure.Handshake(); err != nil {
			stop()
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	c := NewConn(conn, s.WriteTimeout)
	c.stop = stop
	if err := c.LogIn(s, Shorter(limit, s.ReadTimeout)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// NewConn speaks over a connection that is there already. A write may take writeTimeout; 0: as long as it likes.
func NewConn(conn net.Conn, writeTimeout time.Duration) *Conn {
	return &Conn{conn: conn, reader: bufio.NewReaderSize(conn, maxReplyLine), stop: func() bool { return true }, writes: writeTimeout}
}

// Shorter returns the shorter of two durations.
func Shorter(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

// LogIn sends user and password and chooses the database, as far as options say so. Each answer may take as long as limit.
func (c *Conn) LogIn(s *Options, limit time.Duration) error {
	if s.Password != "" {
		auth := []string{"AUTH", s.Password}
		if s.Username != "" {
			auth = []string{"AUTH", s.Username, s.Password}
		}
		if _, err := c.Do(limit, auth...); err != nil {
			return err
		}
	}
	if s.DB != 0 {
		if _, err := c.Do(limit, "SELECT", strconv.Itoa(s.DB)); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the connection.
func (c *Conn) Close() {
	c.stop()
	_ = c.conn.Close() // nothing is lost: what was not answered counts as not done
}

// Do sends a command and returns the answer, for which it waits as long as timeout. What Redis refuses is an ErrRedis;
// after any other error the connection is of no use.
func (c *Conn) Do(timeout time.Duration, command ...string) (Reply, error) {
	var request bytes.Buffer
	fmt.Fprintf(&request, "*%d\r\n", len(command))
	for _, part := range command {
		fmt.Fprintf(&request, "$%d\r\n", len(part))
		request.WriteString(part)
		request.WriteString("\r\n")
	}
	if err := c.conn.SetWriteDeadline(deadline(c.writes)); err != nil {
		return Reply{}, err
	}
	if _, err := c.conn.Write(request.Bytes()); err != nil {
		return Reply{}, err
	}
	if err := c.conn.SetReadDeadline(deadline(timeout)); err != nil {
		return Reply{}, err
	}
	c.left = maxReply
	answer, err := c.read(0)
	if err != nil {
		return Reply{}, err
	}
	if answer.Kind == '-' {
		return answer, fmt.Errorf("%w: %s", ErrRedis, wording.Printable(answer.Text))
	}
	return answer, nil
}

// deadline is that far from now; none at all if d is 0.
func deadline(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

func (c *Conn) read(depth int) (Reply, error) {
	line, err := c.line()
	if err != nil {
		return Reply{}, err
	}
	c.left -= itemBytes + len(line)
	if line == "" || depth > maxReplyDepth || c.left < 0 {
		return Reply{}, ErrReply
	}
	r := Reply{Kind: line[0], Text: line[1:]}
	switch line[0] {
	case '+', '-', ':':
		return r, nil
	case '$':
		return c.text(r.Text)
	case '*':
		return c.items(r.Text, depth)
	}
	return Reply{}, ErrReply
}

// line reads up to the next line feed.
func (c *Conn) line() (string, error) {
	line, err := c.reader.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", ErrReply
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(line), "\r\n"), nil
}

// text reads a text of the announced length. It takes memory as bytes arrive, not as they are announced.
func (c *Conn) text(announced string) (Reply, error) {
	n, err := strconv.Atoi(announced)
	if err != nil || n < -1 || n > maxReplyText {
		return Reply{}, ErrReply
	}
	if n == -1 {
		return Reply{Kind: '_'}, nil
	}
	c.left -= n
	if c.left < 0 {
		return Reply{}, ErrReply
	}
	var text bytes.Buffer
	if _, err := io.CopyN(&text, c.reader, int64(n)); err != nil {
		return Reply{}, err
	}
	end, err := c.line()
	if err != nil {
		return Reply{}, err
	}
	if end != "" {
		return Reply{}, ErrReply
	}
	return Reply{Kind: '$', Text: text.String()}, nil
}

func (c *Conn) items(announced string, depth int) (Reply, error) {
	n, err := strconv.Atoi(announced)
	if err != nil || n < -1 || n > maxReplyItems {
		return Reply{}, ErrReply
	}
	if n == -1 {
		return Reply{Kind: '_'}, nil
	}
	r := Reply{Kind: '*'}
	for i := 0; i < n; i++ {
		item, err := c.read(depth + 1)
		if err != nil {
			return Reply{}, err
		}
		r.Items = append(r.Items, item)
	}
	return r, nil
}
