package mtlsallowlist

import "container/heap"

// tombstones are revocations that are still remembered, so that an older grant from another replica or a state file
// doesn't come back. It is not safe for concurrent use.
type tombstones struct {
	byMember map[string]*tombstone
	due      dueTombstones
}

type tombstone struct {
	entry
	position int // in tombstones.due
}

func newTombstones() *tombstones {
	return &tombstones{byMember: map[string]*tombstone{}}
}

func (t *tombstones) of(about string) (e entry, found bool) {
	held := t.byMember[about]
	if held == nil {
		return entry{}, false
	}
	return held.entry, true
}

// put remembers a revocation, instead of another one of the same grant. Of more than there may be, those go that end
// first. It keeps no names but those that a grant is told by.
func (t *tombstones) put(e entry, most int) {
	about := e.member()
	t.remove(about)
	e.identity = e.identity.Bare()
	held := &tombstone{entry: e}
	t.byMember[about] = held
	heap.Push(&t.due, held)
	for len(t.due) > most {
		t.remove(t.due[0].member())
	}
}

func (t *tombstones) remove(about string) {
	held := t.byMember[about]
	if held == nil {
		return
	}
	delete(t.byMember, about)
	heap.Remove(&t.due, held.position)
}

// removeExpired removes those that no longer matter at a time by Redis's clock.
func (t *tombstones) removeExpired(at int64) {
	for len(t.due) > 0 && t.due[0].expires <= at {
		t.remove(t.due[0].member())
	}
}

// all returns them in no order.
func (t *tombstones) all() []entry {
	entries := []entry{}
	for _, held := range t.due {
		entries = append(entries, held.entry)
	}
	return entries
}

// shift adds to all their times. That leaves their order as it is.
func (t *tombstones) shift(by int64) {
	for _, held := range t.due {
		held.learned += by
		held.proved += by
		held.stamp += by
		held.expires += by
	}
}

// dueTombstones is a heap.Interface, the one that ends first on top.
type dueTombstones []*tombstone

func (d dueTombstones) Len() int           { return len(d) }
func (d dueTombstones) Less(i, j int) bool { return d[i].expires < d[j].expires }

func (d dueTombstones) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].position = i
	d[j].position = j
}

func (d *dueTombstones) Push(x any) {
	held := x.(*tombstone)
	held.position = len(*d)
	*d = append(*d, held)
}

func (d *dueTombstones) Pop() any {
	last := len(*d) - 1
	held := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return held
}
