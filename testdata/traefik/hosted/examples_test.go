package hosted

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/traefik/paerser/file"
	"github.com/traefik/paerser/flag"
	"github.com/traefik/traefik/v3/cmd"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/config/label"
	"github.com/traefik/traefik/v3/pkg/config/runtime"
	"github.com/traefik/traefik/v3/pkg/plugins"
	fileprovider "github.com/traefik/traefik/v3/pkg/provider/file"
	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd"
	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	"github.com/traefik/traefik/v3/pkg/safe"
	"github.com/traefik/traefik/v3/pkg/server/middleware"
	"github.com/traefik/traefik/v3/pkg/server/provider"
	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"
)

// An example is what Traefik reads out of one folder below examples/, or of one and another that it refers to.
type example struct {
	static  *cmd.TraefikCmdConfiguration
	dynamic map[string]*dynamic.Configuration // by provider
}

// An exampleReader reads the files of one example; files holds them by their path below examples/.
type exampleReader func(files fs.FS) (example, error)

var readers = map[string]exampleReader{
	"cdn":            readCDN,
	"docker-compose": readCompose,
	"file":           readFile,
	"kubernetes":     readKubernetes,
	"k3s":            readK3s,
	"vps":            readVPS,
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
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			e, err := read(files)
			if err != nil {
				t.Fatal(err)
			}
			checkStatic(t, e)
			checkRouters(t, e)
			checkBehaviour(t, e)
			checkWarning(t, name)
		})
	}
	t.Run("every file is read by one of these tests", func(t *testing.T) {
		err := fs.WalkDir(examplesFolder(), ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && !files.opened[name] {
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
	names, err := fs.Glob(examplesFolder(), folder+"/*")
	if err != nil {
		t.Fatal(err)
	}
	const warning = "second lock, not a login: an address that is let in is shared by everybody behind the same NAT"
	if !slices.ContainsFunc(names, func(name string) bool {
		data, err := fs.ReadFile(examplesFolder(), name)
		return err == nil && strings.Contains(string(data), warning)
	}) {
		t.Errorf("no file in examples/%s says %q", folder, warning)
	}
}

// checkStatic wants the plugin from the catalog, under the name that the dynamic configurations use.
func checkStatic(t *testing.T, e example) {
	t.Helper()
	e.static.SetEffectiveConfiguration()
	if err := e.static.ValidateConfiguration(); err != nil {
		t.Fatal(err)
	}
	want := plugins.Descriptor{ModuleName: pluginModule, Version: "v0.1.0"}
	if e.static.Experimental == nil || len(e.static.Experimental.Plugins) != 1 {
		t.Fatalf("got experimental %v, want the plugin alone", e.static.Experimental)
	}
	if got := e.static.Experimental.Plugins[pluginName]; got.ModuleName != want.ModuleName || got.Version != want.Version {
		t.Errorf("got plugin %+v, want %+v", got, want)
	}
}

// modeOf returns the mode of the one middleware of the plugin that a router has.
func modeOf(e example, providerName string, router *dynamic.Router) string {
	modes := []string{}
	for _, name := range router.Middlewares {
		for n, configuration := range e.dynamic {
			for m, middleware := range configuration.HTTP.Middlewares {
				if qualified(name, providerName) == qualified(m, n) {
					modes = append(modes, fmt.Sprint(middleware.Plugin[pluginName]["mode"]))
				}
			}
		}
	}
	return strings.Join(modes, " and ")
}

func qualified(name, providerName string) string {
	return provider.GetQualifiedName(provider.AddInContext(context.Background(), "x@"+providerName), name)
}

// checkRouters wants that whatever a router refers to exists, and that learners ask for a certificate.
func checkRouters(t *testing.T, e example) {
	t.Helper()
	for providerName, configuration := range e.dynamic {
		for name, router := range configuration.HTTP.Routers {
			mode := modeOf(e, providerName, router)
			if mode != "learn" && mode != "enforce" && mode != "status" {
				t.Errorf("router %s: got mode %q, want learn, enforce or status", name, mode)
			}
			if router.TLS == nil {
				t.Errorf("router %s: got no TLS", name)
				continue
			}
			if resolver := router.TLS.CertResolver; resolver != "" && e.static.CertificatesResolvers[resolver].ACME == nil {
				t.Errorf("router %s: no certificate resolver %q", name, resolver)
			}
			if router.TLS.CertResolver == "" && len(configuration.TLS.Certificates) == 0 {
				t.Errorf("router %s: got neither a certificate resolver nor a certificate", name)
			}
			if (mode != "enforce") != asksForCertificate(e, providerName, router.TLS.Options) {
				t.Errorf("router %s: its mode is %s, but its TLS options are %q", name, mode, router.TLS.Options)
			}
			if (mode == "status") != (router.Service == "noop@internal") {
				t.Errorf("router %s: its mode is %s, and its service %q", name, mode, router.Service)
			}
			if router.Service == "" && len(configuration.HTTP.Services) != 1 || router.Service != "" && mode != "status" && configuration.HTTP.Services[router.Service] == nil {
				t.Errorf("router %s: no service %q", name, router.Service)
			}
			for _, entryPoint := range router.EntryPoints {
				if e.static.EntryPoints[entryPoint] == nil {
					t.Errorf("router %s: no entry point %q", name, entryPoint)
				}
			}
		}
	}
}

func asksForCertificate(e example, providerName, options string) bool {
	for n, configuration := range e.dynamic {
		for o, option := range configuration.TLS.Options {
			if options != "" && qualified(options, providerName) == qualified(o, n) {
				return option.ClientAuth.ClientAuthType == "RequireAndVerifyClientCert" && len(option.ClientAuth.CAFiles) > 0
			}
		}
	}
	return false
}

// checkBehaviour builds every router's middlewares as Traefik does, and sends requests through them.
func checkBehaviour(t *testing.T, e example) {
	t.Helper()
	merged := dynamic.Configuration{HTTP: &dynamic.HTTPConfiguration{Middlewares: map[string]*dynamic.Middleware{}}}
	for providerName, configuration := range e.dynamic {
		for name, m := range configuration.HTTP.Middlewares {
			// The folder of the state file is one that the example makes a volume of; here it is the test's.
			if file, ok := m.Plugin[pluginName]["stateFile"].(string); ok {
				m.Plugin[pluginName]["stateFile"] = filepath.Join(t.TempDir(), path.Base(file))
			}
			merged.HTTP.Middlewares[qualified(name, providerName)] = m
		}
	}
	builder := middleware.NewBuilder(runtime.NewConfig(merged).Middlewares, nil, newBuilder(t))
	learners, enforcers, pages := map[string]http.Handler{}, map[string]http.Handler{}, map[string]http.Handler{}
	for providerName, configuration := range e.dynamic {
		ctx := provider.AddInContext(context.Background(), "x@"+providerName)
		for name, router := range configuration.HTTP.Routers {
			handler, err := builder.BuildMiddlewareChain(ctx, router.Middlewares).Then(service)
			if err != nil {
				t.Fatalf("router %s: %v", name, err)
			}
			switch modeOf(e, providerName, router) {
			case "learn":
				learners[name] = handler
			case "enforce":
				enforcers[name] = behindProxy(e, handler)
			default:
				pages[name] = handler
			}
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

// readDynamic reads a file as the file provider does, templates included, without the files that it names.
func readDynamic(files fs.FS, name string) (*dynamic.Configuration, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	if err := checkRootKeys(data, dynamic.Configuration{}); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "examples")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, path.Base(name))
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		return nil, err
	}
	return (&fileprovider.Provider{}).CreateConfiguration(context.Background(), copied, template.FuncMap{}, false)
}

func readFile(files fs.FS) (example, error) { return readFolder(files, "file") }

// readFolder reads traefik.yml and dynamic.yml.
func readFolder(files fs.FS, folder string) (example, error) {
	e := example{static: cmd.NewTraefikConfiguration()}
	data, err := fs.ReadFile(files, folder+"/traefik.yml")
	if err != nil {
		return e, err
	}
	if err := checkRootKeys(data, *e.static); err != nil {
		return e, err
	}
	if err := file.DecodeContent(string(data), ".yml", e.static); err != nil {
		return e, err
	}
	if e.static.Providers.File == nil || path.Base(e.static.Providers.File.Filename) != "dynamic.yml" {
		return e, fmt.Errorf("the file provider reads %v, want dynamic.yml", e.static.Providers.File)
	}
	configuration, err := readDynamic(files, folder+"/dynamic.yml")
	e.dynamic = map[string]*dynamic.Configuration{"file": configuration}
	return e, err
}

// checkRootKeys finds keys that are no field of into. Traefik's file decoder passes over those at the root in silence.
func checkRootKeys(data []byte, into any) error {
	var keys map[string]any
	if err := yaml.Unmarshal(data, &keys); err != nil {
		return err
	}
	fields := reflect.VisibleFields(reflect.TypeOf(into))
	for key := range keys {
		if !slices.ContainsFunc(fields, func(field reflect.StructField) bool { return strings.EqualFold(field.Name, key) }) {
			return fmt.Errorf("%T has no %s", into, key)
		}
	}
	return nil
}

// composeFile has what the example uses of Docker Compose.
type composeFile struct {
	Services map[string]struct {
		Image   string   `yaml:"image"`
		Restart string   `yaml:"restart"`
		Command []string `yaml:"command"`
		Ports   []string `yaml:"ports"`
		Volumes []string `yaml:"volumes"`
		Labels  []string `yaml:"labels"`
	} `yaml:"services"`
	Volumes map[string]struct{} `yaml:"volumes"`
}

func decodeStrictly(data []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	return decoder.Decode(into)
}

func readCompose(files fs.FS) (example, error) {
	e := example{static: cmd.NewTraefikConfiguration(), dynamic: map[string]*dynamic.Configuration{}}
	data, err := fs.ReadFile(files, "docker-compose/compose.yaml")
	if err != nil {
		return e, err
	}
	var compose composeFile
	if err := decodeStrictly(data, &compose); err != nil {
		return e, err
	}
	traefik := compose.Services["traefik"]
	if err := flag.Decode(traefik.Command, e.static); err != nil {
		return e, err
	}
	if e.dynamic["file"], err = readDynamic(files, "docker-compose/tls.yml"); err != nil {
		return e, err
	}
	if e.static.Providers.File == nil || !mounts(traefik.Volumes, "./tls.yml", e.static.Providers.File.Filename) {
		return e, fmt.Errorf("the file provider reads %v, which is not the mounted tls.yml", e.static.Providers.File)
	}
	for _, options := range e.dynamic["file"].TLS.Options {
		for _, ca := range options.ClientAuth.CAFiles {
			if !mounts(traefik.Volumes, "./"+path.Base(string(ca)), string(ca)) {
				return e, fmt.Errorf("no volume has %s", ca)
			}
		}
	}

	labels := map[string]string{}
	for name, service := range compose.Services {
		own := map[string]string{}
		for _, l := range service.Labels {
			key, value, isLabel := strings.Cut(l, "=")
			switch {
			case !isLabel:
				return e, fmt.Errorf("service %s: label %q has no value", name, l)
			case key == "traefik.enable" && value == "true":
			case strings.HasPrefix(key, "traefik.http."):
				own[key] = value
			default:
				return e, fmt.Errorf("service %s: unknown label %q", name, key)
			}
		}
		if len(own) == 0 {
			continue
		}
		// One container's labels alone: a router without a service gets the only one of its container.
		alone, err := label.DecodeConfiguration(own)
		if err != nil {
			return e, fmt.Errorf("service %s: %w", name, err)
		}
		internal := strings.HasSuffix(own["traefik.http.routers.allowlist.service"], "@internal")
		if len(alone.HTTP.Routers) != 1 || len(alone.HTTP.Services) != 1 && !internal {
			return e, fmt.Errorf("service %s: %d routers and %d services, want one of each", name, len(alone.HTTP.Routers), len(alone.HTTP.Services))
		}
		for router := range alone.HTTP.Routers {
			for service := range alone.HTTP.Services {
				own["traefik.http.routers."+router+".service"] = service
			}
		}
		for key, value := range own {
			if _, twice := labels[key]; twice {
				return e, fmt.Errorf("label %s stands at two services", key)
			}
			labels[key] = value
		}
	}
	e.dynamic["docker"], err = label.DecodeConfiguration(labels)
	return e, err
}

func mounts(volumes []string, from, to string) bool {
	return slices.ContainsFunc(volumes, func(volume string) bool {
		return volume == from+":"+to || volume == from+":"+to+":ro"
	})
}

// helmValues has what the examples use of the values of Traefik's Helm chart.
type helmValues struct {
	Experimental struct {
		Plugins map[string]struct {
			ModuleName string `yaml:"moduleName"`
			Version    string `yaml:"version"`
		} `yaml:"plugins"`
	} `yaml:"experimental"`
	Deployment struct {
		Replicas int `yaml:"replicas"`
	} `yaml:"deployment"`
	Persistence struct {
		Enabled bool `yaml:"enabled"`
	} `yaml:"persistence"`
	PodSecurityContext struct {
		FSGroup int `yaml:"fsGroup"`
	} `yaml:"podSecurityContext"`
	Service struct {
		Spec struct {
			ExternalTrafficPolicy string `yaml:"externalTrafficPolicy"`
		} `yaml:"spec"`
	} `yaml:"service"`
	AdditionalArguments []string `yaml:"additionalArguments"`
}

// staticFromValues makes the arguments that the chart's pod template makes of the values, and decodes them.
func staticFromValues(data []byte) (*cmd.TraefikCmdConfiguration, error) {
	var values helmValues
	if err := decodeStrictly(data, &values); err != nil {
		return nil, err
	}
	if policy := values.Service.Spec.ExternalTrafficPolicy; policy != "Local" {
		return nil, fmt.Errorf("external traffic policy %q hides the clients' addresses", policy)
	}
	if values.Deployment.Replicas != 1 {
		return nil, fmt.Errorf("%d replicas don't share what they learn", values.Deployment.Replicas)
	}
	arguments := []string{
		"--entryPoints.web.address=:8000/tcp",
		"--entryPoints.websecure.address=:8443/tcp",
		"--entryPoints.websecure.http.tls=true",
		"--providers.kubernetescrd",
		"--providers.kubernetesingress",
	}
	for name, plugin := range values.Experimental.Plugins {
		arguments = append(arguments,
			"--experimental.plugins."+name+".moduleName="+plugin.ModuleName,
			"--experimental.plugins."+name+".version="+plugin.Version)
	}
	static := cmd.NewTraefikConfiguration()
	return static, flag.Decode(append(arguments, values.AdditionalArguments...), static)
}

func readKubernetes(files fs.FS) (example, error) {
	values, err := fs.ReadFile(files, "kubernetes/values.yaml")
	if err != nil {
		return example{}, err
	}
	return kubernetesExample(files, values)
}

func readK3s(files fs.FS) (example, error) {
	data, err := fs.ReadFile(files, "k3s/traefik-config.yaml")
	if err != nil {
		return example{}, err
	}
	// k3s' HelmChartConfig, helm.cattle.io/v1.
	var chart struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   struct {
			Name      string `yaml:"name"`
			Namespace string `yaml:"namespace"`
		} `yaml:"metadata"`
		Spec struct {
			ValuesContent string `yaml:"valuesContent"`
		} `yaml:"spec"`
	}
	if err := decodeStrictly(data, &chart); err != nil {
		return example{}, err
	}
	got := strings.Join([]string{chart.APIVersion, chart.Kind, chart.Metadata.Namespace, chart.Metadata.Name}, " ")
	if want := "helm.cattle.io/v1 HelmChartConfig kube-system traefik"; got != want {
		return example{}, fmt.Errorf("got %s, want %s: only that changes k3s' own Traefik", got, want)
	}
	return kubernetesExample(files, []byte(chart.Spec.ValuesContent))
}

func kubernetesExample(files fs.FS, values []byte) (e example, err error) {
	if e.static, err = staticFromValues(values); err != nil {
		return e, err
	}
	data, err := fs.ReadFile(files, "kubernetes/mtlsallowlist.yaml")
	if err != nil {
		return e, err
	}
	configuration, err := fromKubernetes(data)
	e.dynamic = map[string]*dynamic.Configuration{"kubernetescrd": configuration}
	return e, err
}

// fromKubernetes gives the documents to Traefik's Kubernetes provider, through an API server that has nothing else
// but the services and secrets that they name.
func fromKubernetes(data []byte) (*dynamic.Configuration, error) {
	objects := map[string][]any{}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document map[string]any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := addObject(objects, document); err != nil {
			return nil, err
		}
	}

	server := httptest.NewServer(apiServer(objects))
	defer server.Close()
	defer server.CloseClientConnections()
	pool := safe.NewPool(context.Background())
	defer pool.Stop()
	kubernetes := &crd.Provider{Endpoint: server.URL, AllowEmptyServices: true, DisableClusterScopeResources: true}
	configurations := make(chan dynamic.Message, 1)
	if err := kubernetes.Provide(configurations, pool); err != nil {
		return nil, err
	}
	select {
	case message := <-configurations: // the first one has everything: the provider waits until its caches are filled
		return message.Configuration, nil
	case <-time.After(30 * time.Second):
		return nil, errors.New("Traefik's Kubernetes provider gave no configuration within 30 s")
	}
}

// addObject adds one document, and what it refers to by name. Keys that Traefik's types don't have are errors.
func addObject(objects map[string][]any, document map[string]any) error {
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	if document["apiVersion"] != "traefik.io/v1alpha1" {
		return fmt.Errorf("API version %v, want traefik.io/v1alpha1", document["apiVersion"])
	}
	switch kind := document["kind"]; kind {
	case "Middleware":
		objects["middlewares"] = append(objects["middlewares"], document)
		return k8syaml.UnmarshalStrict(data, &v1alpha1.Middleware{})
	case "TLSOption":
		var option v1alpha1.TLSOption
		if err := k8syaml.UnmarshalStrict(data, &option); err != nil {
			return err
		}
		objects["tlsoptions"] = append(objects["tlsoptions"], document)
		for _, name := range option.Spec.ClientAuth.SecretNames {
			objects["secrets"] = append(objects["secrets"], object(option.Namespace, name, "data", map[string]string{"ca.crt": base64.StdEncoding.EncodeToString([]byte("CA"))}))
		}
		return nil
	case "IngressRoute":
		var route v1alpha1.IngressRoute
		if err := k8syaml.UnmarshalStrict(data, &route); err != nil {
			return err
		}
		objects["ingressroutes"] = append(objects["ingressroutes"], document)
		for _, r := range route.Spec.Routes {
			for _, s := range r.Services {
				objects["services"] = append(objects["services"], object(route.Namespace, s.Name, "spec", map[string]any{
					"clusterIP": "10.43.0.10", "ports": []any{map[string]any{"port": s.Port.IntValue()}},
				}))
			}
		}
		if route.Spec.TLS != nil && route.Spec.TLS.SecretName != "" {
			pem := base64.StdEncoding.EncodeToString([]byte("PEM"))
			objects["secrets"] = append(objects["secrets"], object(route.Namespace, route.Spec.TLS.SecretName, "data", map[string]string{"tls.crt": pem, "tls.key": pem}))
		}
		return nil
	default:
		return fmt.Errorf("unexpected kind %v", kind)
	}
}

func object(namespace, name, key string, value any) map[string]any {
	return map[string]any{"metadata": map[string]any{"namespace": namespace, "name": name}, key: value}
}

// apiServer answers lists by the last element of the path, and watches with silence.
func apiServer(objects map[string][]any) http.HandlerFunc {
	return func(rw http.ResponseWriter, req *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		if req.URL.Query().Has("sendInitialEvents") { // a newer way to list, which API servers may refuse
			rw.WriteHeader(http.StatusUnprocessableEntity)
			json.NewEncoder(rw).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422})
			return
		}
		if req.URL.Query().Has("watch") {
			rw.WriteHeader(http.StatusOK)
			rw.(http.Flusher).Flush()
			<-req.Context().Done()
			return
		}
		items := objects[path.Base(req.URL.Path)]
		if items == nil {
			items = []any{}
		}
		json.NewEncoder(rw).Encode(map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": items})
	}
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
	for _, c := range []struct {
		name     string
		example  string
		file     string
		old, new string
		want     string
	}{
		{"an unknown flag", "docker-compose", "docker-compose/compose.yaml", "--entryPoints.websecure.address", "--entryPoints.websecure.adress", "field not found, node: adress"},
		{"an unknown flag of the plugin", "docker-compose", "docker-compose/compose.yaml", "mtlsallowlist.version=", "mtlsallowlist.versions=", "field not found, node: versions"},
		{"an unknown label", "docker-compose", "docker-compose/compose.yaml", "immich.middlewares=", "immich.middleware=", "field not found, node: middleware"},
		{"a label without traefik.http", "docker-compose", "docker-compose/compose.yaml", "traefik.http.routers.immich.rule", "traefik.routers.immich.rule", "unknown label"},
		{"an unknown key of compose", "docker-compose", "docker-compose/compose.yaml", "    ports:", "    port:", "field port not found"},
		{"an unknown TLS option", "docker-compose", "docker-compose/tls.yml", "clientAuthType:", "clientAuthMode:", "field not found, node: clientAuthMode"},
		{"an unknown key of the static file", "file", "file/traefik.yml", "    filename:", "    fileName2:", "field not found, node: fileName2"},
		{"an unknown root key of the static file", "file", "file/traefik.yml", "experimental:", "experimentals:", "TraefikCmdConfiguration has no experimentals"},
		{"an unknown root key of the dynamic file", "file", "file/dynamic.yml", "tls:\n  options:", "tsl:\n  options:", "Configuration has no tsl"},
		{"an unknown key of the dynamic file", "file", "file/dynamic.yml", "      middlewares: [learn]", "      middleware: [learn]", "field not found, node: middleware"},
		{"an unknown key of a middleware resource", "kubernetes", "kubernetes/mtlsallowlist.yaml", "  plugin:", "  plugins:", `unknown field "plugins"`},
		{"an unknown key of a TLS option", "kubernetes", "kubernetes/mtlsallowlist.yaml", "    secretNames:", "    secrets:", `unknown field "secrets"`},
		{"an unknown key of a route", "kubernetes", "kubernetes/mtlsallowlist.yaml", "      match:", "      rule:", `unknown field "rule"`},
		{"an unknown kind", "kubernetes", "kubernetes/mtlsallowlist.yaml", "kind: TLSOption", "kind: TLSOptions", "unexpected kind TLSOptions"},
		{"an unknown value of the chart", "kubernetes", "kubernetes/values.yaml", "  plugins:", "  plugin:", "field plugin not found"},
		{"an unknown value of k3s", "k3s", "k3s/traefik-config.yaml", "valuesContent:", "valueContent:", "field valueContent not found"},
		{"an unknown value inside k3s' values", "k3s", "k3s/traefik-config.yaml", "          version:", "          tag:", "field tag not found"},
		{"a policy that hides clients", "k3s", "k3s/traefik-config.yaml", "externalTrafficPolicy: Local", "externalTrafficPolicy: Cluster", "hides the clients' addresses"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, err := fs.ReadFile(examplesFolder(), c.file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(data, []byte(c.old)) {
				t.Fatalf("%s has no %q", c.file, c.old)
			}
			files := edited{examplesFolder(), c.file, bytes.ReplaceAll(data, []byte(c.old), []byte(c.new))}
			_, err = readers[c.example](files)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
