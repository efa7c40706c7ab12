package mtlsallowlist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/replica"
)

// linger is how long a replicator stays after its last middleware has gone: at a reload the new ones come after.
const linger = 5 * time.Second

// stores is the one piece of state of the package. It has to be package-level: Traefik makes new handlers
// at every reload, and what was learned must be there for them.
var stores = struct {
	mu      sync.Mutex
	byName  map[string]*store
	files   map[string]*keeping // by path
	keeping map[string]*keeping // by the name of the store
	sharers map[string][]sharer // by the name of the store

	replicating sync.Mutex              // held for a moment only, since learners wait for it
	replicas    map[string]*replication // by the name of the store
}{byName: map[string]*store{}, files: map[string]*keeping{}, keeping: map[string]*keeping{}, sharers: map[string][]sharer{}, replicas: map[string]*replication{}}

// openStore returns the store with that name, and makes it first if need be.
func openStore(name string) *store {
	stores.mu.Lock()
	defer stores.mu.Unlock()
	s := stores.byName[name]
	if s == nil {
		s = newStore(name)
		stores.byName[name] = s
	}
	return s
}

// A replication is a replicator with the settings that it has, and the middlewares that use it.
type replication struct {
	replicator *replica.Replicator
	settings   string // as text
	store      *store

	mu    sync.Mutex
	users int // middlewares
	uses  int // how many there have ever been
}

// replicate has a store replicated as long as ctx lasts. Middlewares of the same store and settings have one replicator; other
// settings than before take over. Whoever comes first waits for the first sync.
func replicate(ctx context.Context, store *store, redis *redisSettings, clock clocks.Clock, log *slog.Logger) {
	r, isNew := replicationOf(store, redis, clock, log)
	context.AfterFunc(ctx, func() {
		if users, uses := r.use(-1); users == 0 {
			time.AfterFunc(linger, func() { r.endUnused(uses) })
		}
	})
	if isNew {
		r.replicator.AwaitFirstSync()
	}
}

// replicationOf returns the replication of a store by those settings, with one use more.
func replicationOf(store *store, redis *redisSettings, clock clocks.Clock, log *slog.Logger) (r *replication, isNew bool) {
	stores.replicating.Lock()
	defer stores.replicating.Unlock()
	r = stores.replicas[store.name]
	if r != nil && r.settings == redis.text && !r.replicator.Ended() {
		r.use(1)
		return r, false
	}
	if r != nil {
		r.replicator.End()
	}
	r = newReplication(store, redis, clock, log)
	r.use(1)
	stores.replicas[store.name] = r
	store.observe(observerRedis, r.replicator)
	r.replicator.Run()
	return r, true
}

func newReplication(store *store, redis *redisSettings, clock clocks.Clock, log *slog.Logger) *replication {
	told := replicationLog{reporter: reporter{log: log, store: store}, now: clock.Now}
	r := replica.New(replicated{store: store, clock: clock}, &redis.Options, told)
	return &replication{replicator: r, settings: redis.text, store: store}
}

// use counts n middlewares more, or less, and returns how many there are, and how many there have been.
func (r *replication) use(n int) (users, uses int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users += n
	if n > 0 {
		r.uses += n
	}
	return r.users, r.uses
}

// endUnused ends a replication that no middleware has used since there were so many uses.
func (r *replication) endUnused(uses int) {
	stores.replicating.Lock()
	defer stores.replicating.Unlock()
	if users, now := r.use(0); users > 0 || now != uses {
		return
	}
	r.replicator.End()
	if stores.replicas[r.store.name] == r {
		delete(stores.replicas, r.store.name)
		r.store.observe(observerRedis, nil)
	}
}

// replicaOf returns what replicates a store; nil if nothing does.
func replicaOf(s *store) *replication {
	stores.replicating.Lock()
	defer stores.replicating.Unlock()
	return stores.replicas[s.name]
}

// replicaState returns how a store is replicated at the moment; nil if it isn't.
func replicaState(s *store) *replica.State {
	r := replicaOf(s)
	if r == nil {
		return nil
	}
	state := r.replicator.State()
	return &state
}

// A sharer is a middleware that has a store shared, as long as its context isn't done.
type sharer struct {
	middleware string
	redis      *redisSettings
	ctx        context.Context
}

// claimRedis has a middleware's stores shared by its settings alone: with others at the same time, what one learner pushes
// would not be where another pulls. The error names who has others, and the keys that differ.
//
// At a reload others are taken: Traefik cancels the context of all middlewares that there were before it makes the first
// new one (CreateRouters in its pkg/server/routerfactory.go). So whoever isn't cancelled is of the same configuration.
func claimRedis(ctx context.Context, s *settings) error {
	if s.redis == nil {
		return nil
	}
	stores.mu.Lock()
	defer stores.mu.Unlock()
	faults := []error{}
	for _, store := range s.stores {
		for _, other := range stores.sharers[store.name] {
			keys := differing(other.redis, s.redis)
			if other.ctx.Err() == nil && len(keys) > 0 {
				faults = append(faults, fmt.Errorf("redis: the store %q is shared by other settings already, for middleware %q: they differ in %s; a store has one Redis",
					store.name, other.middleware, strings.Join(keys, ", ")))
				break
			}
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for _, store := range s.stores {
		living := []sharer{{middleware: s.name, redis: s.redis, ctx: ctx}}
		for _, other := range stores.sharers[store.name] {
			if other.ctx.Err() == nil && other.middleware != s.name { // it has one for each router
				living = append(living, other)
			}
		}
		stores.sharers[store.name] = living
	}
	return nil
}

// differing returns the keys whose values differ, but for files whose content was replaced in between: the newer counts.
func differing(a, b *redisSettings) []string {
	keys := []string{}
	for _, key := range options {
		before, after := a.options[key], b.options[key]
		if before.written != after.written && before.value != after.value {
			keys = append(keys, key)
		}
	}
	return keys
}
