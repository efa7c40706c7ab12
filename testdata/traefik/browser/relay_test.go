package browser

import (
	"io"
	"net"
	"strings"
	"testing"
)

func TestABrowserComesFromTheRelaysAddress(t *testing.T) {
	s := serve(t)
	for _, row := range []struct{ from, want string }{
		{"203.0.113.7", "203.0.113.7"},
		{"2001:db8::7", "2001:db8::7"},
		{"::ffff:203.0.113.8", "203.0.113.8"},
	} {
		r := must(StartRelay(s.addr, row.from))(t)
		t.Cleanup(r.Close)
		s.hosts = map[string]string{"home.example": r.Addr()}
		b := s.visit(t, "phone")
		must(b.Open("https://home.example/address"))(t)
		if got := must(Evaluate[string](b, "document.querySelector('p').innerText"))(t); got != row.want {
			t.Errorf("%s: got %s, want %s", row.from, got, row.want)
		}
	}
}

func TestRelay(t *testing.T) {
	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { listener.Close() })
	r := must(StartRelay(listener.Addr().String(), "203.0.113.7"))(t)
	client := must(net.Dial("tcp", r.Addr()))(t).(*net.TCPConn)
	server := must(listener.Accept())(t)
	io.WriteString(client, "hello")
	client.CloseWrite()
	if got := string(must(io.ReadAll(server))(t)); got != "PROXY TCP4 203.0.113.7 127.0.0.1 40000 443\r\nhello" {
		t.Errorf("the server got %q", got)
	}
	io.WriteString(server, "bye")
	server.Close()
	if got := string(must(io.ReadAll(client))(t)); got != "bye" {
		t.Errorf("the client got %q", got)
	}

	waiting := must(net.Dial("tcp", r.Addr()))(t)
	must(listener.Accept())(t)
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
	orphan := must(StartRelay(r.Addr(), "203.0.113.7"))(t) // nobody listens there any more
	t.Cleanup(orphan.Close)
	lost := must(net.Dial("tcp", orphan.Addr()))(t)
	if got, err := io.ReadAll(lost); len(got) != 0 || err != nil {
		t.Errorf("got %q %v without a server, want the end", got, err)
	}
}
