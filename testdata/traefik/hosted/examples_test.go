package hosted

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/traefik/traefik/v3/cmd"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/runtime"
	"github.com/traefik/traefik/v3/pkg/config/static"
	"github.com/traefik/traefik/v3/pkg/plugins"
	internal "github.com/traefik/traefik/v3/pkg/provider/traefik"
	"github.com/traefik/traefik/v3/pkg/safe"
	"github.com/traefik/traefik/v3/pkg/server"
	"github.com/traefik/traefik/v3/pkg/server/middleware"
	"github.com/traefik/traefik/v3/pkg/server/provider"
)

// An example is what Traefik reads out of one folder below examples/, or of one and another that it refers to.
type example struct {
	static  *cmd.TraefikCmdConfiguration
	dynamic map[string]*dynamic.Configuration // by provider
	local   bool                              // the plugin is a local one, not the catalog's
}

// An exampleReader reads the files of one example; files holds them by their path below examples/.
type exampleReader func(files fs.FS) (example, error)

var readers = map[string]exampleReader{
	"cdn":            readCDN,
	"docker-compose": readCompose,
	"file":           readFile,
	"kubernetes":     readKubernetes,
	"k3s":            readK3s,
	"redis":          readKubernetesRedis,
	"vps":            readVPS,
}

// variants read other files of the same folders.
var variants = map[string]exampleReader{
	"docker-compose with the local plugin": readComposeLocal,
	"file in TOML":                         readTOML,
	"kubernetes with plain Ingresses":      readKubernetesIngress,
	"redis in files":                       readRedisFile,
}

// walked learn by other proofs, or at the entry point; how they behave is seen in the real Traefik, by tests of e2e.
var walked = map[string]exampleReader{
	"entrypoint":  func(files fs.FS) (example, error) { return readFolder(files, "entrypoint") },
	"login":       func(files fs.FS) (example, error) { return readBesideFile(files, "login") },
	"share-links": func(files fs.FS) (example, error) { return readFolder(files, "share-links") },
}

func readerOf(name string) exampleReader {
	for _, known := range []map[string]exampleReader{readers, variants, walked} {
		if read, ok := known[name]; ok {
			return read
		}
	}
	return nil
}

// notFound is how the enforcers of all examples reject.
const notFound = http.StatusNotFound

func examplesFolder() fs.FS { return os.DirFS(filepath.Join(root, "examples")) }

// A recorder remembers which files were opened.
type recorder struct {
	fs.FS
	opened map[string]bool
}

func (r recorder) Open(name string) (fs.File, error) {
	r.opened[name] = true
	return r.FS.Open(name)
}

func TestExamples(t *testing.T) {
	files := recorder{examplesFolder(), map[string]bool{}}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(readers)), slices.Sorted(maps.Keys(variants)), slices.Sorted(maps.Keys(walked))) {
		t.Run(name, func(t *testing.T) {
			e := check.Must(readerOf(name)(files))(t)
			configuration := check.Must(verify(e))(t)
			shared := shareByOwnRedis(t, configuration)
			if walked[name] == nil {
				checkBehaviour(t, e, configuration)
			}
			if shared {
				checkSharing(t, configuration)
			}
			if variants[name] == nil {
				checkWarning(t, name)
			}
		})
	}
	t.Run("every file is read by one of these tests", func(t *testing.T) {
		err := fs.WalkDir(examplesFolder(), ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && !files.opened[name] && elsewhere[name] == "" {
				t.Errorf("examples/%s is read by no test", name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// checkWarning wants that people who copy an example read what it does not do.
func checkWarning(t *testing.T, folder string) {
	t.Helper()
	names := check.Must(fs.Glob(examplesFolder(), folder+"/*"))(t)
	const warning = "second lock, not a login: an address that is let in is shared by everybody behind the same NAT"
	if !slices.ContainsFunc(names, func(name string) bool {
		data, err := fs.ReadFile(examplesFolder(), name)
		return err == nil && strings.Contains(string(data), warning)
	}) {
		t.Errorf("no file in examples/%s says %q", folder, warning)
	}
}

// verify returns what Traefik makes of the whole example, and everything that is wrong with it.
func verify(e example) (dynamic.Configuration, error) {
	if err := checkStatic(e); err != nil {
		return dynamic.Configuration{}, err
	}
	configuration, err := aggregate(e)
	if err != nil {
		return configuration, err
	}
	return configuration, checkRouters(e, configuration)
}

// checkStatic wants the plugin alone, under the name that the dynamic configurations use, and the settings that docs/security.md
// asks for.
func checkStatic(e example) error {
	e.static.SetEffectiveConfiguration()
	if err := e.static.ValidateConfiguration(); err != nil {
		return err
	}
	if !strict(e) {
		return errors.New("core.strictTLSOptions is not set")
	}
	if got := e.static.EntryPoints["websecure"].HTTP.AliasHeadersStrategy; got != static.AliasHeadersStrategyDelete {
		return fmt.Errorf("got aliasHeadersStrategy %q, want delete", got)
	}
	experimental := e.static.Experimental
	if experimental == nil || len(experimental.Plugins)+len(experimental.LocalPlugins) != 1 {
		return fmt.Errorf("got experimental %v, want the plugin alone", experimental)
	}
	if e.local {
		if got := experimental.LocalPlugins[pluginName].ModuleName; got != pluginModule {
			return fmt.Errorf("got local plugin %q, want %q", got, pluginModule)
		}
		return nil
	}
	want := plugins.Descriptor{ModuleName: pluginModule, Version: "v0.1.0"}
	if got := experimental.Plugins[pluginName]; got.ModuleName != want.ModuleName || got.Version != want.Version {
		return fmt.Errorf("got plugin %+v, want %+v", got, want)
	}
	return nil
}

// strict reports whether Traefik closes routers with conflicting TLS options.
func strict(e example) bool { return e.static.Core != nil && e.static.Core.StrictTLSOptions }

// aggregate has Traefik put together the configurations of all providers, its own internal one included.
func aggregate(e example) (dynamic.Configuration, error) {
	var entryPoints []string
	for name := range e.static.EntryPoints {
		if name != "traefik" {
			entryPoints = append(entryPoints, name)
		}
	}
	pool := safe.NewPool(context.Background())
	defer pool.Stop()
	// Nothing is put together before the internal provider's is there, which comes last.
	watcher := server.NewConfigurationWatcher(pool, given{e}, entryPoints, "internal", strict(e))
	configurations := make(chan dynamic.Configuration, 1)
	watcher.AddListener(func(c dynamic.Configuration) { configurations <- c })
	watcher.Start()
	select {
	case c := <-configurations:
		return c, nil
	case <-time.After(30 * time.Second):
		return dynamic.Configuration{}, errors.New("Traefik put together no configuration within 30 s")
	}
}

// given provides what is in the example.
type given struct{ e example }

func (g given) Init() error { return nil }

func (g given) Provide(configurations chan<- dynamic.Message, pool *safe.Pool) error {
	for name, configuration := range g.e.dynamic {
		configurations <- dynamic.Message{ProviderName: name, Configuration: configuration}
	}
	return internal.New(g.e.static.Configuration).Provide(configurations, pool)
}

// pluginOf returns the options of the plugin in the one middleware of it that a router has; none if there isn't one.
func pluginOf(configuration dynamic.Configuration, name string) map[string]any {
	var found []map[string]any
	for _, m := range configuration.HTTP.Routers[name].Middlewares {
		if m := configuration.HTTP.Middlewares[qualified(m, name)]; m != nil && m.Plugin != nil {
			found = append(found, m.Plugin[pluginName])
		}
	}
	if len(found) != 1 {
		return nil
	}
	return found[0]
}

// qualified returns name with its provider, which is that of the router if name has none of its own.
func qualified(name, router string) string {
	return provider.GetQualifiedName(provider.AddInContext(context.Background(), router), name)
}

// routersOf returns the names of the example's own routers.
func routersOf(configuration dynamic.Configuration) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(configuration.HTTP.Routers)), func(name string) bool {
		return strings.HasSuffix(name, "@internal")
	})
}

// checkRouters wants that whatever a router refers to exists, and that learners ask for a certificate.
func checkRouters(e example, configuration dynamic.Configuration) error {
	var faults []error
	for _, name := range routersOf(configuration) {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("router %s: "+format, append([]any{name}, args...)...))
		}
		router := configuration.HTTP.Routers[name]
		options := pluginOf(configuration, name)
		mode := fmt.Sprint(options["mode"])
		if !slices.Contains([]string{"learn", "enforce", "status", "either"}, mode) {
			fault("its middlewares are %v, got mode %q, want learn, enforce, status or either", router.Middlewares, mode)
		}
		if header, _ := options["identityHeader"].(string); options["proof"] == "request" && !setsUser(configuration, name, header) {
			fault("the first of its middlewares %v doesn't set %q", router.Middlewares, header)
		}
		if service := qualified(router.Service, name); configuration.HTTP.Services[service] == nil {
			fault("no service %q", service)
		} else if (mode == "status") != (service == "noop@internal") {
			fault("its mode is %s, and its service %q", mode, service)
		}
		for _, entryPoint := range router.EntryPoints {
			if e.static.EntryPoints[entryPoint] == nil {
				fault("no entry point %q", entryPoint)
			}
		}
		if router.TLS == nil {
			fault("no TLS")
			continue
		}
		if resolver := router.TLS.CertResolver; resolver != "" && e.static.CertificatesResolvers[resolver].ACME == nil {
			fault("no certificate resolver %q", resolver)
		}
		_, providerName, _ := strings.Cut(name, "@")
		if own := e.dynamic[providerName].TLS; router.TLS.CertResolver == "" && (own == nil || len(own.Certificates) == 0) {
			fault("neither a certificate resolver nor a certificate")
		}
		if router.TLS.ConflictingOptions {
			fault("another router of its host has other TLS options than %q: Traefik closes both", router.TLS.Options)
			continue
		}
		// Traefik has resolved them.
		resolved, ok := configuration.TLS.Options[router.TLS.ResolvedOptions]
		asks := resolved.ClientAuth.ClientAuthType == "RequireAndVerifyClientCert" && len(resolved.ClientAuth.CAFiles) > 0
		if !ok || mode != "either" && (mode != "enforce" && options["proof"] == nil) != asks {
			fault("its mode is %s, but its TLS options are %q, in the end %q", mode, router.TLS.Options, router.TLS.ResolvedOptions)
		}
	}
	return errors.Join(faults...)
}

// setsUser reports whether a router's first middleware is a login that sets the header itself, whatever a client sends.
func setsUser(configuration dynamic.Configuration, name, header string) bool {
	login := configuration.HTTP.Middlewares[qualified(configuration.HTTP.Routers[name].Middlewares[0], name)]
	return login != nil && login.BasicAuth != nil && login.BasicAuth.HeaderField == header ||
		login != nil && login.ForwardAuth != nil && slices.Contains(login.ForwardAuth.AuthResponseHeaders, header)
}

// checkBehaviour builds every router's middlewares as Traefik does, and sends requests through them.
func checkBehaviour(t *testing.T, e example, configuration dynamic.Configuration) {
	t.Helper()
	for _, m := range configuration.HTTP.Middlewares {
		// The folder of the state file is one that the example makes a volume of; here it is the test's.
		if file, ok := m.Plugin[pluginName]["stateFile"].(string); ok {
			m.Plugin[pluginName]["stateFile"] = filepath.Join(t.TempDir(), path.Base(file))
		}
	}
	builder := middleware.NewBuilder(runtime.NewConfig(configuration).Middlewares, nil, newBuilder(t))
	learners, enforcers, pages := map[string]http.Handler{}, map[string]http.Handler{}, map[string]http.Handler{}
	for _, name := range routersOf(configuration) {
		ctx := provider.AddInContext(context.Background(), name)
		handler, err := builder.BuildMiddlewareChain(ctx, configuration.HTTP.Routers[name].Middlewares).Then(service)
		if err != nil {
			t.Fatalf("router %s: %v", name, err)
		}
		switch pluginOf(configuration, name)["mode"] {
		case "learn":
			learners[name] = handler
		case "enforce":
			enforcers[name] = handler
			if pluginOf(configuration, name)["ipStrategy"] != nil {
				enforcers[name] = behindProxy(e, handler)
			}
		default:
			pages[name] = handler
		}
	}
	if len(learners) == 0 || len(enforcers) == 0 {
		t.Fatalf("got %d learners and %d enforcers, want both", len(learners), len(enforcers))
	}
	want := func(situation string, handlers map[string]http.Handler, from, cn string, want int) {
		t.Helper()
		for name, handler := range handlers {
			var state *tls.ConnectionState
			if cn != "" {
				state = proof(t, cn)
			}
			if got := status(handler, from, nil, state); got != want {
				t.Errorf("%s: router %s: got %d, want %d", situation, name, got, want)
			}
		}
	}
	want("before any proof", enforcers, "203.0.113.7:1", "", notFound)
	want("the status page without a certificate", pages, "203.0.113.7:1", "", http.StatusForbidden)
	want("the status page", pages, "203.0.113.7:1", "phone", http.StatusOK)
	want("the status page learns nothing", enforcers, "203.0.113.7:1", "", notFound)
	want("without a certificate", learners, "203.0.113.7:1", "", http.StatusForbidden)
	want("refused", enforcers, "203.0.113.7:1", "", notFound)
	want("with a certificate", learners, "203.0.113.7:1", "phone", http.StatusOK)
	want("after the proof", enforcers, "203.0.113.7:1", "", http.StatusOK)
	want("a stranger after the proof", enforcers, "203.0.113.8:1", "", notFound)
	want("with a certificate from a gateway", learners, "172.17.0.1:1", "phone", http.StatusOK)
	want("from the gateway", enforcers, "172.17.0.1:1", "", notFound)
}

// edited is a folder in which one file differs.
type edited struct {
	fs.FS
	name    string
	content []byte
}

func (e edited) ReadFile(name string) ([]byte, error) {
	if name == e.name {
		return e.content, nil
	}
	return fs.ReadFile(e.FS, name)
}

func TestMistakesInExamplesAreNoticed(t *testing.T) {
	const (
		compose = "docker-compose/compose.yaml"
		local   = "docker-compose/compose.local.yaml"
		locally = "docker-compose with the local plugin"
		toml    = "file in TOML"
		routes  = "kubernetes/ingressroute.yaml"
		ingress = "kubernetes/ingress.yaml"
		plainly = "kubernetes with plain Ingresses"
		k3s     = "k3s/traefik-config.yaml"
		redis   = "redis/mtlsallowlist.yaml"
	)
	for _, c := range []struct {
		name     string
		example  string
		file     string
		old, new string
		want     string
	}{
		{"an unknown flag", "docker-compose", compose, "--entryPoints.websecure.address", "--entryPoints.websecure.addrezz", "field not found, node: addrezz"},
		{"an unknown flag of the plugin", "docker-compose", compose, "mtlsallowlist.version=", "mtlsallowlist.versions=", "field not found, node: versions"},
		{"an unknown label", "docker-compose", compose, "immich.middlewares=", "immich.middleware=", "field not found, node: middleware"},
		{"a label without traefik.http", "docker-compose", compose, "traefik.http.routers.immich.rule", "traefik.routers.immich.rule", "unknown label"},
		{"an unknown key of compose", "docker-compose", compose, "    ports:", "    port:", "additional properties 'port' not allowed"},
		{"a volume that nobody made", "docker-compose", compose, "  state:\n", "", "undefined volume state"},
		{"an unknown middleware", "docker-compose", compose, "immich.middlewares=enforce", "immich.middlewares=enfore", `its middlewares are [enfore], got mode "<nil>"`},
		{"a second router for a learner's host", "docker-compose", compose, "Host(`photos.example.com`)", "Host(`home.example.com`)", `another router of its host has other TLS options than "mtls@file"`},
		{"an unknown TLS option", "docker-compose", "docker-compose/tls.yml", "clientAuthType:", "clientAuthMode:", "field not found, node: clientAuthMode"},
		{"an entry point that keeps aliases", "docker-compose", compose, "      - --entryPoints.websecure.http.aliasHeadersStrategy=delete", "      - --entryPoints.websecure.http.sanitizePath=true", `got aliasHeadersStrategy "", want delete`},
		{"conflicting TLS options that open routers", "file", "file/traefik.yml", "strictTLSOptions: true", "strictTLSOptions: false", "core.strictTLSOptions is not set"},
		{"a strategy that Traefik doesn't know", "file", "file/traefik.yml", "aliasHeadersStrategy: delete", "aliasHeadersStrategy: remove", `got aliasHeadersStrategy "remove", want delete`},
		{"an unknown argument of k3s' chart", "k3s", k3s, "- --core.strictTLSOptions=true", "- --core.strictTLSOption=true", "field not found, node: strictTLSOption"},
		{"an unknown value of an entry point of the chart", "kubernetes", "kubernetes/values.yaml", "aliasHeadersStrategy:", "aliasHeaderStrategy:", "field aliasHeaderStrategy not found"},
		{"a flag that the local plugin's file lacks", locally, local, "      - --providers.docker.exposedByDefault=false\n", "", "not those of compose.yaml"},
		{"a flag that is changed in one of the files", locally, compose, "websecure.address=:443", "websecure.address=:8443", "not those of compose.yaml"},
		{"the catalog's plugin beside the local one", locally, local, "localPlugins.mtlsallowlist.moduleName", "plugins.mtlsallowlist.moduleName", "got local plugin"},
		{"another module's local plugin", locally, local, "=github.com/mtlsallowlist/mtlsallowlist", "=github.com/mtlsallowlist/allowlist", "nothing is mounted at /plugins-local/src/github.com/mtlsallowlist/allowlist"},
		{"a local plugin that is mounted elsewhere", locally, local, ":/plugins-local/src/", ":/plugins/src/", "nothing is mounted at /plugins-local/src/github.com/mtlsallowlist/mtlsallowlist"},
		{"a local plugin that is no clone", locally, local, "../..:", "..:", "no .traefik.yml"},
		{"an unknown key of the static file", "file", "file/traefik.yml", "    filename:", "    fileName2:", "field not found, node: fileName2"},
		{"an unknown root key of the static file", "file", "file/traefik.yml", "experimental:", "experimentals:", "TraefikCmdConfiguration has no experimentals"},
		{"an unknown root key of the dynamic file", "file", "file/dynamic.yml", "tls:\n  options:", "tsl:\n  options:", "Configuration has no tsl"},
		{"an unknown key of the dynamic file", "file", "file/dynamic.yml", "      middlewares: [learn]", "      middleware: [learn]", "field not found, node: middleware"},
		{"an unknown key of the static TOML file", toml, "file/traefik.toml", "  filename =", "  fileName2 =", "field not found, node: fileName2"},
		{"an unknown root key of the static TOML file", toml, "file/traefik.toml", "[experimental.", "[experimentals.", "TraefikCmdConfiguration has no experimentals"},
		{"the YAML file in the static TOML file", toml, "file/traefik.toml", "dynamic.toml", "dynamic.yml", "want dynamic.toml"},
		{"something else in the static TOML file", toml, "file/traefik.toml", `":443"`, `":444"`, "traefik.toml is not traefik.yml"},
		{"an unknown root key of the dynamic TOML file", toml, "file/dynamic.toml", "[tls.", "[tsl.", "Configuration has no tsl"},
		{"an unknown key of the dynamic TOML file", toml, "file/dynamic.toml", "  middlewares =", "  middleware =", "field not found, node: middleware"},
		{"another number in the dynamic TOML file", toml, "file/dynamic.toml", "maxIPs = 10", "maxIPs = 11", "dynamic.toml is not dynamic.yml"},
		{"an unknown key of a middleware resource", "kubernetes", "kubernetes/mtlsallowlist.yaml", "  plugin:", "  plugins:", `unknown field "plugins"`},
		{"an unknown key of a TLS option", "kubernetes", "kubernetes/mtlsallowlist.yaml", "    secretNames:", "    secrets:", `unknown field "secrets"`},
		{"an unknown kind", "kubernetes", "kubernetes/mtlsallowlist.yaml", "kind: TLSOption", "kind: TLSOptions", "unexpected kind traefik.io/v1alpha1 TLSOptions"},
		{"an unknown key of a route", "kubernetes", routes, "      match:", "      rule:", `unknown field "rule"`},
		{"a route without its TLS options", "kubernetes", routes, "    options:\n      name: mtls\n", "", `its mode is learn, but its TLS options are ""`},
		{"an unknown key of an Ingress", plainly, ingress, "  ingressClassName:", "  ingressClass:", `unknown field "ingressClass"`},
		{"an Ingress of another class", plainly, ingress, "ingressClassName: traefik", "ingressClassName: nginx", "got 0 routers of 2 Ingresses"},
		{"an unknown annotation", plainly, ingress, "router.middlewares:", "router.middleware:", "field not found, node: middleware"},
		{"an annotation that isn't a router's", plainly, ingress, "kubernetes.io/router.middlewares:", "kubernetes.io/routers.middlewares:", "unknown annotation"},
		{"another provider's middleware that doesn't exist", plainly, ingress, "default-learn@kubernetescrd", "default-lern@kubernetescrd", `its middlewares are [default-lern@kubernetescrd], got mode "<nil>"`},
		{"a middleware without its provider", plainly, ingress, "default-enforce@kubernetescrd", "default-enforce", `its middlewares are [default-enforce], got mode "<nil>"`},
		{"TLS options without their provider", plainly, ingress, "default-mtls@kubernetescrd", "default-mtls", `its mode is learn, but its TLS options are "default-mtls"`},
		{"an Ingress without a certificate for its host", plainly, ingress, "        - photos.example.com\n", "        - home.example.com\n", "no certificate for photos.example.com"},
		{"an unknown value of the chart", "kubernetes", "kubernetes/values.yaml", "  plugins:", "  plugin:", "field plugin not found"},
		{"a volume that goes with its pod", "kubernetes", "kubernetes/values.yaml", "  enabled: true", "  enabled: false", "/data/allowlist.state is on no volume that lasts"},
		{"two Traefiks with one state file", "kubernetes", "kubernetes/values.yaml", "type: Recreate", "type: RollingUpdate", "the new Traefik starts before the old one ends"},
		{"two replicas without Redis", "kubernetes", "kubernetes/values.yaml", "replicas: 1", "replicas: 2", "2 replicas don't share what default-"},
		{"a secret that isn't there", "redis", redis, "urn:k8s:secret:redis:password", "urn:k8s:secret:redis", "malformed secret URN"},
		{"Redis for the learner alone", "redis", redis, "      redis: # the same as the learner's\n        endpoints:\n          - redis.default:6379\n        username: traefik\n        password: urn:k8s:secret:redis:password\n", "", "2 replicas don't share what default-enforce learns or lets in"},
		{"an unknown value of k3s", "k3s", k3s, "valuesContent:", "valueContent:", "field valueContent not found"},
		{"a learner before the login", "login", "login/dynamic.yml", "[password, learn-password]", "[learn-password, password]", `the first of its middlewares [learn-password password] doesn't set "X-User"`},
		{"a login that sets no header", "login", "login/dynamic.yml", "authResponseHeaders: [Remote-User]", "trustForwardHeader: false", `doesn't set "Remote-User"`},
		{"a login that isn't there", "login", "login/dynamic.yml", "    password:", "    passwords:", `doesn't set "X-User"`},
		{"a share link's learner that isn't there", "share-links", "share-links/dynamic.yml", "[guesses, learn-links]", "[guesses, learn-link]", `got mode "<nil>"`},
		{"an unknown key of a limit", "share-links", "share-links/dynamic.yml", "average: 30", "mean: 30", "field not found, node: mean"},
		{"an unknown character to refuse", "share-links", "share-links/traefik.yml", "allowEncodedSlash", "allowEncodedSlashes", "field not found, node: allowEncodedSlashes"},
		{"an unknown value inside k3s' values", "k3s", k3s, "          version:", "          tag:", "field tag not found"},
		{"a policy that hides clients", "k3s", k3s, "externalTrafficPolicy: Local", "externalTrafficPolicy: Cluster", "hides the clients' addresses"},
		{"an unknown value of an entry point", "k3s", k3s, "proxyProtocol:", "proxyprotocol:", "field proxyprotocol not found"},
		{"a trusted address that is none", "k3s", k3s, "198.51.100.0/24", "cdn.example.com", `parsing CIDR trusted IPs`},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := check.Must(fs.ReadFile(examplesFolder(), c.file))(t)
			if !bytes.Contains(data, []byte(c.old)) {
				t.Fatalf("%s has no %q", c.file, c.old)
			}
			files := edited{examplesFolder(), c.file, bytes.ReplaceAll(data, []byte(c.old), []byte(c.new))}
			e, err := readerOf(c.example)(files)
			if err == nil {
				_, err = verify(e)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
