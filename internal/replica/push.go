package replica

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

const (
	// ackTimeout is how long a learning request waits until other replicas can know.
	ackTimeout = 100 * time.Millisecond
	// batchSize is how many changes Redis gets with one script: while it runs, Redis serves no other client.
	batchSize = 200
)

var errOverflow = errors.New("more changes than Redis takes")

// A waiter waits until so many changes are with Redis.
type waiter struct {
	upTo int
	done chan bool
}

// Changed queues a change. It is called under the store's lock.
func (r *Replicator) Changed(c change.Change) {
	if r.outbox.put(c) {
		r.outbox.wakeUpLater()
	}
}

// ClockSet does nothing: the replicas' clock is the store's.
func (r *Replicator) ClockSet(int64) {}

// Settle waits until Redis has what was queued so far: not long, and not at all while Redis doesn't answer.
func (r *Replicator) Settle(_, _ int64) {
	upTo := r.outbox.count()
	r.mu.Lock()
	if r.ended || !r.synced || !r.answered || r.pushed >= upTo {
		r.mu.Unlock()
		r.outbox.wakeUp()
		return
	}
	done := make(chan bool, 2)
	r.waiting = append(r.waiting, waiter{upTo: upTo, done: done})
	r.mu.Unlock()
	r.outbox.wakeUp()
	timer := time.AfterFunc(ackTimeout, func() { done <- false })
	inTime := <-done
	timer.Stop()
	if !inTime {
		r.mu.Lock()
		r.answered = false
		r.mu.Unlock()
	}
}

// releaseLocked lets those go on who wait for what Redis has, or for a replicator that can't push.
func (r *Replicator) releaseLocked() {
	kept := []waiter{}
	for _, w := range r.waiting {
		if r.synced && !r.ended && w.upTo > r.pushed {
			kept = append(kept, w)
			continue
		}
		w.done <- true // capacity 2: this one, and the timer's
	}
	r.waiting = kept
}

// pushing pushes what changes here, as long as the replicator lasts. While it isn't in sync, reconciling will do.
func (r *Replicator) pushing() {
	defer r.recovered()
	var conn *redis.Conn
	for {
		more := <-r.outbox.wake
		if !more || r.Ended() {
			return
		}
		attempt, synced := r.current()
		if !synced {
			continue
		}
		changes, queued, overflowed := r.outbox.drain()
		if overflowed {
			r.failed(attempt, errOverflow)
			continue
		}
		var err error
		conn, err = r.pushOn(attempt, conn, changes)
		if err != nil {
			r.failed(attempt, err)
			continue
		}
		r.acknowledge(attempt, queued)
	}
}

// acknowledge takes note that Redis answers, and has so many of the outbox's changes.
func (r *Replicator) acknowledge(attempt context.Context, pushed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if attempt.Err() != nil {
		return
	}
	if pushed > r.pushed {
		r.pushed = pushed
	}
	r.answered = true
	r.releaseLocked()
}

// pushOn pushes changes on a connection, and returns the one to use next. One that was used before may have been closed
// since: then it pushes them again on a new one, which changes nothing if they had come through.
func (r *Replicator) pushOn(attempt context.Context, conn *redis.Conn, changes []change.Change) (*redis.Conn, error) {
	if len(changes) == 0 {
		return conn, nil
	}
	if conn != nil {
		err := r.push(conn, changes)
		if err == nil {
			return conn, nil
		}
		conn.Close()
		if errors.Is(err, redis.ErrRedis) || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
	}
	conn, err := r.dial(attempt)
	if err != nil {
		return nil, err
	}
	if err := r.push(conn, changes); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// push has Redis merge changes. If there are none, it sees whether Redis would take some.
func (r *Replicator) push(conn *redis.Conn, changes []change.Change) error {
	for first := true; first || len(changes) > 0; first = false {
		n := len(changes)
		if n > batchSize {
			n = batchSize
		}
		command := append([]string{"EVAL", pushScript, "4"}, r.keys...)
		command = append(command, newEpoch(), change.Decimal(r.setBack()))
		for _, c := range changes[:n] {
			command = append(command, c.Member(), change.Decimal(c.Stamp), change.Decimal(c.Expires), c.Rest())
		}
		if _, err := conn.Do(r.redis.ReadTimeout, command...); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

func newEpoch() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}
