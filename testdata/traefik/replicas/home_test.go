// Package replicas tests what several Traefiks share through a real Redis: each is a process of its own with the plugin,
// and clients come from public addresses, which they announce by the PROXY protocol.
package replicas

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// home is what all Traefiks share.
var home struct {
	dir     string
	binary  string  // the real Traefik
	ca      *lab.CA // that of the clients and of the servers
	phone   tls.Certificate
	owner   tls.Certificate
	service *lab.Backend
}

func TestMain(m *testing.M) {
	check.Main(func() (int, error) { return runAtHome(m) })
}

func runAtHome(m *testing.M) (code int, err error) {
	if home.binary, err = lab.Build(context.Background(), os.Stderr); err != nil {
		return 0, err
	}
	if home.dir, err = os.MkdirTemp("", "mtlsallowlist-replicas-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(home.dir)
	if home.ca, err = lab.NewCA("Home CA"); err != nil {
		return 0, err
	}
	if home.phone, err = home.ca.Issue(lab.Leaf{CommonName: "phone"}); err != nil {
		return 0, err
	}
	if home.owner, err = home.ca.Issue(lab.Leaf{CommonName: "owner"}); err != nil {
		return 0, err
	}
	server, err := home.ca.Issue(lab.Leaf{CommonName: "home.example", DNSNames: []string{"*.home.example"}, Server: true})
	if err != nil {
		return 0, err
	}
	if err := writeCertificates(home.dir, "server", home.ca, server); err != nil {
		return 0, err
	}
	if home.service, err = lab.StartBackend("service"); err != nil {
		return 0, err
	}
	defer home.service.Close()
	return m.Run(), nil
}

// writeCertificates writes ca.pem, and a certificate and its key as <name>.pem and <name>-key.pem.
func writeCertificates(dir, name string, ca *lab.CA, certificate tls.Certificate) error {
	key, err := lab.KeyPEM(certificate)
	if err != nil {
		return err
	}
	for file, pem := range map[string][]byte{"ca.pem": ca.PEM(), name + ".pem": lab.CertPEM(certificate), name + "-key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, file), pem, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// address returns one of as many public addresses as one likes, and what it is learned as.
func address(n int) (from, prefix string) {
	if n%2 == 0 {
		from = fmt.Sprintf("5.%d.%d.%d", n>>16&255, n>>8&255, n&255)
		return from, from + "/32"
	}
	return fmt.Sprintf("2a00:%x:%x:1::7", n>>16+1, n&0xffff), fmt.Sprintf("2a00:%x:%x:1::/64", n>>16+1, n&0xffff)
}
