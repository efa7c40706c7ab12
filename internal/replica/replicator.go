// Package replica keeps a store in sync with those of other replicas of Traefik, through Redis: it pushes what changes here,
// pulls what changes elsewhere, and reconciles everything after a gap. It doesn't decide which grants hold: the store does.
package replica

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

const (
	// firstSyncTimeout is how long whoever starts a replicator waits for what other replicas have learned.
	firstSyncTimeout = time.Second
	// retryDelay is the wait after a failed attempt. One that is likely to work now, after a redirect or a failover, waits
	// failoverDelay, at most maxFailovers times in a row.
	retryDelay    = 500 * time.Millisecond
	failoverDelay = 20 * time.Millisecond
	maxFailovers  = 5
	// blockTimeout is how long Redis may wait for changes to answer with, before the replicator verifies that none is missing.
	blockTimeout = time.Second
	// reconcileInterval is how long a replicator pulls changes before it reconciles everything.
	reconcileInterval = 5 * time.Minute
)

var errLost = errors.New("the data in Redis was lost, or changes were")

// A Store is what is replicated. Moments are durations since some moment, by the monotonic clock.
type Store interface {
	Name() string
	// Notice compares the clocks of this machine.
	Notice()
	// Moment returns what the monotonic clock shows.
	Moment() time.Duration
	// At returns the time of a moment by the store's clock, in milliseconds since 1970.
	At(moment time.Duration) int64
	// Compare compares the store's clock with Redis's, which showed that many milliseconds since 1970 at a moment, give or take
	// slack milliseconds. It returns how far Redis's clock is behind.
	Compare(redis int64, at time.Duration, slack int64) (behind int64)
	// Apply merges changes that others have made, and returns how many are invalid.
	Apply(changes []change.Change, at time.Duration) (invalid int)
	// Each calls visit with all that holds at a time, in portions.
	Each(now int64, visit func(portion []change.Change))
	// Settle waits until other observers have what was applied.
	Settle()
}

// A Log gets what people should know.
type Log interface {
	// Synced says that the store is in sync again, by that endpoint.
	Synced(endpoint string)
	// Failed says why it isn't any more.
	Failed(err error)
	// Fault says that there is a fault in the plugin.
	Fault(cause any)
}

// A Replicator keeps one store in sync. It has two connections, each with a goroutine: one pulls, the other pushes. It is
// safe for concurrent use.
type Replicator struct {
	store  Store
	redis  *redis.Options
	keys   []string
	log    Log
	outbox *outbox
	tried  chan bool // capacity 2: the first attempt came to an end, or nobody waits for it any more

	mu        sync.Mutex
	ended     bool
	attempt   context.Context // that the connections last with, until something fails
	giveUp    context.CancelFunc
	connected time.Duration // how long connecting took the last time; 0: it never worked
	address   string        // of the node that has the keys, in a cluster; empty: not known
	next      int           // of the endpoints to try
	delay     time.Duration // before the next attempt
	failovers int           // attempts in a row that failed, and are likely to work now
	pushed    int           // how many of the outbox's changes are with Redis
	waiting   []waiter
	synced    bool
	since     time.Time // synced has been as it is
	failure   string    // the last
	failures  int
	invalid   int   // invalid changes in Redis, each as often as it was read
	behind    int64 // how far Redis's clock is behind that of the replicas, in milliseconds
	answered  bool  // the last acknowledgement that was waited for came in time
}

// New returns a replicator that doesn't run yet.
func New(store Store, options *redis.Options, log Log) *Replicator {
	r := &Replicator{store: store, redis: options, log: log, outbox: newOutbox(), since: time.Now()}
	r.tried = make(chan bool, 2)
	r.attempt, r.giveUp = context.WithCancel(context.Background())
	for _, name := range keyNames {
		r.keys = append(r.keys, "{mtlsallowlist:"+store.Name()+"}:"+name)
	}
	return r
}

// Run starts both goroutines. In Yaegi 0.16 they read r later, so nothing may be assigned to it here.
func (r *Replicator) Run() {
	go r.pulling()
	go r.pushing()
}

// AwaitFirstSync waits until the store has what others have learned, or Redis fails: else a replica that starts would reject
// whom they let in.
func (r *Replicator) AwaitFirstSync() {
	timer := time.AfterFunc(firstSyncTimeout, func() { r.tried <- false })
	<-r.tried
	timer.Stop()
}

// End closes the connections, and with them ends both goroutines. What wasn't pushed yet is dropped.
func (r *Replicator) End() {
	r.mu.Lock()
	r.ended = true
	r.outbox.close()
	r.giveUp()
	r.releaseLocked()
	r.mu.Unlock()
	r.outbox.wakeUp()
}

// Ended reports whether it has ended.
func (r *Replicator) Ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// current returns what connections made now last with, and whether the store is in sync.
func (r *Replicator) current() (attempt context.Context, synced bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attempt, r.synced
}

// failed takes note that Redis can't be reached or refuses, logs it if it is news, and has pulling begin anew. What goes
// wrong with an attempt that was given up is no failure any more.
func (r *Replicator) failed(attempt context.Context, err error) {
	now := time.Now()
	r.mu.Lock()
	if r.ended || attempt.Err() != nil {
		r.mu.Unlock()
		return
	}
	r.outbox.close()
	r.giveUp()
	r.attempt, r.giveUp = context.WithCancel(context.Background())
	r.address = movedTo(err.Error(), r.address)
	r.delay = failoverDelay
	r.failovers++
	news := false
	if !isFailover(err) || r.failovers > maxFailovers {
		r.delay = retryDelay
		news = r.synced || r.failure == ""
		if r.synced {
			r.since = now
		}
		r.synced = false
		r.failure = err.Error()
		r.failures++
		r.triedLocked()
	}
	r.releaseLocked()
	r.mu.Unlock()
	if news {
		r.log.Failed(errors.New("redis: " + strings.TrimPrefix(err.Error(), redis.ErrRedis.Error()+": ")))
	}
}

// isFailover reports whether another attempt is likely to work: after a node of a cluster refers to another, or becomes the
// replica of another, or after changes are missing.
func isFailover(err error) bool {
	return errors.Is(err, errLost) || movedTo(err.Error(), "") != "" || strings.Contains(err.Error(), "UNBLOCKED ")
}

// succeeded takes note that the store is in sync, and logs it if it is news. Redis has so many of its changes.
func (r *Replicator) succeeded(attempt context.Context, pushed int) {
	now := time.Now()
	r.mu.Lock()
	if r.ended || attempt.Err() != nil {
		r.mu.Unlock()
		return
	}
	news := !r.synced
	if news {
		r.since = now
	}
	r.synced = true
	r.failovers = 0
	r.triedLocked()
	r.mu.Unlock()
	r.acknowledge(attempt, pushed)
	r.outbox.wakeUp() // for what has come since
	if news {
		r.log.Synced(r.redis.Endpoints[0])
	}
}

// triedLocked lets whoever started the replicator go on.
func (r *Replicator) triedLocked() {
	if len(r.tried) == 0 {
		r.tried <- true // nobody else sends without the lock but the timer, once: there is room
	}
}

// currentDelay returns how long to wait for the next attempt.
func (r *Replicator) currentDelay() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delay
}

// recovered keeps a fault of the plugin's from ending Traefik; without its replicator, a store goes on alone.
func (r *Replicator) recovered() {
	fault := recover()
	if fault != nil {
		attempt, _ := r.current()
		r.failed(attempt, errors.New("a fault in the plugin; please report it"))
		r.log.Fault(fault)
		r.End()
	}
}

// A State is how replication is doing at some moment.
type State struct {
	Synced   bool
	Since    time.Time // Synced has been as it is
	Failure  string    // why it isn't in sync; empty if it is, or nothing has failed yet
	Failures int       // times that Redis could not be reached, or refused
	Invalid  int       // invalid changes in Redis, each as often as it was read
}

// State returns how it is doing.
func (r *Replicator) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := State{Synced: r.synced, Since: r.since, Failures: r.failures, Invalid: r.invalid}
	if !r.synced {
		s.Failure = r.failure
	}
	return s
}
