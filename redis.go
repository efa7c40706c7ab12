package mtlsallowlist

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

var (
	errReply = errors.New("what answers doesn't speak Redis's protocol, or says too much")
	errRedis = errors.New("redis") // begins what are Redis's own words
)

// redisOptions tell how to reach a Redis, and how to log in.
type redisOptions struct {
	endpoints    []string // "host:port" of one server, or of some of a cluster's
	username     string   // empty: the default user
	password     string   // empty: none
	db           int
	tls          *tls.Config   // nil: none
	readTimeout  time.Duration // of each answer; 0: none
	writeTimeout time.Duration // of each command; 0: none
	dialTimeout  time.Duration // of each step of connecting
}

// A reply is text, a number, an error of Redis, nothing, or several replies.
type reply struct {
	kind  byte // of RESP2: '+' and '$' text, ':' number as text, '-' error, '*' items, '_' nothing
	text  string
	items []reply
}

// A redisConn is a connection to a Redis server, by RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/).
// It is not safe for concurrent use, but for close.
type redisConn struct {
	conn   net.Conn
	reader *bufio.Reader
	stop   func() bool   // forgets the context that the connection lasts with
	writes time.Duration // how long a write may take; 0: as long as it likes
	left   int           // how many bytes more the reply may take that is being read
}

// dialRedis connects to address, "host:port", and logs in: each step within limit. The connection lasts until ctx is done.
func dialRedis(ctx context.Context, s *redisOptions, address string, limit time.Duration) (*redisConn, error) {
	dialer := &net.Dialer{Timeout: limit}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	plain := conn
	stop := context.AfterFunc(ctx, func() { _ = plain.Close() })
	if s.tls != nil {
		config := s.tls.Clone()
		if config.ServerName == "" {
			config.ServerName = hostOf(address)
		}
		secure := tls.Client(conn, config)
		_ = secure.SetDeadline(time.Now().Add(limit))
		if err := secure.Handshake(); err != nil {
			stop()
			_ = conn.Close()
			return nil, err
		}
		_ = secure.SetDeadline(time.Time{})
		conn = secure
	}
	c := newConn(conn, s.writeTimeout)
	c.stop = stop
	if err := c.logIn(s, shorter(limit, s.readTimeout)); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// newConn speaks over a connection that is there already. A write may take writeTimeout; 0: as long as it likes.
func newConn(conn net.Conn, writeTimeout time.Duration) *redisConn {
	return &redisConn{conn: conn, reader: bufio.NewReaderSize(conn, maxReplyLine), stop: func() bool { return true }, writes: writeTimeout}
}

func shorter(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

func (c *redisConn) logIn(s *redisOptions, limit time.Duration) error {
	if s.password != "" {
		auth := []string{"AUTH", s.password}
		if s.username != "" {
			auth = []string{"AUTH", s.username, s.password}
		}
		if _, err := c.do(limit, auth...); err != nil {
			return err
		}
	}
	if s.db != 0 {
		if _, err := c.do(limit, "SELECT", strconv.Itoa(s.db)); err != nil {
			return err
		}
	}
	return nil
}

func (c *redisConn) close() {
	c.stop()
	_ = c.conn.Close() // nothing is lost: what was not answered counts as not done
}

// do sends a command and returns the answer, for which it waits as long as timeout. What Redis refuses is an errRedis;
// after any other error the connection is of no use.
func (c *redisConn) do(timeout time.Duration, command ...string) (reply, error) {
	var request bytes.Buffer
	fmt.Fprintf(&request, "*%d\r\n", len(command))
	for _, part := range command {
		fmt.Fprintf(&request, "$%d\r\n", len(part))
		request.WriteString(part)
		request.WriteString("\r\n")
	}
	if err := c.conn.SetWriteDeadline(deadline(c.writes)); err != nil {
		return reply{}, err
	}
	if _, err := c.conn.Write(request.Bytes()); err != nil {
		return reply{}, err
	}
	if err := c.conn.SetReadDeadline(deadline(timeout)); err != nil {
		return reply{}, err
	}
	c.left = maxReply
	answer, err := c.read(0)
	if err != nil {
		return reply{}, err
	}
	if answer.kind == '-' {
		return answer, fmt.Errorf("%w: %s", errRedis, printable(answer.text))
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

func (c *redisConn) read(depth int) (reply, error) {
	line, err := c.line()
	if err != nil {
		return reply{}, err
	}
	c.left -= itemBytes + len(line)
	if line == "" || depth > maxReplyDepth || c.left < 0 {
		return reply{}, errReply
	}
	r := reply{kind: line[0], text: line[1:]}
	switch line[0] {
	case '+', '-', ':':
		return r, nil
	case '$':
		return c.text(r.text)
	case '*':
		return c.items(r.text, depth)
	}
	return reply{}, errReply
}

// line reads up to the next line feed.
func (c *redisConn) line() (string, error) {
	line, err := c.reader.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errReply
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(line), "\r\n"), nil
}

// text reads a text of the announced length. It takes memory as bytes arrive, not as they are announced.
func (c *redisConn) text(announced string) (reply, error) {
	n, err := strconv.Atoi(announced)
	if err != nil || n < -1 || n > maxReplyText {
		return reply{}, errReply
	}
	if n == -1 {
		return reply{kind: '_'}, nil
	}
	c.left -= n
	if c.left < 0 {
		return reply{}, errReply
	}
	var text bytes.Buffer
	if _, err := io.CopyN(&text, c.reader, int64(n)); err != nil {
		return reply{}, err
	}
	end, err := c.line()
	if err != nil {
		return reply{}, err
	}
	if end != "" {
		return reply{}, errReply
	}
	return reply{kind: '$', text: text.String()}, nil
}

func (c *redisConn) items(announced string, depth int) (reply, error) {
	n, err := strconv.Atoi(announced)
	if err != nil || n < -1 || n > maxReplyItems {
		return reply{}, errReply
	}
	if n == -1 {
		return reply{kind: '_'}, nil
	}
	r := reply{kind: '*'}
	for i := 0; i < n; i++ {
		item, err := c.read(depth + 1)
		if err != nil {
			return reply{}, err
		}
		r.items = append(r.items, item)
	}
	return r, nil
}
