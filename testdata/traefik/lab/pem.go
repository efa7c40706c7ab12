package lab

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"
)

// CertPEM returns cert's leaf followed by its intermediates.
func CertPEM(cert tls.Certificate) []byte {
	var out []byte
	for _, der := range cert.Certificate {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// KeyPEM returns cert's private key in PKCS #8.
func KeyPEM(cert tls.Certificate) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// PKCS12 packs cert with its key, its intermediates and ca's certificate into one file for a phone or a browser.
func PKCS12(cert tls.Certificate, ca *CA, password string) ([]byte, error) {
	authorities := []*x509.Certificate{}
	for _, der := range cert.Certificate[1:] {
		intermediate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("pkcs12: %w", err)
		}
		authorities = append(authorities, intermediate)
	}
	if len(authorities) == 0 || !authorities[0].Equal(ca.cert) {
		authorities = append(authorities, ca.cert)
	}
	// Legacy (3DES, SHA-1), because the importers of iOS and of older Androids refuse the modern AES and
	// SHA-256 file, while this one opens everywhere. Its encryption is weak: the file is as secret as the key.
	file, err := pkcs12.Legacy.Encode(cert.PrivateKey, cert.Leaf, authorities, password)
	if err != nil {
		return nil, fmt.Errorf("pkcs12: %w", err)
	}
	return file, nil
}
