// Package identity names who gives a proof, by a verified certificate or a header, and matches names with patterns. It
// decides nothing, and verifies no certificate: Traefik has done that.
package identity

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
	ErrNoTLS         = errors.New("no TLS")
	errNoCertificate = errors.New("no client certificate")
	errNotVerified   = errors.New("client certificate not verified")
	ErrNoUser        = errors.New("no user in the identity header")
	errNotValidNow   = errors.New("client certificate expired or not yet valid")
)

// ByFingerprint begins the name that is a fingerprint.
const ByFingerprint = "sha256:"

// An Identity is who gave a proof. It has at least one name.
type Identity struct {
	Names  []string // each with its kind, as in "cn:phone"; the first is the canonical one, the last that by fingerprint
	Serial string   // of the leaf, hexadecimal
	Issued int64    // since when the leaf is valid, in Unix seconds; 0: unknown
}

// Name returns the canonical name.
func (id Identity) Name() string {
	return id.Names[0]
}

// Is reports whether other is of the same name, and by the same certificate if it is by one.
func (id Identity) Is(other Identity) bool {
	return id.Name() == other.Name() && id.Fingerprint() == other.Fingerprint()
}

// Bare returns id with no more names than tell it from others.
func (id Identity) Bare() Identity {
	names := id.Names[:1]
	if len(id.Names) > 1 && id.Fingerprint() != "" {
		names = []string{id.Name(), ByFingerprint + id.Fingerprint()}
	}
	return Identity{Names: names}
}

// Fingerprint returns the SHA-256 of the leaf, 64 hexadecimal digits; empty if the proof was no certificate.
func (id Identity) Fingerprint() string {
	last := id.Names[len(id.Names)-1]
	if !strings.HasPrefix(last, ByFingerprint) {
		return ""
	}
	return last[len(ByFingerprint):]
}

// FromTLS returns the identity proved by a TLS connection's client certificate at now, and until when
// the certificate is valid.
//
// Only a verified chain counts: PeerCertificates holds whatever the client sent, and Traefik asks for
// certificates without verifying them under RequestClientCert and RequireAnyClientCert. A connection, and a
// session resumed without verification, can outlive the certificate; so the chain must hold at now.
func FromTLS(state *tls.ConnectionState, now time.Time) (id Identity, until time.Time, err error) {
	switch {
	case state == nil:
		return Identity{}, time.Time{}, ErrNoTLS
	case len(state.PeerCertificates) == 0:
		return Identity{}, time.Time{}, errNoCertificate
	case len(state.VerifiedChains) == 0:
		return Identity{}, time.Time{}, errNotVerified
	}
	for _, chain := range state.VerifiedChains {
		if len(chain) > 0 && validAt(chain, now) {
			return FromCertificate(chain[0]), validUntil(chain), nil
		}
	}
	return Identity{}, time.Time{}, errNotValidNow
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

// FromCertificate names a certificate: URI SANs first, then the CN, DNS and e-mail SANs, and its fingerprint. An empty SAN is no
// name, and a number that no authority may give no serial.
func FromCertificate(leaf *x509.Certificate) Identity {
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
	names = append(names, ByFingerprint+hex.EncodeToString(sum[:]))
	serial := fmt.Sprintf("%x", leaf.SerialNumber)
	if CheckSerial(serial) != nil {
		serial = ""
	}
	return Identity{Names: names, Serial: serial, Issued: leaf.NotBefore.Unix()}
}

// FromHeader returns the identity that an earlier middleware wrote into a header. Traefik's basicAuth writes its
// headerField as it is spelt, beside what the client may have sent: which net/http has spelt canonically. So any other
// spelling is a middleware's, and goes first.
func FromHeader(header http.Header, name string) (Identity, error) {
	canonical := http.CanonicalHeaderKey(name)
	values := header[canonical]
	for key, written := range header {
		if key != canonical && strings.EqualFold(key, canonical) {
			values = written
		}
	}
	if len(values) == 0 || values[0] == "" {
		return Identity{}, ErrNoUser
	}
	return Identity{Names: []string{"header:" + values[0]}}, nil
}
