package mtlsallowlist

import (
	"container/heap"
	"container/list"
	"net/netip"
	"slices"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
)

// maxGrantsPerIP bounds how many identities may hold a grant for one IP: an office behind one address fits,
// and a flood of certificates from one address can't fill the memory.
const maxGrantsPerIP = 100

// maxCertificates bounds how many certificates of one identity hold a grant for one IP: a few devices of one name fit, and
// certificates that are renewed every hour don't pile up.
const maxCertificates = 4

// maxShared is how many IPs a store takes over from other replicas if it has no learner, whose maxIPs it would go by.
const maxShared = 100_000

// limits are those of the learner that takes a proof.
type limits struct {
	ttl               time.Duration // how long a grant lasts after its last proof
	maxIPs            int           // at least 1
	maxIPsPerIdentity int           // 0: no limit of its own
}

// maxTombstones returns how many revocations are remembered: as many as there may be grants, but not beyond maxShared
// unless there may be so many IPs.
func (l limits) maxTombstones() int {
	switch {
	case l.maxIPs > maxShared:
		return l.maxIPs
	case l.maxIPs*maxGrantsPerIP > maxShared:
		return maxShared
	}
	return l.maxIPs * maxGrantsPerIP
}

// terms are how the learner that was made last learns. What comes from elsewhere is applied by them, too.
type terms struct {
	learner      bool // there was one
	limits       limits
	allowPrivate bool
	restoring    bool // grants keep the lifetime that they have: another learner of the store may have another one
}

// noTerms are those of a store without a learner.
var noTerms = terms{limits: limits{ttl: option.MaxDuration, maxIPs: maxShared}, allowPrivate: true}

// What each change passes are functions or method expressions: Yaegi 0.16 takes five times as long to call a method.

// An allowlist is a bounded set of grants and tombstones. It is not safe for concurrent use, and takes the time from its
// caller. A grant lets nobody in from the moment it expires. It is removed later, with a change or a look at all grants.
type allowlist struct {
	clocks.Timeline
	addresses  map[netip.Prefix]*address
	recency    *list.List            // of *address, the least recently proved first
	identities map[string]*list.List // of *address by identity name, the least recently proved first; nil: not indexed
	placed     *list.Element         // in recency: that of the address that was put in order last; nil: it is gone
	due        deadlines
	tombstones *tombstones
	claims     int // grants, those of an identity for an address counted as one
}

func newAllowlist() *allowlist {
	return &allowlist{
		Timeline:   clocks.NewTimeline(),
		addresses:  map[netip.Prefix]*address{},
		recency:    list.New(),
		tombstones: newTombstones(),
	}
}

// find returns a grant that an identity that who matches holds for ip at now; nil if there is none.
func (l *allowlist) find(ip netip.Prefix, who identity.Patterns, now clocks.Moment) *grant {
	a := l.addresses[ip]
	if a == nil {
		return nil
	}
	for _, g := range a.grants {
		if now < g.expires && (len(who) == 0 || who.Match(g.identity)) {
			return g
		}
	}
	return nil
}

// grantOf returns the grant of an identity, by the same certificate, for ip; nil if there is none.
func grantOf(l *allowlist, ip netip.Prefix, id identity.Identity) *grant {
	a := l.addresses[ip]
	if a == nil {
		return nil
	}
	return a.grantOf(id)
}

// addressFor returns the address with that IP, which may be new, for a grant by those limits.
func addressFor(l *allowlist, ip netip.Prefix, limits limits) *address {
	if limits.maxIPsPerIdentity > 0 && l.identities == nil {
		l.indexIdentities()
	}
	a := l.addresses[ip]
	if a == nil {
		a = &address{ip: ip}
		a.recency = l.recency.PushBack(a)
		l.addresses[ip] = a
	}
	return a
}

func insert(l *allowlist, g *grant) {
	if len(g.address.grants) == 0 || len(g.address.grantsOf(g.identity.Name())) == 0 {
		l.claims++
	}
	g.address.grants = append(g.address.grants, g)
	if l.identities != nil {
		l.index(g)
	}
	addDeadline(&l.due, g)
}

// evict removes the least recently proved grants beyond the limits, but never spared, and returns those that held at now. Only
// the address and the identity of g can have too many.
func (l *allowlist) evict(g, spared *grant, limits limits, now clocks.Moment) (evicted []*grant) {
	gone := []*grant{}
	a := g.address
	if own := a.grantsOf(g.identity.Name()); len(own) > maxCertificates {
		gone = append(gone, l.evicted(earliest(own, spared), now))
	}
	if len(a.grants) > maxGrantsPerIP {
		gone = append(gone, l.evicted(earliest(a.grants, spared), now))
	}
	for limits.maxIPsPerIdentity > 0 && g.own.Len() > limits.maxIPsPerIdentity {
		oldest := g.own.Front().Value.(*address)
		for _, other := range oldest.grantsOf(g.identity.Name()) {
			gone = append(gone, l.evicted(other, now))
		}
	}
	for l.recency.Len() > limits.maxIPs {
		oldest := l.recency.Front().Value.(*address)
		for len(oldest.grants) > 0 {
			gone = append(gone, l.evicted(oldest.grants[0], now))
		}
	}
	for _, g := range gone {
		if g != nil {
			evicted = append(evicted, g)
		}
	}
	return evicted
}

// evicted removes a grant, and returns it if it held at now.
func (l *allowlist) evicted(g *grant, now clocks.Moment) *grant {
	held := now < g.expires
	l.remove(g)
	if !held {
		return nil
	}
	return g
}

func (l *allowlist) remove(g *grant) {
	g.expires = ended
	a := g.address
	kept := a.grants[:0]
	for _, other := range a.grants {
		if other != g {
			kept = append(kept, other)
		}
	}
	a.grants[len(kept)] = nil
	a.grants = kept
	heap.Remove(&l.due, int(g.position))
	if len(kept) == 0 {
		l.recency.Remove(a.recency)
		delete(l.addresses, a.ip)
		if l.placed == a.recency {
			l.placed = nil
		}
	} else if g.stamp != 0 && provedBefore(latest(kept), g) {
		orderAddress(l, a) // as if g had never been: other replicas may not have heard of it
	}
	own := a.grantsOf(g.identity.Name())
	if len(own) == 0 {
		l.claims--
	}
	if g.own == nil {
		return
	}
	if len(own) > 0 {
		if g.stamp != 0 && provedBefore(latest(own), g) {
			l.orderOwn(own[0])
		}
		return
	}
	g.own.Remove(g.byIdentity)
	if g.own.Len() == 0 {
		delete(l.identities, g.identity.Name())
	}
}

// removeExpired removes the grants and tombstones that have expired at now, at most so many grants; 0: all. A renewal doesn't
// move its grant in the heap; a grant that falls due before it expires is put back for then, at most once per lifetime.
func (l *allowlist) removeExpired(now clocks.Moment, most int) {
	for n := 0; len(l.due) > 0 && l.due[0].due <= now && (most == 0 || n < most); n++ {
		g := l.due[0]
		if now < g.expires {
			g.due = g.expires
			heap.Fix(&l.due, 0)
		} else {
			l.remove(g)
		}
	}
	l.tombstones.removeExpired(now)
}

// age has all grants be older by d, and whoever remembers one, or a proof for it, ask again.
func (l *allowlist) age(d time.Duration) {
	for _, a := range l.addresses {
		for i, old := range a.grants {
			g := &grant{}
			*g = *old
			g.learned -= d
			g.proved -= d
			g.expires -= d
			g.due -= d
			a.grants[i] = g
			l.due[g.position] = g
			old.expires = ended
		}
	}
	l.tombstones.age(d)
}

// selected returns the grants of the addresses in ips and of the identity with that name among its names. The zero ips
// and the empty name stand for all.
func (l *allowlist) selected(ips netip.Prefix, name string) (selected []*grant) {
	for _, g := range l.due {
		if (!ips.IsValid() || ips.Overlaps(g.address.ip)) && (name == "" || slices.Contains(g.identity.Names, name)) {
			selected = append(selected, g)
		}
	}
	return selected
}
