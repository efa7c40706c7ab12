package hosted

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/pires/go-proxyproto"
	"github.com/traefik/paerser/flag"
	"github.com/traefik/traefik/v3/cmd"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/ip"
	"github.com/traefik/traefik/v3/pkg/observability/metrics"
	"github.com/traefik/traefik/v3/pkg/server"
	tcprouter "github.com/traefik/traefik/v3/pkg/server/router/tcp"
	"go.yaml.in/yaml/v3"
)

// helmValues has what the examples use of the values of Traefik's Helm chart.
type helmValues struct {
	Experimental struct {
		Plugins map[string]struct {
			ModuleName string `yaml:"moduleName"`
			Version    string `yaml:"version"`
		} `yaml:"plugins"`
	} `yaml:"experimental"`
	Core struct {
		StrictTLSOptions bool `yaml:"strictTLSOptions"`
	} `yaml:"core"`
	AdditionalArguments []string `yaml:"additionalArguments"`
	Deployment          struct {
		Replicas int `yaml:"replicas"`
	} `yaml:"deployment"`
	UpdateStrategy struct {
		Type string `yaml:"type"`
	} `yaml:"updateStrategy"`
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
	Ports struct {
		Websecure struct {
			HTTP struct {
				AliasHeadersStrategy string `yaml:"aliasHeadersStrategy"`
			} `yaml:"http"`
			ProxyProtocol    trusting `yaml:"proxyProtocol"`
			ForwardedHeaders trusting `yaml:"forwardedHeaders"`
		} `yaml:"websecure"`
	} `yaml:"ports"`
}

type trusting struct {
	TrustedIPs []string `yaml:"trustedIPs"`
}

func decodeStrictly(data []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	return decoder.Decode(into)
}

// static makes the arguments that the chart's pod template (41.3.0; of 41.4.0, the alias strategy) makes of the values, and
// decodes them. It leaves out the service whose address the chart has Traefik write into the status of Ingresses.
func (values helmValues) static() (*cmd.TraefikCmdConfiguration, error) {
	if policy := values.Service.Spec.ExternalTrafficPolicy; policy != "Local" {
		return nil, fmt.Errorf("external traffic policy %q hides the clients' addresses", policy)
	}
	arguments := []string{
		"--entryPoints.metrics.address=:9100/tcp",
		"--entryPoints.traefik.address=:8080/tcp",
		"--entryPoints.web.address=:8000/tcp",
		"--entryPoints.websecure.address=:8443/tcp",
		"--api.dashboard=true",
		"--ping=true",
		"--metrics.prometheus=true",
		"--metrics.prometheus.entrypoint=metrics",
		"--log.level=INFO",
	}
	if values.Core.StrictTLSOptions {
		arguments = append(arguments, "--core.strictTLSOptions=true")
	}
	if strategy := values.Ports.Websecure.HTTP.AliasHeadersStrategy; strategy != "" {
		arguments = append(arguments, "--entryPoints.websecure.http.aliasHeadersStrategy="+strategy)
	}
	for name, plugin := range values.Experimental.Plugins {
		arguments = append(arguments,
			"--experimental.plugins."+name+".moduleName="+plugin.ModuleName,
			"--experimental.plugins."+name+".version="+plugin.Version)
	}
	arguments = append(arguments,
		"--providers.kubernetescrd",
		"--providers.kubernetescrd.allowEmptyServices=true",
		"--providers.kubernetesingress",
		"--providers.kubernetesingress.allowEmptyServices=true",
		"--entryPoints.websecure.http.tls=true")
	for _, option := range []struct {
		name    string
		trusted []string
	}{
		{"forwardedHeaders", values.Ports.Websecure.ForwardedHeaders.TrustedIPs},
		{"proxyProtocol", values.Ports.Websecure.ProxyProtocol.TrustedIPs},
	} {
		if len(option.trusted) == 0 {
			continue
		}
		if _, err := ip.NewChecker(option.trusted); err != nil { // else Traefik says so when it makes the entry point
			return nil, fmt.Errorf("%s: %w", option.name, err)
		}
		arguments = append(arguments, "--entryPoints.websecure."+option.name+".trustedIPs="+strings.Join(option.trusted, ","))
	}
	static := cmd.NewTraefikConfiguration()
	return static, flag.Decode(append(arguments, values.AdditionalArguments...), static)
}

// checkReplicas wants one replica, or that all middlewares with an allowlist share it.
func (values helmValues) checkReplicas(middlewares map[string]*dynamic.Middleware) error {
	if values.Deployment.Replicas == 1 {
		return nil
	}
	for name, m := range middlewares {
		if options := m.Plugin[pluginName]; options["mode"] != "status" && options["redis"] == nil {
			return fmt.Errorf("%d replicas don't share what %s learns or lets in", values.Deployment.Replicas, name)
		}
	}
	return nil
}

// checkStateFile wants the file on a volume that outlives the pod and that one Traefik has at a time.
func (values helmValues) checkStateFile(file string) error {
	if !strings.HasPrefix(file, "/data/") || !values.Persistence.Enabled {
		return fmt.Errorf("%s is on no volume that lasts", file)
	}
	if values.PodSecurityContext.FSGroup != 65532 { // the chart's runAsGroup
		return fmt.Errorf("%s may be on a volume that Traefik must not write to", file)
	}
	if values.UpdateStrategy.Type != "Recreate" {
		return errors.New("the new Traefik starts before the old one ends: both would write " + file)
	}
	return nil
}

func readValues(files fs.FS, name string) (values helmValues, err error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return values, err
	}
	return values, decodeStrictly(data, &values)
}

// readK3sValues reads the values inside k3s' HelmChartConfig, helm.cattle.io/v1.
func readK3sValues(files fs.FS) (values helmValues, err error) {
	data, err := fs.ReadFile(files, "k3s/traefik-config.yaml")
	if err != nil {
		return values, err
	}
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
		return values, err
	}
	got := strings.Join([]string{chart.APIVersion, chart.Kind, chart.Metadata.Namespace, chart.Metadata.Name}, " ")
	if want := "helm.cattle.io/v1 HelmChartConfig kube-system traefik"; got != want {
		return values, fmt.Errorf("got %s, want %s: only that changes k3s' own Traefik", got, want)
	}
	return values, decodeStrictly([]byte(chart.Spec.ValuesContent), &values)
}

// The entry point is Traefik's own, with the example's configuration; its trusted addresses are loopback ones here.
func TestTheEntryPointOfK3sBelievesTheProxiesThatItNames(t *testing.T) {
	const relay, cdn, stranger = "127.0.0.2", "127.0.0.3", "127.0.0.4"
	values := check.Must(readK3sValues(examplesFolder()))(t)
	for option, want := range map[*trusting]string{
		&values.Ports.Websecure.ProxyProtocol:    "192.0.2.1",
		&values.Ports.Websecure.ForwardedHeaders: "198.51.100.0/24",
	} {
		if !slices.Equal(option.TrustedIPs, []string{want}) {
			t.Fatalf("got %v, want %s", option.TrustedIPs, want)
		}
	}
	values.Ports.Websecure.ProxyProtocol.TrustedIPs = []string{relay}
	values.Ports.Websecure.ForwardedHeaders.TrustedIPs = []string{cdn}
	static := check.Must(values.static())(t)
	static.SetEffectiveConfiguration()
	entryPoint := static.EntryPoints["websecure"]
	pid := os.Getpid()
	own := net.IPv4(127, byte(64+pid>>16&63), byte(pid>>8), byte(pid)) // an address that is this process's alone
	entryPoint.Address = own.String() + ":8443"
	gauge := metrics.NewVoidRegistry().OpenConnectionsGauge()
	started := check.Must(server.NewTCPEntryPoint(t.Context(), "websecure", entryPoint, nil, gauge))(t)
	router := check.Must(tcprouter.NewRouter(nil))(t)
	router.SetHTTPHandler(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		host, _, _ := net.SplitHostPort(req.RemoteAddr)
		fmt.Fprint(rw, host, " ", req.Header.Get("X-Forwarded-For"))
	}))
	started.SwitchRouter(router)
	go started.Start(context.Background())
	defer started.Shutdown(context.Background())

	for _, c := range []struct {
		name     string
		from     string
		announce string // in a PROXY protocol header
		want     string
	}{
		{"the relay's header tells who the client is", relay, "203.0.113.7", "203.0.113.7 "},
		{"without a header the relay is the client", relay, "", "127.0.0.2 "},
		{"a stranger's header doesn't", stranger, "203.0.113.7", "127.0.0.4 "},
		{"the CDN's X-Forwarded-For is kept", cdn, "", "127.0.0.3 198.51.100.7"},
		{"also through the relay", relay, cdn, "127.0.0.3 198.51.100.7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}
				conn, err := dialer.DialContext(ctx, network, address)
				if err != nil || c.announce == "" {
					return conn, err
				}
				client := &net.TCPAddr{IP: net.ParseIP(c.announce), Port: 1}
				_, err = proxyproto.HeaderProxyFromAddrs(2, client, conn.RemoteAddr()).WriteTo(conn)
				return conn, err
			}}
			defer transport.CloseIdleConnections()
			req := check.Must(http.NewRequest(http.MethodGet, "http://"+entryPoint.Address, nil))(t)
			req.Header.Set("X-Forwarded-For", "198.51.100.7")
			resp := check.Must(transport.RoundTrip(req))(t)
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}
