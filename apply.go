package mtlsallowlist

import (
	"container/heap"
	"net/netip"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// renewalInterval is how long observers that keep changes for long may lack a mere renewal.
const renewalInterval = time.Minute

// An outcome is what a change came to.
type outcome struct {
	grant   *grant        // that was learned or renewed; nil: none
	made    bool          // the grant is new here
	first   bool          // the identity had none for the IP
	newer   bool          // it had none by a certificate as new
	ended   *grant        // that was revoked or evicted; nil: none
	buried  bool          // a revocation was news
	change  change.Change // by which it was, with no time that is yet to come
	evicted []*grant      // those that had to go because of the limits; the grant may be among them
}

// isNews reports whether it may change who is let in.
func (o outcome) isNews() bool {
	return o.made || o.buried || o.ended != nil || len(o.evicted) > 0
}

// prove applies the proof that an identity gives at now. Nothing that is known is later, and it isn't what makes room.
func (l *allowlist) prove(ip netip.Prefix, id identity.Identity, limits limits, now clocks.Moment) outcome {
	l.removeExpired(now, change.PortionSize)
	at := l.At(now)
	c := change.Change{Kind: change.Granted, IP: ip, Identity: id, Learned: at, Stamp: at, Proved: at}
	held := liveGrantOf(l, ip, id, now)
	if held != nil && l.stampOf(held) >= c.Stamp {
		c.Stamp = l.stampOf(held) + 1
	}
	if gone := tombstoneOf(l.tombstones, c); gone != nil && gone.stamp >= c.Stamp {
		c.Stamp = gone.stamp + 1
	}
	o := outcome{made: held == nil}
	if o.made {
		o.first, o.newer = l.precedence(ip, id, now)
	}
	g := put(l, c, held, now, now+limits.ttl, limits) // now, and not the millisecond that c has
	moveToBack(l, g)
	g.identity.Issued = id.Issued // it stands neither in the state file nor in Redis
	o.grant = g
	if mayExceed(l, g, limits) {
		o.evicted = l.evict(g, g, limits, now)
	}
	if !l.Shared {
		return o
	}
	for _, gone := range o.evicted {
		if g.stamp <= gone.stamp {
			g.stamp = gone.stamp + 1 // whichever clocks those went by
		}
	}
	place(l, g)
	return o
}

// precedence reports whether an identity has no grant for ip yet, and whether it has none by a certificate as new as id's.
func (l *allowlist) precedence(ip netip.Prefix, id identity.Identity, now clocks.Moment) (first, newer bool) {
	first = true
	newer = true
	a := l.addresses[ip]
	if a == nil {
		return first, newer
	}
	for _, other := range a.grantsOf(id.Name()) {
		if now < other.expires {
			first = false
			newer = newer && id.Issued > other.identity.Issued
		}
	}
	return first, newer
}

// liveGrantOf returns the grant of an identity for ip that holds at now; nil if there is none. One that doesn't hold any more is
// removed: enforcers know already that there is none.
func liveGrantOf(l *allowlist, ip netip.Prefix, id identity.Identity, now clocks.Moment) *grant {
	g := grantOf(l, ip, id)
	if g != nil && g.expires <= now {
		l.remove(g)
		return nil
	}
	return g
}

// merge applies a change that was made by another replica, before a restart or by a revocation. It reports whether the change is
// valid: one that grants in the future, beyond change.MaxAhead, isn't.
func merge(l *allowlist, c change.Change, terms terms, now clocks.Moment) (outcome, bool) {
	o := outcome{}
	latest := (*clocks.Timeline).Until(&l.Timeline, now) + change.MaxAhead
	if c.Kind == change.Granted && (c.Stamp > latest || c.Proved > latest) {
		return o, false
	}
	held := liveGrantOf(l, c.IP, c.Identity, now)
	if c.Stamp > latest { // it ends the grant all the same, and isn't to end those of later proofs
		c.Stamp = l.At(now)
		if held != nil && c.Stamp < l.stampOf(held) {
			c.Stamp = l.stampOf(held)
		}
	}
	if gone := tombstoneOf(l.tombstones, c); gone != nil && !c.Outweighs(gone.stamp, change.Revoked) {
		return o, true
	}
	if held != nil && !c.Outweighs(l.stampOf(held), change.Granted) {
		return o, true
	}
	if c.Kind != change.Granted {
		if c.Proved > l.At(now) {
			c.Proved = l.At(now)
			c.Learned = c.Proved
		}
		o.change = c
		o.buried = c.Kind == change.Revoked && l.bury(c, terms.limits, now)
		o.ended = held
		if held != nil {
			l.remove(held)
		}
		return o, true
	}
	proved, expires := lifetime(l, c, terms, now)
	if expires <= now || clientip.CheckLearnable(c.IP.Addr(), terms.allowPrivate) != nil {
		return o, true
	}
	o.made = held == nil
	o.grant = put(l, c, held, proved, expires, terms.limits)
	place(l, o.grant)
	if mayExceed(l, o.grant, terms.limits) {
		o.evicted = l.evict(o.grant, nil, terms.limits, now)
	}
	return o, true
}

// mayExceed reports whether a grant that was made or renewed may exceed the limits.
func mayExceed(l *allowlist, g *grant, limits limits) bool {
	return len(l.addresses) > limits.maxIPs || len(g.address.grants) > maxCertificates || limits.maxIPsPerIdentity > 0 && g.own.Len() > limits.maxIPsPerIdentity
}

// lifetime returns when the grant of a change was proved, which isn't later than now, and when it expires: a lifetime after that, of
// the terms or its own.
func lifetime(l *allowlist, c change.Change, terms terms, now clocks.Moment) (clocks.Moment, clocks.Moment) {
	ttl := time.Duration(c.Expires-c.Proved) * time.Millisecond
	if !terms.restoring && ttl > terms.limits.ttl {
		ttl = terms.limits.ttl
	}
	proved := (*clocks.Timeline).Moment(&l.Timeline, c.Proved)
	if proved > now {
		proved = now
	}
	return proved, proved + ttl
}

// put makes the grant of a change or renews held, which it is of, and forgets its tombstone. It has been learned no later than it is
// proved now.
func put(l *allowlist, c change.Change, held *grant, proved, expires clocks.Moment, limits limits) *grant {
	if gone := tombstoneOf(l.tombstones, c); gone != nil {
		l.tombstones.drop(gone)
	}
	g := held
	if g == nil {
		g = &grant{address: addressFor(l, c.IP, limits), identity: c.Identity, learned: (*clocks.Timeline).Moment(&l.Timeline, c.Learned), due: expires, saved: never}
		if g.learned > proved {
			g.learned = proved
		}
		insert(l, g)
	}
	g.proved = proved
	g.expires = expires
	if l.Shared {
		g.stamp = c.Stamp
	}
	if g.expires < g.due {
		g.due = g.expires
		heap.Fix(&l.due, int(g.position))
	}
	return g
}

// stampOf returns the stamp of a grant: when it was last proved, unless replicas have another one.
func (l *allowlist) stampOf(g *grant) int64 {
	if g.stamp != 0 {
		return g.stamp
	}
	return l.At(g.proved)
}

// change returns what has happened to a grant.
func (l *allowlist) change(kind change.Kind, g *grant) change.Change {
	c := change.Change{Kind: kind, IP: g.address.ip, Identity: g.identity, Learned: l.At(g.learned), Stamp: l.stampOf(g), Proved: l.At(g.proved)}
	c.Expires = c.Stamp // an evicted grant matters at once or never
	if kind == change.Granted {
		c.Expires = l.Until(g.expires)
	}
	return c
}

// revocation returns the end of a grant that still holds at now. It matters as long as a proof from before could, by a
// lifetime of ttl or of its own.
func (l *allowlist) revocation(g *grant, ttl time.Duration, now clocks.Moment) change.Change {
	c := l.change(change.Revoked, g)
	c.Proved = l.At(now)
	c.Stamp = c.Proved
	if stamp := l.stampOf(g); c.Stamp < stamp {
		c.Stamp = stamp
	}
	if own := g.expires - g.proved; own > ttl {
		ttl = own
	}
	c.Expires = c.Stamp + int64(ttl/time.Millisecond)
	return c
}

// restoredLag is how much earlier a restored grant is dated than it was proved, and a restored revocation later, in milliseconds:
// clocks are compared no more exactly than that. So no restored grant outweighs a revocation that came after its proof.
const restoredLag = 2 * replicaTolerance

// share goes by Redis's clock from now on, which shows ahead at moment 0: all that is known is dated by it.
func (l *allowlist) share(ahead int64) {
	l.tombstones.shift(ahead - l.Ahead)
	l.Ahead = ahead
	l.Shared = true
	for _, g := range l.due {
		g.stamp = l.At(g.proved)
		if g.saved == never {
			g.stamp -= restoredLag
		}
	}
	l.sort()
}
