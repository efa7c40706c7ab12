package mtlsallowlist

import (
	"container/heap"
	"container/list"
	"net/netip"
	"time"
)

// maxGrantsPerIP bounds how many identities may hold a grant for one IP: an office behind one address fits,
// and a flood of certificates from one address can't fill the memory.
const maxGrantsPerIP = 100

// Moments are nanoseconds since 1970, as of time.Time's UnixNano: Yaegi compares two numbers in a tenth of the time
// that a call of time.Time's Before takes.
type moment = int64

// A grant is one identity's claim that one IP prefix may come in, until it expires.
type grant struct {
	address  *address
	identity identity
	learned  moment // when the identity was first seen here
	proved   moment // when it last gave its proof
	expires  moment // the first moment at which the grant no longer holds; 0 if it was removed

	due        moment        // when to look whether the grant has expired; never after expires
	position   int           // in allowlist.due
	byIdentity *list.Element // in allowlist.identities
}

// An address is an IP prefix with the grants that identities hold for it.
type address struct {
	ip      netip.Prefix
	grants  []*grant      // one for each identity
	recency *list.Element // in allowlist.recency
}

// limits are those of the learner that takes a proof.
type limits struct {
	ttl               time.Duration // how long a grant lasts after its last proof
	maxIPs            int           // at least 1
	maxIPsPerIdentity int           // 0: no limit of its own
}

// An allowlist is a bounded set of grants. It is not safe for concurrent use, and takes the time from
// its caller. Expired grants let nobody in from the moment they expire, and are removed with the next add.
type allowlist struct {
	addresses  map[netip.Prefix]*address
	recency    *list.List            // of *address, the least recently proved first
	identities map[string]*list.List // of *grant by identity name, the least recently proved first
	due        dueGrants
}

func newAllowlist() *allowlist {
	return &allowlist{
		addresses:  map[netip.Prefix]*address{},
		recency:    list.New(),
		identities: map[string]*list.List{},
	}
}

// find returns a grant that an identity that who matches holds for ip at now; nil if there is none.
func (l *allowlist) find(ip netip.Prefix, who patterns, now moment) *grant {
	a := l.addresses[ip]
	if a == nil {
		return nil
	}
	for _, g := range a.grants {
		if now < g.expires && (len(who) == 0 || who.match(g.identity)) {
			return g
		}
	}
	return nil
}

// add records that id gave its proof at ip. It returns the grant, whether it is new rather than renewed, and the
// grants that had to go because of the limits.
func (l *allowlist) add(ip netip.Prefix, id identity, limits limits, now moment) (g *grant, learned bool, evicted []*grant) {
	l.removeExpired(now)
	a := l.addresses[ip]
	if a == nil {
		a = &address{ip: ip}
		a.recency = l.recency.PushBack(a)
		l.addresses[ip] = a
	}
	g = a.grantOf(id.name())
	if g == nil {
		learned = true
		g = &grant{address: a, identity: id, learned: now}
		l.insert(g, now+int64(limits.ttl))
	}
	if g.identity.fingerprint != id.fingerprint {
		g = l.replace(g, id)
	}
	l.renew(g, limits.ttl, now)
	return g, learned, l.evict(a, g, limits)
}

func (l *allowlist) insert(g *grant, due moment) {
	g.address.grants = append(g.address.grants, g)
	name := g.identity.name()
	own := l.identities[name]
	if own == nil {
		own = list.New()
		l.identities[name] = own
	}
	g.byIdentity = own.PushBack(g)
	g.due = due
	heap.Push(&l.due, g)
}

// replace puts a grant by another certificate of the same name in the place of old. Its other names may differ, so
// whoever remembers that old lets somebody in has to ask again.
func (l *allowlist) replace(old *grant, id identity) *grant {
	g := &grant{}
	*g = *old
	g.identity = id
	for i, other := range g.address.grants {
		if other == old {
			g.address.grants[i] = g
		}
	}
	g.byIdentity.Value = g
	l.due[g.position] = g
	old.expires = 0
	return g
}

// renew makes g the grant that was proved last.
func (l *allowlist) renew(g *grant, ttl time.Duration, now moment) {
	l.recency.MoveToBack(g.address.recency)
	l.identities[g.identity.name()].MoveToBack(g.byIdentity)
	g.proved = now
	g.expires = now + int64(ttl)
	if g.expires < g.due {
		g.due = g.expires
		heap.Fix(&l.due, g.position)
	}
}

// renewWithin renews g, unless there is something beyond the limits to evict.
func (l *allowlist) renewWithin(g *grant, limits limits, now moment) bool {
	if len(l.addresses) > limits.maxIPs || limits.maxIPsPerIdentity > 0 && l.identities[g.identity.name()].Len() > limits.maxIPsPerIdentity {
		return false
	}
	l.renew(g, limits.ttl, now)
	return true
}

// maxConnections bounds for how many connections a handler remembers what it found in l: several for each address.
func (l *allowlist) maxConnections() int {
	return 1000 + 4*len(l.addresses)
}

func (a *address) grantOf(name string) *grant {
	for _, g := range a.grants {
		if g.identity.name() == name {
			return g
		}
	}
	return nil
}

// evict removes the least recently proved grants beyond the limits, but never proved, the one of this moment.
func (l *allowlist) evict(a *address, proved *grant, limits limits) (evicted []*grant) {
	if len(a.grants) > maxGrantsPerIP {
		g := a.leastRecentlyProved(proved)
		l.remove(g)
		evicted = append(evicted, g)
	}
	own := l.identities[proved.identity.name()]
	for limits.maxIPsPerIdentity > 0 && own.Len() > limits.maxIPsPerIdentity {
		g := own.Front().Value.(*grant)
		l.remove(g)
		evicted = append(evicted, g)
	}
	for l.recency.Len() > limits.maxIPs {
		oldest := l.recency.Front().Value.(*address)
		for len(oldest.grants) > 0 {
			g := oldest.grants[0]
			l.remove(g)
			evicted = append(evicted, g)
		}
	}
	return evicted
}

func (a *address) leastRecentlyProved(except *grant) *grant {
	var oldest *grant
	for _, g := range a.grants {
		if g != except && (oldest == nil || g.proved < oldest.proved) {
			oldest = g
		}
	}
	return oldest
}

func (l *allowlist) remove(g *grant) {
	g.expires = 0
	a := g.address
	kept := a.grants[:0]
	for _, other := range a.grants {
		if other != g {
			kept = append(kept, other)
		}
	}
	a.grants[len(kept)] = nil
	a.grants = kept
	if len(kept) == 0 {
		l.recency.Remove(a.recency)
		delete(l.addresses, a.ip)
	}
	name := g.identity.name()
	own := l.identities[name]
	own.Remove(g.byIdentity)
	if own.Len() == 0 {
		delete(l.identities, name)
	}
	heap.Remove(&l.due, g.position)
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

// dueGrants is a heap.Interface, the grant that is due first on top.
type dueGrants []*grant

func (d dueGrants) Len() int           { return len(d) }
func (d dueGrants) Less(i, j int) bool { return d[i].due < d[j].due }

func (d dueGrants) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].position = i
	d[j].position = j
}

func (d *dueGrants) Push(x any) {
	g := x.(*grant)
	g.position = len(*d)
	*d = append(*d, g)
}

func (d *dueGrants) Pop() any {
	last := len(*d) - 1
	g := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return g
}
