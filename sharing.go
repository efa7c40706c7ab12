package mtlsallowlist

import "time"

// maxShared is how many IPs a store takes over from other replicas if it has no learner, whose maxIPs it would go by.
const maxShared = 100_000

// near is how far apart, in milliseconds, measurements of Redis's clock may be that are taken for the same.
const near = 50

// chunk is how many entries the store takes over, or hands out, at once: so long it lets nobody in.
const chunk = 50

// A sharing is what a store needs in order to be kept in step with those of other replicas. It is guarded by the store's
// lock.
type sharing struct {
	on      bool             // whether somebody shares the store
	timed   bool             // whether ahead is known
	ahead   int64            // how far Redis's clock is ahead of the milliseconds of moments
	revoked map[string]entry // revocations that other replicas may not have heard of, by member
	by      int              // the link for which changes go to pending; 0: they don't
	pending map[string]entry // what Redis is to be told, by member
	told    int              // how many changes have gone to pending
}

func newSharing() *sharing {
	return &sharing{revoked: map[string]entry{}, pending: map[string]entry{}}
}

// at returns a moment by Redis's clock, rounded up.
func (s *sharing) at(m moment) int64 {
	n := int64(m / time.Millisecond)
	if m%time.Millisecond > 0 {
		n++
	}
	return n + s.ahead
}

// moment returns the moment of a time by Redis's clock.
func (s *sharing) moment(at int64) moment {
	return moment(at-s.ahead) * time.Millisecond
}

// stamp dates the last proof of a grant: after all that is known of it, whatever becomes of Redis's clock, and after the
// grants that made room for it.
func (s *sharing) stamp(g *grant, evicted []*grant) {
	at := s.at(g.proved)
	if at <= g.stamp {
		at = g.stamp + 1
	}
	for _, gone := range evicted {
		if at <= gone.stamp {
			at = gone.stamp + 1
		}
	}
	about := member(g.address.ip, g.identity.name())
	gone, ok := s.revoked[about]
	if ok && at <= gone.stamp {
		at = gone.stamp + 1
	}
	delete(s.revoked, about)
	s.date(g, at)
}

// date has all replicas count the lifetime of a grant from the same moment.
func (s *sharing) date(g *grant, at int64) {
	proved := s.moment(at)
	g.expires += proved - g.proved
	g.proved = proved
	g.stamp = at
}

// entry returns what there is to tell of a grant.
func (s *sharing) entry(kind byte, g *grant) entry {
	e := entry{kind: kind, ip: g.address.ip, identity: g.identity, learned: s.at(g.learned), stamp: g.stamp, expires: g.stamp}
	if kind != entryEvicted { // which has been removed, and matters at once or never
		e.expires = s.at(g.expires)
	}
	return e
}

func (s *sharing) tell(e entry) {
	if s.by != 0 {
		s.pending[e.member()] = e
		s.told++
	}
}

// shareLocked puts a proof on the way to other replicas, and the grants that made room for it.
func (s *store) shareLocked(g *grant, evicted []*grant) {
	if !s.sharing.on {
		return
	}
	if !s.sharing.timed {
		delete(s.sharing.revoked, member(g.address.ip, g.identity.name())) // this proof is later
		return
	}
	s.sharing.stamp(g, evicted)
	s.list.order(g)
	s.sharing.tell(s.sharing.entry(entryGrant, g))
	for _, gone := range evicted {
		s.sharing.tell(s.sharing.entry(entryEvicted, gone))
	}
}

// share begins to keep account of what other replicas have to know. It doesn't end with the option: a revoked grant isn't
// to come back with it.
func (s *store) share() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sharing.on = true
}

// timeBy sets the clock by what Redis's showed at now, and dates what wasn't.
func (s *store) timeBy(redis int64, now moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ahead := redis - int64(now/time.Millisecond)
	if off := ahead - s.sharing.ahead; s.sharing.timed && off >= -near && off <= near {
		return // a difference as answers come sooner or later
	}
	first := !s.sharing.timed
	if first {
		for about, e := range s.sharing.revoked {
			e.stamp += ahead
			e.expires += ahead
			e.learned += ahead
			s.sharing.revoked[about] = e
		}
	}
	s.sharing.timed = true
	s.sharing.ahead = ahead
	for _, g := range append([]*grant{}, s.list.due...) {
		if first {
			s.dateLocked(g)
		} else {
			g.proved = s.sharing.moment(g.stamp) // by which grants are in order; they expire as was said
		}
	}
	if first {
		s.list.sort()
	}
}

// dateLocked dates a grant that other replicas don't know, and reports whether it still holds: it may have been revoked
// since it was proved.
func (s *store) dateLocked(g *grant) bool {
	at := s.sharing.at(g.proved)
	gone, ok := s.sharing.revoked[member(g.address.ip, g.identity.name())]
	if ok && gone.stamp >= at {
		s.list.remove(g)
		s.changedLocked()
		return false
	}
	s.sharing.date(g, at)
	return true
}
