package lab

import (
	"crypto/x509"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"software.sslmate.com/src/go-pkcs12"
)

func TestPKCS12(t *testing.T) {
	root := check.Must(NewCA("root"))(t)
	intermediate := check.Must(root.Intermediate("intermediate"))(t)
	cert := check.Must(intermediate.Issue(Leaf{CommonName: "phone", EmailAddresses: []string{"a@b.example"}}))(t)
	file := check.Must(PKCS12(cert, root, "secret"))(t)
	_, leaf, authorities, err := pkcs12.DecodeChain(file, "secret")
	if err != nil || !leaf.Equal(cert.Leaf) || len(authorities) != 2 {
		t.Fatalf("got %v, %d authorities, %v", leaf, len(authorities), err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(authorities[0])
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: root.Pool(), Intermediates: pool, KeyUsages: usage}); err != nil {
		t.Error(err)
	}
}
