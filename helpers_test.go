package mtlsallowlist

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"time"
)

// t0 is when tests begin.
var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// certificate makes a leaf for identityOf: real handshakes are the matter of the end-to-end tests.
func certificate(names string) *x509.Certificate {
	leaf := &x509.Certificate{
		Raw:          []byte(names),
		SerialNumber: big.NewInt(0xc0ffee),
		NotBefore:    t0.Add(-time.Hour),
		NotAfter:     t0.Add(1000 * time.Hour),
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

// verified is the state of a connection on which Traefik verified leaf.
func verified(leaf *x509.Certificate) *tls.ConnectionState {
	ca := &x509.Certificate{NotBefore: t0.Add(-time.Hour), NotAfter: t0.Add(10000 * time.Hour)}
	return &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{leaf},
		VerifiedChains:   [][]*x509.Certificate{{leaf, ca}},
	}
}

// someSum is a fingerprint.
const someSum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
