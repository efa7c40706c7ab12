package replica

import (
	"context"
	"strconv"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

// noEpoch is what loadScript answers if there is none.
const noEpoch = "-"

// A position is how far the replicator has read Redis's stream of changes.
type position struct {
	epoch string
	n     int64  // number of the last batch that was merged
	last  string // its id in the stream
	doubt bool   // Redis has written more than it has sent
}

// pulling merges what other replicas change, as long as the replicator lasts.
func (r *Replicator) pulling() {
	defer r.recovered()
	for !r.Ended() {
		attempt, _ := r.current()
		err := r.pull(attempt)
		if err == nil || r.Ended() {
			continue
		}
		r.failed(attempt, err)
		time.Sleep(r.currentDelay())
	}
}

// pull reconciles everything with Redis, and then follows its changes until something fails, or it is time to reconcile
// again. The store is in sync once Redis has answered all kinds of commands.
func (r *Replicator) pull(attempt context.Context) error {
	conn, err := r.dial(attempt)
	if err != nil {
		return err
	}
	defer conn.Close()
	queued := r.outbox.start() // before looking what Redis lacks
	at, err := r.reconcile(conn)
	if err != nil {
		return err
	}
	started := r.store.Moment()
	for first := true; first || r.store.Moment()-started < reconcileInterval; first = false {
		r.store.Notice()
		command := []string{"XREAD", "COUNT", "100"}
		if !first {
			command = append(command, "BLOCK", change.Decimal(int64(blockTimeout/time.Millisecond)))
		}
		answer, err := conn.Do(blockTimeout+r.redis.ReadTimeout, append(command, "STREAMS", r.keys[2], at.last)...)
		if err != nil {
			return err
		}
		if answer.Kind == '_' {
			at, err = r.verify(conn, at)
		} else {
			at, err = r.merge(answer, at)
		}
		if err != nil {
			return err
		}
		if err := r.retime(conn); err != nil {
			return err
		}
		r.store.Settle() // what others revoke isn't to come back from a state file
		if first {
			r.succeeded(attempt, queued)
		}
	}
	return nil
}

// merge applies changes: [[key, [[id, [field, value, ...]], ...]]].
func (r *Replicator) merge(answer redis.Reply, at position) (position, error) {
	if len(answer.Items) != 1 || len(answer.Items[0].Items) != 2 {
		return at, redis.ErrReply
	}
	for _, batch := range answer.Items[0].Items[1].Items {
		if len(batch.Items) != 2 {
			return at, redis.ErrReply
		}
		text, number := "", ""
		fields := batch.Items[1].Items
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
		r.mergeLines(text)
		at.n = n
		at.doubt = false
		at.last = batch.Items[0].Text
	}
	return at, nil
}

// verify fails if Redis has lost its data, or if changes don't come.
func (r *Replicator) verify(conn *redis.Conn, at position) (position, error) {
	answer, err := conn.Do(r.redis.ReadTimeout, "HMGET", r.keys[3], "id", "n")
	if err != nil {
		return at, err
	}
	if len(answer.Items) != 2 {
		return at, redis.ErrReply
	}
	id, number := answer.Items[0].Text, answer.Items[1].Text
	if id == "" && at.epoch == noEpoch && at.n == 0 {
		return at, nil // no replica has pushed anything yet
	}
	if at.epoch == noEpoch {
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
