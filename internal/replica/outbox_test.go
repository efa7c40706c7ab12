package replica

import (
	"fmt"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis/redistest"
)

// pends returns how many changes are pending.
func (o *outbox) pends() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.pending)
}

func TestWhatIsPending(t *testing.T) {
	o := newOutbox()
	put := func(i int) bool { return o.put(changeOf(change.Granted, numbered(i), 1)) }
	drained := func() string {
		changes, queued, _ := o.drain()
		return fmt.Sprintf("%d of %d", len(changes), queued)
	}
	if put(1) || o.pends() > 0 || o.start() != 0 || o.pends() > 0 {
		t.Error("something is pending that nobody pushes")
	}
	if !put(2) || o.pends() != 1 || o.count() != 1 {
		t.Errorf("got %d, want what has just been put", o.count())
	}
	if got := drained(); got != "1 of 1" || o.pends() > 0 {
		t.Errorf("got %s, want 1 of 1, and nothing then", got)
	}
	put(3)
	put(3)
	if got := drained(); got != "1 of 3" {
		t.Errorf("got %s, want the last of one grant", got)
	}
	put(4)
	if got := o.start(); got != 4 {
		t.Errorf("got %d before starting again, want 4", got)
	}
	o.close()
	if o.pends() > 0 {
		t.Error("what was dropped is pending")
	}
	if put(5) || o.pends() > 0 || o.count() != 4 {
		t.Error("something is pending that nobody pushes any more")
	}
	if changes, queued, _ := o.drain(); changes == nil || len(changes) != 0 || queued != 0 {
		t.Errorf("got %v and %d", changes, queued)
	}
}

// TestTheLastChangeOfAGrantIsPending is about which of several that is.
func TestTheLastChangeOfAGrantIsPending(t *testing.T) {
	o := newOutbox()
	o.start()
	o.put(changeOf(change.Granted, numbered(1), 1))
	o.put(changeOf(change.Revoked, numbered(1), 2))
	o.put(changeOf(change.Evicted, numbered(2), 3))
	if evicted := o.evicted(); len(evicted) != 1 || evicted[0].Stamp != 3 {
		t.Errorf("got the evictions %v, want one", evicted)
	}
	changes, _, _ := o.drain()
	change.SortOldestFirst(changes)
	if len(changes) != 2 || changes[0].Kind != change.Revoked || changes[1].Kind != change.Evicted {
		t.Errorf("got %v, want a revocation and an eviction", changes)
	}
}

func TestWhatRedisLacksIsPushedOldestFirst(t *testing.T) {
	n := newNode(t, "shared", optionsFor(""))
	now := n.At(n.Moment())
	const many = 110
	held := map[string]change.Change{}
	for i := 0; i < many; i++ {
		at := now + int64((i*37)%many+1) // in no order
		n.Apply([]change.Change{changeOf(change.Granted, numbered(i), at)}, 0)
	}
	for _, row := range []struct {
		i     int
		after int64
		kind  change.Kind
	}{
		{many, 0, change.Granted},      // as it is
		{many + 1, 1, change.Granted},  // newer
		{many + 2, -1, change.Granted}, // older
		{many + 3, 0, change.Revoked},  // otherwise
	} {
		c := changeOf(change.Granted, numbered(row.i), now+many+2)
		n.Apply([]change.Change{c}, 0)
		held[c.Member()] = changeOf(row.kind, numbered(row.i), c.Stamp+row.after)
	}
	n.outbox.start()
	n.outbox.put(changeOf(change.Evicted, numbered(many+4), now+many+1))
	missing := n.lacking(held)
	if len(missing) != many+2 {
		t.Fatalf("got %d, want %d", len(missing), many+2)
	}
	for i, c := range missing {
		if want := now + int64(i+1); c.Stamp != want {
			t.Fatalf("number %d is of %d, want %d", i, c.Stamp, want)
		}
	}
	if c := missing[many]; c.Kind != change.Evicted {
		t.Errorf("got %v, want the eviction", c)
	}
	if c := missing[many+1]; c.IP != numbered(many+2) {
		t.Errorf("got %v, want the grant of which Redis has an older proof", c)
	}
}

func TestWhatWaitsForRedisIsBounded(t *testing.T) {
	o := newOutbox()
	o.start()
	for i := 0; i < maxOutbox/2; i++ { // each has another make room
		o.put(changeOf(change.Granted, numbered(i), 1))
		if i >= 10 {
			o.put(changeOf(change.Evicted, numbered(i-10), 1))
		}
	}
	if changes, _, overflowed := o.drain(); overflowed || len(changes) != maxOutbox/2 {
		t.Fatalf("got %d and %t", len(changes), overflowed)
	}
	for i := 0; i < 2*maxOutbox; i++ {
		o.put(changeOf(change.Granted, numbered(i), 2))
	}
	if changes, _, overflowed := o.drain(); !overflowed || len(changes) != 0 || o.pends() > 0 {
		t.Errorf("of more than there may be, got %d, and %t that they were too many", len(changes), overflowed)
	}
	o.start()
	if _, _, overflowed := o.drain(); overflowed {
		t.Error("they are too many once more, after all was reconciled")
	}
	o.close()
	if _, _, overflowed := o.drain(); overflowed {
		t.Error("they are too many once more, after another failure")
	}
}

// TestNothingWaitsForARedisThatWasTakenOut, or for another one that is away.
func TestNothingWaitsForARedisThatWasTakenOut(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, optionsFor(server.Address))
	eventually(t, "it is in sync", n.synced)
	server.Signal("STOP")
	n.make(change.Granted, numbered(0))
	n.End()
	for i := 0; i < 10; i++ {
		n.learn(numbered(i))
	}
	if n.outbox.pends() > 0 || n.waits() {
		t.Error("something waits for a replicator that has ended")
	}
}

// TestALotThatRedisDoesntTakeIsPushedLater is about a Redis that hangs for as long as it may, and a flood of proofs, for which
// most have to make room again.
func TestALotThatRedisDoesntTakeIsPushedLater(t *testing.T) {
	server := redistest.Start(t)
	options := optionsFor(server.Address)
	options.ReadTimeout = 20 * time.Second
	a, b := startNode(t, options), startNode(t, options)
	eventually(t, "both are in sync", func() bool { return a.synced() && b.synced() })
	server.Signal("STOP")
	most := 0
	for i := 0; i < maxOutbox+100; i++ {
		if i < 1000 {
			a.make(change.Granted, numbered(i))
		} else {
			a.Changed(changeOf(change.Evicted, numbered(i), 1))
		}
		if n := a.outbox.pends(); n > most {
			most = n
		}
	}
	if most < maxOutbox/2 || most > maxOutbox {
		t.Errorf("%d waited, want %d at most", most, maxOutbox)
	}
	server.Signal("CONT")
	a.outbox.wakeUp()
	eventually(t, "both hold the same", func() bool {
		return a.synced() && b.synced() && b.size() == 1000 && a.held() == b.held()
	})
}
