// Package e2e tests what users get: the plugin in the real Traefik, real TLS handshakes with real certificates, and
// clients at public addresses, which they announce by the PROXY protocol.
package e2e

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// home is what all tests share: one Traefik, which each test configures anew with stores of its own, and what
// stands around it.
var home struct {
	dir      string
	binary   string  // the real Traefik
	ca       *lab.CA // the one that Traefik trusts for clients; also the servers'
	stranger *lab.CA // one that it doesn't
	phone    tls.Certificate
	owner    tls.Certificate
	backends map[string]*lab.Backend
	traefik  *lab.Traefik
}

func TestMain(m *testing.M) {
	code, err := runAtHome(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAtHome(m *testing.M) (code int, err error) {
	ctx := context.Background()
	if home.binary, err = lab.Build(ctx, os.Stderr); err != nil {
		return 0, err
	}
	if home.dir, err = os.MkdirTemp("", "mtlsallowlist-e2e-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(home.dir)
	if err := furnish(); err != nil {
		return 0, err
	}
	home.traefik, err = lab.Start(ctx, lab.Options{
		Binary:   home.binary,
		Dir:      home.dir,
		LogLevel: "DEBUG",
		Static: map[string]any{"entryPoints": map[string]any{
			// An entry point behind an HTTP proxy on loopback that may set X-Forwarded-For.
			"proxied": map[string]any{"forwardedHeaders": map[string]any{"trustedIPs": []string{"127.0.0.1/32"}}},
			// One with HTTP/3, too, which has no PROXY protocol: its clients come from other loopback addresses.
			"quic": map[string]any{
				"http3":         map[string]any{},
				"proxyProtocol": map[string]any{"trustedIPs": []string{"127.0.0.1/32"}},
			},
		}},
	})
	if err != nil {
		return 0, err
	}
	code = m.Run()
	return code, home.traefik.Stop(ctx)
}

// furnish makes the authorities, the certificates of the server, of a phone and of its owner, and the services.
func furnish() error {
	var err error
	if home.ca, err = lab.NewCA("Home CA"); err != nil {
		return err
	}
	if home.stranger, err = lab.NewCA("Stranger's CA"); err != nil {
		return err
	}
	if home.phone, err = home.ca.Issue(lab.Leaf{CommonName: "phone"}); err != nil {
		return err
	}
	if home.owner, err = home.ca.Issue(lab.Leaf{CommonName: "owner"}); err != nil {
		return err
	}
	server, err := home.ca.Issue(lab.Leaf{CommonName: "home.example", DNSNames: []string{"*.home.example", "*.invalid"}, Server: true})
	if err != nil {
		return err
	}
	key, err := lab.KeyPEM(server)
	if err != nil {
		return err
	}
	for name, pem := range map[string][]byte{"ca.pem": home.ca.PEM(), "server.pem": lab.CertPEM(server), "server-key.pem": key} {
		if err := os.WriteFile(filepath.Join(home.dir, name), pem, 0o600); err != nil {
			return err
		}
	}
	home.backends = map[string]*lab.Backend{}
	for _, name := range []string{"ha", "photos", "files"} {
		if home.backends[name], err = lab.StartBackend(name); err != nil {
			return err
		}
	}
	return nil
}

type options = map[string]any

// A route leads from a host to the service with the name of the host's first label, unless it names another.
type route struct {
	host       string // without .home.example
	path       string // that paths begin with; empty: any
	service    string // default host
	middleware string
	tls        string // TLS options; empty: the default ones
	entryPoint string // default websecure
}

// household is a dynamic configuration in few words.
type household struct {
	middlewares map[string]options // the plugin's, by name; each gets a store of the test's own
	others      map[string]any     // other middlewares
	routes      []route
}

// live makes h Traefik's configuration.
func (h household) live(t *testing.T) {
	t.Helper()
	if err := home.traefik.Configure(h.dynamic(t)); err != nil {
		t.Fatal(err)
	}
}

func (h household) dynamic(t *testing.T) map[string]any {
	middlewares, routers, services := map[string]any{}, map[string]any{}, map[string]any{}
	for name, middleware := range h.others {
		middlewares[name] = middleware
	}
	for name, given := range h.middlewares {
		own := options{"store": storeOf(t, "default")}
		for key, value := range given {
			own[key] = value
		}
		middlewares[name] = map[string]any{"plugin": map[string]any{"mtlsallowlist": own}}
	}
	for i, r := range h.routes {
		router := map[string]any{"rule": "Host(`" + r.host + ".home.example`)", "service": cmp.Or(r.service, r.host), "entryPoints": []string{cmp.Or(r.entryPoint, "websecure")}}
		if r.path != "" {
			router["rule"] = fmt.Sprint(router["rule"], " && PathPrefix(`", r.path, "`)")
		}
		if r.middleware != "" {
			router["middlewares"] = strings.Fields(r.middleware)
		}
		switch {
		case r.entryPoint == "web" || r.entryPoint == "proxied":
			// without TLS
		case r.tls != "":
			router["tls"] = map[string]any{"options": r.tls}
		default:
			router["tls"] = map[string]any{}
		}
		routers[fmt.Sprint(r.host, i)] = router
	}
	for name, backend := range home.backends {
		services[name] = map[string]any{"loadBalancer": map[string]any{"servers": []any{map[string]any{"url": backend.URL()}}}}
	}
	return map[string]any{
		"http": map[string]any{"middlewares": middlewares, "routers": routers, "services": services},
		"tls":  tlsSettings(),
	}
}

// tlsSettings names a set of TLS options for each way in which Traefik deals with client certificates.
func tlsSettings() map[string]any {
	sets := map[string]any{}
	for name, clientAuthType := range map[string]string{
		"verified": "RequireAndVerifyClientCert",
		"ifgiven":  "VerifyClientCertIfGiven",
		"any":      "RequireAnyClientCert",
		"request":  "RequestClientCert",
		"none":     "NoClientCert",
	} {
		clientAuth := map[string]any{"clientAuthType": clientAuthType, "caFiles": []string{filepath.Join(home.dir, "ca.pem")}}
		sets[name] = map[string]any{"clientAuth": clientAuth}
	}
	certificate := map[string]any{"certFile": filepath.Join(home.dir, "server.pem"), "keyFile": filepath.Join(home.dir, "server-key.pem")}
	return map[string]any{
		"options": sets,
		"stores":  map[string]any{"default": map[string]any{"defaultCertificate": certificate}},
	}
}

// runs numbers the tests, so that one that is run twice has new stores.
var runs struct {
	mu     sync.Mutex
	number map[*testing.T]int
}

// storeOf returns a name of the test's own for a store, so that no test sees what another learned.
func storeOf(t *testing.T, name string) string {
	runs.mu.Lock()
	defer runs.mu.Unlock()
	if runs.number == nil {
		runs.number = map[*testing.T]int{}
	}
	if runs.number[t] == 0 {
		runs.number[t] = len(runs.number) + 1
	}
	own := strings.ReplaceAll(t.Name(), ",", "") // commas separate stores
	return fmt.Sprint(own, "-", runs.number[t], "-", name)
}

// plain is the household of most tests: Home Assistant behind mutual TLS, photos and files hidden.
func plain(learner, enforcer options) household {
	with := func(base, more options) options {
		for key, value := range more {
			base[key] = value
		}
		return base
	}
	return household{
		middlewares: map[string]options{
			"learn":   with(options{"mode": "learn"}, learner),
			"enforce": with(options{"mode": "enforce"}, enforcer),
		},
		routes: []route{
			{host: "ha", middleware: "learn", tls: "verified"},
			{host: "photos", middleware: "enforce"},
			{host: "files", middleware: "enforce"},
		},
	}
}
