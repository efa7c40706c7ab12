package mtlsallowlist

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity/identitytest"
)

// when is what both clocks show at a moment, if nobody sets them.
func when(m clocks.Moment) clocks.Reading {
	return clocks.Reading{Wall: clocks.Epoch.Add(m), Mono: m}
}

// atTime is the same by the wall clock.
func atTime(t time.Time) clocks.Reading {
	return clocks.Reading{Wall: t, Mono: at(t)}
}

// A machine has two clocks, of which the wall clock can be set, and stands for the process as well: it can restart.
type machine struct {
	*house
	wall  time.Duration // how far the wall clock is ahead of the other
	port  int
	state *tls.ConnectionState
}

// newMachine makes the middlewares of a house whose clocks are apart.
func newMachine(t *testing.T, configs map[string]Config) *machine {
	t.Helper()
	m := &machine{house: newHouse(t, nil)}
	m.now = clocks.Epoch
	m.make = func(ctx context.Context, next http.Handler, config *Config, name string, _ clocks.Clock, log *slog.Logger) (http.Handler, error) {
		return newHandler(ctx, next, config, name, m.clocks(), log)
	}
	m.handlers = m.reload(configs)
	return m
}

func (m *machine) clocks() clocks.Clock {
	return clocks.Clock{
		Now:   func() time.Time { return m.now.Round(0).Add(m.wall) },
		Since: func(t time.Time) time.Duration { return m.now.Sub(t) },
	}
}

// live does what a text says, word by word: "wait 1h" lets time pass, "sleep 1h" is time that the monotonic clock doesn't
// see, "set -1h" sets the wall clock, "reboot" starts over, "reboot=-720h" with the wall clock so far off, and
// "<middleware>=<status>" asks on a new connection, "<middleware>!=<status>" on the last one.
func (m *machine) live(name, text string, configs map[string]Config) {
	m.t.Helper()
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		switch word := words[i]; word {
		case "wait", "sleep", "set", "reboot":
			i++
			d, err := time.ParseDuration(words[i])
			if err != nil {
				m.t.Fatal(err)
			}
			switch word {
			case "wait":
				m.now = m.now.Add(d)
			case "reboot":
				m.wall = d
				m.restart(configs)
			default:
				m.wall += d
			}
		default:
			middleware, want, _ := strings.Cut(word, "=")
			middleware, same := strings.CutSuffix(middleware, "!")
			if !same {
				m.port++
				m.state = identitytest.Verified(identitytest.Certificate("cn:phone"))
				for _, certificate := range m.state.VerifiedChains[0] {
					certificate.NotBefore, certificate.NotAfter = clocks.Epoch.Add(-10000*time.Hour), clocks.Epoch.Add(10000*time.Hour)
				}
			}
			if got := strconv.Itoa(m.request(middleware, m.state)); got != want {
				m.t.Errorf("%s: step %d, %s: got %s; log: %s", name, i, word, got, m.log.String())
				return
			}
		}
	}
}

func (m *machine) request(middleware string, state *tls.ConnectionState) int {
	req := httptest.NewRequest(http.MethodGet, "https://home.example/", nil)
	req.RemoteAddr = fmt.Sprint("203.0.113.7:", m.port)
	req.Header.Set(clientip.ForwardedFor, "203.0.113.7")
	req.TLS = state
	rw := httptest.NewRecorder()
	m.handlers[middleware].ServeHTTP(rw, req)
	return rw.Code
}

func TestAGrantEndsWhenEitherClockSaysSo(t *testing.T) {
	for _, row := range []struct{ name, steps string }{
		{"nobody touches the clocks", "learn=200 wait 59m photos=200 proxied=200 wait 1m photos=403 proxied=403"},
		{"the wall clock is set back", "learn=200 wait 30m set -24h photos=200 wait 30m photos=403"},
		{"the wall clock is set ahead by more than the lifetime", "learn=200 set 1h photos=403 proxied=403"},
		{"it is set ahead by less", "learn=200 set 30m photos=200 proxied=200 wait 29m photos=200 wait 1m photos=403"},
		{"it is set ahead a second", "learn=200 set 1001ms wait 59m photos=200 wait 59s photos=403"},
		{"the machine sleeps", "learn=200 photos=200 wait 1m sleep 8h photos=403"},
		{"the machine sleeps, behind another proxy", "learn=200 proxied=200 wait 1m sleep 8h proxied=403"},
		{"the machine sleeps, and a client has a connection", "learn=200 photos=200 photos!=200 sleep 8h learn=200 photos=200"},
		{"the machine sleeps twice", "learn=200 sleep 40m photos=200 sleep 20m photos=403"},
		{"the wall clock was ahead, is set right, and the machine sleeps", "learn=200 set -24h photos=200 learn=200 sleep 1h photos=403"},
		{"it is set to and fro between two looks", "learn=200 set 8h set -8h photos=200 wait 59m photos=200"},
		{"a new proof counts from its own time", "learn=200 sleep 8h learn=200 wait 59m photos=200 wait 1m photos=403"},
		{"the status page looks, too", "learn=200 photos=200 sleep 8h status=200 photos!=403"},
		{"a restart", "learn=200 wait 30m reboot 0s photos=200 wait 29m photos=200 wait 1m photos=403"},
		{"a restart with the wall clock ahead", "learn=200 wait 1m reboot 1h photos=403"},
		{"a restart while the wall clock is behind, which is then set right", "learn=200 wait 10m reboot -720h photos=200 wait 10m photos=200 set 720h photos=200 wait 39m photos=200 wait 1m photos=403"},
		{"a month switched off, and the wall clock shows the time of then", "learn=200 wait 1m reboot 0s photos=200 wait 10m photos=200 set 720h photos=403"},
		{"a month switched off, and the wall clock shows a time long ago", "learn=200 wait 1m reboot -9000h photos=200 wait 1m photos=200 set 9720h photos=403"},
		{"two restarts while it is behind", "learn=200 wait 1m reboot -9000h learn=200 wait 1m reboot -9001h photos=200 wait 1m set 9001h photos=200 wait 58m photos=403"},
		{"a proof while it is behind", "learn=200 wait 1m reboot -9000h learn=200 wait 1m set 9000h photos=200 wait 57m photos=200 wait 1m photos=403"},
		{"after a restart with the wall clock behind the machine sleeps", "learn=200 wait 1m reboot -9000h photos=200 set 9000h sleep 8h photos=403"},
	} {
		configs := map[string]Config{
			"learn":   {Mode: "learn", TTL: "1h", StateFile: filepath.Join(t.TempDir(), "state.json")},
			"photos":  {Mode: "enforce"},
			"proxied": {Mode: "enforce", IPStrategy: IPStrategy{Depth: "1"}},
			"status":  {Mode: "status", Proof: "request"},
		}
		newMachine(t, configs).live(row.name, row.steps, configs)
	}
}

// TestTheMetricsGoByEitherClock although nobody has asked for anything else since the machine slept.
func TestTheMetricsGoByEitherClock(t *testing.T) {
	configs := map[string]Config{"learn": {Mode: "learn", TTL: "1h"}, "status": {Mode: "status", Proof: "request"}}
	m := newMachine(t, configs)
	for _, row := range []struct{ steps, want string }{{"learn=200", "1"}, {"sleep 59m", "1"}, {"sleep 1m", "0"}} {
		m.live("the machine sleeps", row.steps, configs)
		want := `mtlsallowlist_grants{store="` + m.store("default") + `"} ` + row.want + "\n"
		if got := m.get("status", "/metrics", "").Body.String(); !strings.Contains(got, want) {
			t.Errorf("after %s: got %s, want %s", row.steps, got, want)
		}
	}
}

func TestACertificateEndsByTheWallClock(t *testing.T) {
	for _, row := range []struct {
		name  string
		begin time.Duration // how far the wall clock is off when the process begins
		steps string        // those of live, but "ask" on the one connection, and "ask!" on another one first
	}{
		{"nobody touches the clocks", 0, "ask=200 wait 1h ask=200 wait 1s ask=403"},
		{"the wall clock was behind until before the connection", -720 * time.Hour, "set 720h ask=200 wait 1h ask=200 wait 1s ask=403"},
		{"it was ahead until then", 720 * time.Hour, "set -720h ask=200 wait 1h ask=200 wait 1s ask=403"},
		{"it is set ahead during the connection", 0, "ask=200 set 1h wait 1s ask!=200 ask=403"},
		{"the machine sleeps during the connection", 0, "ask=200 sleep 2h ask!=200 ask=403"},
		{"it is set back to before the certificate's begin", 0, "ask=200 set -2h ask!=200 ask=403"},
	} {
		m := newMachine(t, map[string]Config{"learn": {Mode: "learn"}})
		m.wall = row.begin
		m.port = 1
		leaf := identitytest.Certificate("cn:phone")
		leaf.NotBefore, leaf.NotAfter = clocks.Epoch.Add(-time.Hour), clocks.Epoch.Add(time.Hour)
		old := identitytest.Verified(leaf)
		words := strings.Fields(row.steps)
		for i := 0; i < len(words); i++ {
			word := words[i]
			if question, want, ok := strings.Cut(word, "="); ok {
				if question == "ask!" {
					m.port = 2
					other := identitytest.Certificate("cn:other")
					other.NotBefore, other.NotAfter = clocks.Epoch.Add(-9000*time.Hour), clocks.Epoch.Add(9000*time.Hour)
					m.request("learn", identitytest.Verified(other))
					m.port = 1
				} else if got := strconv.Itoa(m.request("learn", old)); got != want {
					t.Errorf("%s: step %d: got %s, want %s", row.name, i, got, want)
				}
				continue
			}
			m.live(row.name, word+" "+words[i+1], nil)
			i++
		}
	}
}

// TestTimesInAStateFileDontGoBack: a file tells what time it is at least, also to who reads it next.
func TestTimesInAStateFileDontGoBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	configs := map[string]Config{"learn": {Mode: "learn", TTL: "1h", StateFile: path}}
	m := newMachine(t, configs)
	proved := func() time.Time {
		return time.UnixMilli(saved(t, path).Grants[0].Proved)
	}
	m.live("before", "learn=200", configs)
	before := proved()
	m.live("behind", "wait 5m reboot -9000h learn=200 wait 2m learn=200", configs)
	if got := proved().Sub(before); got != 2*time.Minute {
		t.Errorf("two minutes after a restart with the clock behind, got a proof %v after the first", got)
	}
}
