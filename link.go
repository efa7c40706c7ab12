package mtlsallowlist

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

const (
	// opening is how long whoever opens a link waits for what other replicas have learned.
	opening = time.Second
	// pause is how long a link waits after a failure, soon if another attempt is likely to do. It isn't after maxPassed.
	pause     = 500 * time.Millisecond
	soon      = 20 * time.Millisecond
	maxPassed = 5
	// blocked is how long Redis may wait for changes to answer with, before the link sees whether all is well.
	blocked = time.Second
	// reloaded is how long a link follows changes before it loads everything.
	reloaded = 5 * time.Minute
	// idle is how long a link stays after its last middleware has gone: at a reload the new ones come after.
	idle = 5 * time.Second
)

var errLost = errors.New("Redis has lost its data, or changes have")

// A link keeps a store in step with those of other replicas, through Redis. It has two connections, each with a
// goroutine: one follows what others do, the other tells what happens here. It is safe for concurrent use.
type link struct {
	id    int
	store *store
	redis *redisSettings
	keys  []string
	clock clock
	log   *slog.Logger
	wake  chan bool // capacity 1: there is something to tell
	tried chan bool // capacity 2: an attempt came to an end, or nobody waits for it any more

	mu       sync.Mutex
	users    int // middlewares
	uses     int // how many there have ever been
	ended    bool
	attempt  context.Context // that the connections last with, until something fails
	giveUp   context.CancelFunc
	took     time.Duration // how long connecting took the last time; 0: it never worked
	address  string        // of the node that has the keys, in a cluster; empty: not known
	next     int           // of the endpoints to try
	rest     time.Duration // before the next attempt
	passed   int           // attempts in a row that failed, but are to be followed soon
	told     int           // how many of the store's changes are with Redis
	waiting  []waiting
	gathers  bool // a wake is on its way
	inStep   bool
	since    time.Time // inStep has been as it is
	failure  string    // the last
	failures int
	skipped  int   // entries that made no sense
	behind   int64 // how far Redis's clock is behind that of the replicas, in milliseconds
	answered bool  // the last answer that was waited for came in time
}

// openLink has a store shared as long as ctx lasts. Middlewares of the same store and settings have one link; other settings
// than before take over. Whoever comes first waits until the store has what the others have learned, or Redis fails: else
// a replica that starts would reject whom they let in.
func openLink(ctx context.Context, store *store, redis *redisSettings, clock clock, log *slog.Logger) {
	l, isNew := linkTo(store, redis, clock, log)
	context.AfterFunc(ctx, func() {
		if users, uses := l.use(-1); users == 0 {
			time.AfterFunc(idle, func() { closeIdle(l, uses) })
		}
	})
	if isNew {
		timer := time.AfterFunc(opening, func() { l.tried <- false })
		<-l.tried
		timer.Stop()
	}
}

// linkTo returns the link of a store by those settings, with one use more.
func linkTo(store *store, redis *redisSettings, clock clock, log *slog.Logger) (l *link, isNew bool) {
	stores.linking.Lock()
	defer stores.linking.Unlock()
	l = stores.links[store.name]
	if l != nil && l.redis.text == redis.text && !l.isEnded() {
		l.use(1)
		return l, false
	}
	if l != nil {
		l.end()
	}
	l = newLink(store, redis, clock, log)
	l.use(1)
	stores.links[store.name] = l
	store.share()
	l.run()
	return l, true
}

// run starts both goroutines. In Yaegi 0.16 they read l later, so nothing may be assigned to it here.
func (l *link) run() {
	go l.following()
	go l.telling()
}

// linkOf returns what shares a store; nil if nothing does.
func linkOf(store *store) *link {
	stores.linking.Lock()
	defer stores.linking.Unlock()
	return stores.links[store.name]
}

// closeIdle ends a link that no middleware has used since there were so many uses.
func closeIdle(l *link, uses int) {
	stores.linking.Lock()
	defer stores.linking.Unlock()
	if users, now := l.use(0); users > 0 || now != uses {
		return
	}
	l.end()
	if stores.links[l.store.name] == l {
		delete(stores.links, l.store.name)
	}
}

func newLink(store *store, redis *redisSettings, clock clock, log *slog.Logger) *link {
	stores.linkID++
	l := &link{id: stores.linkID, store: store, redis: redis, clock: clock, log: log, since: clock.now()}
	l.wake = make(chan bool, 1)
	l.tried = make(chan bool, 2)
	l.attempt, l.giveUp = context.WithCancel(context.Background())
	for _, name := range keyNames {
		l.keys = append(l.keys, "{mtlsallowlist:"+store.name+"}:"+name)
	}
	return l
}

// use counts n middlewares more, or less, and returns how many there are, and how many there have been.
func (l *link) use(n int) (users, uses int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users += n
	if n > 0 {
		l.uses += n
	}
	return l.users, l.uses
}

// end closes the connections, and with them ends both goroutines.
func (l *link) end() {
	l.mu.Lock()
	l.ended = true
	l.store.drop(l.id)
	l.giveUp()
	l.releaseLocked()
	l.mu.Unlock()
	l.poke()
}

func (l *link) isEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// current returns what connections made now last with, and whether the store is in step.
func (l *link) current() (attempt context.Context, inStep bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.attempt, l.inStep
}

// failed takes note that Redis can't be reached or refuses, tells it if it is news, and has following begin anew. What goes
// wrong with an attempt that was given up is no failure any more.
func (l *link) failed(attempt context.Context, err error) {
	now := l.clock.now()
	l.mu.Lock()
	if l.ended || attempt.Err() != nil {
		l.mu.Unlock()
		return
	}
	l.store.drop(l.id)
	l.giveUp()
	l.attempt, l.giveUp = context.WithCancel(context.Background())
	l.address = movedTo(err.Error(), l.address)
	l.rest = soon
	l.passed++
	news := false
	if !isPassing(err) || l.passed > maxPassed {
		l.rest = pause
		news = l.inStep || l.failure == ""
		if l.inStep {
			l.since = now
		}
		l.inStep = false
		l.failure = err.Error()
		l.failures++
		l.triedLocked()
	}
	l.releaseLocked()
	l.mu.Unlock()
	if news {
		teller{log: l.log, store: l.store}.tell(slog.LevelError, event{at: now, what: "failed", why: "redis: " + strings.TrimPrefix(err.Error(), redis.ErrRedis.Error()+": ")})
	}
}

// isPassing reports whether another attempt is likely to do: after a node of a cluster refers to another, or becomes the
// replica of another, or after changes are missing.
func isPassing(err error) bool {
	return errors.Is(err, errLost) || movedTo(err.Error(), "") != "" || strings.Contains(err.Error(), "UNBLOCKED ")
}

// triedLocked lets whoever opened the link go on.
func (l *link) triedLocked() {
	if len(l.tried) == 0 {
		l.tried <- true // nobody else sends without the lock but opening's timer, once: there is room
	}
}

// resting returns how long to wait for the next attempt.
func (l *link) resting() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rest
}

// recovered keeps a fault of ours from ending Traefik; without its link, a store goes on alone.
func (l *link) recovered() {
	fault := recover()
	if fault != nil {
		attempt, _ := l.current()
		l.failed(attempt, errors.New("a fault in the plugin; please report it"))
		l.log.Error("a fault in the plugin", "panic", fault)
		l.end()
	}
}
