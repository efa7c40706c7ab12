package mtlsallowlist

import (
	"errors"
	"net/netip"
	"time"
)

// revocation returns the end of a grant that still holds at now. It matters as long as a proof from before could, by a
// lifetime of ttl or of its own.
func (s *sharing) revocation(g *grant, ttl time.Duration, now moment) entry {
	e := s.entry(entryRevoked, g)
	e.stamp = s.at(now)
	if e.stamp < g.stamp {
		e.stamp = g.stamp
	}
	if own := g.expires - g.proved; own > ttl { // it may be less than nothing, if Redis's clock was set back
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
	for about, e := range s.sharing.revoked {
		if e.expires <= s.sharing.at(now) {
			delete(s.sharing.revoked, about)
		}
	}
	ttl := time.Duration(0)
	if s.terms.learner {
		ttl = s.terms.limits.ttl
	}
	e := s.sharing.revocation(g, ttl, now)
	s.sharing.revoked[e.member()] = e
	s.sharing.tell(e)
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
	if r.Revoked.IsZero() || r.Expires.IsZero() {
		return errors.New("want the times revoked and expires")
	}
	return nil
}

// revocations returns those that matter at now.
func (s *store) revocations(now time.Time) []savedRevocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.Sub(epoch)
	saved := []savedRevocation{}
	for _, e := range s.sharing.revoked {
		ends := s.sharing.moment(e.expires)
		if ends > at {
			saved = append(saved, savedRevocation{
				IP: e.ip.String(), Names: e.identity.names,
				Revoked: now.Add(s.sharing.moment(e.stamp) - at).UTC(), Expires: now.Add(ends - at).UTC(),
			})
		}
	}
	return saved
}

// restoreRevoked puts saved revocations back, but for those after which there was a proof.
func (s *store) restoreRevoked(saved []savedRevocation, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.Sub(epoch)
	for _, r := range saved {
		e := entry{kind: entryRevoked, ip: netip.MustParsePrefix(r.IP), identity: identity{names: r.Names}}
		e.stamp = s.sharing.at(at - within(now.Sub(r.Revoked), maxTTL))
		e.learned = e.stamp
		e.expires = s.sharing.at(at + within(r.Expires.Sub(now), maxTTL))
		a := s.list.addresses[e.ip]
		proved := a != nil && a.grantOf(e.identity.name()) != nil
		later, isKnown := s.sharing.revoked[e.member()]
		if r.Expires.After(now) && !proved && (!isKnown || e.stamp > later.stamp) {
			s.sharing.revoked[e.member()] = e
			s.sharing.tell(e)
		}
	}
}
