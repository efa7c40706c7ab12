package mtlsallowlist

import (
	"errors"
	"net/netip"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// revocation returns the end of a grant that still holds at now. It matters as long as a proof from before could, by a
// lifetime of ttl or of its own.
func (s *sharing) revocation(g *grant, ttl time.Duration, now moment) entry {
	e := s.entry(entryRevoked, g)
	e.stamp = s.at(now)
	if e.stamp < g.stamp {
		e.stamp = g.stamp
	}
	if own := g.expires - g.proved; own > ttl {
		ttl = own
	}
	e.expires = e.stamp + int64(ttl/time.Millisecond)
	return e
}

// revokedLocked puts a revocation on the way to other replicas, before the grant is removed.
func (s *store) revokedLocked(g *grant, now moment) {
	if !s.sharing.on {
		return
	}
	ttl := time.Duration(0)
	if s.terms.learner {
		ttl = s.terms.limits.ttl
	}
	e := s.sharing.revocation(g, ttl, now)
	s.buryLocked(e, now)
	s.sharing.tell(e)
}

// buryLocked remembers a revocation, no longer than a grant of now could last, and no more of them than there may be grants.
// It returns what it remembers.
func (s *store) buryLocked(e entry, now moment) entry {
	at := s.sharing.until(now)
	if latest := at + int64(s.terms.limits.ttl/time.Millisecond); e.expires > latest {
		e.expires = latest
	}
	s.sharing.tombstones.removeExpired(at)
	if e.expires > at {
		s.sharing.tombstones.put(e, s.terms.limits.maxTombstones())
	}
	return e
}

// A savedRevocation is one as it stands in a state file: a replica that hasn't heard of it may know the grant yet.
type savedRevocation struct {
	IP      string    `json:"ip"`    // a prefix
	Names   []string  `json:"names"` // of the identity, the canonical one first
	Revoked time.Time `json:"revoked"`
	Expires time.Time `json:"expires"`
}

func (r savedRevocation) check() error {
	if err := checkSaved(r.IP, r.Names); err != nil {
		return err
	}
	if !isDated(r.Revoked) || !isDated(r.Expires) {
		return errors.New("want the times revoked and expires, before the year 5138")
	}
	return nil
}

// revocations returns those that matter at now.
func (s *store) revocations(now reading) []savedRevocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sharing.tombstones.removeExpired(s.sharing.until(now.mono))
	saved := []savedRevocation{}
	for _, e := range s.sharing.tombstones.all() {
		saved = append(saved, savedRevocation{
			IP: e.ip.String(), Names: e.identity.Names,
			Revoked: now.timeOf(s.sharing.moment(e.stamp)).UTC(), Expires: now.timeOf(s.sharing.moment(e.expires)).UTC(),
		})
	}
	return saved
}

// restoreRevoked puts saved revocations back, but for those after which there was a proof.
func (s *store) restoreRevoked(saved []savedRevocation, now reading) {
	now = s.right(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range saved {
		e := entry{kind: entryRevoked, ip: netip.MustParsePrefix(r.IP), identity: identity.Identity{Names: r.Names}}
		e.stamp = s.sharing.at(now.pastMomentOf(r.Revoked))
		e.proved = e.stamp
		e.learned = e.stamp
		e.expires = s.sharing.at(now.momentOf(r.Expires))
		a := s.list.addresses[e.ip]
		proved := a != nil && a.grantOf(e.identity) != nil
		later, isKnown := s.sharing.tombstones.of(e.member())
		if e.expires > s.sharing.until(now.mono) && !proved && (!isKnown || e.stamp > later.stamp) {
			s.sharing.tell(s.buryLocked(e, now.mono))
		}
	}
}
