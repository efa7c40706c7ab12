package mtlsallowlist

import (
	"net/netip"
	"sort"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/page"
	"github.com/mtlsallowlist/mtlsallowlist/internal/replica"
)

// Each calls visit with all grants and tombstones that hold at a time by the store's clock, in portions. What changes
// meanwhile may be in it or not; it is handed to the observers in any case.
func (s *store) Each(now int64, visit func(portion []change.Change)) {
	grants, tombstones := s.holding(s.moment(now))
	change.Portions(len(grants), func(first, last int) { visit(s.changesOf(grants[first:last], false)) })
	change.Portions(len(tombstones), func(first, last int) { visit(s.changesOf(tombstones[first:last], true)) })
}

// Alive returns how many grants and tombstones there are.
func (s *store) Alive() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list.due) + len(s.list.tombstones.due)
}

func (s *store) moment(at int64) clocks.Moment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list.Moment(at)
}

// holding returns the grants and tombstones that hold at now, in no order.
func (s *store) holding(now clocks.Moment) (grants, tombstones []*grant) {
	for s.sweep(now) {
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	grants = append(grants, s.list.due...)
	tombstones = append(tombstones, s.list.tombstones.due...)
	return grants, tombstones
}

// sweep removes a portion of what has expired, and reports whether there is more.
func (s *store) sweep(now clocks.Moment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list.removeExpired(now, change.PortionSize)
	return len(s.list.due) > 0 && s.list.due[0].due <= now
}

func (s *store) changesOf(grants []*grant, buried bool) []change.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := []change.Change{}
	for _, g := range grants {
		if buried {
			changes = append(changes, s.list.buried(g))
			continue
		}
		if g = current(s.list, g); g != nil {
			changes = append(changes, s.list.change(change.Granted, g))
		}
	}
	return changes
}

// current returns the grant that stands for g now, which may have aged; nil if there is none.
func current(l *allowlist, g *grant) *grant {
	if g.expires != ended {
		return g
	}
	return grantOf(l, g.address.ip, g.identity)
}

// counts are how often things happened to a store since Traefik started. They are guarded by the store's lock.
type counts struct {
	learned  int
	renewed  int
	evicted  int
	revoked  int
	admitted int             // requests that an enforcer let in
	rejected map[string]*int // requests, by the reason
	unsaved  int             // times that the state file could not be written
}

func newCounts() *counts {
	return &counts{rejected: map[string]*int{}}
}

// rejections returns the count of a reason, for the caller to add to. Reasons must be few and fixed.
func (c *counts) rejections(why string) *int {
	n := c.rejected[why]
	if n == nil {
		n = new(int)
		c.rejected[why] = n
	}
	return n
}

// admitted counts a request that was let in.
func (s *store) admitted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.admitted++
}

// rejected counts a request that was rejected.
func (s *store) rejected(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.counts.rejections(why.Error())++
}

// rejections returns the count of requests rejected for a reason, which the store's lock guards.
func (s *store) rejections(why error) *int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts.rejections(why.Error())
}

// unsaved counts that the state file could not be written.
func (s *store) unsaved() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.unsaved++
}

// figures returns what the store holds and has counted at now.
func (s *store) figures(now clocks.Reading) page.Figures {
	f := s.ownFigures(now)
	f.Replication = replicationView(s)
	return f
}

func (s *store) ownFigures(now clocks.Reading) page.Figures {
	for s.sweep(now.Mono) {
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	f := page.Figures{
		Store: s.name, Grants: s.list.claims, IPs: len(s.list.addresses), MaxIPs: s.limitIPsLocked(),
		Learned: c.learned, Renewed: c.renewed, Evicted: c.evicted, Revoked: c.revoked, Admitted: c.admitted, Unsaved: c.unsaved,
	}
	f.Rejected = map[string]int{}
	for why, n := range c.rejected {
		f.Rejected[why] = *n
	}
	return f
}

// survey returns what the status page shows of the store at now.
func (s *store) survey(now clocks.Reading) page.Store {
	v := page.Store{Name: s.name, MaxIPs: s.limitIPs(), Grants: s.claims(now), Events: s.lastEvents(), Replication: replicationView(s)}
	if file := stateFileOf(s); file != nil {
		v.StateFile = file.Path()
		v.StateFailure = file.Failure()
	}
	return v
}

func replicationView(s *store) *page.Replication {
	state := replicaState(s)
	if state == nil {
		return nil
	}
	return viewOf(*state)
}

func viewOf(s replica.State) *page.Replication {
	return &page.Replication{Synced: s.Synced, Since: s.Since, Failure: s.Failure, Failures: s.Failures, Invalid: s.Invalid}
}

// readingPause is how long whoever reads many grants leaves the processor to requests after each portion. Without it a status page
// of 10,000 grants that is read again and again doubles the 99th percentile of enforcers on two cores.
const readingPause = time.Millisecond

// claims returns what people see of the grants that hold at now, the one proved last first: those of an identity for an
// address as one, of the certificate that was proved last.
func (s *store) claims(now clocks.Reading) []page.Grant {
	grants, _ := s.holding(now.Mono)
	held := []grant{}
	change.Portions(len(grants), func(first, last int) {
		if first > 0 {
			time.Sleep(readingPause)
		}
		held = append(held, s.copies(grants[first:last])...)
	})
	sort.Slice(held, func(i, j int) bool {
		if held[i].proved != held[j].proved {
			return held[i].proved > held[j].proved
		}
		return lower(held[i].address.ip, held[j].address.ip)
	})
	places := map[claim]int{}
	claims := []page.Grant{}
	for _, one := range held {
		g := page.Grant{
			IP: one.address.ip, Identity: one.identity,
			Learned: now.TimeOf(one.learned), Proved: now.TimeOf(one.proved), Expires: now.TimeOf(one.expires),
		}
		about := claim{g.IP, g.Identity.Name()}
		at, found := places[about]
		if !found {
			places[about] = len(claims)
			claims = append(claims, g)
			continue
		}
		if g.Learned.Before(claims[at].Learned) {
			claims[at].Learned = g.Learned
		}
		if g.Expires.After(claims[at].Expires) {
			claims[at].Expires = g.Expires
		}
	}
	return claims
}

// A claim is what people see a grant as: an address, and an identity's name.
type claim struct {
	ip   netip.Prefix
	name string
}

// copies returns grants as they are, which takes the lock for a moment only.
func (s *store) copies(grants []*grant) []grant {
	copies := make([]grant, 0, len(grants))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range grants {
		if g = current(s.list, g); g != nil {
			copies = append(copies, *g)
		}
	}
	return copies
}
