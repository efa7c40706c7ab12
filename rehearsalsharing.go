package mtlsallowlist

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

var errRehearsal = errors.New("the rehearsal went otherwise than written")

// rehearseSharing calls each method that a link's goroutines, requests and the status page can call at once, for init's
// reason. There is no network: what Redis answers is written down. It returns a link that has ended.
func rehearseSharing(log *slog.Logger) (*link, error) {
	settings := &redisSettings{Options: redis.Options{Endpoints: []string{""}, Password: "none", DB: 1, ReadTimeout: time.Second, WriteTimeout: time.Second}} // nobody is there
	l := newLink(newStore("rehearsal of sharing"), settings, clock{time.Now, time.Since}, log)
	now := l.clock.read()
	limits := limits{ttl: time.Hour, maxIPs: 1, maxIPsPerIdentity: 1}
	ip, other := netip.MustParsePrefix("203.0.113.7/32"), netip.MustParsePrefix("2001:db8::/64")
	phone := identity.Identity{Names: []string{"cn:rehearsal"}}

	l.store.share()
	told := l.store.collect(l.id)
	_, _, _ = l.store.learn(ip, phone, limits, now)
	e := entry{kind: entryGrant, ip: other, identity: phone, learned: 1, stamp: 2, proved: 2, expires: maxStamp}
	line := fmt.Sprintf("%s %d %d %s", e.member(), e.stamp, e.expires, e.rest())
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	go io.Copy(io.Discard, there) // both are compiled: nothing of ours runs beside this
	go io.Copy(there, strings.NewReader("+OK\r\n+OK\r\n*2\r\n"+bulk("1700000000")+bulk("0")+
		bulk("- 0 0-0 0\n"+line)+bulk("1700000000000")+
		"*2\r\n"+bulk("1700000000")+bulk("0")+
		"*1\r\n*2\r\n"+bulk("changes")+"*1\r\n*2\r\n"+bulk("1-0")+"*4\r\n"+bulk("c")+bulk(line)+bulk("n")+bulk("1")+
		"*2\r\n"+bulk("id")+bulk("1")+bulk("1700000000000")))
	conn := redis.NewConn(here, time.Second)
	attempt, _ := l.current()
	failed := conn.LogIn(&settings.Options, time.Second)
	at, err := l.exchange(conn)
	failed = errors.Join(failed, err)
	l.save()
	l.succeeded(attempt, told)
	failed = errors.Join(failed, l.retime(conn))
	answer, err := conn.Do(settings.ReadTimeout, "XREAD")
	failed = errors.Join(failed, err)
	at, err = l.adopt(answer, at)
	failed = errors.Join(failed, err)
	_, err = l.verify(conn, at)
	failed = errors.Join(failed, err)

	_, _, _ = l.store.learn(other, phone, limits, now) // evicts
	_ = l.store.revoke(other, "", now)
	entries, all, _ := l.store.drain(l.id)
	_, err = l.tellOn(attempt, conn, entries)
	failed = errors.Join(failed, err)
	if len(entries) != 2 || all != l.store.told() || l.skipped != 0 {
		failed = errors.Join(failed, errRehearsal)
	}
	_ = l.store.timeBy(2_000_000_000_000, now.mono, near) // Redis's clock is set ahead
	state := l.state()
	_, _ = state.text(l.clock.now())
	l.store.drop(l.id)
	conn.Close()

	l.use(1)
	err = l.follow(attempt)
	l.failed(attempt, err)
	_ = l.resting()
	l.await()
	l.pokeSoon()
	l.end()
	l.following()
	l.telling()
	return l, failed
}

// bulk is a text as Redis answers it.
func bulk(text string) string {
	return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
}
