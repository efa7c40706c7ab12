package mtlsallowlist

import (
	"net/netip"
	"sync"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// An observer is handed the changes of a store, those but that it has made itself.
type observer interface {
	// Changed is called under the store's lock, in the order of the changes. It may only queue.
	Changed(c change.Change)
	// Settle waits until the changes that Changed has got are safe, or can't be. It gets the time by the wall clock and by
	// that of the store, both in milliseconds since 1970.
	Settle(wall, now int64)
	// ClockSet is called, likewise under the lock, before the store's clock is set ahead by so many milliseconds.
	ClockSet(by int64)
}

// A store is a named allowlist that every middleware instance naming it shares.
// It is safe for concurrent use.
type store struct {
	name string

	mu        sync.Mutex // not an RWMutex: letting somebody in is counted, too
	wall      clocks.Wall
	aged      time.Duration // how much older grants have become by the wall clock since it was compared with Redis's
	list      *allowlist
	miss      *grant // missSentinel: stands for having no grant, until there is a new one
	terms     terms
	counts    *counts
	events    events
	observers map[string]observer // by their names
}

func newStore(name string) *store {
	return &store{name: name, list: newAllowlist(), miss: newMiss(), counts: newCounts(), events: newEvents(), terms: noTerms, observers: map[string]observer{}}
}

func newMiss() *grant {
	return &grant{expires: noGrant}
}

// observe hands changes to an observer from now on, instead of another one of that name; nil: to none.
func (s *store) observe(name string, o observer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.observers, name)
	if o != nil {
		s.observers[name] = o
	}
}

// settle waits until all observers have what has changed.
func (s *store) settle(now clocks.Reading) {
	s.settleBut("", now)
}

// settleBut does so but for one observer.
func (s *store) settleBut(name string, now clocks.Reading) {
	observers, at := s.observing(name, now)
	for _, o := range observers {
		o.Settle(now.Wall.UnixMilli(), at)
	}
}

func (s *store) observing(but string, now clocks.Reading) ([]observer, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	observers := []observer{}
	for name, o := range s.observers {
		if name != but {
			observers = append(observers, o)
		}
	}
	at := s.list.At(now.Mono)
	return observers, at
}

// notice takes note of what the clocks show. After a step of the wall clock all grants are older by as much, and who
// remembers one asks again.
func (s *store) notice(now clocks.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
}

func (s *store) noticeLocked(now clocks.Reading) {
	forward, stepped := s.wall.Step(now)
	if !stepped {
		return
	}
	s.list.age(forward)
	s.aged += forward
}

// forgetMissesLocked has those ask again whose handlers remember that they have no grant.
func (s *store) forgetMissesLocked() {
	s.miss.expires = ended
	s.miss = newMiss()
}

// find returns a grant that an identity that who matches holds for ip at now, or else missSentinel: whoever has no grant has
// none as long as that expires at noGrant. The caller must have the store's lock to look.
func (s *store) find(ip netip.Prefix, who identity.Patterns, now clocks.Reading) (g *grant, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	g = s.list.find(ip, who, now.Mono)
	if g == nil {
		return s.miss, false
	}
	return g, true
}

// holds reports whether there is a grant for ip at now.
func (s *store) holds(ip netip.Prefix, now clocks.Reading) bool {
	_, found := s.find(ip, nil, now)
	return found
}

// learn records a proof. It returns the grant, whether to tell of it, since the identity had none for ip, or none by a
// certificate as new, the grants of others that made room for it, and whether there is something to settle.
func (s *store) learn(ip netip.Prefix, id identity.Identity, limits limits, now clocks.Reading) (g *grant, news bool, evicted []*grant, unsettled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	o := s.list.prove(ip, id, limits, now.Mono)
	if o.first {
		s.counts.learned++
	} else {
		s.counts.renewed++
	}
	if o.isNews() {
		s.forgetMissesLocked()
	}
	unsettled = s.changedLocked(o, "", now.Mono)
	evicted = s.evictedLocked(o.evicted)
	return o.grant, o.newer, evicted, unsettled
}

// changedLocked hands the outcome of a change to the observers but the one that it comes from, and reports whether it is
// more than a mere renewal.
func (s *store) changedLocked(o outcome, from string, now clocks.Moment) bool {
	major := len(o.evicted) > 0
	if g := o.grant; g != nil && g.expires != ended {
		renewed := now-clocks.Moment(g.saved)*time.Second < renewalInterval
		if !renewed && from != observerFile {
			g.saved = int32(now / time.Second) //nolint:gosec // seconds of a process: 68 years fit
			major = true
		}
		if s.isObservedLocked(from) {
			c := s.list.change(change.Granted, g)
			c.Minor = renewed
			s.handOnLocked(c, from)
		}
	}
	for _, gone := range o.evicted {
		s.handOnLocked(s.list.change(change.Evicted, gone), "")
	}
	return major
}

// isObservedLocked reports whether there is an observer but the one with that name.
func (s *store) isObservedLocked(but string) bool {
	return len(s.observers) > 1 || len(s.observers) == 1 && s.observers[but] == nil
}

func (s *store) handOnLocked(c change.Change, from string) {
	for name, o := range s.observers {
		if name != from {
			o.Changed(c)
		}
	}
}

// evictedLocked counts grants that had to go, and returns what there is to tell of them: not of those that newer
// certificates of the same identity have replaced.
func (s *store) evictedLocked(gone []*grant) []*grant {
	evicted := []*grant{}
	for _, g := range gone {
		if len(g.address.grantsOf(g.identity.Name())) == 0 {
			evicted = append(evicted, g)
		}
	}
	evicted = perIdentity(evicted)
	s.counts.evicted += len(evicted)
	return evicted
}

// apply merges changes that were made elsewhere or before, by what one observer knows. It returns the grants that were made or
// renewed, some of which may have made room already, and how many changes are invalid.
func (s *store) apply(changes []change.Change, from string, terms terms, now clocks.Moment) (grants []*grant, invalid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list.removeExpired(now, change.PortionSize)
	applied := []*grant{} // not a named result: used in an expression in a loop, Yaegi 0.16 has it begin as it was
	refused := 0
	news := false
	observed := from != observerFile || s.isObservedLocked(from)
	for _, c := range changes {
		o, valid := merge(s.list, c, terms, now)
		if !valid {
			refused++
			continue
		}
		if o.ended != nil || o.buried {
			s.handOnLocked(o.change, from)
		}
		if observed {
			s.changedLocked(o, from, now)
		}
		news = news || o.isNews()
		if o.grant != nil {
			applied = append(applied, o.grant)
		}
		if from != observerFile {
			s.evictedLocked(o.evicted)
		}
	}
	if news {
		s.forgetMissesLocked()
	}
	return applied, refused
}

// revoke ends the grants of the addresses in ips and of the identity with that name, and returns them. The zero ips
// and the empty name stand for all.
func (s *store) revoke(ips netip.Prefix, name string, now clocks.Reading) []*grant {
	selected := s.selected(ips, name, now)
	revoked := []*grant{}
	change.Portions(len(selected), func(first, last int) {
		revoked = append(revoked, s.revokeGrants(selected[first:last], now.Mono)...)
	})
	shown := perIdentity(revoked)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.revoked += len(shown)
	return shown
}

func (s *store) selected(ips netip.Prefix, name string, now clocks.Reading) []*grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	s.list.removeExpired(now.Mono, 0)
	return s.list.selected(ips, name)
}

func (s *store) revokeGrants(grants []*grant, now clocks.Moment) []*grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	ttl := time.Duration(0)
	if s.terms.learner {
		ttl = s.terms.limits.ttl
	}
	revoked := []*grant{}
	for _, g := range grants {
		g = current(s.list, g)
		if g == nil {
			continue
		}
		c := s.list.revocation(g, ttl, now)
		o, _ := merge(s.list, c, s.terms, now)
		s.handOnLocked(o.change, "")
		revoked = append(revoked, g)
	}
	s.forgetMissesLocked()
	return revoked
}

// learnBy makes known how a learner learns. What came from elsewhere before there was any has to fit, too.
func (s *store) learnBy(terms terms, now clocks.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	first := !s.terms.learner
	s.terms = terms
	if first && s.list.Shared { // else nothing came from elsewhere but a state file, by the terms of its learner
		s.applyAgainLocked(now.Mono)
	}
}

// applyAgainLocked applies what the store holds once more, by other terms than before.
func (s *store) applyAgainLocked(now clocks.Moment) {
	changes := []change.Change{}
	for _, g := range append([]*grant{}, s.list.due...) {
		changes = append(changes, s.list.change(change.Granted, g))
		s.list.remove(g)
	}
	for _, g := range append([]*grant{}, s.list.tombstones.due...) {
		changes = append(changes, s.list.buried(g))
		s.list.tombstones.drop(g)
	}
	for _, c := range changes {
		o, _ := merge(s.list, c, s.terms, now)
		s.evictedLocked(o.evicted)
		for _, gone := range o.evicted {
			s.handOnLocked(s.list.change(change.Evicted, gone), "")
		}
	}
	s.forgetMissesLocked()
}

// limitIPs returns how many IPs the store may hold; 0 if it has no learner.
func (s *store) limitIPs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limitIPsLocked()
}

func (s *store) limitIPsLocked() int {
	if !s.terms.learner {
		return 0
	}
	return s.terms.limits.maxIPs
}
