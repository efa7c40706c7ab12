package mtlsallowlist

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
)

// A replica is a store with a link, as in a Traefik of its own.
type replica struct {
	t     *testing.T
	store *store
	link  *link
	log   *lines
	ahead time.Duration // of its clock
}

// lines are a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startReplica makes a replica that goes by the endpoint, unless options have some, and ends with the test.
func startReplica(t *testing.T, endpoint string, options Redis, ahead time.Duration) *replica {
	t.Helper()
	if options.Endpoints == nil {
		options.Endpoints = []string{endpoint}
	}
	r := newReplica(t, "shared", &options, ahead)
	r.link.run()
	return r
}

// newReplica makes a replica whose link doesn't run yet.
func newReplica(t *testing.T, store string, options *Redis, ahead time.Duration) *replica {
	t.Helper()
	read := option.New(nil)
	settings := readRedis(read, options)
	if err := read.Err(); err != nil {
		t.Fatal(err)
	}
	r := &replica{t: t, store: newStore(store), log: &lines{}, ahead: ahead}
	r.link = newLink(r.store, settings, r.clock(), slog.New(slog.NewTextHandler(r.log, nil)))
	r.store.share()
	r.store.learnBy(terms{learner: true, limits: house24}, when(r.now()))
	t.Cleanup(func() { r.link.end() })
	return r
}

var house24 = limits{ttl: 24 * time.Hour, maxIPs: 1000}

func (r *replica) clock() clock {
	return clock{
		now:   func() time.Time { return time.Now().Add(r.ahead) },
		since: func(t time.Time) time.Duration { return time.Since(t) + r.ahead },
	}
}

func (r *replica) now() moment {
	return r.clock().since(epoch)
}

func (r *replica) inStep() bool {
	_, inStep := r.link.current()
	return inStep
}

// fails waits for so many attempts to fail.
func (r *replica) fails(n int) {
	r.t.Helper()
	for i := 0; i < n; i++ {
		attempt, _ := r.link.current()
		eventually(r.t, "another attempt fails", func() bool { return attempt.Err() != nil })
	}
}

// waits reports whether who learns now waits for Redis, or somebody does.
func (r *replica) waits() bool {
	r.link.mu.Lock()
	defer r.link.mu.Unlock()
	return r.link.inStep && r.link.answered || len(r.link.waiting) > 0
}

func (r *replica) learn(address string) {
	r.learnAs(address, "cn:phone", house24)
}

func (r *replica) learnAs(address, name string, limits limits) {
	_, _, _ = r.store.learn(clientip.Prefix(netip.MustParseAddr(address), 64), identity.Identity{Names: []string{name}}, limits, when(r.now()))
	r.link.await()
}

func (r *replica) revoke(address string) {
	r.store.revoke(clientip.Prefix(netip.MustParseAddr(address), 64), "", when(r.now()))
	r.link.await()
}

func (r *replica) holds(address string) bool {
	return r.store.holds(clientip.Prefix(netip.MustParseAddr(address), 64), when(r.now()))
}

// held returns all that it holds, in order.
func (r *replica) held() string {
	return heldBy(r.store, r.now())
}

// logged counts the lines with that message.
func (r *replica) logged(message string) int {
	return strings.Count(r.log.String(), " msg="+message+" ")
}
