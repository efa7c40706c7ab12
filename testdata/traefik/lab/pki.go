package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"
)

// CA is a certificate authority made for one laboratory: its key lives in memory only.
type CA struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	chain [][]byte // DER of the intermediates a leaf is sent with; empty for a root
}

// NewCA makes a self-signed root, valid from an hour ago for ten years.
func NewCA(commonName string) (*CA, error) {
	return newCA(commonName, nil)
}

// Intermediate makes an authority signed by ca. What it issues carries the intermediate in its chain.
func (ca *CA) Intermediate(commonName string) (*CA, error) {
	return newCA(commonName, ca)
}

func newCA(commonName string, parent *CA) (*CA, error) {
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	cert, key, err := sign(template, parent)
	if err != nil {
		return nil, fmt.Errorf("certificate authority %q: %w", commonName, err)
	}
	ca := &CA{cert: cert, key: key}
	if parent != nil {
		ca.chain = append([][]byte{cert.Raw}, parent.chain...)
	}
	return ca, nil
}

// Pool returns a pool that trusts ca, and only ca.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// PEM returns ca's own certificate, as Traefik's caFiles take it.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// Leaf describes a certificate to issue.
type Leaf struct {
	CommonName                     string
	DNSNames, EmailAddresses, URIs []string
	IPs                            []net.IP
	NotBefore, NotAfter            time.Time // zero: an hour ago, a year from now
	Server                         bool      // for a server; else for a client
}

// Issue makes a key and a certificate for leaf, with the chain up to, but without, the root.
func (ca *CA) Issue(leaf Leaf) (tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:        pkix.Name{CommonName: leaf.CommonName},
		DNSNames:       leaf.DNSNames,
		EmailAddresses: leaf.EmailAddresses,
		IPAddresses:    leaf.IPs,
		NotBefore:      leaf.NotBefore,
		NotAfter:       leaf.NotAfter,
		KeyUsage:       x509.KeyUsageDigitalSignature,
		ExtKeyUsage:    []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if leaf.Server {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	if leaf.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if leaf.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(1, 0, 0)
	}
	for _, raw := range leaf.URIs {
		uri, err := url.Parse(raw)
		if err != nil {
			return tls.Certificate{}, fmt.Errorf("certificate %q: %w", leaf.CommonName, err)
		}
		template.URIs = append(template.URIs, uri)
	}
	cert, key, err := sign(template, ca)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate %q: %w", leaf.CommonName, err)
	}
	return tls.Certificate{
		Certificate: append([][]byte{cert.Raw}, ca.chain...),
		PrivateKey:  key,
		Leaf:        cert,
	}, nil
}

// sign makes a key for template and has it signed by parent, or by itself where parent is nil.
func sign(template *x509.Certificate, parent *CA) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, nil, err
	}
	signer, signerKey := template, key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}
