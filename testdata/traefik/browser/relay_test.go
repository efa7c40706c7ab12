package browser

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

func TestABrowserComesFromTheRelaysAddress(t *testing.T) {
	s := serve(t)
	for _, row := range []struct{ from, want string }{
		{"203.0.113.7", "203.0.113.7"},
		{"2001:db8::7", "2001:db8::7"},
		{"::ffff:203.0.113.8", "203.0.113.8"},
	} {
		r := check.Must(StartRelay(s.addr, row.from))(t)
		t.Cleanup(r.Close)
		s.hosts = map[string]string{"home.example": r.Addr()}
		b := s.visit(t, "phone")
		check.Must(b.Open("https://home.example/address"))(t)
		if got := check.Must(Evaluate[string](b, "document.querySelector('p').innerText"))(t); got != row.want {
			t.Errorf("%s: got %s, want %s", row.from, got, row.want)
		}
	}
}

func TestRelay(t *testing.T) {
	listener := check.Must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { listener.Close() })
	r := check.Must(StartRelay(listener.Addr().String(), "203.0.113.7"))(t)
	client := check.Must(net.Dial("tcp", r.Addr()))(t).(*net.TCPConn)
	server := check.Must(listener.Accept())(t)
	_, _ = io.WriteString(client, "hello")
	_ = client.CloseWrite()
	if got := string(check.Must(io.ReadAll(server))(t)); got != "PROXY TCP4 203.0.113.7 127.0.0.1 40000 443\r\nhello" {
		t.Errorf("the server got %q", got)
	}
	_, _ = io.WriteString(server, "bye")
	server.Close()
	if got := string(check.Must(io.ReadAll(client))(t)); got != "bye" {
		t.Errorf("the client got %q", got)
	}

	waiting := check.Must(net.Dial("tcp", r.Addr()))(t)
	check.Must(listener.Accept())(t)
	r.Close()
	if n, err := waiting.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("got %d bytes %v from a closed relay, want its end", n, err)
	}
	if _, err := net.Dial("tcp", r.Addr()); err == nil {
		t.Error("got a connection to a closed relay")
	}

	if _, err := StartRelay(r.Addr(), "home"); err == nil || !strings.HasPrefix(err.Error(), "relay: source address: ") {
		t.Errorf("got %v, want the faulty address", err)
	}
	orphan := check.Must(StartRelay(r.Addr(), "203.0.113.7"))(t) // nobody listens there any more
	t.Cleanup(orphan.Close)
	lost := check.Must(net.Dial("tcp", orphan.Addr()))(t)
	if got, err := io.ReadAll(lost); len(got) != 0 || err != nil {
		t.Errorf("got %q %v without a server, want the end", got, err)
	}
}
