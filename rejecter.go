package mtlsallowlist

import (
	"fmt"
	"net/http"
)

// A rejecter answers with a status and its text; with 404, as Traefik itself does for a host that no router knows.
type rejecter struct {
	middleware string
	store      *store // counts rejections
	text       string
	status     int
}

func newRejecter(s settings) *rejecter {
	r := &rejecter{middleware: s.name, store: s.stores[0], text: http.StatusText(s.rejectStatusCode), status: s.rejectStatusCode}
	if r.status == http.StatusNotFound {
		r.text = "404 page not found" // that of http.NotFound
	}
	return r
}

// handler returns what rejects without a word, and without being counted.
func (r *rejecter) handler() http.Handler {
	text := r.text
	status := r.status
	return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		http.Error(rw, text, status)
	})
}

// reject rejects, counts it, and prints why, which Traefik shows at its DEBUG level.
func (r *rejecter) reject(rw http.ResponseWriter, req *http.Request, why error) {
	r.store.rejected(why)
	fmt.Printf("mtlsallowlist: %s rejected %s: %s\n", r.middleware, req.RemoteAddr, why.Error())
	http.Error(rw, r.text, r.status)
}
