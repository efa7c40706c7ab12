package redis

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
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
	{"a text without its end", "$3\r\nabc", false, io.EOF},
	{"a text that goes on without end", "$3\r\nabc" + strings.Repeat("d", maxReplyLine+1), true, ErrReply},
	{"a text that is longer than announced", "$3\r\nabcd\r\n", true, ErrReply},
	{"a million replies", "*1000000\r\n", true, ErrReply},
	{"a reply more than 10,000", "*10001\r\n", true, ErrReply},
	{"fewer replies than none", "*-2\r\n", true, ErrReply},
	{"replies of no number", "*x\r\n", true, ErrReply},
	{"fewer replies than announced", "*2\r\n:1\r\n", true, os.ErrDeadlineExceeded},
	{"replies in replies in replies", strings.Repeat("*1\r\n", 1000), true, ErrReply},
	{"a reply in six others", strings.Repeat("*1\r\n", 6) + ":1\r\n", true, ErrReply},
	{"a byte more than a line may have", "+" + strings.Repeat("x", 65_534) + "\r\n", true, ErrReply},
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

func TestWhatAReplyMayTake(t *testing.T) {
	for _, row := range []struct {
		name, reply string
		left        int
		want        error
	}{
		{"a line", "+OK\r\n", 103, nil},
		{"a line of a byte more", "+OKE\r\n", 103, ErrReply},
		{"a text", "$4\r\nabcd\r\n", 106, nil},
		{"a text of a byte more", "$5\r\nabcde\r\n", 106, ErrReply},
	} {
		conn := &Conn{reader: bufio.NewReaderSize(strings.NewReader(row.reply), maxReplyLine), left: row.left}
		if got, err := conn.read(0); !errors.Is(err, row.want) || err == nil && conn.left != 0 {
			t.Errorf("%s: got %+v and %v, and %d bytes left, want %v", row.name, got, err, conn.left, row.want)
		}
	}
}

func TestTheLargestReplies(t *testing.T) {
	for _, row := range []struct{ name, reply string }{
		{"the longest line", "+" + strings.Repeat("x", 65_533) + "\r\n"},
		{"a reply in five others", strings.Repeat("*1\r\n", 5) + ":1\r\n"},
		{"10,000 replies", "*10000\r\n" + strings.Repeat(":1\r\n", 10_000)},
	} {
		conn, _ := written(row.reply)
		if _, err := conn.Do(time.Minute, "PING"); err != nil {
			t.Errorf("%s: got %v", row.name, err)
		}
		conn.Close()
	}
	conn, _ := written("+OK\r\n+OK\r\n")
	defer conn.Close()
	for i := 0; i < 2; i++ {
		if _, err := conn.Do(time.Minute, "PING"); err != nil || conn.left != 96<<20-103 {
			t.Errorf("got %v, and %d bytes left of a reply, want 96 MiB without those of +OK", err, conn.left)
		}
	}
}

// written returns a connection to somebody who answers so, whatever is sent, and what is sent until the connection is closed.
func written(answers string) (conn *Conn, sent chan string) {
	here, there := net.Pipe()
	sent = make(chan string, 1)
	go record(there, sent)
	go io.Copy(there, strings.NewReader(answers)) //nolint:errcheck // who reads no more is done
	return NewConn(here, time.Minute), sent
}

func record(there net.Conn, sent chan string) {
	text := &bytes.Buffer{}
	_, _ = io.Copy(text, there)
	sent <- text.String()
}

func TestLogIn(t *testing.T) {
	for _, row := range []struct {
		name    string
		options Options
		answers string
		sent    string
		want    string // how the error begins; empty: there is none
	}{
		{"nothing to say", Options{}, "", "", ""},
		{"a password", Options{Password: "correct\r\nhörse"}, "+OK\r\n", "*2\r\n$4\r\nAUTH\r\n$15\r\ncorrect\r\nhörse\r\n", ""},
		{"a user", Options{Username: "alice", Password: "x"}, "+OK\r\n", "*3\r\n$4\r\nAUTH\r\n$5\r\nalice\r\n$1\r\nx\r\n", ""},
		{"a user without a password", Options{Username: "alice"}, "", "", ""},
		{"a database", Options{DB: 12}, "+OK\r\n", "*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n", ""},
		{"both", Options{Password: "x", DB: 1}, "+OK\r\n+OK\r\n", "*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n", ""},
		{"a wrong password", Options{Password: "x", DB: 1}, "-WRONGPASS no\r\n+OK\r\n", "*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", "redis: WRONGPASS no"},
		{"a database that isn't there", Options{DB: 99}, "-ERR DB index is out of range\r\n", "*2\r\n$6\r\nSELECT\r\n$2\r\n99\r\n", "redis: ERR DB index is out of range"},
	} {
		conn, sent := written(row.answers)
		got := ""
		if err := conn.LogIn(&row.options, time.Minute); err != nil {
			got = err.Error()
		}
		conn.Close()
		if said := <-sent; got != row.want || said != row.sent {
			t.Errorf("%s: got %q, and sent %q, want %q and %q", row.name, got, said, row.want, row.sent)
		}
	}
}

// TestAConnectionThatIsClosed is about both sides: who has closed it, and who hasn't.
func TestAConnectionThatIsClosed(t *testing.T) {
	here, there := net.Pipe()
	_ = there.Close()
	conn := NewConn(here, time.Second)
	if answer, err := conn.Do(time.Second, "PING"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("the other side has closed it: got %+v and %v, want that nothing can be written", answer, err)
	}
	conn.Close()
	if answer, err := conn.Do(time.Second, "PING"); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("this side has closed it: got %+v and %v, want that nothing can be written", answer, err)
	}
	lasting, end := context.WithCancel(context.Background())
	defer end()
	conn, err := Dial(lasting, &Options{}, talker(t, saying("", true)), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if conn.stop() {
		t.Error("it is still held by the context that it would have lasted with")
	}
}

func TestDeadline(t *testing.T) {
	if got := deadline(0); !got.IsZero() {
		t.Errorf("without a timeout, got %v", got)
	}
	if got := deadline(1); got.IsZero() {
		t.Error("with the shortest timeout, got none")
	}
}

func TestShorter(t *testing.T) {
	for _, row := range []struct{ a, b, want time.Duration }{{1, 2, 1}, {2, 1, 1}, {0, 1, 0}} {
		if got := Shorter(row.a, row.b); got != row.want {
			t.Errorf("of %d and %d, got %d", row.a, row.b, got)
		}
	}
}

func TestNobodyIsThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if conn, err := Dial(context.Background(), &Options{}, listener.Addr().String(), time.Second); conn != nil || err == nil {
		t.Errorf("got %v and %v, want an error", conn, err)
	}
}

// TestWhoIsTurnedAwayIsHungUpOn is about who answers, but not as Redis would.
func TestWhoIsTurnedAwayIsHungUpOn(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		options      Options
		want         string // what the error contains
	}{
		{"no login", "-WRONGPASS no\r\n", Options{Password: "x"}, "redis: WRONGPASS no"},
		{"no TLS", "-ERR what is that\r\n", Options{TLS: &tls.Config{}}, "tls: "},
		{"silence instead of TLS", "", Options{TLS: &tls.Config{}}, "i/o timeout"},
	} {
		ends := make(chan error, 1)
		address := talker(t, sayingUntil(row.answer, ends))
		conn, err := Dial(context.Background(), &row.options, address, 200*time.Millisecond)
		if conn != nil || err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v and %v, want %q", row.name, conn, err, row.want)
		}
		if err := <-ends; err != nil {
			t.Errorf("%s: the connection is still there: %v", row.name, err)
		}
	}
}

// sayingUntil returns what sends a reply, and tells whether the other side closes in time.
func sayingUntil(reply string, ends chan error) func(conn net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, reply)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err := io.Copy(io.Discard, conn)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
		ends <- err
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(nil) // its certificate is for 127.0.0.1 and example.com
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	address := talker(t, func(conn net.Conn) {
		secure := tls.Server(conn, &tls.Config{Certificates: server.TLS.Certificates})
		_, _ = io.WriteString(secure, "+PONG\r\n")
		_, _ = io.Copy(io.Discard, secure)
	})
	for _, row := range []struct {
		name   string
		config *tls.Config
		want   string // what the error contains; empty: there is none
	}{
		{"the host's certificate", &tls.Config{RootCAs: roots}, ""},
		{"that of a name that was given", &tls.Config{RootCAs: roots, ServerName: "example.com"}, ""},
		{"that of another", &tls.Config{RootCAs: roots, ServerName: "example.org"}, "not example.org"},
		{"that of nobody known", &tls.Config{RootCAs: x509.NewCertPool()}, "unknown authority"},
	} {
		name := row.config.ServerName
		conn, err := Dial(context.Background(), &Options{TLS: row.config}, address, time.Minute)
		got := ""
		if err == nil {
			var answer Reply
			answer, err = conn.Do(time.Minute, "PING")
			got = answer.Text
			conn.Close()
		}
		if row.want == "" && (err != nil || got != "PONG") || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: got %q and %v, want %q", row.name, got, err, row.want)
		}
		if row.config.ServerName != name {
			t.Errorf("%s: the next endpoint would have to be %s, too", row.name, row.config.ServerName)
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
