package mtlsallowlist

import (
	"container/heap"
	"container/list"
	"math"
	"net/netip"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// Moments before all others, when there is no grant (any more).
const (
	ended   clocks.Moment = math.MinInt64 // the grant was removed
	noGrant clocks.Moment = ended + 1     // there is none, and nobody has learned anything since: see store.find
)

// never is grant.saved before there was anything to save.
const never = math.MinInt32

// A grant is one identity's claim that one IP prefix may come in, until it expires. Here, each certificate of an identity
// has one of its own: a device of the same name is another device. What people see counts and shows an identity's
// grants for an address as one: see perIdentity.
type grant struct {
	address  *address
	identity identity.Identity
	learned  clocks.Moment // when the identity was first seen here
	proved   clocks.Moment // when it last gave its proof
	expires  clocks.Moment // the first moment at which the grant no longer holds; ended if it was removed
	stamp    int64         // of its last proof, for the order among replicas; 0: not shared, or not yet

	due        clocks.Moment // when to look whether the grant has expired; never after expires
	position   int32         // among the deadlines
	saved      int32         // when observers were last handed a renewal, in seconds since epoch; never: it was restored
	own        *list.List    // the addresses of the identity, if identities are indexed
	byIdentity *list.Element // in own; the same for all certificates of the identity
}

// An address is an IP prefix with the grants that identities hold for it.
type address struct {
	ip      netip.Prefix
	grants  []*grant      // one for each certificate of each identity
	recency *list.Element // in allowlist.recency
}

func (a *address) grantOf(id identity.Identity) *grant {
	for _, g := range a.grants {
		if g.identity.Is(id) {
			return g
		}
	}
	return nil
}

// grantsOf returns the grants of the identity with that name.
func (a *address) grantsOf(name string) []*grant {
	grants := []*grant{}
	for _, g := range a.grants {
		if g.identity.Name() == name {
			grants = append(grants, g)
		}
	}
	return grants
}

// perIdentity returns one grant of each identity and address, the one proved last.
func perIdentity(grants []*grant) []*grant {
	shown := []*grant{}
	places := map[claim]int{}
	for _, g := range grants {
		about := claim{g.address.ip, g.identity.Name()}
		at, found := places[about]
		switch {
		case !found:
			places[about] = len(shown)
			shown = append(shown, g)
		case before(shown[at], g):
			shown[at] = g
		}
	}
	return shown
}

// latest returns the grant that was proved last.
func latest(grants []*grant) *grant {
	last := grants[0]
	for _, g := range grants[1:] {
		if before(last, g) {
			last = g
		}
	}
	return last
}

// earliest returns the grant that was proved least recently, but not except; nil if there is no other.
func earliest(grants []*grant, except *grant) *grant {
	var first *grant
	for _, g := range grants {
		if g != except && (first == nil || before(g, first)) {
			first = g
		}
	}
	return first
}

// addressBefore reports whether a was proved before other.
func addressBefore(a, other *address) bool {
	return provedBefore(latest(a.grants), latest(other.grants))
}

func lower(a, b netip.Prefix) bool {
	return a.Addr().Less(b.Addr()) || a.Addr() == b.Addr() && a.Bits() < b.Bits()
}

// provedBefore reports whether g was proved before other. Of two at once that of the lower address goes first. Stamps go
// before moments: they are the same on all replicas.
func provedBefore(g, other *grant) bool {
	if g.stamp != other.stamp {
		return g.stamp < other.stamp
	}
	if g.stamp == 0 && g.proved != other.proved {
		return g.proved < other.proved
	}
	return lower(g.address.ip, other.address.ip)
}

// before is like provedBefore, and decides between grants of one address, too.
func before(g, other *grant) bool {
	if provedBefore(g, other) {
		return true
	}
	if provedBefore(other, g) {
		return false
	}
	if g.identity.Name() != other.identity.Name() {
		return g.identity.Name() < other.identity.Name()
	}
	return g.identity.Fingerprint() < other.identity.Fingerprint()
}

// deadlines is a heap.Interface of grants or tombstones, the one that is due first on top.
type deadlines []*grant

// addDeadline is heap.Push. Most are due last, and in place at once: a call of heap's takes long in Yaegi.
func addDeadline(d *deadlines, g *grant) {
	last := len(*d)
	g.position = int32(last) //nolint:gosec // a store holds far fewer
	*d = append(*d, g)
	if last > 0 && g.due < (*d)[(last-1)/2].due {
		heap.Fix(d, last)
	}
}

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].due < d[j].due }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].position = int32(i) //nolint:gosec // a store holds far fewer
	d[j].position = int32(j) //nolint:gosec // likewise
}

func (d *deadlines) Push(x any) {
	addDeadline(d, x.(*grant))
}

func (d *deadlines) Pop() any {
	last := len(*d) - 1
	g := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return g
}
