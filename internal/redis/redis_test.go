package redis

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// talker listens on a port of its own, and has speak say something to one who connects after the other, until that returns. In
// Yaegi 0.16 a function literal that ends takes those away that its place in the code has made since: none may be made in a loop
// while another one runs.
func talker(t *testing.T, speak func(conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go serve(listener, speak)
	return listener.Addr().String()
}

func serve(listener net.Listener, speak func(conn net.Conn)) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		speak(conn)
		_ = conn.Close()
	}
}

// saying returns what sends a reply, and then waits until the other side has closed.
func saying(reply string, silently bool) func(conn net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, reply)
		if !silently {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
		_, _ = io.Copy(io.Discard, conn)
	}
}

// Replies of what isn't Redis, or is up to no good.
var badReplies = []struct {
	name, reply string
	silent      bool // it then says no more, but doesn't close
	want        error
}{
	{"it closes at once", "", false, io.EOF},
	{"it says nothing", "", true, os.ErrDeadlineExceeded},
	{"an empty line", "\r\n", true, ErrReply},
	{"another protocol", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", false, ErrReply},
	{"a reply of RESP3", "%1\r\n+a\r\n+b\r\n", true, ErrReply},
	{"bytes at random", "\x00\xff\x17\n", true, ErrReply},
	{"a line without end", strings.Repeat("+", maxReplyLine+1), true, ErrReply},
	{"a line that stops", "+OK", true, os.ErrDeadlineExceeded},
	{"a line that is cut off", "+OK", false, io.EOF},
	{"a text of 1 TB", "$1099511627776\r\n", true, ErrReply},
	{"a text of more than an int", "$99999999999999999999\r\n", true, ErrReply},
	{"a text of less than nothing", "$-2\r\n", true, ErrReply},
	{"a text of no number", "$x\r\n", true, ErrReply},
	{"64 MiB announced, and then silence", "$67108864\r\nabc", true, os.ErrDeadlineExceeded},
	{"a byte more than 64 MiB", "$67108865\r\n", true, ErrReply},
	{"a text that is cut off", "$10\r\nabc", false, io.EOF},
	{"a text that is longer than announced", "$3\r\nabcd\r\n", true, ErrReply},
	{"a million replies", "*1000000\r\n", true, ErrReply},
	{"replies of no number", "*x\r\n", true, ErrReply},
	{"fewer replies than announced", "*2\r\n:1\r\n", true, os.ErrDeadlineExceeded},
	{"replies in replies in replies", strings.Repeat("*1\r\n", 1000), true, ErrReply},
	{"replies that take 100 billion together", "*10000\r\n" + strings.Repeat("*10000\r\n", 5), true, os.ErrDeadlineExceeded},
	{"an error", "-ERR what\x1b[31m\r\n", true, ErrRedis},
	{"an error as long as a line may be", "-" + strings.Repeat("e", maxReplyLine-3) + "\r\n", true, ErrRedis},
}

func TestWhatIsNotRedisIsTurnedAway(t *testing.T) {
	for _, row := range badReplies {
		conn := dialTalker(t, talker(t, saying(row.reply, row.silent)))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := conn.Do(200*time.Millisecond, "PING")
		runtime.ReadMemStats(&after)
		conn.Close()
		early := errors.Is(row.want, io.EOF) && errors.Is(err, io.ErrUnexpectedEOF)
		if !errors.Is(err, row.want) && !early {
			t.Errorf("%s: got %v, want %v", row.name, err, row.want)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
			t.Errorf("%s: took %d bytes", row.name, grown)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%s: got %q, want no control characters", row.name, err)
		}
	}
}

func dialTalker(t *testing.T, address string) *Conn {
	t.Helper()
	redis := &Options{ReadTimeout: 3 * time.Second, WriteTimeout: 3 * time.Second, DialTimeout: 5 * time.Second}
	conn, err := Dial(context.Background(), redis, address, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestBytesThatTrickleDontProlongTheWait(t *testing.T) {
	ended := make(chan bool, 1)
	address := talker(t, func(conn net.Conn) {
		_, err := io.WriteString(conn, "$1000000\r\n")
		for err == nil {
			time.Sleep(10 * time.Millisecond)
			_, err = conn.Write([]byte("x"))
		}
		ended <- true
	})
	conn := dialTalker(t, address)
	_, err := conn.Do(200*time.Millisecond, "PING")
	conn.Close()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want that time is up", err)
	}
	<-ended
}

func TestManyTextsTogetherAreTooMuchAsOneWouldBe(t *testing.T) {
	for _, row := range []struct {
		name, text string
		left       int
		want       error
	}{
		{"just enough", "$1000\r\n" + strings.Repeat("x", 1000) + "\r\n", 100*(1000+2*itemBytes) + itemBytes, nil},
		{"texts", "$1000\r\n" + strings.Repeat("x", 1000) + "\r\n", 50_000, ErrReply},
		{"lines", "+" + strings.Repeat("x", 1000) + "\r\n", 50_000, ErrReply},
		{"nothings", "$-1\r\n", 5_000, ErrReply},
	} {
		conn := &Conn{reader: bufio.NewReaderSize(strings.NewReader("*100\r\n"+strings.Repeat(row.text, 100)), maxReplyLine), left: row.left}
		got, err := conn.read(0)
		if !errors.Is(err, row.want) || len(got.Items) != 0 && err != nil {
			t.Errorf("%s: got %d items and %v, want %v", row.name, len(got.Items), err, row.want)
		}
	}
}

func TestReplies(t *testing.T) {
	for _, row := range []struct {
		name, reply string
		want        Reply
	}{
		{"a word", "+OK\r\n", Reply{Kind: '+', Text: "OK"}},
		{"a number", ":-42\r\n", Reply{Kind: ':', Text: "-42"}},
		{"a text with line ends", "$4\r\na\r\nb\r\n", Reply{Kind: '$', Text: "a\r\nb"}},
		{"an empty text", "$0\r\n\r\n", Reply{Kind: '$'}},
		{"no text", "$-1\r\n", Reply{Kind: '_'}},
		{"no replies, as when nothing has changed", "*-1\r\n", Reply{Kind: '_'}},
		{"an empty array", "*0\r\n", Reply{Kind: '*'}},
		{"several", "*3\r\n$1\r\na\r\n$-1\r\n*1\r\n:1\r\n", Reply{Kind: '*', Items: []Reply{{Kind: '$', Text: "a"}, {Kind: '_'}, {Kind: '*', Items: []Reply{{Kind: ':', Text: "1"}}}}}},
	} {
		conn := &Conn{reader: bufio.NewReaderSize(strings.NewReader(row.reply), maxReplyLine), left: maxReply}
		got, err := conn.read(0)
		if err != nil || !sameReply(got, row.want) {
			t.Errorf("%s: got %+v, %v, want %+v", row.name, got, err, row.want)
		}
	}
}

func sameReply(a, b Reply) bool {
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items) {
		return false
	}
	for i := range a.Items {
		if !sameReply(a.Items[i], b.Items[i]) {
			return false
		}
	}
	return true
}

func FuzzReply(f *testing.F) {
	for _, row := range badReplies {
		f.Add([]byte(row.reply))
	}
	f.Add([]byte("*2\r\n*2\r\n$1\r\na\r\n+b\r\n$-1\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		conn := &Conn{reader: bufio.NewReaderSize(bytes.NewReader(data), maxReplyLine), left: maxReply}
		got, err := conn.read(0)
		if err != nil {
			return
		}
		if n := size(got); n > len(data) {
			t.Errorf("%q: got %d bytes of %d", data, n, len(data))
		}
	})
}

// size counts the bytes that a reply has taken at least.
func size(r Reply) int {
	n := len(r.Text)
	for _, item := range r.Items {
		n += 1 + size(item)
	}
	return n
}
