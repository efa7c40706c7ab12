package mtlsallowlist

import (
	"container/heap"
	"container/list"
	"net/netip"
	"slices"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// maxGrantsPerIP bounds how many identities may hold a grant for one IP: an office behind one address fits,
// and a flood of certificates from one address can't fill the memory.
const maxGrantsPerIP = 100

// maxCertificates bounds how many certificates of one identity hold a grant for one IP: a few devices of one name fit, and
// certificates that are renewed every hour don't pile up.
const maxCertificates = 4

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

// An allowlist is a bounded set of grants. It is not safe for concurrent use, and takes the time from
// its caller. Expired grants let nobody in from the moment they expire, and are removed with the next add.
type allowlist struct {
	addresses  map[netip.Prefix]*address
	recency    *list.List            // of *address, the least recently proved first
	identities map[string]*list.List // of *address by identity name, the least recently proved first; nil: not indexed
	placed     *list.Element         // in recency: that of the address that was put in order last; nil: it is gone
	due        dueGrants
	made       int  // how many grants were ever made
	claims     int  // how many there are, those of an identity for an address counted as one
	stamped    bool // whether grants have stamps
}

func newAllowlist() *allowlist {
	return &allowlist{
		addresses: map[netip.Prefix]*address{},
		recency:   list.New(),
	}
}

// find returns a grant that an identity that who matches holds for ip at now; nil if there is none.
func (l *allowlist) find(ip netip.Prefix, who identity.Patterns, now moment) *grant {
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

// add records that id gave its proof at ip. It returns the grant, whether the identity had none for ip, or none by a
// certificate as new, and the grants that had to go because of the limits.
func (l *allowlist) add(ip netip.Prefix, id identity.Identity, limits limits, now moment) (g *grant, learned, newer bool, evicted []*grant) {
	l.removeExpired(now)
	a := l.addressFor(ip, limits)
	g = a.grantOf(id)
	if g == nil {
		others := a.grantsOf(id.Name())
		learned = len(others) == 0
		newer = true
		for _, other := range others {
			newer = newer && id.Issued > other.identity.Issued
		}
		g = &grant{address: a, identity: id, learned: now}
		l.insert(g, now+limits.ttl)
	}
	g.identity.Issued = id.Issued // a state file doesn't tell it
	if !l.renew(g, limits, now) {
		evicted = l.evict(a, g, limits)
	}
	return g, learned, newer, evicted
}

// addressFor returns the address with that IP, which may be new, for a grant by those limits.
func (l *allowlist) addressFor(ip netip.Prefix, limits limits) *address {
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

func (l *allowlist) insert(g *grant, due moment) {
	if len(g.address.grantsOf(g.identity.Name())) == 0 {
		l.claims++
	}
	g.address.grants = append(g.address.grants, g)
	if l.identities != nil {
		l.index(g)
	}
	g.due = due
	heap.Push(&l.due, g)
	l.made++
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
			old.expires = over
		}
	}
}

// renew makes g the grant that was proved last, and reports whether there is nothing to evict.
func (l *allowlist) renew(g *grant, limits limits, now moment) bool {
	l.recency.MoveToBack(g.address.recency)
	if g.own != nil {
		g.own.MoveToBack(g.byIdentity)
	}
	if l.stamped {
		g.stamp = maxStamp // it is the last; whoever calls dates it
	}
	g.proved = now
	g.expires = now + limits.ttl
	if g.expires < g.due {
		g.due = g.expires
		heap.Fix(&l.due, g.position)
	}
	return len(l.addresses) <= limits.maxIPs && len(g.address.grants) <= maxCertificates &&
		(limits.maxIPsPerIdentity == 0 || g.own.Len() <= limits.maxIPsPerIdentity)
}

// evict removes the least recently proved grants beyond the limits, but never proved, the one of this moment.
func (l *allowlist) evict(a *address, proved *grant, limits limits) (evicted []*grant) {
	if own := a.grantsOf(proved.identity.Name()); len(own) > maxCertificates {
		evicted = append(evicted, l.removed(earliest(own, proved)))
	}
	if len(a.grants) > maxGrantsPerIP {
		evicted = append(evicted, l.removed(earliest(a.grants, proved)))
	}
	for limits.maxIPsPerIdentity > 0 && proved.own.Len() > limits.maxIPsPerIdentity {
		oldest := proved.own.Front().Value.(*address)
		for _, g := range oldest.grantsOf(proved.identity.Name()) {
			evicted = append(evicted, l.removed(g))
		}
	}
	for l.recency.Len() > limits.maxIPs {
		oldest := l.recency.Front().Value.(*address)
		for len(oldest.grants) > 0 {
			evicted = append(evicted, l.removed(oldest.grants[0]))
		}
	}
	return evicted
}

func (l *allowlist) remove(g *grant) {
	g.expires = over
	a := g.address
	kept := a.grants[:0]
	for _, other := range a.grants {
		if other != g {
			kept = append(kept, other)
		}
	}
	a.grants[len(kept)] = nil
	a.grants = kept
	heap.Remove(&l.due, g.position)
	if len(kept) == 0 {
		l.recency.Remove(a.recency)
		delete(l.addresses, a.ip)
		if l.placed == a.recency {
			l.placed = nil
		}
	} else if g.stamp != 0 && latest(kept).provedBefore(g) {
		l.orderAddress(a) // as if g had never been: other replicas may not have heard of it
	}
	own := a.grantsOf(g.identity.Name())
	if len(own) == 0 {
		l.claims--
	}
	if g.own == nil {
		return
	}
	if len(own) > 0 {
		if g.stamp != 0 && latest(own).provedBefore(g) {
			l.orderOwn(own[0])
		}
		return
	}
	g.own.Remove(g.byIdentity)
	if g.own.Len() == 0 {
		delete(l.identities, g.identity.Name())
	}
}

func (l *allowlist) removed(g *grant) *grant {
	l.remove(g)
	return g
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

// restore puts back a grant for ip, which was proved before all that are here, and reports whether it could: it must
// not have expired, nor be here already, and nothing makes room for it.
func (l *allowlist) restore(ip netip.Prefix, g *grant, limits limits, now moment) bool {
	if limits.maxIPsPerIdentity > 0 && l.identities == nil {
		l.indexIdentities()
	}
	name := g.identity.Name()
	a := l.addresses[ip]
	own := l.identities[name]
	others := 0
	if a != nil {
		others = len(a.grantsOf(name))
	}
	switch {
	case g.expires <= now:
		return false
	case a == nil && len(l.addresses) >= limits.maxIPs:
		return false
	case a != nil && (len(a.grants) >= maxGrantsPerIP || others >= maxCertificates || a.grantOf(g.identity) != nil):
		return false
	case limits.maxIPsPerIdentity > 0 && others == 0 && own != nil && own.Len() >= limits.maxIPsPerIdentity:
		return false
	}
	if a == nil {
		a = &address{ip: ip}
		a.recency = l.recency.PushFront(a)
		l.addresses[ip] = a
	}
	g.address = a
	l.insert(g, g.expires)
	if g.own != nil && others == 0 {
		g.own.MoveToFront(g.byIdentity)
	}
	return true
}

// removeExpired removes the grants that have expired at now. A renewal doesn't move its grant in the
// heap; a grant that falls due before it expires is put back for then, at most once per lifetime.
func (l *allowlist) removeExpired(now moment) {
	for len(l.due) > 0 && l.due[0].due <= now {
		g := l.due[0]
		if now < g.expires {
			g.due = g.expires
			heap.Fix(&l.due, 0)
		} else {
			l.remove(g)
		}
	}
}
