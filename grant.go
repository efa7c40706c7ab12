package mtlsallowlist

import (
	"container/list"
	"net/netip"
)

// A grant is one identity's claim that one IP prefix may come in, until it expires.
type grant struct {
	address  *address
	identity identity
	learned  moment // when the identity was first seen here
	proved   moment // when it last gave its proof
	expires  moment // the first moment at which the grant no longer holds; over if it was removed
	stamp    int64  // when it last gave its proof, as other replicas have it; 0: they haven't

	due        moment        // when to look whether the grant has expired; never after expires
	position   int           // in allowlist.due
	own        *list.List    // all grants of the identity, if identities are indexed
	byIdentity *list.Element // in own
}

// An address is an IP prefix with the grants that identities hold for it.
type address struct {
	ip      netip.Prefix
	grants  []*grant      // one for each identity
	recency *list.Element // in allowlist.recency
}

func (a *address) grantOf(name string) *grant {
	for _, g := range a.grants {
		if g.identity.name() == name {
			return g
		}
	}
	return nil
}

// proved returns when the address was last proved.
func (a *address) proved() moment {
	last := a.grants[0].proved
	for _, g := range a.grants {
		if g.proved > last {
			last = g.proved
		}
	}
	return last
}

// before reports whether a was proved before other. Of two at once the lower goes first: on all replicas the same.
func (a *address) before(other *address) bool {
	at, others := a.proved(), other.proved()
	return at < others || at == others && lower(a.ip, other.ip)
}

func lower(a, b netip.Prefix) bool {
	return a.Addr().Less(b.Addr()) || a.Addr() == b.Addr() && a.Bits() < b.Bits()
}

// before reports likewise whether g was proved before other.
func (g *grant) before(other *grant) bool {
	if g.proved != other.proved {
		return g.proved < other.proved
	}
	if g.address != other.address {
		return lower(g.address.ip, other.address.ip)
	}
	return g.identity.name() < other.identity.name()
}

func (a *address) leastRecentlyProved(except *grant) *grant {
	var oldest *grant
	for _, g := range a.grants {
		if g != except && (oldest == nil || g.before(oldest)) {
			oldest = g
		}
	}
	return oldest
}
