package mtlsallowlist

import (
	"strconv"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

// exchange takes over all that Redis has, and tells it what it lacks.
func (l *link) exchange(conn *redis.Conn) (position, error) {
	shown, err := l.measure(conn)
	if err != nil {
		return position{}, err
	}
	answer, err := conn.Do(l.redis.ReadTimeout, append([]string{"EVAL", loadScript, "4"}, l.keys...)...)
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
	if notN != nil || notBehind != nil || behind < 0 || behind > maxStamp {
		return position{}, redis.ErrReply
	}
	l.compare(shown, behind) // not before it is clear that this is Redis: what is misdated would be lost
	held := l.adoptLines(text)
	l.compare(shown, 0) // what is there tells of later times, perhaps
	missing := []entry{}
	for _, e := range l.store.entries(l.clock.since(epoch)) {
		if other, ok := held[e.member()]; !ok || e.outweighs(other) {
			missing = append(missing, e)
		}
	}
	return position{epoch: words[0], n: n, last: words[2]}, l.tell(conn, missing)
}

// adoptLines takes over entries, a line each, and returns them by member.
func (l *link) adoptLines(text string) map[string]entry {
	held := map[string]entry{}
	all := []entry{}
	skipped := 0
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		e, err := parseEntry(line)
		if err != nil {
			skipped++
			continue
		}
		held[e.member()] = e
		all = append(all, e)
	}
	sortLatestFirst(all)
	for len(all) > 0 {
		n := len(all)
		if n > chunk {
			n = chunk
		}
		skipped += l.store.adopt(all[:n], l.clock.since(epoch))
		all = all[n:]
	}
	if l.store.pends() {
		l.pokeSoon() // some had to make room
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.skipped += skipped
	return held
}

// A redisTime is what Redis's clock showed, in milliseconds since 1970, at some moment, give or take slack milliseconds.
type redisTime struct {
	shown int64
	at    moment
	slack int64
}

// compare compares the store's clock with Redis's, which some replica has found to be behind. If it is more than known, as
// after it was set back, the next who is told learns of it.
func (l *link) compare(t redisTime, behind int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if behind > l.behind {
		l.behind = behind
	}
	l.behind += l.store.timeBy(t.shown+l.behind, t.at, t.slack)
}

// retime compares the clocks once more, and tells Redis if its own was set back.
func (l *link) retime(conn *redis.Conn) error {
	shown, err := l.measure(conn)
	if err != nil {
		return err
	}
	before := l.setBack()
	l.compare(shown, 0)
	if l.setBack() == before {
		return nil
	}
	return l.tell(conn, nil)
}

// setBack returns how far Redis's clock is behind, in milliseconds.
func (l *link) setBack() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.behind
}

// measure asks what time it is.
func (l *link) measure(conn *redis.Conn) (redisTime, error) {
	asked := l.clock.since(epoch)
	answer, err := conn.Do(redis.Shorter(l.limit(), l.redis.ReadTimeout), "TIME")
	now := l.clock.since(epoch)
	if err != nil {
		return redisTime{}, err
	}
	if len(answer.Items) != 2 {
		return redisTime{}, redis.ErrReply
	}
	seconds, notSeconds := strconv.ParseInt(answer.Items[0].Text, 10, 64)
	micros, notMicros := strconv.ParseInt(answer.Items[1].Text, 10, 64)
	if notSeconds != nil || notMicros != nil || seconds < 0 || seconds > maxStamp/1000 || micros < 0 || micros > 1_000_000 {
		return redisTime{}, redis.ErrReply
	}
	half := (now - asked) / 2
	return redisTime{shown: seconds*1000 + micros/1000, at: asked + half, slack: near + int64(half/time.Millisecond)}, nil
}
