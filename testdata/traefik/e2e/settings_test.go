package e2e

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

// section returns the map at a path of keys.
func section(configuration map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		configuration, _ = configuration[key].(map[string]any)
	}
	return configuration
}

// startSettled runs a Traefik of its own with the static configuration of examples/file after a change, and a household.
// Its clients announce their addresses by the PROXY protocol.
func startSettled(t *testing.T, configuration *dynamic.Configuration, change func(static map[string]any)) (*lab.Traefik, error) {
	t.Helper()
	static := exampleStatic(t, "file")
	section(static, "entryPoints", "websecure")["proxyProtocol"] = map[string]any{"trustedIPs": []string{"127.0.0.1/32"}}
	change(static)
	other, err := lab.Start(t.Context(), lab.Options{
		Binary: home.Binary, Dir: t.TempDir(), LogLevel: "DEBUG", Static: static, OwnEntryPoints: true, Dynamic: configuration,
	})
	if err == nil {
		t.Cleanup(func() {
			if err := other.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	return other, err
}

// TestConflictingTLSOptions is about CVE-2026-85597 and CVE-2026-114656. The vault has no lock but
// the client certificate that its TLS options require.
func TestConflictingTLSOptions(t *testing.T) {
	const refused = "certificate required"
	asStrict := func(map[string]any) {}
	asDefault := func(static map[string]any) { section(static, "core")["strictTLSOptions"] = false }
	beside := func(rule, options string) *dynamic.Router {
		return &dynamic.Router{Rule: rule, Service: "files", EntryPoints: []string{"websecure"}, TLS: &dynamic.RouterTLSConfig{Options: options}}
	}
	for _, row := range []struct {
		name                string
		change              func(static map[string]any)
		more                *dynamic.Router
		stranger, phone     string // what the vault answers
		learner, afterwards string // what the learner's host answers to a stranger, and the hidden host to that one then
	}{
		{"no conflict", asStrict, nil, refused, "200", refused, "403"},
		{"a conflict at the vault", asStrict, beside("Host(`vault.home.example`) && Path(`/public`)", "default"), "404", "404", refused, "403"},
		{"a conflict at the learner", asStrict, beside("Host(`ha.home.example`) && Path(`/api`)", "default"), refused, "200", "404", "403"},
		{"a conflict by one router of several hosts", asStrict, beside("Host(`ha.home.example`) || Host(`vault.home.example`)", "none"), "404", "404", "404", "403"},
		{"a negated host is none", asStrict, beside("!Host(`vault.home.example`) && Path(`/public`)", "default"), refused, "200", refused, "403"},
		{"a negated host is none, by default", asDefault, beside("!Host(`vault.home.example`) && Path(`/public`)", "default"), refused, "200", refused, "403"},
		// This is what the setting is for: the plugin still learns nobody, but the vault is open.
		{"a conflict at the vault, by default", asDefault, beside("Host(`vault.home.example`) && Path(`/public`)", "default"), "200", "200", refused, "403"},
		{"a conflict at the learner, by default", asDefault, beside("Host(`ha.home.example`) && Path(`/api`)", "default"), refused, "200", "403", "403"},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := plain(nil, nil)
			h.Routes = append(h.Routes, route{Host: "vault", Service: "files", TLS: "verified"})
			configuration := h.dynamic(t)
			if row.more != nil {
				configuration.HTTP.Routers["more"] = row.more
			}
			other := check.Must(startSettled(t, configuration, row.change))(t)
			at := func(host string, c lab.ClientOptions) string {
				c.From, c.Target = "203.0.113.7", other.Addr("websecure")
				response, err := keep(t, c).Get("https://" + host + ".home.example/")
				switch {
				case err != nil && strings.HasSuffix(err.Error(), refused):
					return refused
				case err != nil:
					return err.Error()
				}
				return fmt.Sprint(response.Status)
			}
			for _, question := range []struct {
				who, host string
				client    lab.ClientOptions
				want      string
			}{
				{"a stranger", "vault", lab.ClientOptions{TLS: tlsConfig(nil)}, row.stranger},
				{"the phone", "vault", lab.ClientOptions{TLS: tlsConfig(&home.Phone)}, row.phone},
				{"a stranger", "ha", lab.ClientOptions{TLS: tlsConfig(nil)}, row.learner},
				{"a stranger", "photos", lab.ClientOptions{TLS: tlsConfig(nil)}, row.afterwards},
			} {
				if got := at(question.host, question.client); got != question.want {
					t.Errorf("%s asks %s: got %s, want %s", question.who, question.host, got, question.want)
				}
			}
		})
	}
}

// asVariable is the name by which CGI, WSGI, PHP and many other services know a header.
func asVariable(name string) string {
	return "HTTP_" + strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}

// TestAnAliasOfTheUsersHeader is about CVE-2026-88011: mallory, who has a login, sends what a service could take
// for the header with the user.
func TestAnAliasOfTheUsersHeader(t *testing.T) {
	sum := sha1.Sum([]byte("secret"))
	password := ":{SHA}" + base64.StdEncoding.EncodeToString(sum[:])
	login := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("mallory:secret"))
	aliases := []string{"X_User", "x_user", "X.User", "X~User", "X+User", "X!User", "X*User", "X'User", "X|User"}
	for _, row := range []struct {
		name     string
		strategy string
		arrives  bool // whether aliases get to the service
	}{
		{"as in the examples", "delete", false},
		{"rejected", "reject", false},
		{"by default", "keep", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			service := startRecorder(t)
			h := plain(options{"proof": "request", "identityHeader": "X-User"}, options{"identities": "header:alice"})
			h.Plugins["mallorys"] = options{"mode": "enforce", "identities": "header:mallory"}
			h.Others = map[string]*dynamic.Middleware{"users": {BasicAuth: &dynamic.BasicAuth{Users: dynamic.Users{"mallory" + password}, HeaderField: "X-User"}}}
			h.Routes[0].Middleware, h.Routes[0].TLS = "users learn", ""
			h.Routes[2].Middleware = "mallorys"
			configuration := h.dynamic(t)
			configuration.HTTP.Services["ha"] = config.Service(service.URL)
			other, err := startSettled(t, configuration, func(static map[string]any) {
				settings := section(static, "entryPoints", "websecure", "http")
				if settings["aliasHeadersStrategy"] != "delete" {
					t.Errorf("the example has %v, want delete", settings)
				}
				settings["aliasHeadersStrategy"] = row.strategy
			})
			if err != nil {
				t.Fatal(err)
			}
			arrived := false
			for _, alias := range aliases {
				for _, http2 := range []bool{false, true} {
					c := keep(t, lab.ClientOptions{From: "203.0.113.7", Target: other.Addr("websecure"), TLS: tlsConfig(nil), HTTP2: http2})
					request := written(t, http.MethodGet, "https://ha.home.example/", "", login)
					request.Header[alias] = []string{"alice"}
					response, err := c.Do(request)
					want := map[bool]int{true: 400, false: 200}[row.strategy == "reject"]
					if err != nil || response.Status != want {
						t.Fatalf("%s: got %d (%v), want %d", alias, response.Status, err, want)
					}
					if want == 400 {
						continue
					}
					var users []string
					header, _ := service.last()
					for name, values := range header {
						if asVariable(name) == "HTTP_X_USER" {
							users = append(users, values...)
						}
					}
					if !row.arrives && !reflect.DeepEqual(users, []string{"mallory"}) {
						t.Errorf("%s, HTTP/2 %t: for the service the user is %q, want mallory", alias, http2, users)
					}
					arrived = arrived || slices.Contains(users, "alice")
					for host, want := range map[string]int{"photos": 403, "files": 200} { // alice's and mallory's
						request := written(t, http.MethodGet, "https://"+host+".home.example/", "")
						request.Header[alias] = []string{"alice"}
						if response, err := c.Do(request); err != nil || response.Status != want {
							t.Errorf("%s at %s: got %d (%v), want %d", alias, host, response.Status, err, want)
						}
					}
				}
			}
			if arrived != row.arrives {
				t.Errorf("an alias has got to the service: %t, want %t", arrived, row.arrives)
			}
			if err := other.Stop(context.Background()); err != nil { // then its log is complete
				t.Fatal(err)
			}
			if got := other.Log().Count("msg=learned", "identity=header:alice"); got != 0 {
				t.Errorf("got %d lines that alice was learned", got)
			}
			if got, want := other.Log().Count("msg=learned", "identity=header:mallory"), map[bool]int{true: 0, false: 1}[row.strategy == "reject"]; got != want {
				t.Errorf("got %d lines that mallory was learned, want %d", got, want)
			}
		})
	}
}

// TestATraefikThatDoesNotKnowTheSettingsDoesNotStart is about an older one, for which they are unknown options.
func TestATraefikThatDoesNotKnowTheSettingsDoesNotStart(t *testing.T) {
	for name, change := range map[string]func(static map[string]any){
		"core": func(static map[string]any) { section(static, "core")["strictTLSOptionz"] = true },
		"entryPoints": func(static map[string]any) {
			section(static, "entryPoints", "websecure", "http")["aliasHeadersStrategi"] = "delete"
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := startSettled(t, nil, change); err == nil || !strings.Contains(err.Error(), "field not found") {
				t.Errorf("got %v, want that it doesn't start", err)
			}
		})
	}
}

// TestAClosedRouterLeavesItsRequestsToOthers shows the limit of a router that closes when its middleware can't be made.
func TestAClosedRouterLeavesItsRequestsToOthers(t *testing.T) {
	for _, row := range []struct {
		name     string
		enforcer options
		want     map[string]int
	}{
		{"a right enforcer", nil, map[string]int{"photos/": 403, "files/": 200, "files/hidden": 403}},
		{"a misspelt option", options{"sourceRnage": "192.168.1.0/24"}, map[string]int{"photos/": 404, "files/": 200, "files/hidden": 200}},
	} {
		h := plain(nil, row.enforcer)
		h.Routes[2].Middleware = ""
		h.Routes = append(h.Routes, route{Host: "files", Path: "/hidden", Middleware: "enforce"})
		h.live(t)
		for place, want := range row.want {
			host, path, _ := strings.Cut(place, "/")
			if got := send(t, client(t, "198.51.100.66", nil), http.MethodGet, "https://"+host+".home.example/"+path, "").Status; got != want {
				t.Errorf("%s: %s: got %d, want %d", row.name, place, got, want)
			}
		}
	}
}
