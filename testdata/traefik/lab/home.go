package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
)

// Home is what stands around a household's Traefik: its certificates, and a folder for files.
type Home struct {
	Binary string // the real Traefik
	Dir    string
	CA     *CA // the authority of the clients and of the server
	Phone  tls.Certificate
	Owner  tls.Certificate // of who looks at the status page
}

// NewHome makes a home whose server has a certificate for all hosts below home.example, and for more. In its folder are
// ca.pem, server.pem and server-key.pem.
func NewHome(ctx context.Context, hosts ...string) (*Home, error) {
	binary, err := Build(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	h := &Home{Binary: binary}
	if h.Dir, err = os.MkdirTemp("", "mtlsallowlist-"); err != nil {
		return nil, err
	}
	if err := h.furnish(hosts); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func (h *Home) furnish(hosts []string) error {
	var err error
	if h.CA, err = NewCA("Home CA"); err != nil {
		return err
	}
	if h.Phone, err = h.CA.Issue(Leaf{CommonName: "phone"}); err != nil {
		return err
	}
	if h.Owner, err = h.CA.Issue(Leaf{CommonName: "owner"}); err != nil {
		return err
	}
	server, err := h.CA.Issue(Leaf{CommonName: "home.example", DNSNames: append(hosts, "*.home.example"), Server: true})
	if err != nil {
		return err
	}
	return WriteCertificates(h.Dir, "server", h.CA, server)
}

// Close removes the folder.
func (h *Home) Close() error { return os.RemoveAll(h.Dir) }

// WriteCertificates writes ca.pem, and a certificate and its key as <name>.pem and <name>-key.pem.
func WriteCertificates(dir, name string, ca *CA, certificate tls.Certificate) error {
	key, err := KeyPEM(certificate)
	if err != nil {
		return err
	}
	for file, pem := range map[string][]byte{"ca.pem": ca.PEM(), name + ".pem": CertPEM(certificate), name + "-key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, file), pem, 0o600); err != nil {
			return err
		}
	}
	return nil
}
