// Package proof decides whether a request, or the answer to it, counts as proof, and whose. It learns nothing.
package proof

import (
	"net/http"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// What counts as proof.
const (
	Certificate = "certificate" // a verified client certificate
	Request     = "request"     // that a request gets this far
	Response    = "response"    // that the service answers with 2xx, too
)

// A Prover returns who gives a proof with req at now, and until when it is valid; it fails if there is none.
type Prover func(req *http.Request, now time.Time) (id identity.Identity, until time.Time, err error)

// New chooses by what counts as proof, and by the header that an earlier middleware sets to the user; without one,
// all requests are of one identity, which no pattern matches.
func New(proof, header string) Prover {
	switch {
	case proof == Certificate:
		return func(req *http.Request, now time.Time) (identity.Identity, time.Time, error) {
			return identity.FromTLS(req.TLS, now)
		}
	case header != "":
		return func(req *http.Request, now time.Time) (identity.Identity, time.Time, error) {
			id, err := identity.FromHeader(req.Header, header)
			return id, now, err
		}
	}
	anonymous := identity.Identity{Names: []string{identity.Anonymous + ":" + proof}}
	return func(_ *http.Request, now time.Time) (identity.Identity, time.Time, error) {
		return anonymous, now, nil
	}
}
