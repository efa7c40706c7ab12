package mtlsallowlist

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A sharer is a middleware that has a store shared, as long as its context isn't done.
type sharer struct {
	middleware string
	redis      *redisSettings
	ctx        context.Context
}

// claimRedis has a middleware's stores shared by its settings alone: with others at the same time, what one learner tells
// would not be where another listens. The error names who has others, and the keys that differ.
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
