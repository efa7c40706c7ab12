package config

import (
	"reflect"
	"slices"
	"testing"

	"github.com/traefik/paerser/file"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/tls"
	"github.com/traefik/traefik/v3/pkg/types"
	"go.yaml.in/yaml/v3"
)

// TestTraefikReadsAllOfIt writes a site as package lab does, and reads it as Traefik does.
func TestTraefikReadsAllOfIt(t *testing.T) {
	want := Site{
		Domain:  "home.example",
		Plugins: map[string]Options{"learn": {"mode": "learn", "store": "home", "ipStrategy": Options{"excludedIPs": []any{"10.0.0.1"}}}, "enforce": {}},
		Others:  map[string]*dynamic.Middleware{"own": {IPAllowList: &dynamic.IPAllowList{SourceRange: []string{"192.0.2.0/24"}}}},
		Routes: []Route{
			{Host: "ha", Middleware: "own learn", TLS: "verified"},
			{Host: "photos", Path: "/api", Service: "ha"},
			{Host: "photos", EntryPoint: "web"},
		},
		Services:    map[string]string{"ha": "http://127.0.0.1:1"},
		TLS:         map[string]string{"verified": "RequireAndVerifyClientCert", "none": "NoClientCert"},
		CA:          "ca.pem",
		Certificate: "server.pem",
		Key:         "server-key.pem",
	}.Dynamic()
	text, err := yaml.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got dynamic.Configuration
	if err := file.DecodeContent(string(text), ".yml", &got); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	// What Traefik adds is no loss.
	balancer := want.HTTP.Services["ha"].LoadBalancer
	servers := balancer.Servers
	balancer.SetDefaults()
	balancer.Servers = servers
	for name, options := range want.TLS.Options {
		with := tls.Options{ClientAuth: options.ClientAuth}
		with.SetDefaults()
		want.TLS.Options[name] = with
	}
	for _, part := range []struct{ got, want any }{
		{got.HTTP.Routers, want.HTTP.Routers},
		{got.HTTP.Middlewares, want.HTTP.Middlewares},
		{got.HTTP.Services, want.HTTP.Services},
		{got.TLS, want.TLS},
	} {
		if !reflect.DeepEqual(part.got, part.want) {
			g, _ := yaml.Marshal(part.got)
			w, _ := yaml.Marshal(part.want)
			t.Errorf("got\n%s\nwant\n%s", g, w)
		}
	}
	for name, want := range map[string]string{"ha0": "Host(`ha.home.example`)", "photos1": "Host(`photos.home.example`) && PathPrefix(`/api`)"} {
		if router := got.HTTP.Routers[name]; router.Rule != want || router.Service != "ha" || router.EntryPoints[0] != "websecure" || router.TLS == nil {
			t.Errorf("%s: got %+v, want the rule %s on websecure to ha", name, router, want)
		}
	}
	if router := got.HTTP.Routers["ha0"]; router.TLS.Options != "verified" || !slices.Equal(router.Middlewares, []string{"own", "learn"}) {
		t.Errorf("got %+v, want the TLS options verified and both middlewares", router)
	}
	if auth := got.TLS.Options["verified"].ClientAuth; auth.ClientAuthType != "RequireAndVerifyClientCert" || !slices.Equal(auth.CAFiles, []types.FileOrContent{"ca.pem"}) {
		t.Errorf("got %+v, want that it is required, and the CA", auth)
	}
	if own := got.TLS.Stores["default"].DefaultCertificate; own.CertFile != "server.pem" || own.KeyFile != "server-key.pem" {
		t.Errorf("got the certificate %+v", own)
	}
	if router := got.HTTP.Routers["photos2"]; router.TLS != nil || router.EntryPoints[0] != "web" || router.Service != "photos" {
		t.Errorf("without TLS: got %+v", router)
	}
}
