package mtlsallowlist

import (
	"container/heap"
	"container/list"
	"net/netip"
	"sort"
)

// put takes over a grant for ip that was proved elsewhere, instead of one of the same identity, and returns those that
// have to go because of the limits: it may be one of them.
func (l *allowlist) put(ip netip.Prefix, g *grant, limits limits) (evicted []*grant) {
	a := l.addressFor(ip, limits)
	held := a.grantOf(g.identity.name())
	if held == nil {
		g.address = a
		l.insert(g, g.expires)
		held = g
	} else {
		if held.identity.fingerprint() != g.identity.fingerprint() {
			held = l.replace(held, g.identity)
		}
		held.proved = g.proved
		held.expires = g.expires
		held.stamp = g.stamp
		if held.expires < held.due {
			held.due = held.expires
			heap.Fix(&l.due, held.position)
		}
	}
	l.order(held)
	for len(a.grants) > maxGrantsPerIP {
		evicted = append(evicted, l.removed(a.leastRecentlyProved(nil)))
	}
	for limits.maxIPsPerIdentity > 0 && held.own.Len() > limits.maxIPsPerIdentity {
		evicted = append(evicted, l.removed(held.own.Front().Value.(*grant)))
	}
	for l.recency.Len() > limits.maxIPs {
		evicted = append(evicted, l.removed(l.recency.Front().Value.(*address).grants[0]))
	}
	return evicted
}

func (l *allowlist) removed(g *grant) *grant {
	l.remove(g)
	return g
}

// order puts a grant, and its address, behind those that were proved before, and before those that were proved later.
func (l *allowlist) order(g *grant) {
	l.orderAddress(g.address)
	if g.own == nil {
		return
	}
	own := g.byIdentity
	if g.before(g.own.Front().Value.(*grant)) {
		g.own.MoveToFront(own)
		return
	}
	g.own.MoveToBack(own)
	for before := own.Prev(); before != nil && g.before(before.Value.(*grant)); before = own.Prev() {
		g.own.MoveBefore(own, before)
	}
}

func (l *allowlist) orderAddress(a *address) {
	e := a.recency
	if front := l.recency.Front(); a.before(front.Value.(*address)) {
		l.recency.MoveToFront(e)
		return
	}
	l.recency.MoveToBack(e)
	if last := l.placed; last != nil && last != e && a.before(last.Value.(*address)) {
		l.recency.MoveBefore(e, last) // what is taken over comes latest first: no need to search from the back each time
	}
	for before := e.Prev(); before != nil && a.before(before.Value.(*address)); before = e.Prev() {
		l.recency.MoveBefore(e, before)
	}
	l.placed = e
}

// sort puts all in order.
func (l *allowlist) sort() {
	addresses := []*address{}
	for _, a := range l.addresses {
		addresses = append(addresses, a)
	}
	sort.Slice(addresses, func(i, j int) bool { return addresses[i].before(addresses[j]) })
	for _, a := range addresses {
		l.recency.MoveToBack(a.recency)
	}
	grants := append([]*grant{}, l.due...)
	sort.Slice(grants, func(i, j int) bool { return grants[i].before(grants[j]) })
	for _, g := range grants {
		if g.own != nil {
			g.own.MoveToBack(g.byIdentity)
		}
	}
}

// indexIdentities starts to keep the grants of each identity in order. It waits for the first learner that limits
// them, since the index takes a quarter of the memory.
func (l *allowlist) indexIdentities() {
	grants := append([]*grant{}, l.due...)
	sort.Slice(grants, func(i, j int) bool { return grants[i].before(grants[j]) })
	l.identities = map[string]*list.List{}
	for _, g := range grants {
		l.index(g)
	}
}

func (l *allowlist) index(g *grant) {
	name := g.identity.name()
	g.own = l.identities[name]
	if g.own == nil {
		g.own = list.New()
		l.identities[name] = g.own
	}
	g.byIdentity = g.own.PushBack(g)
}
