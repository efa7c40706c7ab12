package main

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

const (
	domain      = ".bench.example"
	friend      = "203.0.113.7"    // learned
	friendRange = "203.0.113.0/24" // not as an IP: ipAllowList looks at IPs before ranges, so it would be no match in the last
	stranger    = "198.51.100.8"
	mtls        = "mtls" // the TLS options that ask for a client certificate
)

// A street is Traefik with the plugin, and routers side by side: each at its own host, over HTTP and over TLS.
type street struct {
	traefik *lab.Traefik
	backend *backend
	ca      *lab.CA
	server  tls.Certificate
	phone   tls.Certificate
	dir     string
}

// openStreet starts a Traefik whose routers have these middlewares, by host; nil for none. A middleware in mode
// learn gets its router behind mutual TLS.
func (b *bench) openStreet(ctx context.Context, static, middlewares map[string]any) (*street, error) {
	s := &street{}
	err := s.build(ctx, b, static, middlewares)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *street) build(ctx context.Context, b *bench, static, middlewares map[string]any) error {
	var err error
	if s.ca, err = lab.NewCA("Home CA"); err != nil {
		return err
	}
	if s.server, err = s.ca.Issue(lab.Leaf{CommonName: "server", DNSNames: []string{"*" + domain}, Server: true}); err != nil {
		return err
	}
	if s.phone, err = s.ca.Issue(lab.Leaf{CommonName: "phone"}); err != nil {
		return err
	}
	if s.backend, err = startBackend(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return err
	}
	dynamic, err := s.dynamic(middlewares)
	if err != nil {
		return err
	}
	s.traefik, err = lab.Start(ctx, lab.Options{
		Binary:   b.binary,
		Dir:      s.dir,
		Plugins:  map[string]string{ownModule: b.root, nothingModule: b.nothingFolder()},
		Static:   static,
		Dynamic:  dynamic,
		LogLevel: "ERROR", // Traefik's default
	})
	return err
}

// close ends Traefik and the backend, and removes their files.
func (s *street) close() error {
	var err error
	if s.traefik != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err = s.traefik.Stop(ctx); err != nil {
			err = errors.Join(err, s.traefik.Kill())
		}
	}
	if s.backend != nil {
		err = errors.Join(err, s.backend.Close())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// own is a middleware of the plugin.
func own(o options) map[string]any {
	return map[string]any{"plugin": map[string]any{"mtlsallowlist": o}}
}

func (s *street) dynamic(middlewares map[string]any) (map[string]any, error) {
	key, err := lab.KeyPEM(s.server)
	if err != nil {
		return nil, err
	}
	routers, used := map[string]any{}, map[string]any{}
	for host, middleware := range middlewares {
		for _, entryPoint := range []string{"web", "websecure"} {
			router := map[string]any{
				"entryPoints": []string{entryPoint},
				"rule":        "Host(`" + host + domain + "`)",
				"service":     "backend",
			}
			if entryPoint == "websecure" {
				router["tls"] = map[string]any{}
				if learns(middleware) {
					router["tls"] = map[string]any{"options": mtls}
				}
			}
			if middleware != nil {
				router["middlewares"] = []string{host}
				used[host] = middleware
			}
			routers[host+"-"+entryPoint] = router
		}
	}
	clientAuth := map[string]any{"clientAuthType": "RequireAndVerifyClientCert", "caFiles": []string{string(s.ca.PEM())}}
	server := map[string]any{"url": s.backend.url()}
	certificate := map[string]any{"certFile": string(lab.CertPEM(s.server)), "keyFile": string(key)}
	return map[string]any{
		"http": map[string]any{
			"routers":     routers,
			"middlewares": used,
			"services":    map[string]any{"backend": map[string]any{"loadBalancer": map[string]any{"servers": []any{server}}}},
		},
		"tls": map[string]any{
			"options": map[string]any{mtls: map[string]any{"clientAuth": clientAuth}},
			"stores":  map[string]any{"default": map[string]any{"defaultCertificate": certificate}},
		},
	}, nil
}

func learns(middleware any) bool {
	m, _ := middleware.(map[string]any)
	plugins, _ := m["plugin"].(map[string]any)
	o, _ := plugins["mtlsallowlist"].(options)
	return o["mode"] == "learn"
}

// plain and secure are the ways to a host for a client without a certificate; proving, for the phone.
func (s *street) plain(host, from string, want int) address {
	return address{target: s.traefik.Addr("web"), host: host + domain, from: from, want: want}
}

func (s *street) secure(host, from string, want int) address {
	config := &tls.Config{RootCAs: s.ca.Pool(), NextProtos: []string{"http/1.1"}}
	return address{target: s.traefik.Addr("websecure"), host: host + domain, from: from, want: want, tls: config}
}

func (s *street) proving(host, from string, want int) address {
	a := s.secure(host, from, want)
	a.tls.Certificates = []tls.Certificate{s.phone}
	return a
}

// askOnce connects, asks and leaves.
func askOnce(ctx context.Context, a address) error {
	v, err := visit(ctx, a)
	if err != nil {
		return err
	}
	defer v.conn.Close()
	return v.ask()
}
