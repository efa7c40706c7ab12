package e2e

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"go.yaml.in/yaml/v3"
)

const troubleshooting = "docs/troubleshooting.md"

// TestEveryLineOfTroubleshootingIsLogged brings about each symptom, and finds the document's lines in the log.
func TestEveryLineOfTroubleshootingIsLogged(t *testing.T) {
	listed := map[string]bool{}
	for _, symptom := range documented(t, troubleshooting, "log") {
		listed[symptom.Item] = true
		t.Run(symptom.Item, func(t *testing.T) {
			cause := causes[symptom.Item]
			if cause == nil {
				t.Fatalf("nobody brings it about")
			}
			before := len(home.traefik.Log().Lines())
			others := cause(t)
			defer func() {
				for _, line := range append(home.traefik.Log().Lines()[before:], others...) {
					if t.Failed() && (strings.Contains(line, "ERR") || strings.Contains(line, "msg=")) {
						t.Log(line)
					}
				}
			}()
			for excerpt := range strings.Lines(symptom.Text) {
				line := logPattern(excerpt)
				check.Eventually(t, "it is logged: "+excerpt, func() bool {
					return slices.ContainsFunc(append(home.traefik.Log().Lines()[before:], others...), line.MatchString)
				})
			}
		})
	}
	for name := range causes {
		if !listed[name] {
			t.Errorf("not in %s: %s", troubleshooting, name)
		}
	}
}

// causes bring about what the document tells of, by its words for it. They return the lines of other Traefiks than home's.
var causes = map[string]func(t *testing.T) []string{
	"Hidden hosts reject everybody": func(t *testing.T) []string {
		plain(nil, nil).live(t)
		walk(t, step{"203.0.113.7", nil, "photos", "403"})
		return nil
	},
	"The learner's host answers 403": func(t *testing.T) []string {
		tablet := issue(t, lab.Leaf{CommonName: "tablet"})
		for name, ask := range map[string]func(){
			"ifgiven":  func() { walk(t, step{"203.0.113.7", nil, "ha", "403"}) },
			"request":  func() { walk(t, step{"203.0.113.7", &home.Phone, "ha", "403"}) },
			"verified": func() { walk(t, step{"203.0.113.7", tablet, "ha", "403"}) },
		} {
			h := plain(options{"identities": "cn:phone"}, nil)
			h.Routes[0].TLS = name
			h.live(t)
			ask()
		}
		h := plain(nil, nil)
		h.Routes[0].EntryPoint = "web"
		h.live(t)
		c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: home.traefik.Addr("web")})
		if response, err := c.Get("http://ha.home.example/"); err != nil || response.Status != 403 {
			t.Errorf("without TLS: got %d and %v, want 403", response.Status, err)
		}
		return nil
	},
	"The learner's host can't be connected to": func(t *testing.T) []string {
		foreign := check.Must(home.stranger.Issue(lab.Leaf{CommonName: "phone"}))(t)
		h := plain(nil, nil)
		h.live(t)
		refuses(t, nil, "tls: certificate required")
		refuses(t, &foreign, "tls: unknown certificate authority")
		h.Routes[0].TLS = "mtsl"
		h.live(t)
		refuses(t, &home.Phone, "EOF")
		live(t, verifiedBy(t, plain(nil, nil), "/nowhere/client-ca.crt"))
		refuses(t, &home.Phone, "EOF")
		return nil
	},
	"Nobody is asked for a certificate": func(t *testing.T) []string {
		h := plain(nil, nil)
		h.Routes = append(h.Routes, route{Host: "ha", Path: "/api"})
		h.live(t)
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "403"})
		configuration := withMTLS(t)
		configuration.HTTP.Routers["ha0"].Rule = "HostRegexp(`^ha[.]home[.]example$`)"
		configuration.HTTP.Routers["ha0"].TLS.Options = "mtls"
		live(t, configuration)
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "403"})
		return nil
	},
	"All routers of a host answer 404": func(t *testing.T) []string {
		h := plain(nil, nil)
		h.Routes = append(h.Routes, route{Host: "ha", Path: "/api"})
		configuration := h.dynamic(t)
		configuration.HTTP.Routers["files2"].Rule = "HostRegexp(`^files[.]home[.]example$`)"
		configuration.HTTP.Routers["files2"].TLS.Options = "verified"
		other := check.Must(startSettled(t, configuration, func(map[string]any) {}))(t)
		for host, want := range map[string]string{"ha": "404", "files": "404", "photos": "403"} {
			c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: other.Addr("websecure"), TLS: tlsConfig(&home.Phone)})
			if got := status(c, host); got != want {
				t.Errorf("%s: got %s, want %s", host, got, want)
			}
		}
		return other.Log().Lines()
	},
	"It is said to be a private address": func(t *testing.T) []string {
		plain(nil, nil).live(t)
		walk(t, step{"172.18.0.1", &home.Phone, "ha", "200"}, step{"172.18.0.1", nil, "photos", "403"})
		return nil
	},
	"Behind a CDN or HTTP proxy": func(t *testing.T) []string {
		const cdn = "198.51.100.1"
		forwarded := http.Header{"X-Forwarded-For": {"203.0.113.7"}}
		for _, enforcer := range []options{nil, {"ipStrategy": options{"depth": 1}}} {
			plain(nil, enforcer).live(t)
			if got := ask(client(t, cdn, nil), "photos", forwarded); got != "403" {
				t.Errorf("with %v: got %s, want 403", enforcer, got)
			}
			if got := ask(client(t, cdn, nil), "ha", forwarded); !strings.Contains(got, "certificate required") {
				t.Errorf("the learner: got %s, want no connection", got)
			}
		}
		return nil
	},
	"Learned, yet rejected: IPv6 against IPv4": func(t *testing.T) []string {
		plain(nil, nil).live(t)
		walk(t, step{"2001:db8:1:2::7", &home.Phone, "ha", "200"}, step{"203.0.113.7", nil, "photos", "403"})
		return nil
	},
	"Learned, yet rejected: another store": func(t *testing.T) []string {
		plain(nil, options{"store": storeOf(t, "other")}).live(t)
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", nil, "photos", "403"})
		return nil
	},
	"It worked, and no longer does": func(t *testing.T) []string {
		plain(options{"maxIPs": 1, "ttl": "1s"}, nil).live(t)
		walk(t,
			step{"203.0.113.7", &home.Phone, "ha", "200"},
			step{"203.0.113.8", &home.Phone, "ha", "200"},
			step{"203.0.113.7", nil, "photos", "403"},
			step{"203.0.113.8", nil, "photos", "200"},
		)
		check.Eventually(t, "the end of the ttl", func() bool { return status(client(t, "203.0.113.8", nil), "photos") == "403" })
		return nil
	},
	"A router answers 404 and fails in the dashboard": func(t *testing.T) []string {
		plain(nil, options{"sourceRnage": "192.168.1.0/24"}).live(t)
		fails(t)
		h := plain(nil, nil)
		h.Routes[1].Middleware = "enfroce"
		h.live(t)
		fails(t)
		configuration := plain(nil, nil).dynamic(t)
		configuration.HTTP.Middlewares["enforce"] = config.Plugin("mtlsalowlist", options{"mode": "enforce"})
		live(t, configuration)
		fails(t)
		configuration.HTTP.Middlewares["enforce"] = config.Plugin("mtlsallowlist", options{"mode": "enforce"})
		configuration.HTTP.Middlewares["enforce"].Plugin["mtlsalowlist"] = map[string]any{"rejectStatusCode": "404"}
		live(t, configuration)
		fails(t)
		return nil
	},
	"A router is missing from the dashboard": func(t *testing.T) []string {
		plain(nil, nil).live(t)
		faulty := filepath.Join(home.Dir, "dynamic", "more.yml")
		t.Cleanup(func() {
			if err := os.Remove(faulty); err != nil {
				t.Error(err)
			}
		})
		text := "http: {routers: {more: {rule: Host(`more.home.example`), midlewares: [enforce], service: photos, tls: {}}}}"
		if err := os.WriteFile(faulty, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := home.traefik.Log().Wait(ctx, "midlewares"); err != nil {
			t.Fatal(err)
		}
		walk(t, step{"203.0.113.7", nil, "photos", "403"}) // as before
		if response, err := client(t, "203.0.113.7", nil).Get("https://more.home.example/"); err != nil || response.Status != 404 {
			t.Errorf("got %d and %v, want 404", response.Status, err)
		}
		return nil
	},
	"All routers with the plugin answer 404": func(t *testing.T) []string {
		local := map[string]any{"moduleName": "github.com/mtlsallowlist/mtlsallowlist"}
		duplicate := map[string]any{"localPlugins": map[string]any{"mtlsallowlist": local, "other": local}}
		elsewhere := map[string]any{"localPlugins": map[string]any{"mtlsallowlist": local}}
		lines := slices.Concat(withoutPlugin(t, unreachable(t), nowhere), withoutPlugin(t, duplicate, inPlace), withoutPlugin(t, elsewhere, nowhere))
		startCatalog(t)
		other := map[string]any{"moduleName": ownModule, "version": "v0.1.0", "hash": strings.Repeat("0", 64)}
		return append(lines, withoutPlugin(t, map[string]any{"plugins": map[string]any{"mtlsallowlist": other}}, nowhere)...)
	},
	"421 Misdirected Request": func(t *testing.T) []string {
		configuration := withMTLS(t)
		configuration.HTTP.Routers["ha0"].TLS.Options = "mtls"
		live(t, configuration)
		c := keep(t, lab.ClientOptions{
			From: "203.0.113.7", Target: home.traefik.Addr("websecure"), TLS: tlsConfig(&home.Phone),
			SNI: "photos.home.example", HTTP2: true, KeepAlive: true,
		})
		for _, host := range []string{"photos", "ha", "photos"} {
			want := map[string]string{"photos": "403", "ha": "421"}[host]
			if got := status(c, host); got != want {
				t.Errorf("%s: got %s, want %s", host, got, want)
			}
		}
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}) // a new connection
		return nil
	},
	"The state file": func(t *testing.T) []string {
		folder := filepath.Join(t.TempDir(), "state")
		path := filepath.Join(folder, "state.json")
		plain(options{"stateFile": path}, nil).live(t)
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "404"})
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "404"}) // until an option changes
		plain(options{"stateFile": path, "maxIPs": 9}, nil).live(t)
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
		plain(options{"stateFile": path}, nil).live(t)
		for _, contents := range []string{`{"letsencrypt":{}}`, `{"format": 2, "store": "x"}`} {
			found(t, path, contents, false)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "404"})
		}
		found(t, path, `{"format": 1, "store": `, false)
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		walk(t, step{"203.0.113.8", &home.Phone, "ha", "200"}, step{"203.0.113.8", nil, "photos", "200"})
		return nil
	},
	"The replicas don't share": func(t *testing.T) []string {
		server := redis.Start(t)
		server.CLI("ACL", "SETUSER", "traefik", "on", ">secret", "~*", "+xread")
		for _, sharing := range []options{
			{"endpoints": "127.0.0.1:1"},
			{"endpoints": server.Address, "username": "traefik", "password": "wrong"},
			{"endpoints": server.Address, "username": "traefik", "password": "secret"},
		} {
			plain(options{"redis": sharing}, nil).live(t)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", nil, "photos", "200"})
		}
		plain(options{"redis": options{"endpoints": server.Address}}, options{"redis": options{"endpoints": server.Address, "db": 1}}).live(t)
		return nil
	},
}

// TestAnEmptyTLSIsNone is about a router that answers 404 with nothing in the log.
func TestAnEmptyTLSIsNone(t *testing.T) {
	data := check.Must(yaml.Marshal(plain(nil, nil).dynamic(t)))(t)
	for _, row := range []struct {
		tls  any
		want string
	}{
		{nil, "404"},
		{map[string]any{}, "403"},
	} {
		var configuration map[string]any
		if err := yaml.Unmarshal(data, &configuration); err != nil {
			t.Fatal(err)
		}
		configuration["http"].(map[string]any)["routers"].(map[string]any)["photos1"].(map[string]any)["tls"] = row.tls
		before := len(home.traefik.Log().Lines())
		live(t, configuration)
		walk(t, step{"203.0.113.7", nil, "photos", row.want})
		api := keep(t, lab.ClientOptions{Target: home.traefik.Addr("traefik")})
		if response, err := api.Get("http://localhost/api/http/routers/photos1@file"); err != nil || strings.Contains(response.Body, `"tls"`) != (row.tls != nil) {
			t.Errorf("with tls %v the dashboard has %s (%v)", row.tls, response.Body, err)
		}
		for _, line := range home.traefik.Log().Lines()[before:] {
			if strings.Contains(line, " ERR ") || strings.Contains(line, " WRN ") {
				t.Errorf("with tls %v it is logged: %s", row.tls, line)
			}
		}
	}
}

// withMTLS is the plain household with TLS options named as in the documents.
func withMTLS(t *testing.T) *dynamic.Configuration {
	configuration := plain(nil, nil).dynamic(t)
	configuration.TLS.Options["mtls"] = configuration.TLS.Options["verified"]
	return configuration
}

// refuses fails unless the learner's host refuses the handshake with that alert.
func refuses(t *testing.T, certificate *tls.Certificate, want string) {
	t.Helper()
	response, err := client(t, "203.0.113.7", certificate).Get("https://ha.home.example/")
	if err == nil {
		t.Errorf("got an answer with status %d, want none", response.Status)
	} else if got := alert(err); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// fails fails unless the router of photos is closed, and in error in the dashboard.
func fails(t *testing.T) {
	t.Helper()
	walk(t, step{"203.0.113.7", nil, "photos", "404"}, step{"203.0.113.7", &home.Phone, "ha", "200"})
	api := keep(t, lab.ClientOptions{Target: home.traefik.Addr("traefik")})
	response, err := api.Get("http://localhost/api/http/routers/photos1@file")
	if err != nil || !strings.Contains(response.Body, `"status":"disabled"`) {
		t.Errorf("the dashboard has %s (%v), want it disabled", response.Body, err)
	}
}

// unreachable is a way to get the plugin from Traefik's catalog that fails: there is nobody at the proxy's port.
func unreachable(t *testing.T) map[string]any {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	plugin := map[string]any{"moduleName": "github.com/mtlsallowlist/mtlsallowlist", "version": "v0.1.0"}
	return map[string]any{"plugins": map[string]any{"mtlsallowlist": plugin}}
}

// The local plugins of a Traefik.
var (
	inPlace map[string]string // nil: the plugin, where Traefik looks for it
	nowhere = map[string]string{}
)

// startWith starts a Traefik of its own with a section experimental, and a household in which files is for everybody.
func startWith(t *testing.T, experimental map[string]any, plugins map[string]string) (*lab.Traefik, error) {
	t.Helper()
	binary := check.Must(lab.Build(t.Context(), os.Stderr))(t)
	h := plain(nil, nil)
	h.Routes[2].Middleware = ""
	dir := t.TempDir()
	experimental["abortOnPluginFailure"] = experimental["abortOnPluginFailure"] == true // the laboratory's default is true
	return lab.Start(t.Context(), lab.Options{
		Binary: binary, Dir: dir, Plugins: plugins, Dynamic: h.dynamic(t), Static: map[string]any{"experimental": experimental},
	})
}

// withoutPlugin runs a Traefik that can't load the plugin, and returns its log.
func withoutPlugin(t *testing.T, experimental map[string]any, plugins map[string]string) []string {
	t.Helper()
	other := check.Must(startWith(t, experimental, plugins))(t)
	for host, want := range map[string]string{"ha": "404", "photos": "404", "files": "200"} {
		c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: other.Addr("websecure"), TLS: tlsConfig(&home.Phone)})
		if got := status(c, host); got != want {
			t.Errorf("%s without the plugin: got %s, want %s", host, got, want)
		}
	}
	if err := other.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	return other.Log().Lines()
}

func TestTraefikDoesNotStartWithoutThePluginIfToldSo(t *testing.T) {
	experimental := unreachable(t)
	experimental["abortOnPluginFailure"] = true
	other, err := startWith(t, experimental, nowhere)
	if err == nil {
		t.Errorf("it has started: %v", other.Stop(context.Background()))
	} else if !strings.Contains(err.Error(), "failed to create plugin builder: ") || !strings.Contains(err.Error(), "unable to download plugin") {
		t.Errorf("got %v, want the reason", err)
	}
}

func TestBackingOut(t *testing.T) {
	h := plain(nil, nil)
	h.live(t)
	walk(t, step{"203.0.113.7", nil, "photos", "403"})
	h.Others = map[string]*dynamic.Middleware{"own": {IPAllowList: &dynamic.IPAllowList{SourceRange: []string{"192.0.2.0/24"}}}}
	h.Routes[0].Middleware, h.Routes[1].Middleware, h.Routes[2].Middleware = "", "own", ""
	h.live(t)
	refuses(t, nil, "tls: certificate required")
	walk(t,
		step{"203.0.113.7", &home.Phone, "ha", "200"},
		step{"203.0.113.7", nil, "photos", "403"},
		step{"192.0.2.7", nil, "photos", "200"},
		step{"203.0.113.7", nil, "files", "200"}, // it is open
	)
}
