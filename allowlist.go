package mtlsallowlist

import (
	"container/heap"
	"container/list"
	"net/netip"
	"time"
)

// maxGrantsPerIP bounds how many identities may hold a grant for one IP: an office behind one address
// fits, and a flood of certificates from one address can't fill the memory.
const maxGrantsPerIP = 1000

// A grant is one identity's claim that one IP prefix may come in, until it expires.
type grant struct {
	ip       netip.Prefix
	identity identity
	learned  time.Time // when the identity was first seen here
	proved   time.Time // when it last gave its proof
	expires  time.Time // the first moment at which the grant no longer holds

	due        time.Time     // when to look whether the grant has expired; never after expires
	position   int           // in allowlist.due
	byIdentity *list.Element // in allowlist.identities
}

// An address is an IP prefix with the grants that identities hold for it.
type address struct {
	ip      netip.Prefix
	grants  map[string]*grant // by the identity's name
	recency *list.Element     // in allowlist.recency
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

// allows reports whether an identity that who matches holds a grant for ip at now.
func (l *allowlist) allows(ip netip.Prefix, who patterns, now time.Time) bool {
	a := l.addresses[ip]
	if a == nil {
		return false
	}
	for _, g := range a.grants {
		if now.Before(g.expires) && who.match(g.identity) {
			return true
		}
	}
	return false
}

// add records that id gave its proof at ip. It returns whether this made a new grant, rather than renewed
// one, and the grants that had to go because of the limits.
func (l *allowlist) add(ip netip.Prefix, id identity, limits limits, now time.Time) (learned bool, evicted []*grant) {
	l.removeExpired(now)
	a := l.addresses[ip]
	if a == nil {
		a = &address{ip: ip, grants: map[string]*grant{}}
		a.recency = l.recency.PushBack(a)
		l.addresses[ip] = a
	}
	l.recency.MoveToBack(a.recency)

	g := a.grants[id.name()]
	if g == nil {
		learned = true
		g = l.insert(a, id, now)
	}
	l.identities[id.name()].MoveToBack(g.byIdentity)
	g.identity = id
	g.proved = now
	g.expires = now.Add(limits.ttl)
	if learned || g.expires.Before(g.due) {
		g.due = g.expires
		heap.Fix(&l.due, g.position)
	}
	return learned, l.evict(a, g, limits)
}

func (l *allowlist) insert(a *address, id identity, now time.Time) *grant {
	g := &grant{ip: a.ip, identity: id, learned: now}
	a.grants[id.name()] = g
	if l.identities[id.name()] == nil {
		l.identities[id.name()] = list.New()
	}
	g.byIdentity = l.identities[id.name()].PushBack(g)
	heap.Push(&l.due, g)
	return g
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
		for _, g := range oldest.grants {
			l.remove(g)
			evicted = append(evicted, g)
		}
	}
	return evicted
}

func (a *address) leastRecentlyProved(except *grant) *grant {
	var oldest *grant
	for _, g := range a.grants {
		if g != except && (oldest == nil || g.proved.Before(oldest.proved)) {
			oldest = g
		}
	}
	return oldest
}

func (l *allowlist) remove(g *grant) {
	name := g.identity.name()
	a := l.addresses[g.ip]
	delete(a.grants, name)
	if len(a.grants) == 0 {
		l.recency.Remove(a.recency)
		delete(l.addresses, a.ip)
	}
	l.identities[name].Remove(g.byIdentity)
	if l.identities[name].Len() == 0 {
		delete(l.identities, name)
	}
	heap.Remove(&l.due, g.position)
}

// removeExpired removes the grants that have expired at now. A renewal doesn't move its grant in the
// heap; a grant that falls due before it expires is put back for then, at most once per lifetime.
func (l *allowlist) removeExpired(now time.Time) {
	for len(l.due) > 0 && !now.Before(l.due[0].due) {
		g := l.due[0]
		if now.Before(g.expires) {
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
func (d dueGrants) Less(i, j int) bool { return d[i].due.Before(d[j].due) }

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
