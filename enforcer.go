package mtlsallowlist

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// An enforcer lets in the source range and the addresses on its stores' allowlists.
// Being let in is no proof: it renews nothing.
type enforcer struct {
	settings
	next http.Handler
	now  func() time.Time

	mu       *sync.RWMutex     // of the first store
	admitted map[string]*grant // see ServeHTTP
}

// inSourceRange stands for the grant of an address in the source range.
var inSourceRange = &grant{expires: math.MaxInt64}

func newEnforcer(s settings, next http.Handler, now func() time.Time) *enforcer {
	return &enforcer{settings: s, next: next, now: now, mu: &s.stores[0].mu, admitted: map[string]*grant{}}
}

// ServeHTTP holds the fast path, for a connection whose client was let in before: one look-up by the connection's
// remote address, and whether the grant that was found then still holds. A function of ours costs Yaegi as much as
// all of it, so the rest stands in decide. Nothing can panic between Lock and Unlock.
func (e *enforcer) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	e.mu.RLock()
	g := e.admitted[req.RemoteAddr]
	admitted := g != nil && g.expires > e.now().UnixNano()
	e.mu.RUnlock()
	if admitted {
		e.next.ServeHTTP(rw, req)
	} else {
		e.decide(rw, req)
	}
}

func (e *enforcer) decide(rw http.ResponseWriter, req *http.Request) {
	addr, err := e.address(req)
	if err != nil {
		e.reject(rw, req, err.Error())
		return
	}
	store, g := e.find(addr)
	if g == nil {
		e.reject(rw, req, "not on the allowlist")
		return
	}
	if e.direct && store == e.stores[0] {
		e.admit(req.RemoteAddr, g)
	}
	e.next.ServeHTTP(rw, req)
}

// find returns the grant that lets in addr now, and its store; nil if there is none.
func (e *enforcer) find(addr netip.Addr) (*store, *grant) {
	if e.sourceRange.contains(addr) {
		return e.stores[0], inSourceRange
	}
	ip := clientPrefix(addr, e.ipv6Subnet)
	now := e.now().UnixNano()
	for _, store := range e.stores {
		if g := store.find(ip, e.identities, now); g != nil {
			return store, g
		}
	}
	return nil, nil
}

// admit remembers for a connection that g lets it in. The memory is bounded by forgetting all.
func (e *enforcer) admit(remoteAddr string, g *grant) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.admitted) >= e.stores[0].list.maxConnections() {
		e.admitted = map[string]*grant{}
	}
	e.admitted[remoteAddr] = g
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
