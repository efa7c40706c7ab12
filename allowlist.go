package mtlsallowlist

import (
	"container/heap"
	"container/list"
	"net/netip"
	"time"
)

const (
	// maxGrantsPerIP bounds how many identities may hold a grant for one IP: an office behind one address fits,
	// and a flood of certificates from one address can't fill the memory.
	maxGrantsPerIP = 100

	// maxHostsPerIP bounds how many addresses of one IPv6 prefix are known by their text.
	maxHostsPerIP = 16
)

// Moments are nanoseconds since 1970, as of time.Time's UnixNano: Yaegi compares two numbers in a tenth of the time
// that a call of time.Time's Before takes.
type moment = int64

// A grant is one identity's claim that one IP prefix may come in, until it expires.
type grant struct {
	address  *address
	identity identity
	learned  moment // when the identity was first seen here
	proved   moment // when it last gave its proof
	expires  moment // the first moment at which the grant no longer holds

	due        moment        // when to look whether the grant has expired; never after expires
	position   int           // in allowlist.due
	byIdentity *list.Element // in allowlist.identities
}

// An address is an IP prefix with the grants that identities hold for it.
type address struct {
	ip      netip.Prefix
	grants  []*grant      // one for each identity
	until   moment        // when the last of the grants expires; 0 if there is none any more
	hosts   []string      // its keys in allowlist.hosts
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
	hosts      map[string]*address   // by a host's address as in http.Request.RemoteAddr; see know
	recency    *list.List            // of *address, the least recently proved first
	identities map[string]*list.List // of *grant by identity name, the least recently proved first
	due        dueGrants
}

func newAllowlist() *allowlist {
	return &allowlist{
		addresses:  map[netip.Prefix]*address{},
		hosts:      map[string]*address{},
		recency:    list.New(),
		identities: map[string]*list.List{},
	}
}

// allows reports whether an identity that who matches holds a grant for ip at now.
func (l *allowlist) allows(ip netip.Prefix, who patterns, now moment) bool {
	a := l.addresses[ip]
	if a == nil || now >= a.until {
		return false
	}
	if len(who) == 0 {
		return true
	}
	for _, g := range a.grants {
		if now < g.expires && who.match(g.identity) {
			return true
		}
	}
	return false
}

// know lets ip be found in hosts by the text of a host in it, if ip has a grant. Of the IPv6 hosts of one prefix,
// it keeps those that came last.
func (l *allowlist) know(host string, ip netip.Prefix) {
	a := l.addresses[ip]
	if a == nil || l.hosts[host] != nil {
		return
	}
	if len(a.hosts) == maxHostsPerIP {
		delete(l.hosts, a.hosts[0])
		a.hosts = append(a.hosts[:0], a.hosts[1:]...)
	}
	a.hosts = append(a.hosts, host)
	l.hosts[host] = a
}

// add records that id gave its proof at ip. It returns whether this made a new grant, rather than renewed
// one, and the grants that had to go because of the limits.
func (l *allowlist) add(ip netip.Prefix, id identity, limits limits, now moment) (learned bool, evicted []*grant) {
	l.removeExpired(now)
	a := l.addresses[ip]
	if a == nil {
		a = &address{ip: ip}
		a.recency = l.recency.PushBack(a)
		l.addresses[ip] = a
	}
	g := a.grantOf(id.name())
	if g == nil {
		learned = true
		g = l.insert(a, id, now)
	}
	g.identity = id
	l.renew(g, limits.ttl, now)
	return learned, l.evict(a, g, limits)
}

func (l *allowlist) insert(a *address, id identity, now moment) *grant {
	g := &grant{address: a, identity: id, learned: now}
	a.grants = append(a.grants, g)
	own := l.identities[id.name()]
	if own == nil {
		own = list.New()
		l.identities[id.name()] = own
	}
	g.byIdentity = own.PushBack(g)
	heap.Push(&l.due, g)
	return g
}

// renew makes g the grant that was proved last.
func (l *allowlist) renew(g *grant, ttl time.Duration, now moment) {
	l.recency.MoveToBack(g.address.recency)
	l.identities[g.identity.name()].MoveToBack(g.byIdentity)
	before := g.expires
	g.proved = now
	g.expires = now + int64(ttl)
	if before == 0 || g.expires < g.due {
		g.due = g.expires
		heap.Fix(&l.due, g.position)
	}
	if g.expires < before {
		g.address.until = 0
		for _, other := range g.address.grants {
			g.address.extend(other.expires)
		}
	}
	g.address.extend(g.expires)
}

func (a *address) extend(expires moment) {
	if a.until < expires {
		a.until = expires
	}
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
	a := g.address
	kept := a.grants[:0]
	a.until = 0
	for _, other := range a.grants {
		if other != g {
			kept = append(kept, other)
			a.extend(other.expires)
		}
	}
	a.grants[len(kept)] = nil
	a.grants = kept
	if len(kept) == 0 {
		l.recency.Remove(a.recency)
		delete(l.addresses, a.ip)
		for _, host := range a.hosts {
			delete(l.hosts, host)
		}
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
