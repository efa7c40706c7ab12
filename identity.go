package mtlsallowlist

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Why a request proves nothing.
var (
	errNoTLS         = errors.New("no TLS")
	errNoCertificate = errors.New("no client certificate")
	errNotVerified   = errors.New("client certificate not verified")
	errNoUser        = errors.New("no user in the identity header")
	errNotValidNow   = errors.New("client certificate expired or not yet valid")
)

// byFingerprint begins the name that is a fingerprint.
const byFingerprint = "sha256:"

// An identity is who gave a proof. It has at least one name.
type identity struct {
	names  []string // each with its kind, as in "cn:phone"; the first is the canonical one, the last that by fingerprint
	serial string   // of the leaf, hexadecimal
	issued int64    // since when the leaf is valid, in Unix seconds; 0: unknown
}

func (id identity) name() string {
	return id.names[0]
}

// is reports whether other is of the same name, and by the same certificate if it is by one.
func (id identity) is(other identity) bool {
	return id.name() == other.name() && id.fingerprint() == other.fingerprint()
}

// bare returns id with no more names than tell it from others.
func (id identity) bare() identity {
	names := id.names[:1]
	if len(id.names) > 1 && id.fingerprint() != "" {
		names = []string{id.name(), byFingerprint + id.fingerprint()}
	}
	return identity{names: names}
}

// fingerprint returns the SHA-256 of the leaf, 64 hexadecimal digits; empty if the proof was no certificate.
func (id identity) fingerprint() string {
	last := id.names[len(id.names)-1]
	if !strings.HasPrefix(last, byFingerprint) {
		return ""
	}
	return last[len(byFingerprint):]
}

// certificateIdentity returns the identity proved by a TLS connection's client certificate at now, and until when
// the certificate is valid.
//
// Only a verified chain counts: PeerCertificates holds whatever the client sent, and Traefik asks for
// certificates without verifying them under RequestClientCert and RequireAnyClientCert. A connection, and a
// session resumed without verification, can outlive the certificate; so the chain must hold at now.
func certificateIdentity(state *tls.ConnectionState, now time.Time) (id identity, until time.Time, err error) {
	switch {
	case state == nil:
		return identity{}, time.Time{}, errNoTLS
	case len(state.PeerCertificates) == 0:
		return identity{}, time.Time{}, errNoCertificate
	case len(state.VerifiedChains) == 0:
		return identity{}, time.Time{}, errNotVerified
	}
	for _, chain := range state.VerifiedChains {
		if len(chain) > 0 && validAt(chain, now) {
			return identityOf(chain[0]), validUntil(chain), nil
		}
	}
	return identity{}, time.Time{}, errNotValidNow
}

func validAt(chain []*x509.Certificate, now time.Time) bool {
	for _, certificate := range chain {
		if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
			return false
		}
	}
	return true
}

// validUntil returns the last moment at which all of chain is valid.
func validUntil(chain []*x509.Certificate) time.Time {
	until := chain[0].NotAfter
	for _, certificate := range chain {
		if certificate.NotAfter.Before(until) {
			until = certificate.NotAfter
		}
	}
	return until
}

// identityOf names a certificate: URI SANs first, then the CN, DNS and e-mail SANs, and its fingerprint. An empty SAN is no
// name, and a number that no authority may give no serial.
func identityOf(leaf *x509.Certificate) identity {
	sum := sha256.Sum256(leaf.Raw)
	names := []string{}
	for _, uri := range leaf.URIs {
		if text := uri.String(); text != "" {
			names = append(names, "uri:"+text)
		}
	}
	if leaf.Subject.CommonName != "" {
		names = append(names, "cn:"+leaf.Subject.CommonName)
	}
	for _, name := range leaf.DNSNames {
		if name != "" {
			names = append(names, "dns:"+strings.ToLower(name))
		}
	}
	for _, address := range leaf.EmailAddresses {
		if address != "" {
			names = append(names, "email:"+address)
		}
	}
	names = append(names, byFingerprint+hex.EncodeToString(sum[:]))
	serial := fmt.Sprintf("%x", leaf.SerialNumber)
	if checkSerial(serial) != nil {
		serial = ""
	}
	return identity{names: names, serial: serial, issued: leaf.NotBefore.Unix()}
}

// headerIdentity returns the identity that an earlier middleware wrote into a header. Traefik's basicAuth writes its
// headerField as it is spelt, beside what the client may have sent: which net/http has spelt canonically. So any other
// spelling is a middleware's, and goes first.
func headerIdentity(header http.Header, name string) (identity, error) {
	canonical := http.CanonicalHeaderKey(name)
	values := header[canonical]
	for key, written := range header {
		if key != canonical && strings.EqualFold(key, canonical) {
			values = written
		}
	}
	if len(values) == 0 || values[0] == "" {
		return identity{}, errNoUser
	}
	return identity{names: []string{"header:" + values[0]}}, nil
}
