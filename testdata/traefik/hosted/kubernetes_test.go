package hosted

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/rs/zerolog/log"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/provider"
	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	"github.com/traefik/traefik/v3/pkg/safe"
	"go.yaml.in/yaml/v3"
	netv1 "k8s.io/api/networking/v1"
	k8syaml "sigs.k8s.io/yaml"
)

func readKubernetes(files fs.FS) (example, error) {
	values, err := readValues(files, "kubernetes/values.yaml")
	if err != nil {
		return example{}, err
	}
	return readCluster(files, values, "kubernetes/mtlsallowlist.yaml", "kubernetes/ingressroute.yaml")
}

func readKubernetesIngress(files fs.FS) (example, error) {
	values, err := readValues(files, "kubernetes/values.yaml")
	if err != nil {
		return example{}, err
	}
	return readCluster(files, values, "kubernetes/mtlsallowlist.yaml", "kubernetes/ingress.yaml")
}

func readK3s(files fs.FS) (example, error) {
	values, err := readK3sValues(files)
	if err != nil {
		return example{}, err
	}
	return readCluster(files, values, "kubernetes/mtlsallowlist.yaml", "kubernetes/ingressroute.yaml")
}

func readKubernetesRedis(files fs.FS) (example, error) {
	values, err := readValues(files, "redis/values.yaml")
	if err != nil {
		return example{}, err
	}
	return readCluster(files, values, "redis/mtlsallowlist.yaml", "kubernetes/ingressroute.yaml")
}

// readCluster reads what a Traefik with the values makes of the middlewares, and of the routes in a second file.
func readCluster(files fs.FS, values helmValues, middlewares, routes string) (e example, err error) {
	if e.static, err = values.static(); err != nil {
		return e, err
	}
	c := cluster{"ingressclasses": {map[string]any{ // the chart's, whose name is the release's
		"metadata": map[string]any{"name": "traefik"}, "spec": map[string]any{"controller": "traefik.io/ingress-controller"},
	}}}
	for _, name := range []string{middlewares, routes} {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return e, err
		}
		if err := c.apply(data); err != nil {
			return e, fmt.Errorf("%s: %w", name, err)
		}
	}
	server := httptest.NewServer(c)
	defer server.Close()
	defer server.CloseClientConnections()
	crd, ingress := e.static.Providers.KubernetesCRD, e.static.Providers.KubernetesIngress
	crd.Endpoint, ingress.Endpoint = server.URL, server.URL
	e.dynamic = map[string]*dynamic.Configuration{}
	for name, provider := range map[string]provider.Provider{"kubernetescrd": crd, "kubernetes": ingress} {
		if e.dynamic[name], err = provided(provider); err != nil {
			return e, fmt.Errorf("%s: %w", name, err)
		}
	}
	if got := len(e.dynamic["kubernetes"].HTTP.Routers); got != len(c["ingresses"]) {
		return e, fmt.Errorf("got %d routers of %d Ingresses", got, len(c["ingresses"]))
	}
	if err := values.checkReplicas(e.dynamic["kubernetescrd"].HTTP.Middlewares); err != nil {
		return e, err
	}
	for _, m := range e.dynamic["kubernetescrd"].HTTP.Middlewares {
		if file, ok := m.Plugin[pluginName]["stateFile"].(string); ok {
			if err := values.checkStateFile(file); err != nil {
				return e, err
			}
		}
	}
	return e, nil
}

// provided returns the first configuration of a Kubernetes provider. It has everything, since the provider waits until
// its caches are filled. What the provider finds wrong it only logs: that is an error here.
func provided(p provider.Provider) (*dynamic.Configuration, error) {
	var logged bytes.Buffer
	before := log.Logger
	log.Logger = zerolog.New(zerolog.SyncWriter(&logged)).Level(zerolog.ErrorLevel)
	zerolog.SetGlobalLevel(zerolog.ErrorLevel)
	defer func() {
		zerolog.SetGlobalLevel(zerolog.Disabled) // as TestMain has it
		log.Logger = before
	}()
	pool := safe.NewPool(context.Background())
	configurations := make(chan dynamic.Message, 1)
	if err := p.Provide(configurations, pool); err != nil {
		pool.Stop()
		return nil, err
	}
	select {
	case message := <-configurations:
		pool.Stop()
		if logged.Len() > 0 {
			return nil, errors.New(strings.TrimSpace(logged.String()))
		}
		return message.Configuration, nil
	case <-time.After(30 * time.Second):
		pool.Stop()
		return nil, fmt.Errorf("no configuration within 30 s: %s", logged.String())
	}
}

// A cluster is an API server that has the examples' objects, by the last element of their path, and nothing else but the
// services and secrets that they name.
type cluster map[string][]any

// apply adds documents, and what they refer to by name. Keys that the types of Kubernetes and Traefik don't have are
// errors.
func (c cluster) apply(data []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document map[string]any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := json.Marshal(document)
		if err != nil {
			return err
		}
		switch kind := fmt.Sprint(document["apiVersion"], " ", document["kind"]); kind {
		case "traefik.io/v1alpha1 Middleware":
			c.add("middlewares", document)
			err = c.applyMiddleware(data)
		case "traefik.io/v1alpha1 TLSOption":
			c.add("tlsoptions", document)
			err = c.applyTLSOption(data)
		case "traefik.io/v1alpha1 IngressRoute":
			c.add("ingressroutes", document)
			err = c.applyIngressRoute(data)
		case "networking.k8s.io/v1 Ingress":
			c.add("ingresses", document)
			err = c.applyIngress(data)
		default:
			err = fmt.Errorf("unexpected kind %s", kind)
		}
		if err != nil {
			return err
		}
	}
}

// applyMiddleware adds the secrets that options are read from: urn:k8s:secret:<name>:<key>.
func (c cluster) applyMiddleware(data []byte) error {
	var middleware v1alpha1.Middleware
	if err := k8syaml.UnmarshalStrict(data, &middleware); err != nil {
		return err
	}
	for _, urn := range regexp.MustCompile(`"urn:k8s:secret:([^":]*):([^":]*)"`).FindAllStringSubmatch(string(data), -1) {
		c.addSecret(middleware.Namespace, urn[1], urn[2])
	}
	return nil
}

func (c cluster) applyTLSOption(data []byte) error {
	var option v1alpha1.TLSOption
	if err := k8syaml.UnmarshalStrict(data, &option); err != nil {
		return err
	}
	for _, name := range option.Spec.ClientAuth.SecretNames {
		c.addSecret(option.Namespace, name, "ca.crt")
	}
	return nil
}

func (c cluster) applyIngressRoute(data []byte) error {
	var route v1alpha1.IngressRoute
	if err := k8syaml.UnmarshalStrict(data, &route); err != nil {
		return err
	}
	for _, r := range route.Spec.Routes {
		for _, s := range r.Services {
			if !strings.HasSuffix(s.Name, "@internal") {
				c.addService(route.Namespace, s.Name, s.Port.IntValue())
			}
		}
	}
	if route.Spec.TLS != nil && route.Spec.TLS.SecretName != "" {
		c.addSecret(route.Namespace, route.Spec.TLS.SecretName, "tls.crt", "tls.key")
	}
	return nil
}

func (c cluster) applyIngress(data []byte) error {
	var ingress netv1.Ingress
	if err := k8syaml.UnmarshalStrict(data, &ingress); err != nil {
		return err
	}
	for annotation := range ingress.Annotations {
		if !strings.HasPrefix(annotation, "traefik.ingress.kubernetes.io/router.") { // Traefik passes over others in silence
			return fmt.Errorf("unknown annotation %s", annotation)
		}
	}
	for _, rule := range ingress.Spec.Rules {
		if !slices.ContainsFunc(ingress.Spec.TLS, func(t netv1.IngressTLS) bool { return slices.Contains(t.Hosts, rule.Host) }) {
			return fmt.Errorf("Ingress %s: no certificate for %s", ingress.Name, rule.Host)
		}
		for _, path := range rule.HTTP.Paths {
			c.addService(ingress.Namespace, path.Backend.Service.Name, int(path.Backend.Service.Port.Number))
		}
	}
	for _, t := range ingress.Spec.TLS {
		c.addSecret(ingress.Namespace, t.SecretName, "tls.crt", "tls.key")
	}
	return nil
}

func (c cluster) addService(namespace, name string, port int) {
	c.add("services", map[string]any{
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"spec":     map[string]any{"clusterIP": "10.43.0.10", "ports": []any{map[string]any{"port": port}}},
	})
}

func (c cluster) addSecret(namespace, name string, keys ...string) {
	data := map[string]string{}
	for _, key := range keys {
		value := "PEM"
		if key == "password" {
			value = redisPassword
		}
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	c.add("secrets", map[string]any{"metadata": map[string]any{"namespace": namespace, "name": name}, "data": data})
}

func (c cluster) add(kind string, object any) { c[kind] = append(c[kind], object) }

// ServeHTTP answers lists, and watches with silence.
func (c cluster) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	if req.URL.Query().Has("sendInitialEvents") { // a newer way to list, which API servers may refuse
		rw.WriteHeader(http.StatusUnprocessableEntity)
		_ = json.NewEncoder(rw).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422})
		return
	}
	if req.URL.Query().Has("watch") {
		rw.WriteHeader(http.StatusOK)
		rw.(http.Flusher).Flush()
		<-req.Context().Done()
		return
	}
	items := []any{}
	_, namespace, _ := strings.Cut(req.URL.Path, "/namespaces/")
	namespace, _, within := strings.Cut(namespace, "/")
	for _, item := range c[path.Base(req.URL.Path)] {
		metadata, _ := item.(map[string]any)["metadata"].(map[string]any)
		if !within || metadata["namespace"] == namespace {
			items = append(items, item)
		}
	}
	_ = json.NewEncoder(rw).Encode(map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": items})
}
