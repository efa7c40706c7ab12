package mtlsallowlist

import (
	"errors"
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
	next     http.Handler
	store    *store       // the first
	deciding http.Handler // decide
	rejecter *rejecter
	stranger http.Handler // the rejecter

	// What the fast path needs is close at hand, for each dot costs the interpreter; see ServeHTTP.
	mu    *sync.RWMutex // the first store's
	since func(time.Time) time.Duration
	known map[string]*grant // by the connection's remote address, guarded by mu
}

var errStranger = errors.New("not on the allowlist")

// inSourceRange stands for the grant of an address in the source range.
var inSourceRange = &grant{expires: math.MaxInt64}

func newEnforcer(s settings, next http.Handler, clock clock) *enforcer {
	e := &enforcer{settings: s, next: next, store: s.stores[0], since: clock.since}
	e.deciding = http.HandlerFunc(e.decide)
	e.rejecter = newRejecter(s)
	e.stranger = e.rejecter
	e.mu = &e.store.mu
	e.known = map[string]*grant{}
	return e
}

// ServeHTTP holds the fast path, for a connection whose client has been here before: one look-up by the connection's
// remote address, and whether what was found then still holds. A call of ours costs Yaegi as much as all of it, so
// the rest stands in decide, and there is one call at the end. Nothing can panic between Lock and Unlock.
func (e *enforcer) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	next := e.deciding
	e.mu.RLock()
	g := e.known[req.RemoteAddr]
	if g != nil {
		if g.expires == unknown {
			next = e.stranger
		} else if g.expires > e.since(epoch) {
			next = e.next
		}
	}
	e.mu.RUnlock()
	next.ServeHTTP(rw, req)
}

func (e *enforcer) decide(rw http.ResponseWriter, req *http.Request) {
	addr, err := e.address(req)
	if err == nil && !e.admits(addr, req.RemoteAddr) {
		err = errStranger
	}
	if err != nil {
		e.rejecter.reject(rw, req, err.Error())
		return
	}
	e.next.ServeHTTP(rw, req)
}

// admits reports whether addr may come in now, and remembers why for the connection.
func (e *enforcer) admits(addr netip.Addr, remoteAddr string) bool {
	if e.sourceRange.contains(addr) {
		e.remember(remoteAddr, inSourceRange)
		return true
	}
	ip := clientPrefix(addr, e.ipv6Subnet)
	now := e.since(epoch)
	for _, store := range e.stores {
		g, found := store.find(ip, e.identities, now)
		if store == e.store && (found || len(e.stores) == 1) {
			e.remember(remoteAddr, g)
		}
		if found {
			return true
		}
	}
	return false
}

// remember keeps what was found for a connection, unless that says nothing about the next request on it. The memory is
// bounded by forgetting all.
func (e *enforcer) remember(remoteAddr string, g *grant) {
	if !e.direct {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.known) >= e.store.list.maxConnections() {
		e.known = map[string]*grant{}
	}
	e.known[remoteAddr] = g
}
