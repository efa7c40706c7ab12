package mtlsallowlist

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

const (
	// acknowledged is how long a learning request waits until other replicas can know.
	acknowledged = 100 * time.Millisecond
	// gathered is how long renewals wait for each other.
	gathered = 50 * time.Millisecond
	// maxTold is how many entries Redis is told at once: so long nobody else is served.
	maxTold = 200
)

var errOverflown = errors.New("more changes than Redis takes")

// A waiting is somebody who waits until so many changes are with Redis.
type waiting struct {
	told int
	done chan bool
}

// telling tells Redis what happens here, as long as the link lasts. While it isn't in step, following will do.
func (l *link) telling() {
	defer l.recovered()
	var conn *redis.Conn
	for {
		more := <-l.wake
		if !more || l.isEnded() {
			return
		}
		attempt, inStep := l.current()
		if !inStep {
			continue
		}
		entries, told, overflown := l.store.drain(l.id)
		if overflown {
			l.failed(attempt, errOverflown)
			continue
		}
		var err error
		conn, err = l.tellOn(attempt, conn, entries)
		if err != nil {
			l.failed(attempt, err)
			continue
		}
		l.answers(attempt, told)
	}
}

// answers takes note that Redis answers, and has so many of the store's changes.
func (l *link) answers(attempt context.Context, told int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if attempt.Err() != nil {
		return
	}
	if told > l.told {
		l.told = told
	}
	l.answered = true
	l.releaseLocked()
}

// tellOn tells entries on a connection, and returns the one to use next. One that was used before may have been closed
// since: then it tells them again on a new one, which changes nothing if they had come through.
func (l *link) tellOn(attempt context.Context, conn *redis.Conn, entries []entry) (*redis.Conn, error) {
	if len(entries) == 0 {
		return conn, nil
	}
	if conn != nil {
		err := l.tell(conn, entries)
		if err == nil {
			return conn, nil
		}
		conn.Close()
		if errors.Is(err, redis.ErrRedis) || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, err
		}
	}
	conn, err := l.dial(attempt)
	if err != nil {
		return nil, err
	}
	if err := l.tell(conn, entries); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// tell tells Redis entries. If there are none, it sees whether Redis would take some.
func (l *link) tell(conn *redis.Conn, entries []entry) error {
	for first := true; first || len(entries) > 0; first = false {
		n := len(entries)
		if n > maxTold {
			n = maxTold
		}
		command := append([]string{"EVAL", tellScript, "4"}, l.keys...)
		command = append(command, newEpoch(), decimal(l.setBack()))
		for _, e := range entries[:n] {
			command = append(command, e.member(), decimal(e.stamp), decimal(e.expires), e.rest())
		}
		if _, err := conn.Do(l.redis.ReadTimeout, command...); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

func newEpoch() string {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return hex.EncodeToString(id)
}

// poke has the link tell what there is to tell.
func (l *link) poke() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wake) == 0 {
		l.wake <- true // nobody else sends without the lock, so there is room
	}
}

// pokeSoon does so in a moment, with what comes until then.
func (l *link) pokeSoon() {
	l.mu.Lock()
	gathers := l.gathers
	l.gathers = true
	l.mu.Unlock()
	if gathers {
		return
	}
	time.AfterFunc(gathered, func() {
		l.mu.Lock()
		l.gathers = false
		l.mu.Unlock()
		l.poke()
	})
}

// await waits until Redis has what the store has put on the way so far: not long, and not at all while Redis doesn't answer.
func (l *link) await() {
	told := l.store.told()
	l.mu.Lock()
	if l.ended || !l.inStep || !l.answered || l.told >= told {
		l.mu.Unlock()
		l.poke()
		return
	}
	done := make(chan bool, 2)
	l.waiting = append(l.waiting, waiting{told: told, done: done})
	l.mu.Unlock()
	l.poke()
	timer := time.AfterFunc(acknowledged, func() { done <- false })
	inTime := <-done
	timer.Stop()
	if !inTime {
		l.mu.Lock()
		l.answered = false
		l.mu.Unlock()
	}
}

// releaseLocked lets those go on who wait for what Redis has, or for a link that can't tell it.
func (l *link) releaseLocked() {
	kept := []waiting{}
	for _, w := range l.waiting {
		if l.inStep && !l.ended && w.told > l.told {
			kept = append(kept, w)
			continue
		}
		w.done <- true // capacity 2: this one, and the timer's
	}
	l.waiting = kept
}
