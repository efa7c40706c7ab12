package mtlsallowlist

import (
	"context"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

// patience is how long Redis may take for each step of connecting, if it has taken less than a quarter before: longer
// waits would outlast a fault.
const patience = time.Second

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
func (l *link) dial(attempt context.Context) (*redis.Conn, error) {
	l.mu.Lock()
	limit := l.limitLocked()
	address := l.address
	if address == "" {
		address = l.redis.Endpoints[l.next%len(l.redis.Endpoints)]
		l.next++
	}
	l.mu.Unlock()
	started := time.Now()
	conn, err := redis.Dial(attempt, &l.redis.Options, address, limit)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = time.Since(started)
	if attempt.Err() == nil {
		l.address = address
	}
	return conn, nil
}

// limit returns how long each step of connecting may take.
func (l *link) limit() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limitLocked()
}

func (l *link) limitLocked() time.Duration {
	if l.took == 0 || 4*l.took > patience {
		return l.redis.DialTimeout
	}
	return redis.Shorter(patience, l.redis.DialTimeout)
}
