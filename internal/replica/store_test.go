package replica

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis/redistest"
)

// A memory is a store that merges changes by the rule for all, without limits.
type memory struct {
	name  string
	start time.Time

	mu      sync.Mutex
	changes map[string]change.Change // by member; no evictions
	other   *Replicator              // is handed the changes that are made here; nil: nobody is
}

func newMemory(name string) *memory {
	return &memory{name: name, start: time.Now(), changes: map[string]change.Change{}}
}

func (m *memory) Name() string                  { return m.name }
func (m *memory) Notice()                       {}
func (m *memory) Settle()                       {}
func (m *memory) Moment() time.Duration         { return time.Since(m.start) }
func (m *memory) At(moment time.Duration) int64 { return m.start.Add(moment).UnixMilli() }

func (m *memory) Compare(redis int64, at time.Duration, slack int64) (behind int64) { return 0 }

func (m *memory) Apply(changes []change.Change, at time.Duration) (invalid int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range changes {
		m.applyLocked(c)
	}
	return 0
}

func (m *memory) applyLocked(c change.Change) {
	held, found := m.changes[c.Member()]
	if found && !c.Outweighs(held.Stamp, held.Kind) {
		return
	}
	m.changes[c.Member()] = c
	if c.Kind == change.Evicted {
		delete(m.changes, c.Member())
	}
}

func (m *memory) Each(now int64, visit func(portion []change.Change)) {
	m.mu.Lock()
	all := []change.Change{}
	for _, c := range m.changes {
		if c.Expires > now {
			all = append(all, c)
		}
	}
	m.mu.Unlock()
	visit(all)
}

// make makes a change to the grant of cn:phone for an IP, which lasts for an hour.
func (m *memory) make(kind change.Kind, ip netip.Prefix) {
	at := m.At(m.Moment())
	m.mu.Lock()
	defer m.mu.Unlock()
	c := changeOf(kind, ip, at)
	if held, found := m.changes[c.Member()]; found && held.Stamp >= c.Stamp {
		c.Stamp = held.Stamp + 1
	}
	m.applyLocked(c)
	if m.other != nil {
		m.other.Changed(c)
	}
}

func changeOf(kind change.Kind, ip netip.Prefix, at int64) change.Change {
	phone := identity.Identity{Names: []string{"cn:phone"}}
	return change.Change{Kind: kind, IP: ip, Identity: phone, Learned: at, Stamp: at, Proved: at, Expires: at + time.Hour.Milliseconds()}
}

// held returns the grants that hold, a line each.
func (m *memory) held() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines := []string{}
	for _, c := range m.changes {
		if c.Kind == change.Granted {
			lines = append(lines, c.IP.Addr().String())
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// size returns how many grants and revocations there are.
func (m *memory) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.changes)
}

// numbered returns one of as many public addresses as one likes.
func numbered(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

// A record is a log that counts.
type record struct {
	mu             sync.Mutex
	synced, failed int
	faults         []string
}

func (r *record) Synced(endpoint string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.synced++
}

func (r *record) Failed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
}

func (r *record) Fault(cause any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprint(cause))
}

// counts returns how often it was told of either.
func (r *record) counts() (synced, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.synced, r.failed
}

// A node is a store with its replicator, as in a Traefik of its own.
type node struct {
	*memory
	*Replicator
	log *record
}

// newNode makes a node whose replicator doesn't run yet, and ends with the test.
func newNode(t *testing.T, store string, options *redis.Options) *node {
	t.Helper()
	n := &node{memory: newMemory(store), log: &record{}}
	n.Replicator = New(n.memory, options, n.log)
	n.other = n.Replicator
	t.Cleanup(n.End)
	return n
}

func startNode(t *testing.T, options *redis.Options) *node {
	t.Helper()
	n := newNode(t, "shared", options)
	n.Run()
	return n
}

// optionsFor are the defaults for one server.
func optionsFor(address string) *redis.Options {
	return &redis.Options{Endpoints: []string{address}, ReadTimeout: 3 * time.Second, WriteTimeout: 3 * time.Second, DialTimeout: 5 * time.Second}
}

func (n *node) synced() bool {
	return n.State().Synced
}

// learn grants an IP, and waits as a learner does.
func (n *node) learn(ip netip.Prefix) {
	n.make(change.Granted, ip)
	n.Replicator.Settle(0, 0)
}

// waits reports whether who learns now waits for Redis, or somebody does.
func (n *node) waits() bool {
	n.Replicator.mu.Lock()
	defer n.Replicator.mu.Unlock()
	return !n.ended && n.Replicator.synced && n.answered || len(n.waiting) > 0
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	redistest.Eventually(t, what, holds)
}
