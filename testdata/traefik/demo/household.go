package main

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

const (
	domain   = "home.localhost" // curl and browsers look for *.localhost on this machine by themselves
	password = "demo"           // of the .p12 files
	logFile  = "traefik.log"
	phones   = "phones" // the TLS options that ask for a client certificate

	alice, bob, counterfeit = "alice-phone", "bob-phone", "counterfeit"
)

// The entry points. On the first clients announce their address by the PROXY protocol, as a load balancer
// does; on the other they are who they are, for people with a curl or a browser.
const announced, direct = "websecure", "direct"

// A service is one program at home, at its own host under the domain.
type service struct {
	host, name, note string
	guard            config.Options // the plugin's options; nil: no middleware
	tls              string         // TLS options; empty: the default ones
}

func services() []service {
	return []service{
		{"ha", "Home Assistant", "asks for a client certificate", config.Options{"mode": "learn", "maxIPsPerIdentity": 1}, phones},
		{"photos", "Photos", "hidden", config.Options{"mode": "enforce"}, ""},
		{"files", "Files", "hidden", config.Options{"mode": "enforce", "identities": "cn:" + alice}, ""},
		{"allowlist", "Status page", "asks for a client certificate", config.Options{"mode": "status"}, phones},
	}
}

// answersItself reports whether the middleware answers, so that there is nothing behind it.
func (s service) answersItself() bool { return s.guard["mode"] == "status" }

// A household is Traefik with the plugin, the services behind it, and the certificates of who lives there.
type household struct {
	binary, dir  string
	services     []service
	ttl          string
	ca           *lab.CA
	certificates map[string]tls.Certificate
	backends     map[string]*lab.Backend
	traefik      *lab.Traefik
	log          *logWriter
}

// open makes a household in the folder dir, and returns when Traefik serves it. The caller closes it.
func open(ctx context.Context, binary, dir string, services []service) (*household, error) {
	h := &household{binary: binary, dir: dir, services: services, ttl: "24h", backends: map[string]*lab.Backend{}}
	if err := h.furnish(ctx); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *household) furnish(ctx context.Context) error {
	if err := h.issue(); err != nil {
		return err
	}
	for _, s := range h.services {
		if s.answersItself() {
			continue
		}
		backend, err := lab.StartBackend(s.name)
		if err != nil {
			return err
		}
		h.backends[s.host] = backend
	}
	var err error
	if h.log, err = newLogWriter(filepath.Join(h.dir, logFile)); err != nil {
		return err
	}
	return h.start(ctx)
}

func (h *household) start(ctx context.Context) error {
	var err error
	h.traefik, err = lab.Start(ctx, lab.Options{
		Binary:  h.binary,
		Dir:     h.dir,
		Static:  map[string]any{"entryPoints": map[string]any{direct: map[string]any{}}},
		Dynamic: h.dynamic(),
		Output:  h.log,
	})
	return err
}

// restart ends Traefik, and starts another.
func (h *household) restart(ctx context.Context) error {
	if err := h.traefik.Stop(ctx); err != nil {
		return err
	}
	return h.start(ctx)
}

// issue makes the certificates, those of the phones also as files, and a counterfeit by another CA of the same name.
func (h *household) issue() error {
	var err error
	if h.ca, err = lab.NewCA("Home CA"); err != nil {
		return err
	}
	other, err := lab.NewCA("Home CA")
	if err != nil {
		return err
	}
	server, err := h.ca.Issue(lab.Leaf{CommonName: domain, DNSNames: []string{"*." + domain}, Server: true})
	if err != nil {
		return err
	}
	h.certificates = map[string]tls.Certificate{}
	for name, by := range map[string]*lab.CA{alice: h.ca, bob: h.ca, counterfeit: other} {
		leaf := lab.Leaf{CommonName: name}
		if name == counterfeit {
			leaf.CommonName = alice
		}
		if h.certificates[name], err = by.Issue(leaf); err != nil {
			return err
		}
	}
	err = errors.Join(h.write("ca.pem", h.ca.PEM()), h.writeKeyPair("server", server))
	for _, name := range []string{alice, bob} {
		bundle, faulty := lab.PKCS12(h.certificates[name], h.ca, password)
		err = errors.Join(err, faulty, h.write(name+".p12", bundle), h.writeKeyPair(name, h.certificates[name]))
	}
	return err
}

// writeKeyPair writes a certificate and its key into one file, as curl and Traefik can take it.
func (h *household) writeKeyPair(name string, certificate tls.Certificate) error {
	key, err := lab.KeyPEM(certificate)
	if err != nil {
		return err
	}
	return h.write(name+".pem", append(lab.CertPEM(certificate), key...))
}

func (h *household) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(h.dir, name), data, 0o600)
}

// dynamic is Traefik's dynamic configuration: per service one router on each entry point, each of which has a
// store of its own.
func (h *household) dynamic() *dynamic.Configuration {
	site := config.Site{
		Domain:      domain,
		Plugins:     map[string]config.Options{},
		Services:    map[string]string{},
		TLS:         map[string]string{phones: "RequireAndVerifyClientCert"},
		CA:          "ca.pem",
		Certificate: "server.pem",
		Key:         "server.pem",
	}
	for host, backend := range h.backends {
		site.Services[host] = backend.URL()
	}
	for _, s := range h.services {
		for _, entryPoint := range []string{announced, direct} {
			route := config.Route{Host: s.host, TLS: s.tls, EntryPoint: entryPoint}
			if s.answersItself() {
				route.Service = "noop@internal"
			}
			if s.guard != nil {
				route.Middleware = s.host
				if entryPoint == direct {
					route.Middleware += "-direct"
				}
				site.Plugins[route.Middleware] = h.options(s.guard, entryPoint)
			}
			site.Routes = append(site.Routes, route)
		}
	}
	return site.Dynamic()
}

// options completes a guard's options for an entry point.
func (h *household) options(guard config.Options, entryPoint string) config.Options {
	options := config.Options{"store": "home"}
	if guard["mode"] == "learn" {
		options["ttl"] = h.ttl
		options["stateFile"] = filepath.Join(h.dir, entryPoint+".json")
	}
	maps.Copy(options, guard)
	if entryPoint == direct {
		options["store"] = "direct"
		if guard["mode"] == "learn" {
			options["ttl"] = "24h"
			options["allowPrivate"] = true
		}
	}
	return options
}

// reload has Traefik read its dynamic configuration again, with another ttl.
func (h *household) reload(ttl string) error {
	h.ttl = ttl
	return h.traefik.Configure(h.dynamic())
}

// close ends Traefik and the services. A Traefik that has already ended is an error.
func (h *household) close() error {
	var err error
	if h.traefik != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = h.traefik.Stop(ctx)
	}
	for _, backend := range h.backends {
		backend.Close()
	}
	if h.log != nil {
		err = errors.Join(err, h.log.file.Close())
	}
	return err
}
