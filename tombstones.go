package mtlsallowlist

import (
	"container/heap"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
)

// tombstones are revocations that are still remembered, so that an older grant from a state file or another replica doesn't
// come back. Each is the grant that was revoked, with the stamp of the revocation. It is not safe for concurrent use.
type tombstones struct {
	byMember map[string]*grant
	due      deadlines
}

func newTombstones() *tombstones {
	return &tombstones{byMember: map[string]*grant{}}
}

// tombstoneOf returns the tombstone of the grant that a change is of; nil if there is none.
func tombstoneOf(t *tombstones, c change.Change) *grant {
	if len(t.byMember) == 0 {
		return nil
	}
	return t.byMember[c.Member()]
}

// put remembers a revocation, instead of another one of the same grant. Of more than most, those go that end first. It keeps
// no names but those that tell the grant from others.
func (t *tombstones) put(c change.Change, proved, expires clocks.Moment, most int) {
	if gone := tombstoneOf(t, c); gone != nil {
		t.drop(gone)
	}
	g := &grant{address: &address{ip: c.IP}, identity: c.Identity.Bare(), stamp: c.Stamp, proved: proved, expires: expires, due: expires}
	t.byMember[c.Member()] = g
	addDeadline(&t.due, g)
	for len(t.due) > most {
		t.drop(t.due[0])
	}
}

func (t *tombstones) drop(g *grant) {
	delete(t.byMember, change.Member(g.address.ip, g.identity))
	heap.Remove(&t.due, int(g.position))
}

func (t *tombstones) removeExpired(now clocks.Moment) {
	for len(t.due) > 0 && t.due[0].expires <= now {
		t.drop(t.due[0])
	}
}

// age has all end earlier by d. That leaves their order as it is.
func (t *tombstones) age(d time.Duration) {
	for _, g := range t.due {
		g.proved -= d
		g.expires -= d
		g.due -= d
	}
}

// shift adds to all their stamps, in milliseconds.
func (t *tombstones) shift(by int64) {
	for _, g := range t.due {
		g.stamp += by
	}
}

// bury remembers a revocation, no longer than a grant of now could last, and no more of them than there may be grants. It
// reports whether it matters any more.
func (l *allowlist) bury(c change.Change, limits limits, now clocks.Moment) bool {
	expires := l.Moment(c.Expires)
	if latest := now + limits.ttl; expires > latest {
		expires = latest
	}
	if expires <= now {
		return false
	}
	proved := l.Moment(c.Proved)
	l.tombstones.put(c, proved, expires, limits.maxTombstones())
	return true
}

// buried returns the revocation that a tombstone stands for.
func (l *allowlist) buried(g *grant) change.Change {
	return change.Change{Kind: change.Revoked, IP: g.address.ip, Identity: g.identity, Learned: l.At(g.proved), Stamp: g.stamp, Proved: l.At(g.proved), Expires: l.Until(g.expires)}
}
