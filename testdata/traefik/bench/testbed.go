package main

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

const (
	domain      = "bench.example"
	friend      = "203.0.113.7"    // learned
	friendRange = "203.0.113.0/24" // not as an IP: ipAllowList looks at IPs before ranges, so it would be no match in the last
	stranger    = "198.51.100.8"
	mtls        = "mtls" // the TLS options that ask for a client certificate
)

// A testbed is Traefik with the plugin, and routers side by side: each at its own host, over HTTP and over TLS.
type testbed struct {
	traefik *lab.Traefik
	backend *backend
	ca      *lab.CA
	server  tls.Certificate
	phone   tls.Certificate
	dir     string
}

// openTestbed starts a Traefik whose routers have these middlewares, by host; nil for none. A middleware in mode
// learn gets its router behind mutual TLS.
func (b *bench) openTestbed(ctx context.Context, static map[string]any, middlewares map[string]*dynamic.Middleware) (*testbed, error) {
	t := &testbed{}
	err := t.build(ctx, b, static, middlewares)
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func (t *testbed) build(ctx context.Context, b *bench, static map[string]any, middlewares map[string]*dynamic.Middleware) error {
	var err error
	if t.ca, err = lab.NewCA("Home CA"); err != nil {
		return err
	}
	if t.server, err = t.ca.Issue(lab.Leaf{CommonName: "server", DNSNames: []string{"*." + domain}, Server: true}); err != nil {
		return err
	}
	if t.phone, err = t.ca.Issue(lab.Leaf{CommonName: "phone"}); err != nil {
		return err
	}
	if t.backend, err = startBackend(); err != nil {
		return err
	}
	if t.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return err
	}
	dynamic, err := t.dynamic(middlewares)
	if err != nil {
		return err
	}
	t.traefik, err = lab.Start(ctx, lab.Options{
		Binary:   b.binary,
		Dir:      t.dir,
		Plugins:  map[string]string{ownModule: b.root, nothingModule: b.nothingFolder()},
		Static:   static,
		Dynamic:  dynamic,
		LogLevel: "ERROR", // Traefik's default
	})
	return err
}

// close ends Traefik and the backend, and removes their files.
func (t *testbed) close() error {
	var err error
	if t.traefik != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err = t.traefik.Stop(ctx); err != nil {
			err = errors.Join(err, t.traefik.Kill())
		}
	}
	if t.backend != nil {
		err = errors.Join(err, t.backend.Close())
	}
	return errors.Join(err, os.RemoveAll(t.dir))
}

// own is a middleware of the plugin.
func own(o options) *dynamic.Middleware { return config.Plugin("mtlsallowlist", o) }

// allowing is Traefik's own middleware that lets these ranges in.
func allowing(ranges []string) *dynamic.Middleware {
	return &dynamic.Middleware{IPAllowList: &dynamic.IPAllowList{SourceRange: ranges}}
}

func (t *testbed) dynamic(middlewares map[string]*dynamic.Middleware) (*dynamic.Configuration, error) {
	key, err := lab.KeyPEM(t.server)
	if err != nil {
		return nil, err
	}
	site := config.Site{
		Domain:      domain,
		Others:      map[string]*dynamic.Middleware{},
		Services:    map[string]string{"backend": t.backend.url()},
		TLS:         map[string]string{mtls: "RequireAndVerifyClientCert"},
		CA:          string(t.ca.PEM()),
		Certificate: string(lab.CertPEM(t.server)),
		Key:         string(key),
	}
	for host, middleware := range middlewares {
		route := config.Route{Host: host, Service: "backend"}
		if middleware != nil {
			site.Others[host] = middleware
			route.Middleware = host
			if middleware.Plugin["mtlsallowlist"]["mode"] == "learn" {
				route.TLS = mtls
			}
		}
		plain := route
		plain.EntryPoint = "web"
		site.Routes = append(site.Routes, route, plain)
	}
	return site.Dynamic(), nil
}

// plain and secure are the ways to a host for a client without a certificate; proving, for the phone.
func (t *testbed) plain(host, from string, want int) address {
	return address{target: t.traefik.Addr("web"), host: host + "." + domain, from: from, want: want}
}

func (t *testbed) secure(host, from string, want int) address {
	config := &tls.Config{RootCAs: t.ca.Pool(), NextProtos: []string{"http/1.1"}}
	return address{target: t.traefik.Addr("websecure"), host: host + "." + domain, from: from, want: want, tls: config}
}

func (t *testbed) proving(from string) address {
	a := t.secure(learning, from, ok)
	a.tls.Certificates = []tls.Certificate{t.phone}
	return a
}

// askOnce connects, asks and leaves.
func askOnce(ctx context.Context, a address) error {
	v, err := connect(ctx, a)
	if err != nil {
		return err
	}
	defer v.conn.Close()
	return v.ask()
}
