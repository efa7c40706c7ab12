package mtlsallowlist

import (
	"net/netip"
	"sync"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
)

// A store is a named allowlist that every middleware instance naming it shares.
// It is safe for concurrent use.
type store struct {
	name string

	mu      sync.Mutex // not an RWMutex: letting somebody in is counted, too
	wall    wallClock
	list    *allowlist
	nobody  *grant // stands for having no grant, until there is a new one
	terms   terms
	counts  *counts
	journal journal
	changes int        // how many there were that a state file has to have
	file    *stateFile // nil: none
	sharing *sharing
}

// terms are how the learner that was made last learns. What other replicas have learned is taken over likewise.
type terms struct {
	learner      bool // there was one
	limits       limits
	allowPrivate bool
}

// noTerms are those of a store without a learner.
var noTerms = terms{limits: limits{ttl: option.MaxDuration, maxIPs: maxShared}, allowPrivate: true}

// stores is the one piece of state of the package. It has to be package-level: Traefik makes new handlers
// at every reload, and what was learned must be there for them.
var stores = struct {
	mu      sync.Mutex
	byName  map[string]*store
	files   map[string]*stateFile // by path
	sharers map[string][]sharer   // by the name of the store

	linking sync.Mutex       // held for a moment only, since learners wait for it
	links   map[string]*link // by the name of the store
	linkID  int              // the last
}{byName: map[string]*store{}, files: map[string]*stateFile{}, sharers: map[string][]sharer{}, links: map[string]*link{}}

func newStore(name string) *store {
	return &store{name: name, list: newAllowlist(), nobody: newNobody(), counts: newCounts(), journal: newJournal(), sharing: newSharing(), terms: noTerms}
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

// notice takes note of what the clocks show. After a step of the wall clock all grants are older by as much, and who
// remembers something asks again.
func (s *store) notice(now reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
}

func (s *store) noticeLocked(now reading) {
	forward, stepped := s.wall.step(now)
	if !stepped {
		return
	}
	s.list.age(forward)
	s.sharing.aged += forward
	s.changedLocked()
}

// find returns a grant that an identity that who matches holds for ip at now, or else nobody: whoever has no grant has
// none as long as that expires at unknown. The caller must have the store's lock to look.
func (s *store) find(ip netip.Prefix, who identity.Patterns, now reading) (g *grant, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	g = s.list.find(ip, who, now.mono)
	if g == nil {
		return s.nobody, false
	}
	return g, true
}

// learn records a proof. It returns the grant, whether to tell of it, since the identity had none for ip, or none by a
// certificate as new, and the grants of others that made room for it.
func (s *store) learn(ip netip.Prefix, id identity.Identity, limits limits, now reading) (g *grant, news bool, evicted []*grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	made := s.list.made
	before := s.list.stampOf(ip, id)
	g, learned, newer, gone := s.list.add(ip, id, limits, now.mono)
	if learned {
		s.counts.learned++
	} else {
		s.counts.renewed++
	}
	evicted = s.evictedLocked(gone)
	s.shareLocked(g, before, gone)
	if s.list.made != made || len(gone) > 0 {
		s.changedLocked()
	}
	news = learned || newer
	return g, news, evicted
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

// changedLocked takes note that grants came or went.
func (s *store) changedLocked() {
	s.changes++
	s.nobody.expires = over
	s.nobody = newNobody()
}

// revoke ends the grants of the addresses in ips and of the identity with that name, and returns them. The zero ips
// and the empty name stand for all.
func (s *store) revoke(ips netip.Prefix, name string, now reading) []*grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	s.list.removeExpired(now.mono)
	revoked := s.list.selected(ips, name)
	for _, g := range revoked {
		s.revokedLocked(g, now.mono)
		s.list.remove(g)
	}
	if len(revoked) > 0 {
		s.changedLocked()
	}
	shown := perIdentity(revoked)
	s.counts.revoked += len(shown)
	return shown
}

// admitted counts a request that was let in.
func (s *store) admitted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.admitted++
}

// rejected counts a request that was rejected.
func (s *store) rejected(why error) {
	n := s.rejections(why)
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// rejections returns the count of requests rejected for a reason, which the store's lock guards.
func (s *store) rejections(why error) *int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts.rejections(why.Error())
}

// learnBy makes known how a learner learns. What was taken over before there was any has to fit, too.
func (s *store) learnBy(terms terms, now reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noticeLocked(now)
	first := !s.terms.learner
	s.terms = terms
	if first && s.sharing.timed {
		s.adoptAgainLocked(now.mono)
	}
}

// limitIPs returns how many IPs the store may hold; 0 if nobody learns for it.
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

// holds reports whether there is a grant for ip at now.
func (s *store) holds(ip netip.Prefix, now reading) bool {
	_, found := s.find(ip, nil, now)
	return found
}

// lastEvents returns what happened last, the oldest first.
func (s *store) lastEvents() []event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]event{}, s.journal.events...)
}

// keepIn makes f the file that keeps the store.
func (s *store) keepIn(f *stateFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = f
}

// stateFile returns the file that keeps the store; nil if there is none.
func (s *store) stateFile() *stateFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file
}

// note reports whether matter should be told: it should if it hasn't been within noteInterval.
// Matters must be few and fixed, not made of what clients send.
func (s *store) note(matter string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.note(matter, now)
}

// record keeps an event for the status page.
func (s *store) record(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal.record(e)
}
