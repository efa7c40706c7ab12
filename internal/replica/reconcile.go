package replica

import (
	"strconv"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

// clockTolerance is how far apart, in milliseconds, measurements of Redis's clock may be that are taken for the same,
// besides what the network takes.
const clockTolerance = 50

// reconcile merges all that Redis has, and pushes what it lacks.
func (r *Replicator) reconcile(conn *redis.Conn) (position, error) {
	shown, err := r.measure(conn)
	if err != nil {
		return position{}, err
	}
	answer, err := conn.Do(r.redis.ReadTimeout, append([]string{"EVAL", loadScript, "4"}, r.keys...)...)
	if err != nil {
		return position{}, err
	}
	head, text, _ := strings.Cut(answer.Text, "\n")
	words := strings.Split(head, " ")
	if answer.Kind != '$' || len(words) != 4 {
		return position{}, redis.ErrReply
	}
	n, notN := strconv.ParseInt(words[1], 10, 64)
	behind, notBehind := strconv.ParseInt(words[3], 10, 64)
	if notN != nil || notBehind != nil || behind < 0 || behind > change.MaxStamp {
		return position{}, redis.ErrReply
	}
	r.compare(shown, behind) // not before it is clear that this is Redis: by a wrong clock, changes would be lost
	held := r.mergeLines(text)
	r.compare(shown, 0) // what is there tells of later times, perhaps
	return position{epoch: words[0], n: n, last: words[2]}, r.push(conn, r.lacking(held))
}

// lacking returns what the store knows and Redis, which holds so much, doesn't: the oldest first.
func (r *Replicator) lacking(held map[string]change.Change) []change.Change {
	missing := []change.Change{}
	add := func(changes []change.Change) {
		for _, c := range changes {
			if other, ok := held[c.Member()]; !ok || c.Outweighs(other.Stamp, other.Kind) {
				missing = append(missing, c)
			}
		}
	}
	r.store.Each(r.store.At(r.store.Moment()), add)
	add(r.outbox.evicted())
	change.SortOldestFirst(missing)
	return missing
}

// mergeLines merges changes, a line each, and returns them by member.
func (r *Replicator) mergeLines(text string) map[string]change.Change {
	held := map[string]change.Change{}
	all := []change.Change{}
	invalid := 0
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		c, err := change.Parse(line)
		if err != nil {
			invalid++
			continue
		}
		held[c.Member()] = c
		all = append(all, c)
	}
	change.SortLatestFirst(all)
	change.Portions(len(all), func(first, last int) {
		invalid += r.store.Apply(all[first:last], r.store.Moment())
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.invalid += invalid
	return held
}

// A redisTime is what Redis's clock showed, in milliseconds since 1970, at a moment, give or take slack milliseconds.
type redisTime struct {
	shown int64
	at    time.Duration
	slack int64
}

// compare compares the store's clock with Redis's, which some replica has found to be behind. If it is more than known, as
// after it was set back, the other replicas get it with the next push.
func (r *Replicator) compare(t redisTime, behind int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if behind > r.behind {
		r.behind = behind
	}
	r.behind += r.store.Compare(t.shown+r.behind, t.at, t.slack)
}

// retime compares the clocks once more, and tells Redis if its own was set back.
func (r *Replicator) retime(conn *redis.Conn) error {
	shown, err := r.measure(conn)
	if err != nil {
		return err
	}
	before := r.setBack()
	r.compare(shown, 0)
	if r.setBack() == before {
		return nil
	}
	return r.push(conn, nil)
}

// setBack returns how far Redis's clock is behind, in milliseconds.
func (r *Replicator) setBack() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.behind
}

// measure asks what time it is.
func (r *Replicator) measure(conn *redis.Conn) (redisTime, error) {
	asked := r.store.Moment()
	answer, err := conn.Do(redis.Shorter(r.limit(), r.redis.ReadTimeout), "TIME")
	now := r.store.Moment()
	if err != nil {
		return redisTime{}, err
	}
	if len(answer.Items) != 2 {
		return redisTime{}, redis.ErrReply
	}
	seconds, notSeconds := strconv.ParseInt(answer.Items[0].Text, 10, 64)
	micros, notMicros := strconv.ParseInt(answer.Items[1].Text, 10, 64)
	if notSeconds != nil || notMicros != nil || seconds < 0 || seconds > change.MaxStamp/1000 || micros < 0 || micros > 1_000_000 {
		return redisTime{}, redis.ErrReply
	}
	half := (now - asked) / 2
	return redisTime{shown: seconds*1000 + micros/1000, at: asked + half, slack: clockTolerance + int64(half/time.Millisecond)}, nil
}
