// Package e2e tests what users get: the plugin in the real Traefik, real TLS handshakes with real certificates, and
// clients at public addresses, which they announce by the PROXY protocol.
package e2e

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

// home is what all tests share: one Traefik, which each test configures anew with stores of its own, and what
// stands around it.
var home struct {
	*lab.Home
	stranger *lab.CA // an authority that Traefik doesn't trust
	backends map[string]*lab.Backend
	traefik  *lab.Traefik
}

func TestMain(m *testing.M) {
	check.Main(func() (int, error) { return runAtHome(m) })
}

func runAtHome(m *testing.M) (code int, err error) {
	ctx := context.Background()
	if home.Home, err = lab.NewHome(ctx, "*.invalid"); err != nil {
		return 0, err
	}
	defer home.Close()
	if home.stranger, err = lab.NewCA("Stranger's CA"); err != nil {
		return 0, err
	}
	home.backends = map[string]*lab.Backend{}
	for _, name := range []string{"ha", "photos", "files"} {
		if home.backends[name], err = lab.StartBackend(name); err != nil {
			return 0, err
		}
	}
	home.traefik, err = lab.Start(ctx, lab.Options{
		Binary:   home.Binary,
		Dir:      home.Dir,
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

type (
	options = config.Options
	route   = config.Route
)

// household is a configuration of the home's Traefik.
type household struct{ config.Site }

// live makes h Traefik's configuration.
func (h household) live(t *testing.T) {
	t.Helper()
	live(t, h.dynamic(t))
}

// live makes a configuration, as in lab.Options, that of the home's Traefik.
func live(t *testing.T, configuration any) {
	t.Helper()
	if err := home.traefik.Configure(configuration); err != nil {
		t.Fatal(err)
	}
}

// dynamic completes h: each middleware of the plugin gets a store of the test's own.
func (h household) dynamic(t *testing.T) *dynamic.Configuration {
	site := h.Site
	site.Domain = "home.example"
	site.Plugins = map[string]options{}
	for name, given := range h.Plugins {
		site.Plugins[name] = options{"store": storeOf(t, "default")}
		maps.Copy(site.Plugins[name], given)
	}
	site.Services = map[string]string{}
	for name, backend := range home.backends {
		site.Services[name] = backend.URL()
	}
	// A set of TLS options for each way in which Traefik deals with client certificates.
	site.TLS = map[string]string{
		"verified": "RequireAndVerifyClientCert",
		"ifgiven":  "VerifyClientCertIfGiven",
		"any":      "RequireAnyClientCert",
		"request":  "RequestClientCert",
		"none":     "NoClientCert",
	}
	site.CA = filepath.Join(home.Dir, "ca.pem")
	site.Certificate, site.Key = filepath.Join(home.Dir, "server.pem"), filepath.Join(home.Dir, "server-key.pem")
	return site.Dynamic()
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
	learn, enforce := options{"mode": "learn"}, options{"mode": "enforce"}
	maps.Copy(learn, learner)
	maps.Copy(enforce, enforcer)
	return household{config.Site{
		Plugins: map[string]options{"learn": learn, "enforce": enforce},
		Routes: []route{
			{Host: "ha", Middleware: "learn", TLS: "verified"},
			{Host: "photos", Middleware: "enforce"},
			{Host: "files", Middleware: "enforce"},
		},
	}}
}
