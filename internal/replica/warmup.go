package replica

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

var errWarmUp = errors.New("the warm-up went otherwise than written")

// WarmUp calls each method that a replicator's goroutines and requests can call at once, one after the other: Yaegi 0.16 fills
// a cache at the first call of each, and takes no lock for it. There is no network: what Redis answers is written down. The
// store must hand its changes to the replicator that observe gets; learn has it change. WarmUp returns the replicator, which has ended.
func WarmUp(store Store, log Log, observe func(r *Replicator), learn func()) (*Replicator, error) {
	options := &redis.Options{Endpoints: []string{""}, Password: "none", DB: 1, ReadTimeout: time.Second, WriteTimeout: time.Second} // nobody is there
	r := New(store, options, log)
	observe(r)
	queued := r.outbox.start()
	learn()
	phone := identity.Identity{Names: []string{"cn:warm-up"}}
	c := change.Change{Kind: change.Granted, IP: netip.MustParsePrefix("2001:db8::/64"), Identity: phone, Learned: 1, Stamp: 2, Proved: 2, Expires: change.MaxStamp}
	line := c.Line()
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	go io.Copy(io.Discard, there) //nolint:errcheck // compiled, as is the next: nothing of the plugin's runs beside this
	answers := strings.NewReader("+OK\r\n+OK\r\n*2\r\n" + bulk("1700000000") + bulk("0") +
		bulk("- 0 0-0 0\n"+line) + bulk("1700000000000") +
		"*2\r\n" + bulk("1700000000") + bulk("0") +
		"*1\r\n*2\r\n" + bulk("changes") + "*1\r\n*2\r\n" + bulk("1-0") + "*4\r\n" + bulk("c") + bulk(line) + bulk("n") + bulk("1") +
		"*2\r\n" + bulk("id") + bulk("1") + bulk("1700000000000"))
	go io.Copy(there, answers) //nolint:errcheck // what is missing is noticed below
	conn := redis.NewConn(here, time.Second)
	attempt, _ := r.current()
	failed := conn.LogIn(options, time.Second)
	at, err := r.reconcile(conn)
	failed = errors.Join(failed, err)
	store.Settle()
	r.succeeded(attempt, queued)
	failed = errors.Join(failed, r.retime(conn))
	answer, err := conn.Do(options.ReadTimeout, "XREAD")
	failed = errors.Join(failed, err)
	at, err = r.merge(answer, at)
	failed = errors.Join(failed, err)
	_, err = r.verify(conn, at)
	failed = errors.Join(failed, err)

	learn()
	changes, all, _ := r.outbox.drain()
	_, err = r.pushOn(attempt, conn, changes)
	failed = errors.Join(failed, err)
	if len(changes) == 0 || all != r.outbox.count() || r.invalid != 0 {
		failed = errors.Join(failed, errWarmUp)
	}
	_ = store.Compare(2_000_000_000_000, store.Moment(), clockTolerance) // Redis's clock is set ahead
	_ = r.State()
	r.outbox.close()
	conn.Close()

	err = r.pull(attempt)
	r.failed(attempt, err)
	_ = r.currentDelay()
	r.Settle(0, 0)
	r.outbox.wakeUpLater()
	r.End()
	r.pulling()
	r.pushing()
	return r, failed
}

// bulk is a text as Redis answers it.
func bulk(text string) string {
	return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
}
