package e2e

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"go.yaml.in/yaml/v3"
)

// exampleFile returns the text of a file below examples/.
func exampleFile(t *testing.T, name string) string {
	t.Helper()
	data := check.Must(os.ReadFile(filepath.Join("..", "..", "..", "examples", filepath.FromSlash(name))))(t)
	return string(data)
}

// examplesCertificate returns a certificate for the hosts of the examples, and its key, in PEM.
func examplesCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	server, err := home.CA.Issue(lab.Leaf{DNSNames: []string{"*.example.com"}, Server: true})
	if err != nil {
		t.Fatal(err)
	}
	if key, err = lab.KeyPEM(server); err != nil {
		t.Fatal(err)
	}
	return lab.CertPEM(server), key
}

// liveExample makes a dynamic configuration below examples/ that of the home's Traefik, with its pairs of texts replaced,
// and a certificate for its hosts instead of the resolver.
func liveExample(t *testing.T, name string, pairs ...string) {
	t.Helper()
	live(t, exampleDynamic(t, name, pairs...))
}

func exampleDynamic(t *testing.T, name string, pairs ...string) map[string]any {
	t.Helper()
	pairs = append(pairs, "certResolver: letsencrypt", "options: default")
	var configuration map[string]any
	if err := yaml.Unmarshal([]byte(replaced(t, exampleFile(t, name), pairs...)), &configuration); err != nil {
		t.Fatal(err)
	}
	server, key := examplesCertificate(t)
	configuration["tls"] = map[string]any{"stores": map[string]any{"default": map[string]any{
		"defaultCertificate": map[string]any{"certFile": string(server), "keyFile": string(key)},
	}}}
	return configuration
}

// An outpost is a Traefik of its own that runs an example with home.example.com and photos.example.com.
type outpost struct {
	*lab.Traefik
	dir string // with the server's certificate for *.example.com, server.pem and server-key.pem
}

// exampleStatic returns the static configuration of a folder below examples/, with its pairs of texts replaced, and with
// the plugin, the entry point and the dynamic configuration as they are in the laboratory.
func exampleStatic(t *testing.T, folder string, pairs ...string) map[string]any {
	t.Helper()
	text := replaced(t, exampleFile(t, folder+"/traefik.yml"), append(pairs,
		"  plugins:\n", "  localPlugins:\n",
		"      version: v0.1.0\n", "",
		"    address: \":443\"\n", "", // the laboratory chooses one
		"    filename: /etc/traefik/dynamic.yml\n", "    directory: dynamic\n",
	)...)
	var static map[string]any
	if err := yaml.Unmarshal([]byte(text), &static); err != nil {
		t.Fatal(err)
	}
	if static["certificatesResolvers"] == nil {
		t.Fatalf("%s/traefik.yml has no certificate resolver", folder)
	}
	delete(static, "certificatesResolvers")
	return static
}

// startExample runs traefik.yml and dynamic.yml of a folder below examples/, the first one also with the pairs of texts
// replaced. Of both, it replaces what a test can't have: the plugin from the catalog, the address to listen at, the
// certificate resolver, paths, and services.
func startExample(t *testing.T, folder string, pairs ...string) *outpost {
	t.Helper()
	o := &outpost{dir: t.TempDir()}
	server, key := examplesCertificate(t)
	for name, pem := range map[string][]byte{"ca.pem": home.CA.PEM(), "server.pem": server, "server-key.pem": key} {
		if err := os.WriteFile(filepath.Join(o.dir, name), pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	static := exampleStatic(t, folder, pairs...)
	const resolver = "        certResolver: letsencrypt\n"
	certificate := fmt.Sprintf("{certFile: %s/server.pem, keyFile: %s/server-key.pem}", o.dir, o.dir)
	dynamic := replaced(t, exampleFile(t, folder+"/dynamic.yml"),
		"      tls:\n"+resolver+"        options: mtls\n", "      tls:\n        options: mtls\n",
		"      tls:\n"+resolver, "      tls: {}\n",
		"tls:\n  options:\n", "tls:\n  stores: {default: {defaultCertificate: "+certificate+"}}\n  options:\n",
		"/etc/traefik/client-ca.crt", filepath.Join(o.dir, "ca.pem"),
		"http://192.168.1.10:8123", home.backends["ha"].URL(),
		"http://192.168.1.10:2283", home.backends["photos"].URL(),
	)
	var err error
	o.Traefik, err = lab.Start(t.Context(), lab.Options{
		Binary: home.Binary, Dir: o.dir, LogLevel: "DEBUG", Static: static, OwnEntryPoints: true, Dynamic: dynamic,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return o
}

// A visit is a question to a host of an example. Without a connection the answer is "certificate required" or "no
// answer".
type visit struct {
	name        string
	local, from string // as in lab.ClientOptions
	target      string
	certificate *tls.Certificate
	host        string // without .example.com
	header      http.Header
	want        string
}

func (v visit) String() string { return v.name + ": " + v.host }
func (v visit) wanted() string { return v.want }

func (v visit) ask(t *testing.T) string {
	t.Helper()
	c := keep(t, lab.ClientOptions{Local: v.local, From: v.from, Target: v.target, TLS: tlsConfig(v.certificate)})
	request := check.Must(http.NewRequest(http.MethodGet, "https://"+v.host+".example.com/", nil))(t)
	request.Header = v.header
	response, err := c.Do(request)
	const wanted = "certificate required" // the alert of the server at the other end of TLS
	switch {
	case err != nil && strings.HasSuffix(err.Error(), wanted):
		return wanted
	case err != nil:
		t.Logf("%s: %v", v.name, err)
		return "no answer"
	}
	backend := cmp.Or(map[string]string{"home": "ha"}[v.host], v.host)
	if response.Status == http.StatusOK && !strings.HasPrefix(response.Body, backend+": GET "+v.host+".example.com ") {
		return "another service's " + response.Body
	}
	return fmt.Sprint(response.Status)
}

// learned ends Traefik, so that its log is complete, and returns the addresses that it says were learned.
func (o *outpost) learned(t *testing.T) []string {
	t.Helper()
	if err := o.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	addresses := []string{}
	for _, line := range o.Log().Lines() {
		if strings.Contains(line, "msg=learned ") {
			_, after, _ := strings.Cut(line, " ip=")
			address, _, _ := strings.Cut(after, " ")
			addresses = append(addresses, address)
		}
	}
	return addresses
}
