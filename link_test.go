package mtlsallowlist

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

func TestWhatOneReplicaLearnsAllKnow(t *testing.T) {
	redis := startRedis(t)
	a, b := startReplica(t, redis.address, Redis{}, 0), startReplica(t, redis.address, Redis{}, 7*time.Minute)
	eventually(t, "both are in step", func() bool { return a.inStep() && b.inStep() })
	a.learn("203.0.113.7")
	eventually(t, "b knows", func() bool { return b.holds("203.0.113.7") })
	b.learn("2001:db8::1")
	eventually(t, "a knows", func() bool { return a.holds("2001:db8::1") })
	b.revoke("203.0.113.7")
	eventually(t, "a forgets", func() bool { return !a.holds("203.0.113.7") })
	a.learn("203.0.113.7")
	eventually(t, "b knows again", func() bool { return b.holds("203.0.113.7") })
}

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
		l := newLink(newStore("x"), &redisSettings{Options: redis.Options{DialTimeout: row.most}}, clock{now: time.Now, since: time.Since}, nil)
		l.took = row.took
		if got := l.limit(); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
		l.end()
	}
}

func TestWhoOpensALinkHasWhatOthersHaveLearned(t *testing.T) {
	redis := startRedis(t)
	i := newInstallation(t, "opening")
	known := newReplica(t, i.store, &Redis{Endpoints: []string{redis.address}}, 0)
	known.link.run()
	eventually(t, "it is in step", known.inStep)
	known.learn("203.0.113.7")
	i.reload(&Redis{Endpoints: []string{redis.address}})
	if got := i.ask(1, "203.0.113.7", false); got != http.StatusOK {
		t.Errorf("the first request got %d", got)
	}
}

func TestWhoOpensALinkWaitsNotForARedisThatIsAway(t *testing.T) {
	redis := startRedis(t)
	redis.signal("STOP")
	i := newInstallation(t, "opening")
	i.reload(&Redis{Endpoints: []string{redis.address}})
	if i.inStep() {
		t.Error("it is in step with a Redis that hangs")
	}
	i.ask(0, "203.0.113.7", true)
	redis.signal("CONT")
	eventually(t, "it is in step", i.inStep)
}

// TestWhoCanNotWriteIsNotInStep is about rules that let a replica read: nothing that it learns would come through.
func TestWhoCanNotWriteIsNotInStep(t *testing.T) {
	redis := startRedis(t)
	redis.does("ACL", "SETUSER", "traefik", "on", ">secret", "allkeys", "+@all", "-@write", "+eval")
	r := startReplica(t, redis.address, Redis{Username: "traefik", Password: "secret"}, 0)
	r.fails(3)
	if r.logged("failed") != 1 || r.logged(`"in step"`) != 0 {
		t.Errorf("got %s", r.log)
	}
	redis.does("ACL", "SETUSER", "traefik", "+@all")
	eventually(t, "it is in step", r.inStep)
}

// TestRoomThatCanNotBeMadeIsToldOnce is about rules without what only evictions need.
func TestRoomThatCanNotBeMadeIsToldOnce(t *testing.T) {
	redis := startRedis(t)
	redis.does("ACL", "SETUSER", "traefik", "on", ">secret", "allkeys", "+@all", "-hdel")
	r := startReplica(t, redis.address, Redis{Username: "traefik", Password: "secret"}, 0)
	eventually(t, "it is in step", r.inStep)
	one := limits{ttl: time.Hour, maxIPs: 1}
	r.store.learnBy(terms{learner: true, limits: one}, when(r.now()))
	r.learnAs("203.0.113.7", "cn:phone", one)
	r.learnAs("203.0.113.8", "cn:phone", one)
	r.fails(3)
	if r.logged("failed") != 1 || r.logged(`"in step"`) != 1 {
		t.Errorf("got %s", r.log)
	}
	redis.does("ACL", "SETUSER", "traefik", "+hdel")
	eventually(t, "it is in step again", r.inStep)
	eventually(t, "room is made", func() bool { return redis.cli("HLEN", grantsKey) == "1" })
}

func TestAnEndOfBlockingIsNoFailure(t *testing.T) {
	redis := startRedis(t)
	r := startReplica(t, redis.address, Redis{}, 0)
	eventually(t, "it is in step", r.inStep)
	attempt, _ := r.link.current()
	eventually(t, "it is no longer blocked", func() bool {
		id, _, _ := strings.Cut(strings.TrimPrefix(clientIDs(redis), "id="), " ")
		redis.cli("CLIENT", "UNBLOCK", id, "ERROR") // as when the node becomes the replica of another; there may be none for a moment
		return attempt.Err() != nil
	})
	r.learn("203.0.113.7")
	eventually(t, "Redis has what is learned", func() bool { return redis.cli("HLEN", grantsKey) == "1" })
	if r.logged("failed") != 0 {
		t.Errorf("got %s", r.log)
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
	r := startReplica(t, listener.Addr().String(), Redis{}, 0)
	eventually(t, "it is told", func() bool { return r.logged("failed") == 1 })
	if state := r.link.state(); state.inStep || !strings.Contains(state.failure, "MOVED") {
		t.Errorf("got %+v", state)
	}
}
