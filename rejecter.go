package mtlsallowlist

import (
	"fmt"
	"net/http"
)

// A rejecter answers with a status and its text; with 404, as Traefik itself does for a host that no router knows.
type rejecter struct {
	middleware string
	text       string
	status     int
}

func newRejecter(s settings) *rejecter {
	r := &rejecter{middleware: s.name, text: http.StatusText(s.rejectStatusCode), status: s.rejectStatusCode}
	if r.status == http.StatusNotFound {
		r.text = "404 page not found" // that of http.NotFound
	}
	return r
}

// handler returns what rejects without a word in the log.
func (r *rejecter) handler() http.Handler {
	text := r.text
	status := r.status
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		http.Error(rw, text, status)
	})
}

// reject rejects, and prints why, which Traefik shows at its DEBUG level.
func (r *rejecter) reject(rw http.ResponseWriter, req *http.Request, why string) {
	fmt.Printf("mtlsallowlist: %s rejected %s: %s\n", r.middleware, req.RemoteAddr, why)
	http.Error(rw, r.text, r.status)
}
