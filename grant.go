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

func (a *address) leastRecentlyProved(except *grant) *grant {
	var oldest *grant
	for _, g := range a.grants {
		if g != except && (oldest == nil || g.proved < oldest.proved) {
			oldest = g
		}
	}
	return oldest
}
