package mtlsallowlist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity/identitytest"
	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis/redistest"
	"github.com/mtlsallowlist/mtlsallowlist/internal/replica"
)

// A node is a store that is replicated, as in a Traefik of its own.
type node struct {
	t          *testing.T
	store      *store
	replicator *replica.Replicator
	log        *lines
	logger     *slog.Logger  // writes log
	ahead      time.Duration // of its clock
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

// startNode makes a node that goes by the endpoint, unless options have some, and ends with the test.
func startNode(t *testing.T, endpoint string, options Redis, ahead time.Duration) *node {
	t.Helper()
	if options.Endpoints == nil {
		options.Endpoints = []string{endpoint}
	}
	n := newNode(t, "shared", &options, ahead)
	n.replicator.Run()
	return n
}

// newNode makes a node whose replicator doesn't run yet.
func newNode(t *testing.T, store string, options *Redis, ahead time.Duration) *node {
	t.Helper()
	read := option.New(nil)
	settings := readRedis(read, options)
	if err := read.Err(); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, store: newStore(store), log: &lines{}, ahead: ahead}
	n.logger = slog.New(slog.NewTextHandler(n.log, nil))
	n.replicator = newReplication(n.store, settings, n.clock(), n.logger).replicator
	n.store.observe(observerRedis, n.replicator)
	n.store.learnBy(terms{learner: true, limits: house24}, when(n.now()))
	t.Cleanup(func() { n.replicator.End() })
	return n
}

var house24 = limits{ttl: 24 * time.Hour, maxIPs: 1000}

func (n *node) clock() clocks.Clock {
	return clocks.Clock{
		Now:   func() time.Time { return time.Now().Add(n.ahead) },
		Since: func(t time.Time) time.Duration { return time.Since(t) + n.ahead },
	}
}

func (n *node) now() clocks.Moment {
	return n.clock().Since(clocks.Epoch)
}

func (n *node) synced() bool {
	return n.replicator.State().Synced
}

// fails waits for so many attempts to fail.
func (n *node) fails(times int) {
	n.t.Helper()
	before := n.replicator.State().Failures
	eventually(n.t, "more attempts fail", func() bool { return n.replicator.State().Failures >= before+times })
}

func (n *node) learn(address string) {
	n.learnAs(address, "cn:phone", house24)
}

func (n *node) learnAs(address, name string, limits limits) {
	_, _, _, _ = n.store.learn(clientip.Prefix(netip.MustParseAddr(address), 64), identity.Identity{Names: []string{name}}, limits, when(n.now()))
	n.store.settle(when(n.now()))
}

func (n *node) revoke(address string) {
	n.store.revoke(clientip.Prefix(netip.MustParseAddr(address), 64), "", when(n.now()))
	n.store.settle(when(n.now()))
}

func (n *node) holds(address string) bool {
	return n.store.holds(clientip.Prefix(netip.MustParseAddr(address), 64), when(n.now()))
}

// held returns all that it holds, in order.
func (n *node) held() string {
	return heldBy(n.store, n.now())
}

// logged counts the lines with that message.
func (n *node) logged(message string) int {
	return strings.Count(n.log.String(), " msg="+message+" ")
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	redistest.Eventually(t, what, holds)
}

// What a relay does with the bytes that come.
const (
	passes   = iota
	swallows // them, and all that come later on the connections of that time
	holds    // them, and passes them later
)

// A relay stands between a replica and Redis. It makes a connection of its own for each that comes.
type relay struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	changed *sync.Cond
	mode    int
	conns   []net.Conn
}

func startRelay(t *testing.T, target string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: listener, target: target}
	r.changed = sync.NewCond(&r.mu)
	go r.accept()
	t.Cleanup(func() { r.close() })
	return r
}

func (r *relay) address() string {
	return r.listener.Addr().String()
}

func (r *relay) close() {
	_ = r.listener.Close()
	r.set(passes)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		_ = conn.Close()
	}
}

func (r *relay) set(mode int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = mode
	r.changed.Broadcast()
}

func (r *relay) accept() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = from.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, from, to)
		r.mu.Unlock()
		go r.copy(from, to)
		go r.copy(to, from)
	}
}

func (r *relay) copy(from, to net.Conn) {
	chunk := make([]byte, 4096)
	swallowed := false
	for {
		n, err := from.Read(chunk)
		if err != nil {
			_ = to.Close()
			return
		}
		r.mu.Lock()
		for r.mode == holds {
			r.changed.Wait()
		}
		swallowed = swallowed || r.mode == swallows
		r.mu.Unlock()
		if swallowed {
			continue
		}
		if _, err := to.Write(chunk[:n]); err != nil {
			_ = from.Close()
			return
		}
	}
}

func TestWhatOneReplicaLearnsAllKnow(t *testing.T) {
	redis := redistest.Start(t)
	a, b := startNode(t, redis.Address, Redis{}, 0), startNode(t, redis.Address, Redis{}, 7*time.Minute)
	eventually(t, "both are in step", func() bool { return a.synced() && b.synced() })
	a.learn("203.0.113.7")
	eventually(t, "b knows", func() bool { return b.holds("203.0.113.7") })
	b.learn("2001:db8::1")
	eventually(t, "a knows", func() bool { return a.holds("2001:db8::1") })
	b.revoke("203.0.113.7")
	eventually(t, "a forgets", func() bool { return !a.holds("203.0.113.7") })
	a.learn("203.0.113.7")
	eventually(t, "b knows again", func() bool { return b.holds("203.0.113.7") })
}

func TestWhoOpensALinkHasWhatOthersHaveLearned(t *testing.T) {
	redis := redistest.Start(t)
	i := newInstallation(t, "opening")
	known := newNode(t, i.store, &Redis{Endpoints: []string{redis.Address}}, 0)
	known.replicator.Run()
	eventually(t, "it is in step", known.synced)
	known.learn("203.0.113.7")
	i.reload(&Redis{Endpoints: []string{redis.Address}})
	if got := i.ask(1, "203.0.113.7", false); got != http.StatusOK {
		t.Errorf("the first request got %d", got)
	}
}

func TestWhoOpensALinkWaitsNotForARedisThatIsAway(t *testing.T) {
	redis := redistest.Start(t)
	redis.Signal("STOP")
	i := newInstallation(t, "opening")
	i.reload(&Redis{Endpoints: []string{redis.Address}})
	if i.synced() {
		t.Error("it is in step with a Redis that hangs")
	}
	i.ask(0, "203.0.113.7", true)
	redis.Signal("CONT")
	eventually(t, "it is in step", i.synced)
}

// TestWhoCanNotWriteIsNotInStep is about rules that let a replica read: nothing that it learns would come through.
func TestWhoCanNotWriteIsNotInStep(t *testing.T) {
	redis := redistest.Start(t)
	redis.Do("ACL", "SETUSER", "traefik", "on", ">secret", "allkeys", "+@all", "-@write", "+eval")
	r := startNode(t, redis.Address, Redis{Username: "traefik", Password: "secret"}, 0)
	r.fails(3)
	if r.logged("failed") != 1 || r.logged(`"in step"`) != 0 {
		t.Errorf("got %s", r.log)
	}
	redis.Do("ACL", "SETUSER", "traefik", "+@all")
	eventually(t, "it is in step", r.synced)
}

// TestRoomThatCanNotBeMadeIsToldOnce is about rules without what only evictions need.
func TestRoomThatCanNotBeMadeIsToldOnce(t *testing.T) {
	redis := redistest.Start(t)
	redis.Do("ACL", "SETUSER", "traefik", "on", ">secret", "allkeys", "+@all", "-hdel")
	r := startNode(t, redis.Address, Redis{Username: "traefik", Password: "secret"}, 0)
	eventually(t, "it is in step", r.synced)
	one := limits{ttl: time.Hour, maxIPs: 1}
	r.store.learnBy(terms{learner: true, limits: one}, when(r.now()))
	r.learnAs("203.0.113.7", "cn:phone", one)
	r.learnAs("203.0.113.8", "cn:phone", one)
	r.fails(3)
	if r.logged("failed") != 1 || r.logged(`"in step"`) != 1 {
		t.Errorf("got %s", r.log)
	}
	redis.Do("ACL", "SETUSER", "traefik", "+hdel")
	eventually(t, "it is in step again", r.synced)
	eventually(t, "room is made", func() bool { return redis.CLI("HLEN", grantsKey) == "1" })
}

// TestRevokingDuringAPartitionMissesWhatOnlyTheOtherSideKnows is about a limit that docs/replicas.md tells: whoever revokes an
// identity while the replicas aren't in step, which the status page shows, has to do it again when they are.
func TestRevokingDuringAPartitionMissesWhatOnlyTheOtherSideKnows(t *testing.T) {
	redis := redistest.Start(t)
	a, b := startNode(t, redis.Address, Redis{}, 0), startNode(t, redis.Address, Redis{}, 0)
	shown := func(r *node) string {
		text, _ := viewOf(r.replicator.State()).Text(time.Now())
		return text
	}
	const inStep = "Shared with the other replicas: in step."
	eventually(t, "both are in step", func() bool { return a.synced() && b.synced() })
	a.learnAs("203.0.113.7", "cn:stolen", house24)
	eventually(t, "both know the first grant", func() bool { return b.holds("203.0.113.7") })

	redis.Kill()
	eventually(t, "the page shows it", func() bool {
		return strings.HasPrefix(shown(a), "Not in step with the other replicas since ") && strings.HasPrefix(shown(b), "Not in step")
	})
	b.learnAs("203.0.113.8", "cn:stolen", house24)
	if got := a.store.revoke(netip.Prefix{}, "cn:stolen", when(a.now())); len(got) != 1 {
		t.Errorf("got %d grants revoked, want the one that is known", len(got))
	}

	redis.Start()
	eventually(t, "the page shows that all is well", func() bool { return shown(a) == inStep && shown(b) == inStep })
	eventually(t, "what was revoked is gone, and what wasn't known is there", func() bool {
		return a.held() == "203.0.113.8 cn:stolen" && b.held() == "203.0.113.8 cn:stolen"
	})
	if got := a.store.revoke(netip.Prefix{}, "cn:stolen", when(a.now())); len(got) != 1 {
		t.Errorf("once more: got %d grants revoked, want one", len(got))
	}
	a.store.settle(when(a.now()))
	eventually(t, "nothing is left", func() bool { return a.held() == "" && b.held() == "" })
}

// TestTheSharingIsSeen is about the page, the listing and the metrics, of a store that is shared and of one that isn't.
func TestTheSharingIsSeen(t *testing.T) {
	s := redistest.Start(t)
	h := newHouse(t, nil)
	h.make = func(ctx context.Context, next http.Handler, config *Config, name string, _ clocks.Clock, log *slog.Logger) (http.Handler, error) {
		return newHandler(ctx, next, config, name, clocks.Clock{Now: time.Now, Since: time.Since}, log) // for the replicator's goroutines read it, too
	}
	began := time.Now().UTC().Round(time.Millisecond).Add(-time.Second)
	h.handlers = h.reload(map[string]Config{
		"learn":  {Mode: "learn", Store: []string{"a"}, Redis: &Redis{Endpoints: []string{s.Address}}},
		"alone":  {Mode: "learn", Store: []string{"b"}},
		"status": {Mode: "status", Proof: "request", Store: []string{"a", "b"}},
	})
	defer h.cancel()
	sharing := func() *listedRedis {
		stores := h.listing("status", "203.0.113.7").Stores
		if stores[1].Redis != nil {
			t.Fatalf("a store that isn't shared is listed with %+v", stores[1].Redis)
		}
		return stores[0].Redis
	}
	shows := func(name string, lacks string, wants ...string) {
		t.Helper()
		text := h.get("status", "/", "text/html").Body.String() + h.get("status", "/metrics", "").Body.String()
		for _, want := range wants {
			if strings.Count(text, want) != 1 {
				t.Errorf("%s: got %q %d times, want it once: %s", name, want, strings.Count(text, want), text)
			}
		}
		if strings.Contains(text, lacks) {
			t.Errorf("%s: got %q: %s", name, lacks, text)
		}
	}
	count := func(metric, value string) string {
		return "\nmtlsallowlist_redis_" + metric + `{store="` + h.store("a") + `"} ` + value + "\n"
	}
	eventually(t, "it is in step", func() bool { return sharing().InStep })
	since := sharing().Since
	if got := sharing(); *got != (listedRedis{InStep: true, Since: since}) || !since.After(began) {
		t.Errorf("in step, it is listed with %+v", got)
	}
	shows("in step", `redis_in_step{store="`+h.store("b"), "Shared with the other replicas: in step.", "by Redis and the other replicas", "Kept in memory", count("in_step", "1"), count("failures_total", "0"), count("skipped_total", "0"))

	s.Kill()
	eventually(t, "it sees that Redis is away", func() bool { return !sharing().InStep })
	lost := sharing().Since
	eventually(t, "it tells that nobody answers", func() bool { return strings.Contains(sharing().Error, "connection refused") })
	if got := sharing(); got.Since != lost || !lost.After(since) || got.Skipped != 0 {
		t.Errorf("without Redis it is listed with %+v", got)
	}
	shows("away", "in step.", "Not in step with the other replicas since ", "dial tcp "+s.Address, count("in_step", "0"), count("skipped_total", "0"))

	s.Args = append(s.Args, "--user", "default", "on", "nopass", "~*", "&*", "+@all", "-eval") // so that nobody reads it yet
	s.Start()
	s.CLI("HSET", "{mtlsallowlist:"+h.store("a")+"}:grants", "203.0.113.9/32 cn:eve", "tomorrow")
	s.Do("ACL", "SETUSER", "default", "+eval")
	eventually(t, "it is in step again", func() bool { return sharing().InStep && sharing().Skipped > 0 })
	if got := sharing(); got.Error != "" || !got.Since.After(lost) {
		t.Errorf("in step again, it is listed with %+v", got)
	}
	shows("nonsense", count("failures_total", "0"), "in step. 1 entry in Redis made no sense.", count("in_step", "1"), count("skipped_total", "1"))

	now := time.Now().UnixMilli()
	s.CLI("HSET", "{mtlsallowlist:"+h.store("a")+"}:grants", "203.0.113.9/32 cn:eve -abc", fmt.Sprintf("%d %d g %d %d 0 cn:eve", now, now+3_600_000, now, now))
	s.CLI("HDEL", "{mtlsallowlist:"+h.store("a")+"}:grants", "203.0.113.9/32 cn:eve")
	s.CLI("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") // so that all is read again
	eventually(t, "it is read", func() bool { return sharing().InStep && sharing().Skipped == 2 })
	shows("a short fingerprint", count("skipped_total", "1"), "in step. 2 entries in Redis made no sense.", count("skipped_total", "2"))
}

// TestARevocationIsKnownAfterARestartWithoutRedis is about two replicas with state files.
func TestARevocationIsKnownAfterARestartWithoutRedis(t *testing.T) {
	redis := redistest.Start(t)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	file := &settings{name: "learn", limits: house24, ipv6Subnet: 64, stateFile: filepath.Join(t.TempDir(), "state.json")}
	start := func(name string) *node {
		r := newNode(t, name, &Redis{Endpoints: []string{redis.Address}}, 0)
		if err := openStateFile(context.Background(), reporter{log: log, store: r.store}, file, atTime(time.Now())); err != nil {
			t.Fatal(err)
		}
		r.replicator.Run()
		return r
	}
	a := startNode(t, redis.Address, Redis{}, 0)
	b := start("shared")
	eventually(t, "both are in step", func() bool { return a.synced() && b.synced() })
	a.learn("203.0.113.7")
	eventually(t, "b knows", func() bool { return b.holds("203.0.113.7") })
	redis.Kill()
	eventually(t, "both see that Redis is away", func() bool { return !a.synced() && !b.synced() })
	b.revoke("203.0.113.7")
	b.store.settle(when(b.now()))
	b.replicator.End()
	stores.mu.Lock()
	delete(stores.files, file.stateFile)
	delete(stores.keeping, "shared")
	stores.mu.Unlock()
	b = start("shared")
	redis.Start()
	eventually(t, "both are in step again", func() bool { return a.synced() && b.synced() })
	eventually(t, "a has heard of it", func() bool { return !a.holds("203.0.113.7") })
	if b.holds("203.0.113.7") {
		t.Error("what b has revoked is back")
	}
}

// An installation is a Traefik with one store, reloaded now and then.
type installation struct {
	t        *testing.T
	store    string
	log      *lines
	cancel   context.CancelFunc // of the last reload
	handlers []http.Handler     // the first learns, the others enforce
}

// reload makes five middlewares, as Traefik does at every reload.
func (i *installation) reload(redis *Redis) {
	i.t.Helper()
	i.cancel()
	var ctx context.Context
	ctx, i.cancel = context.WithCancel(context.Background())
	welcome := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusOK) })
	i.handlers = nil
	for _, mode := range []string{"learn", "enforce", "either", "enforce", "enforce"} {
		config := &Config{Mode: mode, Store: []string{i.store}, Redis: redis}
		handler, err := newHandler(ctx, welcome, config, mode, clocks.Clock{Now: time.Now, Since: time.Since}, slog.New(slog.NewTextHandler(i.log, nil)))
		if err != nil {
			i.t.Fatal(err)
		}
		i.handlers = append(i.handlers, handler)
	}
}

func newInstallation(t *testing.T, store string) *installation {
	houses++
	i := &installation{t: t, store: fmt.Sprint(store, "-", houses), log: &lines{}, cancel: func() {}}
	t.Cleanup(func() { i.cancel() })
	return i
}

// ask sends a request, with a certificate if it is to be learned, and returns the status.
func (i *installation) ask(handler int, from string, proves bool) int {
	req := httptest.NewRequest(http.MethodGet, "https://home.example/", nil)
	req.RemoteAddr = from + ":4711"
	if proves {
		leaf := identitytest.Certificate("cn:phone")
		leaf.NotBefore, leaf.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		req.TLS = identitytest.Verified(leaf)
	}
	rw := httptest.NewRecorder()
	i.handlers[handler].ServeHTTP(rw, req)
	return rw.Code
}

func (i *installation) synced() bool {
	state := replicaState(openStore(i.store))
	return state != nil && state.Synced
}

// replicated reports whether the store hands its changes to a replicator.
func (i *installation) replicated() bool {
	s := openStore(i.store)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.observers[observerRedis] != nil
}

func TestReloadsKeepTheConnections(t *testing.T) {
	redis := redistest.Start(t)
	goroutines := runtime.NumGoroutine()
	i := newInstallation(t, "lifecycle")
	first := &Redis{Endpoints: []string{redis.Address}}
	i.reload(first)
	eventually(t, "it is in step", i.synced)
	if got := i.ask(0, "203.0.113.7", true); got != http.StatusOK {
		t.Fatalf("got %d", got)
	}
	eventually(t, "it has two connections", func() bool { return len(redis.Clients()) == 2 })
	ids := fmt.Sprint(redis.Clients())
	for n := 0; n < 200; n++ {
		i.reload(first)
		if got := i.ask(1+n%4, "203.0.113.7", false); got != http.StatusOK {
			t.Fatalf("reload %d: got %d", n, got)
		}
	}
	if got := fmt.Sprint(redis.Clients()); got != ids {
		t.Errorf("got the connections %s after 200 reloads, want those from before: %s", got, ids)
	}
	if got := strings.Count(i.log.String(), "in step"); got != 1 {
		t.Errorf("got %d times in step, want once", got)
	}

	i.reload(&Redis{Endpoints: []string{redis.Address}, DB: "1", ReadTimeout: "2s"})
	eventually(t, "what was learned is in the other database", func() bool { return redis.CLI("-n", "1", "HLEN", "{mtlsallowlist:"+i.store+"}:grants") == "1" })
	i.ask(0, "203.0.113.8", true)
	eventually(t, "only connections to the other database are left", func() bool {
		return len(redis.Clients()) == 2 && strings.Count(redis.CLI("CLIENT", "LIST"), "db=1") == 2
	})

	i.reload(nil)
	eventually(t, "none is left", func() bool { return len(redis.Clients()) == 0 })
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	eventually(t, "the store hands its changes to nobody", func() bool { return !i.replicated() })
	if got := i.ask(1, "203.0.113.7", false); got != http.StatusOK {
		t.Errorf("got %d, want what is known to hold", got)
	}

	openStore(i.store).revoke(netip.MustParsePrefix("203.0.113.7/32"), "", when(time.Since(clocks.Epoch)))
	i.reload(first)
	eventually(t, "it is in step again", i.synced)
	eventually(t, "Redis knows of the revocation", func() bool {
		return strings.Contains(redis.CLI("HVALS", "{mtlsallowlist:"+i.store+"}:grants"), " r ")
	})
	if i.ask(1, "203.0.113.7", false) == http.StatusOK || i.ask(1, "203.0.113.8", false) != http.StatusOK {
		t.Error("what was revoked in the meantime is back, or else is gone")
	}
}

func TestSettingsThatTakeOverWhileRedisIsAwayForgetNoRevocation(t *testing.T) {
	redis := redistest.Start(t)
	i := newInstallation(t, "takeover")
	i.reload(&Redis{Endpoints: []string{redis.Address}})
	eventually(t, "it is in step", i.synced)
	i.ask(0, "203.0.113.7", true)
	eventually(t, "Redis has the grant", func() bool { return redis.CLI("HLEN", "{mtlsallowlist:"+i.store+"}:grants") == "1" })
	redis.Signal("STOP")
	openStore(i.store).revoke(netip.MustParsePrefix("203.0.113.7/32"), "", when(time.Since(clocks.Epoch)))
	i.reload(&Redis{Endpoints: []string{redis.Address}, ReadTimeout: "1s"})
	redis.Signal("CONT")
	eventually(t, "it is in step again", i.synced)
	if i.ask(1, "203.0.113.7", false) == http.StatusOK {
		t.Error("what was revoked is back")
	}
	eventually(t, "Redis knows of the revocation", func() bool {
		return strings.Contains(redis.CLI("HVALS", "{mtlsallowlist:"+i.store+"}:grants"), " r ")
	})
}

func TestALearnerWithoutRedisLearnsAlone(t *testing.T) {
	redis := redistest.Start(t)
	redis.Kill()
	i := newInstallation(t, "alone")
	i.reload(&Redis{Endpoints: []string{redis.Address}})
	i.ask(0, "203.0.113.7", true)
	if i.ask(1, "203.0.113.7", false) != http.StatusOK {
		t.Error("it isn't let in")
	}
	redis.Start()
	eventually(t, "it is in step", i.synced)
	eventually(t, "Redis has the grant", func() bool { return redis.CLI("HLEN", "{mtlsallowlist:"+i.store+"}:grants") == "1" })
}

// A sharing household makes middlewares one by one, each with a context of its own.
type sharers struct {
	t      *testing.T
	h      *house
	cancel map[string]context.CancelFunc
}

func newSharers(t *testing.T) *sharers {
	s := &sharers{t: t, h: newHouse(t, nil), cancel: map[string]context.CancelFunc{}}
	t.Cleanup(func() {
		for _, cancel := range s.cancel {
			cancel()
		}
	})
	return s
}

// make makes a middleware of these stores, separated by blanks, and returns the fault; empty for none.
func (s *sharers) make(name, names string, redis Redis) string {
	s.t.Helper()
	if redis.Endpoints == nil {
		redis.Endpoints = []string{"127.0.0.1:1"}
	}
	own := []string{}
	for _, store := range strings.Fields(names) {
		own = append(own, s.h.store(store))
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := newHandler(ctx, http.NotFoundHandler(), &Config{Mode: "enforce", Store: own, Redis: &redis}, name, s.h.clock(), s.h.logger)
	if err != nil {
		cancel()
		return strings.ReplaceAll(err.Error(), fmt.Sprint("house-", s.h.number, "-"), "")
	}
	s.cancel[name] = cancel
	return ""
}

func TestWhoeverHasRedisSharesTheStore(t *testing.T) {
	h := newHouse(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, mode := range []string{"learn", "either", "enforce"} {
		config := &Config{Mode: mode, Store: []string{h.store(mode)}, Redis: &Redis{Endpoints: []string{"127.0.0.1:1"}}}
		_, err := newHandler(ctx, http.NotFoundHandler(), config, mode, h.clock(), h.logger)
		if shared := replicaOf(openStore(h.store(mode))) != nil; err != nil || !shared {
			t.Errorf("%s: got %v, shared: %t, want it shared", mode, err, shared)
		}
	}
}

func TestTheMiddlewaresOfAStoreHaveOneRedis(t *testing.T) {
	cert, key := clientCertificate(t)
	t.Setenv("MTLSALLOWLIST_PASSWORD", "hunter2")
	t.Setenv("MTLSALLOWLIST_OTHER", "hunter3")
	for _, row := range []struct {
		name          string
		first, second Redis
		want          string // the keys that differ; empty: none
	}{
		{"the same", Redis{Password: "hunter2", DB: "1"}, Redis{Password: "hunter2", DB: "1"}, ""},
		{"the same, as numbers", Redis{ReadTimeout: "2s", DB: "01"}, Redis{ReadTimeout: "2", DB: "1"}, ""},
		{"the same by default", Redis{}, Redis{ReadTimeout: "3s", WriteTimeout: "3s", DialTimeout: "5s", DB: "0"}, ""},
		{"the same in another order", Redis{Endpoints: []string{"127.0.0.1:1", "127.0.0.1:2"}}, Redis{Endpoints: []string{"127.0.0.1:2", "127.0.0.1:1"}}, ""},
		{"the same password from elsewhere", Redis{Password: "hunter2"}, Redis{PasswordEnv: "MTLSALLOWLIST_PASSWORD"}, ""},
		{"another server", Redis{}, Redis{Endpoints: []string{"127.0.0.1:2"}}, "redis.endpoints"},
		{"one server more", Redis{}, Redis{Endpoints: []string{"127.0.0.1:1", "127.0.0.1:2"}}, "redis.endpoints"},
		{"another user", Redis{Username: "hunter2", Password: "hunter2"}, Redis{Username: "hunter3", Password: "hunter2"}, "redis.username"},
		{"another password", Redis{Password: "hunter2"}, Redis{Password: "hunter3"}, "redis.password"},
		{"another variable", Redis{PasswordEnv: "MTLSALLOWLIST_PASSWORD"}, Redis{PasswordEnv: "MTLSALLOWLIST_OTHER"}, "redis.password"},
		{"no password", Redis{Password: "hunter2"}, Redis{}, "redis.password"},
		{"another database", Redis{}, Redis{DB: "1"}, "redis.db"},
		{"other waits", Redis{}, Redis{ReadTimeout: "1s", WriteTimeout: "1s", DialTimeout: "1s"}, "redis.readTimeout, redis.writeTimeout, redis.dialTimeout"},
		{"TLS", Redis{}, Redis{TLS: &RedisTLS{}}, "redis.tls.insecureSkipVerify"},
		{"no TLS", Redis{TLS: &RedisTLS{InsecureSkipVerify: "true"}}, Redis{}, "redis.tls.insecureSkipVerify"},
		{"another authority", Redis{TLS: &RedisTLS{}}, Redis{TLS: &RedisTLS{CA: cert}}, "redis.tls.ca"},
		{"a certificate", Redis{TLS: &RedisTLS{}}, Redis{TLS: &RedisTLS{Cert: cert, Key: key}}, "redis.tls.cert, redis.tls.key"},
		{"what would be the same if joined", Redis{Username: "a\nb", Password: "c"}, Redis{Username: "a", Password: "b\nc"}, "redis.username, redis.password"},
	} {
		s := newSharers(t)
		if got := s.make("first@file", "x", row.first); got != "" {
			t.Errorf("%s: the first: got %s", row.name, got)
		}
		replication := replicaOf(openStore(s.h.store("x")))
		want := ""
		if row.want != "" {
			want = `mtlsallowlist: middleware "second@docker": redis: the store "x" is shared by other settings already, for middleware "first@file": they differ in ` + row.want + `; a store has one Redis`
		}
		if got := s.make("second@docker", "x", row.second); got != want {
			t.Errorf("%s: got %q, want %q", row.name, got, want)
		}
		if got := replicaOf(openStore(s.h.store("x"))); got == nil || got != replication || got.replicator.Ended() {
			t.Errorf("%s: the replication isn't the first's any more, or has ended", row.name)
		}
	}
}

func TestOtherSettingsOfRedisAreTakenWhenNobodyLivesWhoHasThose(t *testing.T) {
	a, b := Redis{Endpoints: []string{"127.0.0.1:1"}}, Redis{Endpoints: []string{"127.0.0.1:2"}}
	s := newSharers(t)
	taken := func(name, stores string, redis Redis) {
		t.Helper()
		if got := s.make(name, stores, redis); got != "" {
			t.Errorf("%s: got %s, want it taken", name, got)
		}
	}
	refused := func(name, stores string, redis Redis, wants ...string) {
		t.Helper()
		got := s.make(name, stores, redis)
		for _, want := range append(wants, `middleware "`+name+`"`) {
			if !strings.Contains(got, want) {
				t.Errorf("%s: got %q, want it refused with %s", name, got, want)
			}
		}
	}
	taken("one", "x", a)
	taken("two", "x", a)
	s.cancel["two"]()
	refused("three", "x", b, `store "x"`, `for middleware "one"`)
	refused("one", "x", b, `for middleware "one"`) // of the same name
	s.cancel["one"]()
	taken("three", "x", b)
	refused("four", "x", a, `for middleware "three"`)

	taken("elsewhere", "y", a)
	refused("of two", "free x y", a, `store "x"`, `for middleware "three"`)
	refused("of both", "free x y", Redis{DB: "1"}, `store "x"`, `for middleware "three"`, "\n", `store "y"`, `for middleware "elsewhere"`)
	taken("of the free", "free", b) // since who was refused shares nothing
	s.cancel["three"]()
	taken("of two", "x y", a)
	refused("late", "x", b, `for middleware "of two"`)

	// As Traefik reloads: first all that there were end, then the others are made.
	for n, redis := range []Redis{b, a, b} {
		for _, cancel := range s.cancel {
			cancel()
		}
		taken(fmt.Sprint("learn", n), "x", redis)
		taken(fmt.Sprint("enforce", n), "x y", redis)
	}
}

// TestAPasswordThatIsReplacedDuringAReload is about a file whose content changes between two middlewares: the newer one counts.
func TestAPasswordThatIsReplacedDuringAReload(t *testing.T) {
	v := newVault(t)
	s := newSharers(t)
	for _, password := range []string{"of yesterday", "of today"} {
		v.write("secrets/password", password)
		if got := s.make(password, "x", Redis{PasswordFile: v.at("secrets/password")}); got != "" {
			t.Error(got)
		}
	}
	if got := replicaOf(openStore(s.h.store("x"))).settings; !strings.Contains(got, `"of today"`) {
		t.Errorf("got the settings %s, want the password of today", got)
	}
	if got := s.make("other", "x", Redis{Password: "of yesterday"}); !strings.Contains(got, "redis.password") {
		t.Errorf("got %q, want it refused", got)
	}
}

func TestWhoSharesAStoreIsRememberedOnceAndWhileItLives(t *testing.T) {
	s := newSharers(t)
	for i, row := range []struct {
		name   string
		cancel string // whose context is done before
		want   int
	}{{"a", "", 1}, {"a", "", 1}, {"b", "", 2}, {"c", "b", 2}, {"a", "a", 2}} {
		if row.cancel != "" {
			s.cancel[row.cancel]()
		}
		if got := s.make(row.name, "x", Redis{}); got != "" {
			t.Errorf("%d: got %s", i, got)
		}
		if got := len(stores.sharers[s.h.store("x")]); got != row.want {
			t.Errorf("%d: got %d middlewares, want %d", i, got, row.want)
		}
	}
	if got := s.make("d", "x", Redis{DB: "1"}); strings.Count(got, "already") != 1 {
		t.Errorf("got %q, want one of the two that differ", got)
	}
}

// unreachable are settings of a Redis that nobody runs.
func unreachable(text string) *redisSettings {
	return &redisSettings{Options: redis.Options{Endpoints: []string{"127.0.0.1:1"}, DialTimeout: time.Second}, text: text}
}

// TestAReplicationEndsWhenNobodyHasUsedItSince: a reload ends all uses before it begins others.
func TestAReplicationEndsWhenNobodyHasUsedItSince(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		s := newStore(fmt.Sprint(t.Name(), replaced))
		clock := clocks.Clock{Now: time.Now, Since: time.Since}
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		r := newReplication(s, unreachable("a"), clock, log)
		used := r
		if replaced {
			used = newReplication(s, unreachable("b"), clock, log)
		}
		stores.replicas[s.name] = used
		s.observe(observerRedis, used.replicator)
		for i, row := range []struct{ n, users, uses, since int }{ // since: the uses at which it is to end, if there have been no more
			{1, 1, 1, 1},
			{1, 2, 2, 2},
			{-1, 1, 2, 2},
			{-1, 0, 2, 1},
			{1, 1, 3, 3},
			{0, 1, 3, 3},
			{-1, 0, 3, 2},
		} {
			if users, uses := r.use(row.n); users != row.users || uses != row.uses {
				t.Errorf("%d: got %d users and %d uses, want %d and %d", i, users, uses, row.users, row.uses)
			}
			if r.endUnused(row.since); r.replicator.Ended() || replicaOf(s) != used || s.observers[observerRedis] == nil {
				t.Errorf("%d: it has ended", i)
			}
		}
		r.endUnused(3)
		if !r.replicator.Ended() || (replicaOf(s) != nil) != replaced || (s.observers[observerRedis] != nil) != replaced {
			t.Errorf("replaced: %t; it has ended: %t; the store is replicated: %t", replaced, r.replicator.Ended(), replicaOf(s) != nil)
		}
		used.replicator.End()
		delete(stores.replicas, s.name)
	}
}

// observing returns the replicator that a store hands its changes to; nil if there is none.
func observing(s *store) *replica.Replicator {
	r, _ := s.observers[observerRedis].(*replica.Replicator)
	return r
}

func TestOneReplicationForTheSameSettings(t *testing.T) {
	s := newStore(t.Name())
	clock := clocks.Clock{Now: time.Now, Since: time.Since}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	var before *replication
	for _, row := range []struct {
		name, settings string
		end            bool // of the one before
		isNew          bool
		users          int
	}{
		{"the first", "a", false, true, 1},
		{"the same settings", "a", false, false, 2},
		{"other settings", "b", false, true, 1},
		{"the same ones again", "b", false, false, 2},
		{"the same after its end", "b", true, true, 1},
	} {
		if row.end {
			before.replicator.End()
		}
		r, isNew := replicationOf(s, unreachable(row.settings), clock, log)
		if users, uses := r.use(0); isNew != row.isNew || (r != before) != isNew || users != row.users || uses != users {
			t.Errorf("%s: it is new: %t; it has %d users, want %t and %d", row.name, isNew, users, row.isNew, row.users)
		}
		if before != nil && before.replicator.Ended() != isNew || r.replicator.Ended() {
			t.Errorf("%s: the one before has ended: %t", row.name, before.replicator.Ended())
		}
		if replicaOf(s) != r || observing(s) != r.replicator {
			t.Errorf("%s: the store is replicated by another one", row.name)
		}
		before = r
	}
	before.replicator.End()
	delete(stores.replicas, s.name)
}

// TestWhoOpensAReplicationWaitsForTheFirstAttempt, since others may have learned who is let in.
func TestWhoOpensAReplicationWaitsForTheFirstAttempt(t *testing.T) {
	s := newStore(t.Name())
	ctx, cancel := context.WithCancel(context.Background())
	replicate(ctx, s, unreachable("a"), clocks.Clock{Now: time.Now, Since: time.Since}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if state := replicaState(s); state == nil || state.Failures == 0 || state.Failure == "" {
		t.Errorf("got %+v, want a failure", state)
	}
	cancel()
}

// TestWhatAReplicatorSeesOfAStore and what it does to it.
func TestWhatAReplicatorSeesOfAStore(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	mono, slept := 10*time.Second, time.Duration(0)
	clock := clocks.Clock{Now: func() time.Time { return clocks.Epoch.Add(mono + slept) }, Since: func(since time.Time) time.Duration { return clocks.Epoch.Add(mono).Sub(since) }}
	file, box := &mailbox{changes: map[string]change.Change{}}, collect(s)
	s.observe(observerFile, file)
	r := replicated{store: s, clock: clock}
	if got := r.Name(); got != "shared" {
		t.Errorf("got the name %q", got)
	}
	if got := r.Moment(); got != mono {
		t.Errorf("got the moment %v, want %v", got, mono)
	}
	if invalid := r.Apply(told(t, "9s g 203.0.113.7/32 cn:a; 25h g 203.0.113.8/32 cn:a"), mono); invalid != 1 || heldBy(s, mono) != "203.0.113.7 cn:a" {
		t.Errorf("got %d invalid, and %q is held", invalid, heldBy(s, mono))
	}
	r.Settle()
	if file.settled != 1 || box.settled != 0 {
		t.Errorf("the file is waited for %d times, Redis %d times, want once and never", file.settled, box.settled)
	}
	slept = time.Hour
	r.Notice()
	if got := heldBy(s, mono); got != "" {
		t.Errorf("after a sleep of an hour %q is held", got)
	}
}

// TestWhoKeepsChangesIsToldHowTheClockIsSet, and so is how far Redis's is behind.
func TestWhoKeepsChangesIsToldHowTheClockIsSet(t *testing.T) {
	s := newStore(t.Name())
	box := collect(s)
	begin := s.list.Ahead
	for i, row := range []struct{ redis, behind, ahead int64 }{{clockAt0, 0, clockAt0}, {clockAt0 + 7000, 0, clockAt0 + 7000}, {clockAt0 + 6000, 1000, clockAt0 + 7000}} {
		if behind := s.Compare(row.redis, 0, replicaTolerance); behind != row.behind || begin+box.ahead != row.ahead || s.list.Ahead != row.ahead {
			t.Errorf("%d: Redis's is behind by %d, and ahead by %d of what is told, %d of what is, want %d and %d", i, behind, begin+box.ahead, s.list.Ahead, row.behind, row.ahead)
		}
	}
}

// TestHowFarWhatOthersProvedSetsTheClockAhead: what has happened isn't in the future, unless that makes no sense.
func TestHowFarWhatOthersProvedSetsTheClockAhead(t *testing.T) {
	for _, row := range []struct {
		changes string // at 10 s
		want    time.Duration
	}{
		{"10050ms g 203.0.113.8/32 cn:b", 0},
		{"10051ms g 203.0.113.8/32 cn:b", 51 * time.Millisecond},
		{"24h10s g 203.0.113.8/32 cn:b", 24 * time.Hour},
		{"24h10001ms g 203.0.113.8/32 cn:b", 0},
		{"8h10s r 203.0.113.8/32 cn:b", 0},
		{"8h10s g 203.0.113.8/32 cn:b; 9s g 203.0.113.9/32 cn:b", 8 * time.Hour},
		{"8h10s g 203.0.113.8/32 cn:b; 9h10s g 203.0.113.9/32 cn:b; 25h g 203.0.113.9/32 cn:b", 9 * time.Hour},
	} {
		s := newShared(terms{learner: true, limits: hour})
		s.applyRemote(told(t, row.changes), 10*time.Second)
		if got := time.Duration(s.list.Ahead-clockAt0) * time.Millisecond; got != row.want {
			t.Errorf("%s: got %v, want %v", row.changes, got, row.want)
		}
	}
}

func TestWhatIsToldOfReplication(t *testing.T) {
	var text bytes.Buffer
	s := newStore("house")
	log := slog.New(slog.NewTextHandler(&text, nil))
	l := replicationLog{reporter: reporter{log: log, store: s}, now: func() time.Time { return t0 }}
	l.Synced("redis:6379")
	l.Failed(errors.New("redis: it is away"))
	l.Fault("a bug")
	for _, want := range []string{
		`level=INFO msg="in step" store=house redis=redis:6379` + "\n",
		`level=ERROR msg=failed store=house reason="redis: it is away"` + "\n",
		`level=ERROR msg="a fault in the plugin" panic="a bug"` + "\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the log lacks %q: %s", want, text.String())
		}
	}
	if events := s.lastEvents(); len(events) != 2 || events[0].What != "in step" || events[1].Why != "redis: it is away" || events[0].At != t0 || events[1].At != t0 {
		t.Errorf("got the events %+v", events)
	}
}

// What is told of a fault.
const (
	lasting   = iota // that Redis fails, once, however often it is tried
	momentary        // the same, but the next attempt will do
	quiet            // nothing, for Redis answers to everything
)

// A faultRow is what may happen to Redis, between replicas that are in sync with it.
type faultRow struct {
	name  string
	begin func(s *faultySite)
	end   func(s *faultySite)
	kind  int
}

// A faultySite is what a fault happens to.
type faultySite struct {
	t       *testing.T
	redis   *redistest.Server
	other   *redistest.Server
	relay   *relay
	garbage net.Listener
}

func (s *faultySite) acl(rules ...string) {
	s.redis.Do(append([]string{"ACL", "SETUSER", "traefik"}, rules...)...)
}

const (
	grantsKey  = "{mtlsallowlist:shared}:grants"
	changesKey = "{mtlsallowlist:shared}:changes"
)

func nothing(*faultySite) {}

var redisFaults = []faultRow{
	{"it is killed, and is back empty", func(s *faultySite) { s.redis.Kill() }, func(s *faultySite) { s.redis.Start(); s.acl(everything...) }, lasting},
	{"it hangs", func(s *faultySite) { s.redis.Signal("STOP") }, func(s *faultySite) { s.redis.Signal("CONT") }, lasting},
	{"it can't be reached", func(s *faultySite) { s.relay.set(swallows) }, func(s *faultySite) { s.relay.set(passes) }, lasting},
	{"it is out of memory", func(s *faultySite) { s.redis.Do("CONFIG", "SET", "maxmemory", "1") }, func(s *faultySite) { s.redis.Do("CONFIG", "SET", "maxmemory", "0") }, lasting},
	{"it becomes the replica of an empty one, and read-only", func(s *faultySite) { s.redis.Do("REPLICAOF", "127.0.0.1", s.other.Port()) }, func(s *faultySite) { s.redis.Do("REPLICAOF", "NO", "ONE") }, lasting},
	{"the password is another", func(s *faultySite) { s.acl("resetpass", ">other"); s.redis.Do("CLIENT", "KILL", "USER", "traefik") }, func(s *faultySite) { s.acl(">secret") }, lasting},
	{"reading changes is forbidden", func(s *faultySite) { s.acl("-xread") }, func(s *faultySite) { s.acl("+xread") }, lasting},
	{"scripts are forbidden", func(s *faultySite) { s.acl("-eval") }, func(s *faultySite) { s.acl("+eval") }, lasting},
	{"writing is forbidden", func(s *faultySite) { s.acl("-hset") }, func(s *faultySite) { s.acl("+hset") }, lasting},
	{"the keys are forbidden", func(s *faultySite) { s.acl("resetkeys", "~other:*") }, func(s *faultySite) { s.acl("allkeys") }, lasting},
	{"the key of the grants is of another type", func(s *faultySite) { s.redis.Do("SET", grantsKey, "x") }, func(s *faultySite) { s.redis.Do("DEL", grantsKey) }, lasting},
	{"the key of the changes is of another type", func(s *faultySite) { s.redis.Do("SET", changesKey, "x") }, func(s *faultySite) { s.redis.Do("DEL", changesKey) }, lasting},
	{"something else answers in its place", func(s *faultySite) { s.redis.Kill(); s.babble("$1099511627776\r\n\x00\xff") }, func(s *faultySite) { _ = s.garbage.Close(); s.redis.Start(); s.acl(everything...) }, lasting},
	{"a clock that is wrong answers in its place", func(s *faultySite) { s.redis.Kill(); s.babble(strings.Repeat("*2\r\n$1\r\n0\r\n$1\r\n0\r\n", 10)) }, func(s *faultySite) { _ = s.garbage.Close(); s.redis.Start(); s.acl(everything...) }, lasting},
	{"its connections are killed", func(s *faultySite) { s.redis.Do("CLIENT", "KILL", "USER", "traefik") }, nothing, momentary},
	{"it is flushed", func(s *faultySite) { s.redis.Do("FLUSHALL") }, nothing, quiet},
	{"the changes are trimmed", func(s *faultySite) { s.redis.Do("XTRIM", changesKey, "MAXLEN", "0") }, nothing, quiet},
	{"the epoch is evicted", func(s *faultySite) { s.redis.Do("DEL", "{mtlsallowlist:shared}:epoch") }, nothing, quiet},
}

var everything = []string{"on", ">secret", "allkeys", "allchannels", "allcommands"}

// babble answers text at Redis's address, whatever it is asked.
func (s *faultySite) babble(text string) {
	var listener net.Listener
	eventually(s.t, "the port is free", func() bool {
		var err error
		listener, err = net.Listen("tcp", s.redis.Address)
		return err == nil
	})
	s.garbage = listener
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, text)
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
}

// TestNoFaultOfRedisForgetsAnybody goes by events alone: while the fault lasts, whoever is learned is back before it ends.
func TestNoFaultOfRedisForgetsAnybody(t *testing.T) {
	other := redistest.Start(t)
	for _, row := range redisFaults {
		fault := row
		t.Run(fault.name, func(t *testing.T) {
			site := &faultySite{t: t, redis: redistest.Start(t), other: other}
			site.relay = startRelay(t, site.redis.Address)
			site.acl(everything...)
			goroutines := runtime.NumGoroutine()
			options := Redis{Username: "traefik", Password: "secret", ReadTimeout: "2s"}
			a := startNode(t, site.relay.address(), options, 0)
			b := startNode(t, site.relay.address(), options, 7*time.Minute)
			c := startNode(t, site.relay.address(), options, -3*time.Minute)
			all := []*node{a, b, c}
			agree := func() bool {
				return a.synced() && b.synced() && c.synced() && a.held() == b.held() && b.held() == c.held()
			}
			eventually(t, "all are in step", agree)
			a.learn("203.0.113.1")
			b.learn("203.0.113.2")
			c.learn("203.0.113.3")
			eventually(t, "all know all", func() bool { return agree() && strings.Count(a.held(), "\n") == 2 })
			c.revoke("203.0.113.1")
			eventually(t, "all forget one", func() bool { return agree() && strings.Count(a.held(), "\n") == 1 })

			fault.begin(site)
			a.learn("203.0.113.4")
			b.learn("203.0.113.5")
			b.revoke("203.0.113.2")
			if fault.kind != quiet {
				eventually(t, "both have told it", func() bool { return a.logged("failed") == 1 && b.logged("failed") == 1 })
			}
			if fault.kind == lasting {
				a.fails(2)
				b.fails(2)
			}
			for i := 0; i < 50; i++ {
				a.learn(fmt.Sprint("198.51.100.", i+1))
			}
			if b.holds("203.0.113.2") || !a.holds("203.0.113.4") || !a.holds("203.0.113.3") {
				t.Error("they don't go on with what they know")
			}
			fault.end(site)
			ended := time.Now()
			eventually(t, "all know all that was learned", func() bool { return agree() && strings.Count(a.held(), "\n") == 52 })
			t.Logf("all in step %v after the end", time.Since(ended).Round(time.Millisecond))
			for i, r := range all {
				if r.holds("203.0.113.1") || r.holds("203.0.113.2") {
					t.Errorf("replica %d holds what was revoked", i)
				}
				eventually(t, "it has told that it is in step again", func() bool { return r.logged(`"in step"`) == r.logged("failed")+1 })
				if failed := r.logged("failed"); failed > 1 || fault.kind == quiet && failed > 0 {
					t.Errorf("replica %d told %d times that it failed:\n%s", i, failed, r.log)
				}
			}
			a.learn("203.0.113.6")
			eventually(t, "all know what is learned later", func() bool { return agree() && c.holds("203.0.113.6") })
			d := startNode(t, site.relay.address(), options, 0)
			eventually(t, "Redis has all, too", func() bool { return d.synced() && d.held() == a.held() })
			site.ends(append(all, d), goroutines)
		})
	}
}

// ends ends the replicas, and sees to it that nothing of them is left.
func (s *faultySite) ends(all []*node, goroutines int) {
	t := s.t
	t.Helper()
	for _, r := range all {
		r.replicator.End()
	}
	eventually(t, "no connection is left", func() bool { return len(s.redis.Clients()) == 0 })
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func TestWhoMissedMoreThanIsKeptLoadsEverything(t *testing.T) {
	redis := redistest.Start(t)
	relay := startRelay(t, redis.Address)
	a, b := startNode(t, redis.Address, Redis{}, 0), startNode(t, relay.address(), Redis{}, 0)
	eventually(t, "both are in step", func() bool { return a.synced() && b.synced() })
	relay.set(holds)
	for i := 0; i < 200; i++ {
		a.learn(fmt.Sprint("203.0.113.", i+1))
	}
	redis.Do("XTRIM", changesKey, "MAXLEN", "1")
	relay.set(passes)
	eventually(t, "b knows all", func() bool { return a.held() == b.held() && strings.Count(b.held(), "\n") == 199 })
	if a.logged("failed")+b.logged("failed") > 0 {
		t.Errorf("got %s%s, want no failure", a.log, b.log)
	}
}
