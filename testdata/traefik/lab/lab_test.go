package lab

import (
	"context"
	"crypto/tls"
	"os"
	"sync"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

const (
	host     = "app.example"
	friend   = "203.0.113.7"
	stranger = "203.0.113.8"
)

var binary = sync.OnceValues(func() (string, error) { return Build(context.Background(), os.Stderr) })

// room is one Traefik without the plugin, in front of one backend.
type room struct {
	*Traefik
	ca, clients *CA
	backend     *Backend
	server      tls.Certificate
}

func open(t *testing.T, options Options) *room {
	t.Helper()
	r := &room{ca: check.Must(NewCA("server CA"))(t), clients: check.Must(NewCA("client CA"))(t)}
	r.server = check.Must(r.ca.Issue(Leaf{DNSNames: []string{host, "mtls.example"}, Server: true}))(t)
	r.backend = check.Must(StartBackend("media"))(t)
	t.Cleanup(r.backend.Close)
	options.Binary = check.Must(binary())(t)
	options.Dir = t.TempDir()
	if options.Plugins == nil {
		options.Plugins = map[string]string{}
	}
	options.Dynamic = r.allowing(t, friend)
	r.Traefik = check.Must(Start(t.Context(), options))(t)
	t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// allowing is the dynamic configuration that lets one address in on both entry points, and every certificate of the
// client CA on mtls.example.
func (r *room) allowing(t *testing.T, address string) *dynamic.Configuration {
	t.Helper()
	return config.Site{
		Domain: "example",
		Others: map[string]*dynamic.Middleware{"friends": {IPAllowList: &dynamic.IPAllowList{SourceRange: []string{address}}}},
		Routes: []config.Route{
			{Host: "app", Service: "media", Middleware: "friends", EntryPoint: "web"},
			{Host: "app", Service: "media", Middleware: "friends"},
			{Host: "mtls", Service: "media", TLS: "mtls"},
		},
		Services:    map[string]string{"media": r.backend.URL()},
		TLS:         map[string]string{"mtls": "RequireAndVerifyClientCert"},
		CA:          string(r.clients.PEM()),
		Certificate: string(CertPEM(r.server)),
		Key:         string(check.Must(KeyPEM(r.server))(t)),
	}.Dynamic()
}

func (r *room) plain(from string) *Client {
	return NewClient(ClientOptions{From: from, Target: r.Addr("web")})
}

func (r *room) secure(from string, http2 bool, certs ...tls.Certificate) *Client {
	config := &tls.Config{RootCAs: r.ca.Pool(), Certificates: certs}
	return NewClient(ClientOptions{From: from, Target: r.Addr("websecure"), TLS: config, HTTP2: http2})
}
