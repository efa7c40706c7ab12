package mtlsallowlist

import (
	"fmt"
	"net/http"
	"net/netip"
	"time"
)

// An enforcer lets in the source range and the addresses on its stores' allowlists.
// Being let in is no proof: it renews nothing.
type enforcer struct {
	settings
	next http.Handler
	now  func() time.Time
}

func (e *enforcer) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	addr, err := e.address(req)
	if err != nil || !e.admits(addr, e.now().UnixNano()) {
		e.reject(rw, req, "not on the allowlist")
		return
	}
	e.next.ServeHTTP(rw, req)
}

// admits reports whether addr may come in at now.
func (e *enforcer) admits(addr netip.Addr, now moment) bool {
	if e.sourceRange.contains(addr) {
		return true
	}
	ip := clientPrefix(addr, e.ipv6Subnet)
	for _, store := range e.stores {
		if store.allows(ip, e.identities, now) {
			return true
		}
	}
	return false
}

// reject answers as Traefik itself does: like an ipAllowList, or, with 404, like a host that no router knows.
// Traefik shows what is printed at its DEBUG level.
func (s *settings) reject(rw http.ResponseWriter, req *http.Request, why string) {
	fmt.Println("mtlsallowlist:", s.name, "rejected", req.RemoteAddr+":", why)
	if s.rejectStatusCode == http.StatusNotFound {
		http.NotFound(rw, req)
		return
	}
	rw.WriteHeader(s.rejectStatusCode)
	fmt.Fprint(rw, http.StatusText(s.rejectStatusCode))
}
