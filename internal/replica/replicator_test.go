package replica

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis/redistest"
)

const grantsKey = "{mtlsallowlist:shared}:grants"

func TestWhoHasConnectedFastWaitsNotLongForTheNextTime(t *testing.T) {
	for _, row := range []struct {
		name             string
		took, most, want time.Duration
	}{
		{"it never worked", 0, 5 * time.Second, 5 * time.Second},
		{"it was fast", time.Millisecond, 5 * time.Second, time.Second},
		{"it was slow", 300 * time.Millisecond, 5 * time.Second, 5 * time.Second},
		{"it was fast, and is to be faster", time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond},
	} {
		r := New(newMemory("x"), &redis.Options{DialTimeout: row.most}, &record{})
		r.connected = row.took
		if got := r.limit(); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
		r.End()
	}
}

func TestWhatIsMadeHereIsPushedAndPulled(t *testing.T) {
	options := optionsFor(redistest.Start(t).Address)
	a, b := startNode(t, options), startNode(t, options)
	eventually(t, "both are in sync", func() bool { return a.synced() && b.synced() })
	a.learn(numbered(1))
	b.learn(numbered(2))
	eventually(t, "both hold both", func() bool { return a.held() == b.held() && strings.Count(a.held(), "\n") == 1 })
	b.make(change.Revoked, numbered(1))
	b.make(change.Evicted, numbered(2))
	eventually(t, "both hold none", func() bool { return a.held() == "" && b.held() == "" })
}

func TestAnEndOfBlockingIsNoFailure(t *testing.T) {
	server := redistest.Start(t)
	n := startNode(t, optionsFor(server.Address))
	eventually(t, "it is in sync", n.synced)
	attempt, _ := n.current()
	eventually(t, "it is no longer blocked", func() bool {
		for _, client := range server.Clients() {
			server.CLI("CLIENT", "UNBLOCK", strings.TrimPrefix(client, "id="), "ERROR") // as when the node becomes the replica of another
		}
		return attempt.Err() != nil
	})
	n.learn(numbered(1))
	eventually(t, "Redis has what is learned", func() bool { return server.CLI("HLEN", grantsKey) == "1" })
	if _, failed := n.log.counts(); failed != 0 {
		t.Errorf("it told %d times that it failed", failed)
	}
}

// TestNodesThatReferToEachOtherAreAFailure is about a server that always refers to itself.
func TestNodesThatReferToEachOtherAreAFailure(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "-MOVED 1 "+listener.Addr().String()+"\r\n")
			_, _ = conn.Read(make([]byte, 1000))
			_ = conn.Close()
		}
	}()
	n := startNode(t, optionsFor(listener.Addr().String()))
	eventually(t, "it is told", func() bool {
		_, failed := n.log.counts()
		return failed == 1
	})
	if state := n.State(); state.Synced || !strings.Contains(state.Failure, "MOVED") {
		t.Errorf("got %+v", state)
	}
}

// TestTheCauseOfAFailureIsKept is about the two connections: when one fails, the replicator closes the other.
func TestTheCauseOfAFailureIsKept(t *testing.T) {
	n := newNode(t, "cause", optionsFor(""))
	attempt, _ := n.current()
	n.failed(attempt, fmt.Errorf("%w: NOPERM", redis.ErrRedis))
	n.failed(attempt, fmt.Errorf("read: %w", net.ErrClosed))
	if state := n.State(); state.Failure != "redis: NOPERM" || state.Failures != 1 {
		t.Errorf("after both: got %+v", state)
	}
	n.succeeded(attempt, 0)
	if state := n.State(); state.Synced {
		t.Errorf("after the success of an attempt that was given up: got %+v", state)
	}
}

// TestNobodyWaitsForARedisThatIsAway is about learners: whoever waits when Redis fails goes on, and nobody waits after that.
func TestNobodyWaitsForARedisThatIsAway(t *testing.T) {
	for _, row := range []struct {
		name  string
		begin func(server *redistest.Server)
		end   func(server *redistest.Server)
	}{
		{"it is killed", func(s *redistest.Server) { s.Kill() }, func(s *redistest.Server) { s.Start() }},
		{"it hangs", func(s *redistest.Server) { s.Signal("STOP") }, func(s *redistest.Server) { s.Signal("CONT") }},
		{"it refuses", func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "1") }, func(s *redistest.Server) { s.Do("CONFIG", "SET", "maxmemory", "0") }},
	} {
		server := redistest.Start(t)
		options := optionsFor(server.Address)
		options.ReadTimeout = time.Second
		n := startNode(t, options)
		eventually(t, "it is in sync", n.synced)
		n.learn(numbered(0))
		eventually(t, row.name+": before, learners wait", n.waits)
		row.begin(server)
		n.learn(numbered(1))
		eventually(t, row.name+": it fails", func() bool { return !n.synced() })
		for i := 0; i < 50; i++ {
			n.learn(numbered(2 + i))
			if n.waits() && !n.synced() {
				t.Fatalf("%s: somebody waits", row.name)
			}
		}
		row.end(server)
		eventually(t, row.name+": it is in sync again", n.synced)
		eventually(t, row.name+": Redis has all", func() bool { return server.CLI("HLEN", grantsKey) == "52" })
		n.End()
	}
}

func TestWarmUpGoesAsWritten(t *testing.T) {
	store := newMemory("warm-up")
	var r *Replicator
	observe := func(warm *Replicator) {
		r = warm
		store.mu.Lock()
		defer store.mu.Unlock()
		store.other = warm
	}
	learn := func() {
		store.make(change.Evicted, numbered(1))
		store.make(change.Granted, numbered(2))
	}
	if _, err := WarmUp(store, &record{}, observe, learn); err != nil {
		t.Error(err)
	}
	if state := r.State(); !r.Ended() || state.Synced || state.Failures != 1 {
		t.Errorf("in the end its state is %+v", state)
	}
}
