package replica

import (
	"context"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

// stepTimeout is how long Redis may take for each step of connecting, if it has taken less than a quarter before: longer
// waits would outlast a fault.
const stepTimeout = time.Second

// movedTo returns the address that a node of a cluster refers to; empty if it refers to none.
func movedTo(failure, from string) string {
	_, moved, isMoved := strings.Cut(failure, "MOVED ")
	words := strings.Fields(moved)
	if !isMoved || len(words) != 2 {
		return ""
	}
	if strings.HasPrefix(words[1], ":") {
		return clientip.Host(from) + words[1] // the node doesn't know its own name
	}
	return words[1]
}

// dial connects to the node that has the keys, or else to the next endpoint.
func (r *Replicator) dial(attempt context.Context) (*redis.Conn, error) {
	r.mu.Lock()
	limit := r.limitLocked()
	address := r.address
	if address == "" {
		address = r.redis.Endpoints[r.next%len(r.redis.Endpoints)]
		r.next++
	}
	r.mu.Unlock()
	started := time.Now()
	conn, err := redis.Dial(attempt, r.redis, address, limit)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connected = time.Since(started)
	if attempt.Err() == nil {
		r.address = address
	}
	return conn, nil
}

// limit returns how long each step of connecting may take.
func (r *Replicator) limit() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limitLocked()
}

func (r *Replicator) limitLocked() time.Duration {
	if r.connected == 0 || 4*r.connected > stepTimeout {
		return r.redis.DialTimeout
	}
	return redis.Shorter(stepTimeout, r.redis.DialTimeout)
}
