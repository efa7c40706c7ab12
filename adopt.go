package mtlsallowlist

import "github.com/mtlsallowlist/mtlsallowlist/internal/clientip"

// maxAhead is how far in the future a proof may be, in milliseconds: another replica may have noticed first that Redis's clock
// was set ahead.
const maxAhead = 24 * 60 * 60 * 1000

// adopt takes over what another replica knows at now, and returns how many entries made no sense.
func (s *store) adopt(entries []entry, now moment) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := s.sharing.at(now)
	latest := newest + maxAhead
	for _, e := range entries {
		if e.kind == entryGrant && e.proved > newest && e.proved <= latest {
			newest = e.proved
		}
	}
	if by := newest - s.sharing.at(now); by > near {
		s.forwardLocked(by) // what has happened isn't in the future
	}
	s.list.removeExpired(now)
	changed := false
	skipped := 0 // not a named result: used in an expression in a loop, Yaegi 0.16 has it begin as it was
	for _, e := range entries {
		if e.kind == entryGrant && (e.stamp > latest || e.proved > latest) {
			skipped++
			continue
		}
		if s.adoptLocked(e, now) {
			changed = true
		}
	}
	if changed {
		s.changedLocked()
	}
	return skipped
}

func (s *store) adoptLocked(e entry, now moment) (changed bool) {
	about := e.member()
	var g *grant
	if a := s.list.addresses[e.ip]; a != nil {
		g = a.grantOf(e.identity)
	}
	if e.kind != entryGrant && e.stamp > s.sharing.at(now)+maxAhead {
		e.stamp = s.sharing.at(now) // it ends the grant all the same, and isn't to end those of later proofs
		if g != nil && e.stamp < g.stamp {
			e.stamp = g.stamp
		}
	}
	gone, wasRevoked := s.sharing.tombstones.of(about)
	if wasRevoked && !e.outweighs(gone) {
		return false
	}
	if g != nil && !e.outweighs(s.sharing.entry(entryGrant, g)) {
		return false
	}
	if e.kind == entryRevoked {
		s.buryLocked(e, now)
	}
	if e.kind != entryGrant {
		if g != nil {
			s.list.remove(g)
		}
		return g != nil || e.kind == entryRevoked // a state file has to have it
	}
	proved := s.sharing.moment(e.proved)
	if proved > now {
		proved = now
	}
	expires := s.sharing.moment(e.expires)
	if latest := proved + s.terms.limits.ttl; expires > latest {
		expires = latest
	}
	if expires <= now || clientip.CheckLearnable(e.ip.Addr(), s.terms.allowPrivate) != nil {
		return false
	}
	s.sharing.tombstones.remove(about)
	made := s.list.made
	fresh := &grant{identity: e.identity, learned: s.sharing.moment(e.learned), proved: proved, expires: expires, stamp: e.stamp}
	evicted := s.list.put(e.ip, fresh, s.terms.limits)
	s.evictedLocked(evicted)
	for _, g := range evicted {
		s.sharing.tell(s.sharing.entry(entryEvicted, g))
	}
	return s.list.made != made || len(evicted) > 0
}

// adoptAgainLocked takes over what the store holds once more, by other terms than before.
func (s *store) adoptAgainLocked(now moment) {
	entries := []entry{}
	for _, g := range append([]*grant{}, s.list.due...) {
		entries = append(entries, s.sharing.entry(entryGrant, g))
		s.list.remove(g)
	}
	for _, e := range entries {
		s.adoptLocked(e, now)
	}
	for _, e := range s.sharing.tombstones.all() {
		s.buryLocked(e, now)
	}
	s.changedLocked()
}

// restoredLocked dates a grant from a state file, if others already are, and reports whether it holds.
func (s *store) restoredLocked(g *grant) bool {
	if !s.sharing.timed {
		return true
	}
	if !s.dateLocked(g) {
		return false
	}
	s.list.order(g)
	s.sharing.tell(s.sharing.entry(entryGrant, g))
	return true
}
