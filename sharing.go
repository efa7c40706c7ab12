package mtlsallowlist

import "time"

// maxShared is how many IPs a store takes over from other replicas if it has no learner, whose maxIPs it would go by.
const maxShared = 100_000

// near is how far apart, in milliseconds, measurements of Redis's clock may be that are taken for the same, besides what
// the network takes.
const near = 50

// chunk is how many entries the store takes over, or hands out, at once: so long it lets nobody in.
const chunk = 50

// maxPending is how many entries wait for Redis at most. Who has more tells it all again, later.
const maxPending = 10_000

// A sharing is what a store needs in order to be kept in step with those of other replicas. It is guarded by the store's
// lock.
//
// The replicas count time by one clock: Redis's, which never goes back. When Redis's clock is set back, they go on as before,
// and note in Redis how far they are ahead of it; when it is set ahead, or one of them has slept, grants are older by as
// much.
type sharing struct {
	on         bool          // whether somebody shares the store
	timed      bool          // whether ahead is known
	ahead      int64         // how far the replicas' clock is ahead of the milliseconds of moments
	aged       time.Duration // how much older grants have become by the wall clock since Redis was last asked for the time
	tombstones *tombstones
	by         int              // the link for which changes go to pending; 0: they don't
	pending    map[string]entry // what Redis is to be told, by member
	overflown  bool             // there was more than may be pending
	told       int              // how many changes have gone to pending
}

func newSharing() *sharing {
	return &sharing{tombstones: newTombstones(), pending: map[string]entry{}}
}

// at returns a moment by the replicas' clock, rounded up.
func (s *sharing) at(m moment) int64 {
	n := s.until(m)
	if m%time.Millisecond != 0 {
		n++
	}
	return n
}

// until returns a moment by the replicas' clock, rounded down: no grant lasts longer elsewhere.
func (s *sharing) until(m moment) int64 {
	n := int64(m / time.Millisecond)
	if m%time.Millisecond < 0 {
		n--
	}
	return n + s.ahead
}

// moment returns the moment of a time by the replicas' clock.
func (s *sharing) moment(at int64) moment {
	return moment(at-s.ahead) * time.Millisecond
}

// stamp puts the last proof of a grant after all that is known of it, its stamp before among that, and after the grants
// that made room for it, whichever clocks those went by.
func (s *sharing) stamp(g *grant, before int64, evicted []*grant) {
	at := s.at(g.proved)
	if at <= before {
		at = before + 1
	}
	for _, gone := range evicted {
		if at <= gone.stamp {
			at = gone.stamp + 1
		}
	}
	about := member(g.address.ip, g.identity)
	gone, ok := s.tombstones.of(about)
	if ok && at <= gone.stamp {
		at = gone.stamp + 1
	}
	s.tombstones.remove(about)
	g.stamp = at
}

// entry returns what there is to tell of a grant.
func (s *sharing) entry(kind byte, g *grant) entry {
	e := entry{kind: kind, ip: g.address.ip, identity: g.identity, learned: s.at(g.learned), stamp: g.stamp, proved: s.at(g.proved), expires: g.stamp}
	if kind != entryEvicted { // which has been removed, and matters at once or never
		e.expires = s.until(g.expires)
	}
	return e
}

func (s *sharing) tell(e entry) {
	if s.by == 0 {
		return
	}
	s.told++
	if len(s.pending) >= maxPending {
		s.by = 0
		s.pending = map[string]entry{}
		s.overflown = true
		return
	}
	s.pending[e.member()] = e
}

// shareLocked puts a proof on the way to other replicas, and the grants that made room for it. The grant's stamp was another
// one before.
func (s *store) shareLocked(g *grant, before int64, evicted []*grant) {
	if !s.sharing.on {
		return
	}
	if !s.sharing.timed {
		s.sharing.tombstones.remove(member(g.address.ip, g.identity)) // this proof is later
		return
	}
	s.sharing.stamp(g, before, evicted)
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

// timeBy compares the store's clock with what Redis's showed at now, give or take slack milliseconds, and dates what wasn't.
// It returns how far Redis's clock is behind: then it was set back.
func (s *store) timeBy(redis int64, now moment, slack int64) (behind int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sharing.timed {
		s.startLocked(redis - int64(now/time.Millisecond))
		return 0
	}
	behind = s.sharing.at(now) - redis
	if behind < -slack {
		s.forwardLocked(-behind)
	}
	s.sharing.aged = 0
	if behind > slack {
		return behind
	}
	return 0
}

// startLocked sets the clock for the first time.
func (s *store) startLocked(ahead int64) {
	s.sharing.timed = true
	s.list.stamped = s.sharing.on
	s.sharing.ahead = ahead
	s.sharing.aged = 0
	s.sharing.tombstones.shift(ahead)
	for _, g := range append([]*grant{}, s.list.due...) {
		s.dateLocked(g)
	}
	s.list.sort()
}

// forwardLocked sets the clock ahead: so much more time has passed than went by here. Grants are older by as much, unless
// the wall clock has said so already.
func (s *store) forwardLocked(by int64) {
	s.sharing.ahead += by
	older := time.Duration(by)*time.Millisecond - s.sharing.aged
	s.sharing.aged = 0
	if older > 0 {
		s.list.age(older)
		s.changedLocked()
	}
}

// dateLocked stamps a grant that other replicas don't know, and reports whether it still holds: it may have been revoked
// since it was proved.
func (s *store) dateLocked(g *grant) bool {
	at := s.sharing.at(g.proved)
	gone, ok := s.sharing.tombstones.of(member(g.address.ip, g.identity))
	if ok && gone.stamp >= at {
		s.list.remove(g)
		s.changedLocked()
		return false
	}
	g.stamp = at
	return true
}
