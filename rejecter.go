package mtlsallowlist

import (
	"fmt"
	"net/http"
)

// A rejecter answers as Traefik itself does: like an ipAllowList, or, with 404, like a host that no router knows.
// What it prints, Traefik shows at its DEBUG level.
type rejecter struct {
	line   string
	status int
	body   []byte
}

func newRejecter(s settings, why string) *rejecter {
	return &rejecter{
		line:   "mtlsallowlist: " + s.name + ": " + why + ": rejected",
		status: s.rejectStatusCode,
		body:   []byte(http.StatusText(s.rejectStatusCode)),
	}
}

func (r *rejecter) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	fmt.Println(r.line, req.RemoteAddr)
	if r.status == http.StatusNotFound {
		http.NotFound(rw, req)
		return
	}
	rw.WriteHeader(r.status)
	_, _ = rw.Write(r.body) // nobody is left to be told that it failed
}
