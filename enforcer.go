package mtlsallowlist

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
)

// What a handler remembers of its clients is bounded: the longest text, in bytes, to remember one by, and how many
// there may be besides four for each address on the allowlist. That is about 1.5 MB.
const (
	maxSource = 256
	maxKnown  = 1 << 14
)

// maxConnections bounds how many connections of other proxies an enforcer remembers.
const maxConnections = 1 << 10

var errStranger = errors.New("not on the allowlist")

// inSourceRange stands for the grant of an address in the source range.
var inSourceRange = &grant{expires: math.MaxInt64}

// An enforcer lets in the source range and the addresses on its stores' allowlists.
// Being let in is no proof: it renews nothing.
type enforcer struct {
	settings
	next     http.Handler
	clock    clocks.Clock
	rejecter *rejecter
	store    *store            // the first
	known    map[string]*grant // what was found, by the text that the address was read from; guarded by the store's mu
	seen     map[string]bool   // remote addresses of other proxies' connections: on a new one, the clocks are compared; likewise
}

func newEnforcer(s settings, next http.Handler, clock clocks.Clock) *enforcer {
	return &enforcer{settings: s, next: next, clock: clock, rejecter: newRejecter(s), store: s.stores[0], known: map[string]*grant{}, seen: map[string]bool{}}
}

// handler returns the fast path, for a client that has been here before: one look-up by the text that its address is
// read from, and whether what was found then still holds. A call of ours costs Yaegi half of all this, a field twice a
// captured variable, and every variable an allocation; so the rest stands in decide, and which text it is, is chosen
// here: the two differ in no more than that behind other proxies a connection isn't of one client. Nothing can panic between Lock and Unlock.
func (e *enforcer) handler() http.Handler {
	next := e.next
	stranger := e.rejecter.handler()
	var deciding http.Handler = http.HandlerFunc(e.decide)
	mu := &e.store.mu
	counts := e.store.counts
	strangers := e.store.rejections(errStranger)
	known := e.known
	seen := e.seen
	since := e.clock.Since
	start := clocks.Epoch
	if !e.direct {
		forwardedFor := clientip.ForwardedFor // a constant of another package costs an allocation each time
		return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			chosen := deciding
			source := req.Header.Get(forwardedFor)
			mu.Lock()
			g, ok := known[source]
			if ok && seen[req.RemoteAddr] {
				if g.expires == noGrant {
					chosen = stranger
					*strangers++
				} else if g.expires > since(start) {
					chosen = next
					counts.admitted++
				}
			}
			mu.Unlock()
			chosen.ServeHTTP(rw, req)
		})
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		chosen := deciding
		mu.Lock()
		g, ok := known[req.RemoteAddr]
		if ok {
			if g.expires == noGrant {
				chosen = stranger
				*strangers++
			} else if g.expires > since(start) {
				chosen = next
				counts.admitted++
			}
		}
		mu.Unlock()
		chosen.ServeHTTP(rw, req)
	})
}

func (e *enforcer) decide(rw http.ResponseWriter, req *http.Request) {
	addr, err := e.address(req)
	if err == nil {
		err = e.admit(addr, req)
	}
	if err != nil {
		e.rejecter.reject(rw, req, err)
		return
	}
	e.store.admitted()
	e.next.ServeHTTP(rw, req)
}

// admit fails unless addr may come in now, and remembers why.
func (e *enforcer) admit(addr netip.Addr, req *http.Request) error {
	if e.sourceRange.Contains(addr) {
		e.remember(req, inSourceRange)
		return nil
	}
	ip := clientip.Prefix(addr, e.ipv6Subnet)
	now := e.clock.Read()
	for _, store := range e.stores {
		g, found := store.find(ip, e.identities, now)
		if store == e.store && (found || len(e.stores) == 1) {
			e.remember(req, g)
		}
		if found {
			return nil
		}
	}
	return errStranger
}

// remember keeps what was found. The memory is bounded by forgetting any other: who comes for the first time makes at
// most one other client come as if for the first time.
func (e *enforcer) remember(req *http.Request, g *grant) {
	source := req.RemoteAddr
	if !e.direct {
		source = req.Header.Get(clientip.ForwardedFor)
	}
	if len(source) > maxSource {
		return
	}
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	if len(e.known) >= maxKnown+4*len(e.store.list.addresses) {
		for other := range e.known {
			delete(e.known, other)
			break
		}
	}
	e.known[source] = g
	if e.direct {
		return
	}
	if len(e.seen) >= maxConnections {
		for other := range e.seen {
			delete(e.seen, other)
			break
		}
	}
	e.seen[req.RemoteAddr] = true
}

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

// reject rejects, counts it, and prints why, which Traefik shows at its DEBUG level. The warm-up's middleware has no name, and
// prints nothing: nobody was there.
func (r *rejecter) reject(rw http.ResponseWriter, req *http.Request, why error) {
	r.store.rejected(why)
	if r.middleware != "" {
		fmt.Printf("mtlsallowlist: %s rejected %s: %s\n", r.middleware, req.RemoteAddr, why.Error())
	}
	http.Error(rw, r.text, r.status)
}
