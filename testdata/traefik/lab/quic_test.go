package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// openQUIC serves HTTP/3, 0-RTT included, and answers with the host and address of the request.
func openQUIC(t *testing.T) QUICOptions {
	t.Helper()
	ca := check.Must(NewCA("server CA"))(t)
	config := &tls.Config{Certificates: []tls.Certificate{check.Must(ca.Issue(Leaf{DNSNames: []string{host}, Server: true}))(t)}}
	conn := check.Must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))(t)
	server := &http3.Server{
		TLSConfig:  http3.ConfigureTLSConfig(config),
		QUICConfig: &quic.Config{Allow0RTT: true},
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			fmt.Fprint(rw, req.Host, " from ", req.RemoteAddr)
		}),
	}
	go server.Serve(conn) //nolint:errcheck // it ends with Close
	t.Cleanup(func() { server.Close(); conn.Close() })
	return QUICOptions{Local: "127.0.0.2", Target: conn.LocalAddr().String(), TLS: &tls.Config{RootCAs: ca.Pool()}, SNI: host}
}

func TestQUICComesFromWhereItIs(t *testing.T) {
	c := check.Must(DialQUIC(t.Context(), openQUIC(t)))(t)
	defer c.Close()
	const want = "other.example from 127.0.0.2:"
	if response := check.Must(c.Get(t.Context(), "https://other.example/"))(t); !strings.HasPrefix(response.Body, want) || response.Proto != "HTTP/3.0" {
		t.Errorf("got %s by %s, want %s", response.Body, response.Proto, want)
	}
	if err := c.Move(t.Context(), "127.0.0.3"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	moved := false
	for !moved { // until ctx ends
		moved = strings.Contains(check.Must(c.Get(ctx, "https://other.example/"))(t).Body, " from 127.0.0.3:")
	}
}

func TestQUICOffersZeroRTT(t *testing.T) {
	o := openQUIC(t)
	o.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	o.Early = true
	for _, want := range []bool{false, true} {
		c := check.Must(DialQUIC(t.Context(), o))(t)
		check.Must(c.Get(t.Context(), "https://"+host+"/"))(t)
		if state := c.State(); state.Used0RTT != want || state.TLS.DidResume != want {
			t.Errorf("got 0-RTT %v, resumed %v, want %v", state.Used0RTT, state.TLS.DidResume, want)
		}
		c.Close()
	}
}

func TestDialQUICReportsWhyItCannot(t *testing.T) {
	for name, change := range map[string]func(*QUICOptions){
		"x509: certificate is valid for": func(o *QUICOptions) { o.SNI = "other.example" },
		"cannot assign":                  func(o *QUICOptions) { o.Local = "192.0.2.1" },
		"missing port":                   func(o *QUICOptions) { o.Target = "127.0.0.1" },
	} {
		o := openQUIC(t)
		change(&o)
		if _, err := DialQUIC(t.Context(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}
