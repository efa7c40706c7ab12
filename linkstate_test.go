package mtlsallowlist

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/redis"
)

func TestWhatThePageSaysOfTheSharing(t *testing.T) {
	for _, row := range []struct {
		name    string
		state   linkState
		text    string
		problem bool
	}{
		{"all is well", linkState{inStep: true}, "Shared with the other replicas: in step.", false},
		{"all is well again", linkState{inStep: true, failures: 3}, "Shared with the other replicas: in step.", false},
		{"just begun", linkState{}, "Shared with the other replicas: not in step yet.", false},
		{"Redis is away", linkState{failure: "dial tcp 10.0.0.1:6379: connect: connection refused"}, "Not in step with the other replicas since 3 min: dial tcp 10.0.0.1:6379: connect: connection refused", true},
		{"Redis says odd things", linkState{failure: "redis: \x1b[31m\n"}, `Not in step with the other replicas since 3 min: redis: \x1b[31m\n`, true},
		{"somebody writes what he likes", linkState{inStep: true, skipped: 1}, "Shared with the other replicas: in step. 1 entry in Redis made no sense.", false},
		{"and writes on", linkState{inStep: true, skipped: 2}, "Shared with the other replicas: in step. 2 entries in Redis made no sense.", false},
	} {
		row.state.since = t0
		if text, problem := row.state.text(t0.Add(3 * time.Minute)); text != row.text || problem != row.problem {
			t.Errorf("%s: got %q, a problem: %t; want %q, %t", row.name, text, problem, row.text, row.problem)
		}
	}
}

// TestTheSharingIsSeen is about the page, the listing and the metrics, of a store that is shared and of one that isn't.
func TestTheSharingIsSeen(t *testing.T) {
	s := startRedis(t)
	h := newHouse(t, nil)
	h.make = func(ctx context.Context, next http.Handler, config *Config, name string, _ clock, log *slog.Logger) (http.Handler, error) {
		return newHandler(ctx, next, config, name, clock{time.Now, time.Since}, log) // for the link's goroutines read it, too
	}
	began := inUTC(time.Now()).Add(-time.Second)
	h.handlers = h.reload(map[string]Config{
		"learn":  {Mode: "learn", Store: []string{"a"}, Redis: &Redis{Endpoints: []string{s.address}}},
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

	s.kill()
	eventually(t, "it sees that Redis is away", func() bool { return !sharing().InStep })
	lost := sharing().Since
	eventually(t, "it tells that nobody answers", func() bool { return strings.Contains(sharing().Error, "connection refused") })
	if got := sharing(); got.Since != lost || !lost.After(since) || got.Skipped != 0 {
		t.Errorf("without Redis it is listed with %+v", got)
	}
	shows("away", "in step.", "Not in step with the other replicas since ", "dial tcp "+s.address, count("in_step", "0"), count("skipped_total", "0"))

	s.args = append(s.args, "--user", "default", "on", "nopass", "~*", "&*", "+@all", "-eval") // so that nobody reads it yet
	s.start()
	s.cli("HSET", "{mtlsallowlist:"+h.store("a")+"}:grants", "203.0.113.9/32 cn%3Aeve", "tomorrow")
	s.does("ACL", "SETUSER", "default", "+eval")
	eventually(t, "it is in step again", func() bool { return sharing().InStep && sharing().Skipped > 0 })
	if got := sharing(); got.Error != "" || !got.Since.After(lost) {
		t.Errorf("in step again, it is listed with %+v", got)
	}
	shows("nonsense", count("failures_total", "0"), "in step. 1 entry in Redis made no sense.", count("in_step", "1"), count("skipped_total", "1"))

	now := time.Now().UnixMilli()
	s.cli("HSET", "{mtlsallowlist:"+h.store("a")+"}:grants", "203.0.113.9/32 cn%3Aeve -abc", fmt.Sprintf("%d %d g %d %d 0 cn%%3Aeve", now, now+3_600_000, now, now))
	s.cli("HDEL", "{mtlsallowlist:"+h.store("a")+"}:grants", "203.0.113.9/32 cn%3Aeve")
	s.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") // so that all is read again
	eventually(t, "it is read", func() bool { return sharing().InStep && sharing().Skipped == 2 })
	shows("a short fingerprint", count("skipped_total", "1"), "in step. 2 entries in Redis made no sense.", count("skipped_total", "2"))
}

// TestTheCauseOfAFailureIsKept is about the two connections: when one fails, the link closes the other.
func TestTheCauseOfAFailureIsKept(t *testing.T) {
	r := newReplica(t, "cause", &Redis{}, 0)
	attempt, _ := r.link.current()
	r.link.failed(attempt, fmt.Errorf("%w: NOPERM", redis.ErrRedis))
	r.link.failed(attempt, fmt.Errorf("read: %w", net.ErrClosed))
	if state := r.link.state(); state.failure != "redis: NOPERM" || state.failures != 1 {
		t.Errorf("after both: got %+v", state)
	}
	r.link.succeeded(attempt, 0)
	if state := r.link.state(); state.inStep {
		t.Errorf("after the success of an attempt that was given up: got %+v", state)
	}
}
