package mtlsallowlist

import (
	"net/netip"
	"sync"
	"time"
)

// noteInterval is how long a store keeps quiet about a matter that recurs with every request.
const noteInterval = time.Minute

// A store is a named allowlist that every middleware instance naming it shares.
// It is safe for concurrent use.
type store struct {
	name string

	mu     sync.RWMutex
	list   *allowlist
	nobody *grant               // stands for having no grant, until there is a new one
	noted  map[string]time.Time // when a recurring matter was last logged
}

// stores is the one piece of state of the package. It has to be package-level: Traefik makes new handlers
// at every reload, and what was learned must be there for them.
var stores = struct {
	mu     sync.Mutex
	byName map[string]*store
}{byName: map[string]*store{}}

func newStore(name string) *store {
	return &store{name: name, list: newAllowlist(), nobody: newNobody(), noted: map[string]time.Time{}}
}

func newNobody() *grant {
	return &grant{expires: unknown}
}

// openStore returns the store with that name, and makes it first if need be.
func openStore(name string) *store {
	stores.mu.Lock()
	defer stores.mu.Unlock()
	s := stores.byName[name]
	if s == nil {
		s = newStore(name)
		stores.byName[name] = s
	}
	return s
}

// find returns a grant that an identity that who matches holds for ip at now, or else nobody: whoever has no grant has
// none as long as that expires at unknown. The caller must have the store's lock to look.
func (s *store) find(ip netip.Prefix, who patterns, now moment) (g *grant, found bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g = s.list.find(ip, who, now)
	if g == nil {
		return s.nobody, false
	}
	return g, true
}

// learn records a proof. It returns the grant, whether it is new, and the grants that made room for it.
func (s *store) learn(ip netip.Prefix, id identity, limits limits, now moment) (g *grant, learned bool, evicted []*grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	grants := s.list.made
	g, learned, evicted = s.list.add(ip, id, limits, now)
	if s.list.made != grants {
		s.nobody.expires = over
		s.nobody = newNobody()
	}
	return g, learned, evicted
}

// note reports whether matter should be logged: it should if it hasn't been within noteInterval.
// Matters must be few and fixed, not made of what clients send.
func (s *store) note(matter string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, seen := s.noted[matter]
	if seen && now.Sub(last) < noteInterval {
		return false
	}
	s.noted[matter] = now
	return true
}
