package mtlsallowlist

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

// nobodysEpoch is what loadScript answers if there is none.
const nobodysEpoch = "-"

// A position is where in Redis's changes a link is.
type position struct {
	epoch string
	n     int64  // of the last change that was taken over
	last  string // its id in the stream
	doubt bool   // Redis has more than it has told
}

// following takes over what other replicas do, as long as the link lasts.
func (l *link) following() {
	defer l.recovered()
	for !l.isEnded() {
		attempt, _ := l.current()
		err := l.follow(attempt)
		if err == nil || l.isEnded() {
			continue
		}
		l.failed(attempt, err)
		time.Sleep(l.resting())
	}
}

// follow exchanges everything with Redis, and then follows its changes until something fails, or it is time to exchange
// everything again. The store is in step once Redis has answered to all kinds of question.
func (l *link) follow(attempt context.Context) error {
	conn, err := l.dial(attempt)
	if err != nil {
		return err
	}
	defer conn.Close()
	told := l.store.collect(l.id) // before looking what there is to tell
	at, err := l.exchange(conn)
	if err != nil {
		return err
	}
	started := l.clock.now()
	for first := true; first || l.clock.since(started) < reloaded; first = false {
		l.store.notice(l.clock.read())
		command := []string{"XREAD", "COUNT", "100"}
		if !first {
			command = append(command, "BLOCK", decimal(int64(blocked/time.Millisecond)))
		}
		answer, err := conn.Do(blocked+l.redis.ReadTimeout, append(command, "STREAMS", l.keys[2], at.last)...)
		if err != nil {
			return err
		}
		if answer.Kind == '_' {
			at, err = l.verify(conn, at)
		} else {
			at, err = l.adopt(answer, at)
		}
		if err != nil {
			return err
		}
		if err := l.retime(conn); err != nil {
			return err
		}
		l.save()
		if first {
			l.succeeded(attempt, told)
		}
	}
	return nil
}

// save sees to it that what other replicas have changed is in the state file, too: what they revoked isn't to come back
// from there.
func (l *link) save() {
	if file := l.store.stateFile(); file != nil {
		_ = file.keep(teller{log: l.log, store: l.store}, l.clock.read()) // it tells why not
	}
}

// adopt takes over changes: [[key, [[id, [field, value, ...]], ...]]].
func (l *link) adopt(answer redis.Reply, at position) (position, error) {
	if len(answer.Items) != 1 || len(answer.Items[0].Items) != 2 {
		return at, redis.ErrReply
	}
	for _, change := range answer.Items[0].Items[1].Items {
		if len(change.Items) != 2 {
			return at, redis.ErrReply
		}
		text, number := "", ""
		fields := change.Items[1].Items
		for i := 0; i+1 < len(fields); i += 2 {
			switch fields[i].Text {
			case "c":
				text = fields[i+1].Text
			case "n":
				number = fields[i+1].Text
			}
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n != at.n+1 {
			return at, errLost
		}
		l.adoptLines(text)
		at.n = n
		at.doubt = false
		at.last = change.Items[0].Text
	}
	return at, nil
}

// verify fails if Redis has lost its data, or if changes don't come.
func (l *link) verify(conn *redis.Conn, at position) (position, error) {
	answer, err := conn.Do(l.redis.ReadTimeout, "HMGET", l.keys[3], "id", "n")
	if err != nil {
		return at, err
	}
	if len(answer.Items) != 2 {
		return at, redis.ErrReply
	}
	id, number := answer.Items[0].Text, answer.Items[1].Text
	if id == "" && at.epoch == nobodysEpoch && at.n == 0 {
		return at, nil // nobody has told anything yet
	}
	if at.epoch == nobodysEpoch {
		at.epoch = id
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if number == "" {
		n = 0
		err = nil
	}
	if err != nil || id != at.epoch || n < at.n || n > at.n && at.doubt {
		return at, errLost
	}
	at.doubt = n > at.n // it may just have come
	return at, nil
}

// succeeded takes note that the store is in step, and tells it if it is news. Redis has so many of its changes.
func (l *link) succeeded(attempt context.Context, told int) {
	now := l.clock.now()
	l.mu.Lock()
	if l.ended || attempt.Err() != nil {
		l.mu.Unlock()
		return
	}
	news := !l.inStep
	if news {
		l.since = now
	}
	l.inStep = true
	l.passed = 0
	l.triedLocked()
	l.mu.Unlock()
	l.answers(attempt, told)
	l.poke() // what has come since
	if news {
		teller{log: l.log, store: l.store}.tell(slog.LevelInfo, event{at: now, what: "in step"}, "redis", l.redis.Endpoints[0])
	}
}
