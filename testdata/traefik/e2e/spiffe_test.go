package e2e

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"go.yaml.in/yaml/v3"
)

// spiffeHosts are those of the example, of learners first: as the certificate itself is needed there.
var spiffeHosts = []string{"home", "vault", "notes", "photos", "router"}

func exampleText(t *testing.T, example string) string {
	t.Helper()
	data := check.Must(os.ReadFile(script(t, example)))(t)
	return string(data)
}

// atHome is the dynamic configuration of an example with what differs at home: the CA, the server's certificate, and
// the services. Its stores are the test's own.
func atHome(t *testing.T, text, certFile, keyFile string) map[string]any {
	t.Helper()
	type object = map[string]any
	var dynamic object
	if err := yaml.Unmarshal([]byte(text), &dynamic); err != nil {
		t.Fatal(err)
	}
	in := func(keys ...string) object {
		found := dynamic
		for _, key := range keys {
			found, _ = found[key].(object)
		}
		if len(found) == 0 {
			t.Fatalf("the example has no %s", strings.Join(keys, "."))
		}
		return found
	}
	for name := range in("http", "middlewares") {
		in("http", "middlewares", name, "plugin", "mtlsallowlist")["store"] = storeOf(t, "default")
	}
	for name := range in("http", "routers") {
		delete(in("http", "routers", name, "tls"), "certResolver")
	}
	for name := range in("http", "services") {
		in("http", "services", name)["loadBalancer"] = object{"servers": []any{object{"url": home.backends["ha"].URL()}}}
	}
	in("tls", "options", "mtls", "clientAuth")["caFiles"] = []string{filepath.Join(home.Dir, "ca.pem")}
	in("tls")["stores"] = object{"default": object{"defaultCertificate": object{"certFile": certFile, "keyFile": keyFile}}}
	return dynamic
}

func TestIdentitiesOpenWhatTheyOpenInEnvoy(t *testing.T) {
	dir := t.TempDir()
	server := check.Must(home.CA.Issue(lab.Leaf{CommonName: "example.com", DNSNames: []string{"*.example.com"}, Server: true}))(t)
	key := check.Must(lab.KeyPEM(server))(t)
	certFile, keyFile := filepath.Join(dir, "server.pem"), filepath.Join(dir, "key.pem")
	for file, pem := range map[string][]byte{certFile: lab.CertPEM(server), keyFile: key} {
		if err := os.WriteFile(file, pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const (
		id    = "spiffe://home.example/"
		alice = "home notes photos"
		admin = "home vault router"
	)
	clients := 0
	for _, rules := range []struct {
		name string
		old  string // what stands in both files
		new  string // and what does now
		rows []spiffeRow
	}{
		{"as they stand", "", "", []spiffeRow{
			{"exactly", lab.Leaf{URIs: []string{id + "phone/alice"}}, alice, ""},
			{"one of two", lab.Leaf{URIs: []string{id + "phone/bob"}}, "home photos", ""},
			{"by prefix", lab.Leaf{URIs: []string{id + "admin/carol"}}, admin, ""},
			{"deeper below the prefix", lab.Leaf{URIs: []string{id + "admin/carol/laptop"}}, admin, ""},
			{"the prefix itself", lab.Leaf{URIs: []string{id + "admin/"}}, admin, ""},
			{"the prefix without its slash", lab.Leaf{URIs: []string{id + "admin"}}, "home", ""},
			{"a longer word than the prefix", lab.Leaf{URIs: []string{id + "administrator"}}, "home", ""},
			{"a slash more than exactly", lab.Leaf{URIs: []string{id + "phone/alice/"}}, "home", ""},
			{"a letter more than exactly", lab.Leaf{URIs: []string{id + "phone/alice2"}}, "home", ""},
			{"a letter more than one of two", lab.Leaf{URIs: []string{id + "phone/bobb"}}, "home", ""},
			{"a letter less than exactly", lab.Leaf{URIs: []string{id + "phone/alic"}}, "home", ""},
			{"another case of the name", lab.Leaf{URIs: []string{id + "phone/Alice"}}, "home", ""},
			{"another case of the prefix", lab.Leaf{URIs: []string{id + "Admin/carol"}}, "home", ""},
			{"another case of the trust domain", lab.Leaf{URIs: []string{"spiffe://HOME.example/phone/alice"}}, "", ""},
			{"another trust domain that begins so", lab.Leaf{URIs: []string{"spiffe://home.example.evil.example/admin/carol"}}, "", ""},
			{"the prefix inside of another's path", lab.Leaf{URIs: []string{"spiffe://evil.example/spiffe://home.example/admin/carol"}}, "", ""},
			{"a path is taken as it is written", lab.Leaf{URIs: []string{id + "admin/../phone/alice"}}, admin, ""},
			{"escapes aren't undone", lab.Leaf{URIs: []string{id + "%61dmin/carol"}}, "home", ""},
			{"an escaped slash is none", lab.Leaf{URIs: []string{id + "admin%2Fcarol"}}, "home", ""},
			{"a query belongs to the name", lab.Leaf{URIs: []string{id + "phone/alice?x"}}, "home", ""},
			{"two URIs, of which the first fits", lab.Leaf{URIs: []string{id + "phone/alice", "spiffe://evil.example/x"}}, alice, ""},
			{"two URIs, of which the second fits", lab.Leaf{URIs: []string{"spiffe://evil.example/x", id + "phone/alice"}}, alice, ""},
			{"two URIs open what each opens", lab.Leaf{URIs: []string{id + "phone/bob", id + "admin/bob"}}, "home vault photos router", ""},
			{"no URI", lab.Leaf{CommonName: "alice", DNSNames: []string{"alice.home.example"}}, "", ""},
			{"a CN that looks like a name with its kind", lab.Leaf{CommonName: "uri:" + id + "phone/alice"}, "", ""},
			{"a CN that looks like a URI", lab.Leaf{CommonName: id + "phone/alice"}, "", ""},
			{"a DNS name that looks like a URI is one to Envoy alone", lab.Leaf{DNSNames: []string{id + "phone/alice"}}, "", alice},
		}},
		{"a prefix without its slash", "spiffe://home.example/admin/", "spiffe://home.example/admin", []spiffeRow{
			{"by prefix", lab.Leaf{URIs: []string{id + "admin/carol"}}, admin, ""},
			{"a longer word than the prefix", lab.Leaf{URIs: []string{id + "administrator"}}, admin, ""},
			{"another word", lab.Leaf{URIs: []string{id + "adminis"}}, admin, ""},
			{"a shorter word", lab.Leaf{URIs: []string{id + "admi"}}, "home", ""},
		}},
	} {
		t.Run(rules.name, func(t *testing.T) {
			dynamic, policy := exampleText(t, "identities/dynamic.yml"), exampleText(t, "identities/envoy-rbac.yaml")
			if rules.old != "" {
				if !strings.Contains(dynamic, rules.old+"*") || !strings.Contains(policy, rules.old+" ") {
					t.Fatalf("an example lacks %s", rules.old)
				}
				dynamic, policy = strings.ReplaceAll(dynamic, rules.old+"*", rules.new+"*"), strings.ReplaceAll(policy, rules.old+" ", rules.new+" ")
			}
			live(t, atHome(t, dynamic, certFile, keyFile))
			e := startEnvoy(t, policy)
			for _, row := range rules.rows {
				clients++
				row.check(t, fmt.Sprint("203.0.113.", clients), e)
			}
		})
	}
}

// A spiffeRow is a certificate with the hosts that it opens.
type spiffeRow struct {
	name  string
	leaf  lab.Leaf
	want  string // hosts without .example.com, in the order of spiffeHosts
	envoy string // what Envoy opens; empty: the same
}

func (row spiffeRow) check(t *testing.T, from string, e envoy) {
	t.Helper()
	certificate := issue(t, row.leaf)
	got, byEnvoy := []string{}, []string{}
	for i, host := range spiffeHosts {
		shown := certificate
		if i >= 2 {
			shown = nil
		}
		switch answer := at(t, from, shown, host); {
		case answer == 200:
			got = append(got, host)
		case answer != map[bool]int{true: 403, false: 404}[i < 2]:
			t.Errorf("%s: %s answered %d", row.name, host, answer)
		}
		if e.admits(t, certificate, host+".example.com") {
			byEnvoy = append(byEnvoy, host)
		}
	}
	if got := strings.Join(got, " "); got != row.want {
		t.Errorf("%s: got %q, want %q", row.name, got, row.want)
	}
	want := row.want
	if row.envoy != "" {
		want = row.envoy
	}
	if got := strings.Join(byEnvoy, " "); got != want {
		t.Errorf("%s: Envoy opens %q, want %q", row.name, got, want)
	}
}

// at asks a host of the example from an address.
func at(t *testing.T, from string, certificate *tls.Certificate, host string) int {
	t.Helper()
	response := check.Must(client(t, from, certificate).Get("https://" + host + ".example.com/"))(t)
	return response.Status
}
