package hosted

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/runtime"
	"github.com/traefik/traefik/v3/pkg/provider/docker"
	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd"
	"github.com/traefik/traefik/v3/pkg/server/middleware"
	"github.com/traefik/traefik/v3/pkg/server/provider"
)

// twoNamespaces has hidden photos in one namespace, and in another a learner and a status page that ask for nothing.
const twoNamespaces = `
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: enforce, namespace: default}
spec: {plugin: {mtlsallowlist: {mode: enforce}}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: photos, namespace: default}
spec: {routes: [{kind: Rule, match: Host(` + "`photos.example.com`" + `), middlewares: [{name: enforce}], services: [{name: photos, port: 80}]}]}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: learn, namespace: other}
spec: {plugin: {mtlsallowlist: {mode: learn, proof: request}}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: open, namespace: other}
spec: {routes: [{kind: Rule, match: Host(` + "`open.example.com`" + `), middlewares: [{name: learn}], services: [{name: open, port: 80}]}]}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: status, namespace: other}
spec: {plugin: {mtlsallowlist: {mode: status, proof: request}}}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: page, namespace: other}
spec: {routes: [{kind: Rule, match: Host(` + "`page.example.com`" + `), middlewares: [{name: status}], services: [{name: page, port: 80}]}]}
`

// handlersOf makes the middlewares of all routers, by the host of each.
func handlersOf(t *testing.T, providerName string, configuration *dynamic.Configuration) map[string]http.Handler {
	t.Helper()
	middlewares := map[string]*dynamic.Middleware{}
	for name, m := range configuration.HTTP.Middlewares {
		middlewares[name+"@"+providerName] = m
	}
	builder := middleware.NewBuilder(runtime.NewConfig(dynamic.Configuration{HTTP: &dynamic.HTTPConfiguration{Middlewares: middlewares}}).Middlewares, nil, newBuilder(t))
	handlers := map[string]http.Handler{}
	for name, router := range configuration.HTTP.Routers {
		ctx := provider.AddInContext(context.Background(), name+"@"+providerName)
		handler, err := builder.BuildMiddlewareChain(ctx, router.Middlewares).Then(service)
		if err != nil {
			t.Fatalf("router %s: %v", name, err)
		}
		_, host, _ := strings.Cut(router.Rule, "`")
		host, _, _ = strings.Cut(host, "`")
		handlers[host] = handler
	}
	return handlers
}

// TestWhoMayDefineAMiddlewareMayOpenEveryStore is about a warning of docs/security.md, and about what it tells to do.
func TestWhoMayDefineAMiddlewareMayOpenEveryStore(t *testing.T) {
	c := cluster{}
	if err := c.apply([]byte(twoNamespaces)); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c)
	defer server.Close()
	defer server.CloseClientConnections()
	for _, row := range []struct {
		name       string
		namespaces []string // that Traefik reads; none: all
		hosts      string
	}{
		{"no references to other namespaces", nil, "open.example.com page.example.com photos.example.com"},
		{"trusted namespaces alone", []string{"default"}, "photos.example.com"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := &crd.Provider{Endpoint: server.URL, Namespaces: row.namespaces, AllowCrossNamespace: false, AllowEmptyServices: true}
			configuration := check.Must(provided(p))(t)
			wantOpened(t, handlersOf(t, "kubernetescrd", configuration), row.hosts)
		})
	}
}

// wantOpened wants handlers for these hosts, and that a stranger who has been at the open one comes in at the hidden one.
func wantOpened(t *testing.T, handlers map[string]http.Handler, hosts string) {
	t.Helper()
	got := []string{}
	for host := range handlers {
		got = append(got, host)
	}
	slices.Sort(got)
	if strings.Join(got, " ") != hosts {
		t.Fatalf("got routers for %q, want %s", got, hosts)
	}
	want := http.StatusForbidden
	if open := handlers["open.example.com"]; open != nil {
		if got := status(open, "203.0.113.66:1", nil, nil); got != http.StatusOK {
			t.Errorf("the open host: got %d", got)
		}
		want = http.StatusOK
	}
	if got := status(handlers["photos.example.com"], "203.0.113.66:1", nil, nil); got != want {
		t.Errorf("the hidden host: got %d, want %d", got, want)
	}
	page := handlers["page.example.com"]
	if page == nil {
		return
	}
	if got := answer(page, request(http.MethodGet, "/grants", "203.0.113.66:1", nil)); !strings.Contains(got.Body.String(), `"ip": "203.0.113.66/32"`) {
		t.Errorf("the page: got %d %s, want the grant", got.Code, got.Body)
	}
	if got := answer(page, request(http.MethodDelete, "/grants?ip=203.0.113.66", "203.0.113.66:1", nil)); got.Code != http.StatusOK {
		t.Errorf("revoking: got %d %s", got.Code, got.Body)
	}
	if got := status(handlers["photos.example.com"], "203.0.113.66:1", nil, nil); got != http.StatusForbidden {
		t.Errorf("the hidden host, after revoking: got %d", got)
	}
}

// containers are Docker's API with the labels of some, by name.
type containers map[string]map[string]string

func (c containers) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Api-Version", "1.44")
	var answer any = map[string]any{"Version": "27.0.0", "ApiVersion": "1.44", "MinAPIVersion": "1.24"}
	switch folder, name := path.Split(req.URL.Path); {
	case name == "events":
		rw.(http.Flusher).Flush()
		<-req.Context().Done()
		return
	case name == "json" && strings.HasSuffix(folder, "/containers/"):
		list := []any{}
		for name := range c {
			list = append(list, map[string]any{"Id": name})
		}
		answer = list
	case name == "json":
		name = path.Base(folder)
		answer = map[string]any{
			"Id": name, "Name": "/" + name,
			"State":      map[string]any{"Status": "running", "Running": true},
			"HostConfig": map[string]any{"NetworkMode": "home"},
			"Config":     map[string]any{"Labels": c[name]},
			"NetworkSettings": map[string]any{
				"Ports":    map[string]any{"80/tcp": nil},
				"Networks": map[string]any{"home": map[string]any{"NetworkID": "1", "IPAddress": "172.18.0.9"}},
			},
		}
	}
	_ = json.NewEncoder(rw).Encode(answer)
}

func TestWhoMayWriteALabelMayOpenEveryStore(t *testing.T) {
	const options = ".plugin.mtlsallowlist.mode"
	neighbour := map[string]string{
		"traefik.http.middlewares.learn" + options:                  "learn",
		"traefik.http.middlewares.learn.plugin.mtlsallowlist.proof": "request",
		"traefik.http.routers.open.rule":                            "Host(`open.example.com`)",
		"traefik.http.routers.open.middlewares":                     "learn",
		"traefik.http.routers.open.service":                         "open",
		"traefik.http.services.open.loadbalancer.server.port":       "80",
	}
	photos := map[string]string{
		"traefik.enable": "true", "trusted": "true",
		"traefik.http.middlewares.enforce" + options:            "enforce",
		"traefik.http.routers.photos.rule":                      "Host(`photos.example.com`)",
		"traefik.http.routers.photos.middlewares":               "enforce",
		"traefik.http.services.photos.loadbalancer.server.port": "80",
	}
	const both = "open.example.com photos.example.com"
	for _, row := range []struct {
		name   string
		shared docker.Shared
		more   map[string]string // labels of the neighbour's
		hosts  string
	}{
		{"as it comes", docker.Shared{ExposedByDefault: true}, nil, both},
		{"exposed when it says so", docker.Shared{}, nil, "photos.example.com"},
		{"it says so", docker.Shared{}, map[string]string{"traefik.enable": "true"}, both},
		{"a constraint", docker.Shared{ExposedByDefault: true, Constraints: "Label(`trusted`,`true`)"}, nil, "photos.example.com"},
		{"a label that fits the constraint", docker.Shared{ExposedByDefault: true, Constraints: "Label(`trusted`,`true`)"}, map[string]string{"trusted": "true"}, both},
	} {
		t.Run(row.name, func(t *testing.T) {
			labels := map[string]string{}
			for _, some := range []map[string]string{neighbour, row.more} {
				for key, value := range some {
					labels[key] = value
				}
			}
			server := httptest.NewServer(containers{"photos": photos, "neighbour": labels})
			defer server.Close()
			defer server.CloseClientConnections()
			p := &docker.Provider{}
			p.SetDefaults()
			p.Shared.ExposedByDefault, p.Shared.Constraints = row.shared.ExposedByDefault, row.shared.Constraints
			p.Endpoint, p.Watch = "tcp://"+server.Listener.Addr().String(), false
			if err := p.Init(); err != nil {
				t.Fatal(err)
			}
			configuration := check.Must(provided(p))(t)
			wantOpened(t, handlersOf(t, "docker", configuration), row.hosts)
		})
	}
}
