// Package identitytest makes the certificates of the tests of whatever reads identities from them. It signs none.
package identitytest

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"time"
)

// T0 is when tests begin.
var T0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Certificate makes a leaf with names like "cn:phone dns:phone.lan", which is valid at T0 and for 1000 hours. Real handshakes are
// the matter of the end-to-end tests.
func Certificate(names string) *x509.Certificate {
	leaf := &x509.Certificate{
		Raw:          []byte(names),
		SerialNumber: big.NewInt(0xc0ffee),
		NotBefore:    T0.Add(-time.Hour),
		NotAfter:     T0.Add(1000 * time.Hour),
	}
	for _, name := range strings.Fields(names) {
		kind, value, _ := strings.Cut(name, ":")
		switch kind {
		case "cn":
			leaf.Subject = pkix.Name{CommonName: value}
		case "dns":
			leaf.DNSNames = append(leaf.DNSNames, value)
		case "email":
			leaf.EmailAddresses = append(leaf.EmailAddresses, value)
		case "uri":
			uri, err := url.Parse(value)
			if err != nil {
				panic(err)
			}
			leaf.URIs = append(leaf.URIs, uri)
		}
	}
	return leaf
}

// Verified is the state of a connection on which Traefik verified leaf.
func Verified(leaf *x509.Certificate) *tls.ConnectionState {
	ca := &x509.Certificate{NotBefore: T0.Add(-time.Hour), NotAfter: T0.Add(10000 * time.Hour)}
	return &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{leaf},
		VerifiedChains:   [][]*x509.Certificate{{leaf, ca}},
	}
}
