package mtlsallowlist

import (
	"container/list"
	"sort"
)

// place puts a grant, and its address, behind those that were proved before, and before those that were proved later.
func place(l *allowlist, g *grant) {
	orderAddress(l, g.address)
	if g.own != nil {
		l.orderOwn(g)
	}
}

// moveToBack puts a grant, and its address, behind all others.
func moveToBack(l *allowlist, g *grant) {
	l.recency.MoveToBack(g.address.recency)
	if g.own != nil {
		g.own.MoveToBack(g.byIdentity)
	}
}

// orderOwn puts the address of g in order among those of its identity.
func (l *allowlist) orderOwn(g *grant) {
	name := g.identity.Name()
	last := latest(g.address.grantsOf(name))
	isBefore := func(e *list.Element) bool {
		return provedBefore(last, latest(e.Value.(*address).grantsOf(name)))
	}
	own := g.byIdentity
	if front := g.own.Front(); front != own && isBefore(front) {
		g.own.MoveToFront(own)
		return
	}
	g.own.MoveToBack(own)
	for before := own.Prev(); before != nil && isBefore(before); before = own.Prev() {
		g.own.MoveBefore(own, before)
	}
}

func orderAddress(l *allowlist, a *address) {
	e := a.recency
	if last := e.Prev(); l.recency.Back() == e && (last == nil || !addressBefore(a, last.Value.(*address))) {
		return // as it is with most
	}
	if front := l.recency.Front(); addressBefore(a, front.Value.(*address)) {
		l.recency.MoveToFront(e)
		return
	}
	l.recency.MoveToBack(e)
	if last := l.placed; last != nil && last != e && addressBefore(a, last.Value.(*address)) {
		l.recency.MoveBefore(e, last) // what is taken over comes latest first: no need to search from the back each time
	}
	for last := e.Prev(); last != nil && addressBefore(a, last.Value.(*address)); last = e.Prev() {
		l.recency.MoveBefore(e, last)
	}
	l.placed = e
}

// sort puts all in order.
func (l *allowlist) sort() {
	addresses := []*address{}
	for _, a := range l.addresses {
		addresses = append(addresses, a)
	}
	sort.Slice(addresses, func(i, j int) bool { return addressBefore(addresses[i], addresses[j]) })
	for _, a := range addresses {
		l.recency.MoveToBack(a.recency)
	}
	for _, g := range l.inOrder() {
		if g.own != nil {
			g.own.MoveToBack(g.byIdentity)
		}
	}
}

// inOrder returns all grants, the least recently proved first.
func (l *allowlist) inOrder() []*grant {
	grants := append([]*grant{}, l.due...)
	sort.Slice(grants, func(i, j int) bool { return before(grants[i], grants[j]) })
	return grants
}

// indexIdentities starts to keep the grants of each identity in order. It waits for the first learner that limits
// them, since the index takes a quarter of the memory.
func (l *allowlist) indexIdentities() {
	l.identities = map[string]*list.List{}
	for _, g := range l.inOrder() {
		l.index(g)
	}
}

// index makes the address of g the last of its identity's.
func (l *allowlist) index(g *grant) {
	name := g.identity.Name()
	g.own = l.identities[name]
	if g.own == nil {
		g.own = list.New()
		l.identities[name] = g.own
	}
	for _, other := range g.address.grantsOf(name) {
		if other != g && other.own != nil {
			g.byIdentity = other.byIdentity
			g.own.MoveToBack(g.byIdentity)
			return
		}
	}
	g.byIdentity = g.own.PushBack(g.address)
}
