// Package config writes Traefik's dynamic configuration, as values of Traefik's own types, from a short description of
// hosts under one domain.
//
// It starts nothing and writes no file: package lab does. A configuration that Traefik has to find faulty, say because
// of an unknown key, can't be described here: give lab its YAML text.
package config

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/tls"
	"github.com/traefik/traefik/v3/pkg/types"
)

// Options are a plugin's options.
type Options = map[string]any

// A Route leads from a host to a service.
type Route struct {
	Host       string // without the domain
	Path       string // that paths begin with; empty: any
	Service    string // default Host
	Middleware string // names of middlewares, separated by blanks; empty: none
	TLS        string // name of TLS options; empty: the default ones
	EntryPoint string // default websecure
}

// A Site is a dynamic configuration in few words.
type Site struct {
	Domain           string                         // of all hosts
	Plugins          map[string]Options             // middlewares of this repository's plugin
	Others           map[string]*dynamic.Middleware // other middlewares
	Routes           []Route
	Services         map[string]string // their URLs
	TLS              map[string]string // the clientAuthType of TLS options
	CA               string            // of the client certificates: PEM, or a file
	Certificate, Key string            // of all hosts, likewise
}

// Dynamic returns s as a configuration, in which the caller may change everything. The router of s.Routes[0] is called
// like its host and 0, and so on.
func (s Site) Dynamic() *dynamic.Configuration {
	http := &dynamic.HTTPConfiguration{
		Routers:     map[string]*dynamic.Router{},
		Middlewares: map[string]*dynamic.Middleware{},
		Services:    map[string]*dynamic.Service{},
	}
	for name, middleware := range s.Others {
		http.Middlewares[name] = middleware
	}
	for name, options := range s.Plugins {
		http.Middlewares[name] = Plugin("mtlsallowlist", options)
	}
	for i, r := range s.Routes {
		http.Routers[fmt.Sprint(r.Host, i)] = r.router(s.Domain)
	}
	for name, url := range s.Services {
		http.Services[name] = Service(url)
	}
	options := map[string]tls.Options{}
	for name, clientAuthType := range s.TLS {
		options[name] = ClientAuth(clientAuthType, s.CA)
	}
	return &dynamic.Configuration{HTTP: http, TLS: &dynamic.TLSConfiguration{
		Options: options,
		Stores:  DefaultCertificate(s.Certificate, s.Key),
	}}
}

func (r Route) router(domain string) *dynamic.Router {
	router := &dynamic.Router{
		EntryPoints: []string{cmp.Or(r.EntryPoint, "websecure")},
		Rule:        "Host(`" + r.Host + "." + domain + "`)",
		Service:     cmp.Or(r.Service, r.Host),
	}
	if r.Middleware != "" {
		router.Middlewares = strings.Fields(r.Middleware)
	}
	if r.Path != "" {
		router.Rule += " && PathPrefix(`" + r.Path + "`)"
	}
	if r.EntryPoint != "web" && r.EntryPoint != "proxied" { // which are those without TLS
		router.TLS = &dynamic.RouterTLSConfig{Options: r.TLS}
	}
	return router
}

// Plugin is a middleware of the plugin that the static configuration has under that name.
func Plugin(name string, options Options) *dynamic.Middleware {
	return &dynamic.Middleware{Plugin: map[string]dynamic.PluginConf{name: options}}
}

// Service has one server.
func Service(url string) *dynamic.Service {
	return &dynamic.Service{LoadBalancer: &dynamic.ServersLoadBalancer{Servers: []dynamic.Server{{URL: url}}}}
}

// ClientAuth returns TLS options with which Traefik deals with client certificates as clientAuthType says. The CA is
// PEM, or a file.
func ClientAuth(clientAuthType, ca string) tls.Options {
	return tls.Options{ClientAuth: tls.ClientAuth{ClientAuthType: clientAuthType, CAFiles: []types.FileOrContent{types.FileOrContent(ca)}}}
}

// DefaultCertificate returns the stores with which Traefik shows one certificate for all hosts. Both are PEM, or files.
func DefaultCertificate(certificate, key string) map[string]tls.Store {
	return map[string]tls.Store{"default": {DefaultCertificate: &tls.Certificate{
		CertFile: types.FileOrContent(certificate), KeyFile: types.FileOrContent(key),
	}}}
}
