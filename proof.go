package mtlsallowlist

import (
	"net/http"
	"time"
)

// What counts as proof.
const (
	proofCertificate = "certificate" // a verified client certificate
	proofRequest     = "request"     // that a request gets this far
	proofResponse    = "response"    // that the service answers with 2xx, too
)

// A prover returns who gives a proof with req at now, and until when it is valid; it fails if there is none.
type prover func(req *http.Request, now time.Time) (id identity, until time.Time, err error)

// newProver chooses by what counts as proof, and by the header that an earlier middleware sets to the user; without one,
// all requests are of one identity, which no pattern matches.
func newProver(proof, header string) prover {
	switch {
	case proof == proofCertificate:
		return func(req *http.Request, now time.Time) (identity, time.Time, error) {
			return certificateIdentity(req.TLS, now)
		}
	case header != "":
		return func(req *http.Request, now time.Time) (identity, time.Time, error) {
			id, err := headerIdentity(req.Header, header)
			return id, now, err
		}
	}
	anonymous := identity{names: []string{kindAnonymous + ":" + proof}}
	return func(_ *http.Request, now time.Time) (identity, time.Time, error) {
		return anonymous, now, nil
	}
}
