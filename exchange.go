package mtlsallowlist

import (
	"strconv"
	"strings"
)

// exchange takes over all that Redis has, and tells it what it lacks.
func (l *link) exchange(conn *redisConn) (position, error) {
	time, at, err := l.measure(conn)
	if err != nil {
		return position{}, err
	}
	answer, err := conn.do(l.redis.readTimeout, append([]string{"EVAL", loadScript, "4"}, l.keys...)...)
	if err != nil {
		return position{}, err
	}
	head, text, _ := strings.Cut(answer.text, "\n")
	words := strings.Split(head, " ")
	if answer.kind != '$' || len(words) != 3 {
		return position{}, errReply
	}
	n, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return position{}, errReply
	}
	l.store.timeBy(time, at) // not before it is clear that this is Redis: what is misdated would be lost
	held := l.adoptLines(text)
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

// measure asks what time it is: what Redis's clock shows, in milliseconds since 1970, at some moment.
func (l *link) measure(conn *redisConn) (redis int64, at moment, err error) {
	asked := l.clock.since(epoch)
	answer, err := conn.do(shorter(l.limit(), l.redis.readTimeout), "TIME")
	now := l.clock.since(epoch)
	if err != nil {
		return 0, 0, err
	}
	if len(answer.items) != 2 {
		return 0, 0, errReply
	}
	seconds, notSeconds := strconv.ParseInt(answer.items[0].text, 10, 64)
	micros, notMicros := strconv.ParseInt(answer.items[1].text, 10, 64)
	if notSeconds != nil || notMicros != nil || seconds < 0 || seconds > maxStamp/1000 || micros < 0 || micros > 1_000_000 {
		return 0, 0, errReply
	}
	return seconds*1000 + micros/1000, asked + (now-asked)/2, nil
}
