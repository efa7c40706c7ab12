package replica

import (
	"sync"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
)

const (
	// maxOutbox is how many changes wait for Redis at most. If there are more, everything is reconciled instead.
	maxOutbox = 10_000
	// batchDelay is how long minor changes wait for others, to be pushed with them.
	batchDelay = 50 * time.Millisecond
)

// An outbox holds the changes that Redis is to get, the last of each grant. It is safe for concurrent use.
type outbox struct {
	wake chan bool // capacity 1: there is something to push

	mu         sync.Mutex
	open       bool
	pending    map[string]change.Change // by member
	overflowed bool                     // there was more than may be pending
	queued     int                      // how many changes there ever were
	batching   bool                     // a wake-up is on its way
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan bool, 1), pending: map[string]change.Change{}}
}

// start begins to take changes, and returns how many there had been before.
func (o *outbox) start() (queued int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = true
	o.overflowed = false
	return o.queued
}

// close ends that, and drops what is pending.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = false
	o.pending = map[string]change.Change{}
}

// put takes a change, and reports whether it did.
func (o *outbox) put(c change.Change) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open {
		return false
	}
	o.queued++
	if len(o.pending) >= maxOutbox {
		o.open = false
		o.pending = map[string]change.Change{}
		o.overflowed = true
		return true
	}
	o.pending[c.Member()] = c
	return true
}

// drain takes what is pending, and returns how many changes there ever were, and whether there were too many to keep.
func (o *outbox) drain() (changes []change.Change, queued int, overflowed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	changes = []change.Change{}
	if !o.open {
		return changes, 0, o.overflowed
	}
	for _, c := range o.pending {
		changes = append(changes, c)
	}
	o.pending = map[string]change.Change{}
	return changes, o.queued, false
}

// evicted returns the evictions that are pending: whoever asks the store for all doesn't hear of them.
func (o *outbox) evicted() []change.Change {
	o.mu.Lock()
	defer o.mu.Unlock()
	changes := []change.Change{}
	for _, c := range o.pending {
		if c.Kind == change.Evicted {
			changes = append(changes, c)
		}
	}
	return changes
}

// count returns how many changes there ever were.
func (o *outbox) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.queued
}

// wakeUp has them pushed.
func (o *outbox) wakeUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.wake) == 0 {
		o.wake <- true // nobody else sends without the lock, so there is room
	}
}

// wakeUpLater does so in a moment, with what comes until then.
func (o *outbox) wakeUpLater() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.batching {
		return
	}
	o.batching = true
	time.AfterFunc(batchDelay, o.batched)
}

func (o *outbox) batched() {
	o.mu.Lock()
	o.batching = false
	o.mu.Unlock()
	o.wakeUp()
}
