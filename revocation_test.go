package mtlsallowlist

import (
	"context"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// restarted returns a store that has begun anew from what another has on disk.
func restarted(t *testing.T, s *store, now moment) *store {
	t.Helper()
	saved, _ := s.state(atTime(epoch.Add(now)))
	data, err := json.Marshal(saved)
	if err != nil {
		t.Fatal(err)
	}
	if saved, err = parseState(data); err != nil {
		t.Fatal(err)
	}
	again := newStore(s.name)
	again.restore(saved.Grants, &settings{limits: hour, ipv6Subnet: 64}, atTime(epoch.Add(now)))
	again.restoreRevoked(saved.Revoked, atTime(epoch.Add(now)))
	return again
}

func TestRevocationsOutliveARestart(t *testing.T) {
	now := 10 * time.Second
	for _, row := range []struct {
		name   string
		happen func(s *store) *store // returns that of the other process
		want   string
	}{
		{"of this replica", func(s *store) *store {
			s.revoke(home, "", when(now))
			return restarted(t, s, now+time.Second)
		}, "r 203.0.113.7"},
		{"of another", func(s *store) *store {
			s.adopt(told(t, "11s r 203.0.113.7/32 cn:a"), now+2*time.Second)
			return restarted(t, s, now+2*time.Second)
		}, "r 203.0.113.7"},
		{"twice", func(s *store) *store {
			s.revoke(home, "", when(now))
			return restarted(t, restarted(t, s, now+time.Second), now+2*time.Second)
		}, "r 203.0.113.7"},
		{"if Redis answers before", func(s *store) *store {
			s.revoke(home, "", when(now))
			saved, _ := s.state(atTime(epoch.Add(now)))
			again := newShared(terms{learner: true, limits: hour})
			again.restoreRevoked(saved.Revoked, atTime(epoch.Add(now+time.Second)))
			return again
		}, "r 203.0.113.7"},
		{"but for a proof before they are read", func(s *store) *store {
			s.revoke(home, "", when(now))
			saved, _ := s.state(atTime(epoch.Add(now)))
			again := newShared(terms{learner: true, limits: hour})
			again.learn(home, cnA, hour, when(now+time.Second))
			again.restoreRevoked(saved.Revoked, atTime(epoch.Add(now+time.Second)))
			return again
		}, "g 203.0.113.7"},
		{"but for later ones", func(s *store) *store {
			s.revoke(home, "", when(now))
			saved, _ := s.state(atTime(epoch.Add(now)))
			again := newShared(terms{learner: true, limits: hour})
			again.adopt(told(t, "13s r 203.0.113.7/32 cn:a 2h"), now+3*time.Second)
			again.restoreRevoked(saved.Revoked, atTime(epoch.Add(now+3*time.Second)))
			if e := again.entries(now + 3*time.Second)[0]; e.stamp != clockAt0+13_000 {
				t.Errorf("it is dated %d", e.stamp-clockAt0)
			}
			return again
		}, "r 203.0.113.7"},
		{"and a proof ends them", func(s *store) *store {
			s.revoke(home, "", when(now))
			again := restarted(t, s, now+time.Second)
			again.share()
			again.learn(home, cnA, hour, when(now+time.Second))
			return again
		}, "g 203.0.113.7"},
		{"as long as the grant could hold", func(s *store) *store {
			s.revoke(home, "", when(now))
			return restarted(t, s, now+time.Hour)
		}, ""},
	} {
		s := newShared(terms{learner: true, limits: hour})
		s.learn(home, cnA, hour, when(now-time.Second))
		before := s.entries(now)
		s = row.happen(s)
		s.share()
		s.timeBy(clockAt0, 0, near)
		if got := tells(s, now+3*time.Second); got != row.want && row.want != "" {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
		s.adopt(before, now+3*time.Second)
		if got := s.holds(home, when(now+3*time.Second)); got != (row.want != "r 203.0.113.7") && row.want != "" {
			t.Errorf("%s: told again from before, it holds: %t", row.name, got)
		}
		if len(s.sharing.tombstones.byMember) > 0 && row.want == "" {
			t.Errorf("%s: got %v", row.name, s.sharing.tombstones.all())
		}
	}
}

// TestARevocationIsKnownAfterARestartWithoutRedis is about two replicas with state files.
func TestARevocationIsKnownAfterARestartWithoutRedis(t *testing.T) {
	redis := startRedis(t)
	file := &settings{name: "learn", limits: house24, ipv6Subnet: 64, stateFile: filepath.Join(t.TempDir(), "state.json")}
	start := func(name string) *replica {
		r := newReplica(t, name, &Redis{Endpoints: []string{redis.address}}, 0)
		if err := openStateFile(context.Background(), teller{log: r.link.log, store: r.store}, file, atTime(time.Now())); err != nil {
			t.Fatal(err)
		}
		r.link.run()
		return r
	}
	a := startReplica(t, redis.address, Redis{}, 0)
	b := start("shared")
	eventually(t, "both are in step", func() bool { return a.inStep() && b.inStep() })
	a.learn("203.0.113.7")
	eventually(t, "b knows", func() bool { return b.holds("203.0.113.7") })
	redis.kill()
	eventually(t, "both see that Redis is away", func() bool { return !a.inStep() && !b.inStep() })
	b.revoke("203.0.113.7")
	if err := b.store.stateFile().keep(teller{log: b.link.log, store: b.store}, atTime(time.Now())); err != nil {
		t.Fatal(err)
	}
	b.link.end()
	stores.mu.Lock()
	delete(stores.files, file.stateFile)
	stores.mu.Unlock()
	b = start("shared")
	redis.start()
	eventually(t, "both are in step again", func() bool { return a.inStep() && b.inStep() })
	eventually(t, "a has heard of it", func() bool { return !a.holds("203.0.113.7") })
	if b.holds("203.0.113.7") {
		t.Error("what b has revoked is back")
	}
}

func TestSavedRevocationsThatMakeNoSense(t *testing.T) {
	for _, row := range []struct{ revoked, want string }{
		{`{"ip":"203.0.113.7","names":["cn:a"],"revoked":"2026-11-22T00:00:00Z","expires":"2026-11-22T00:00:00Z"}`, `revoked[0]: ip: invalid value "203.0.113.7"`},
		{`{"ip":"203.0.113.7/32","names":[],"revoked":"2026-11-22T00:00:00Z","expires":"2026-11-22T00:00:00Z"}`, "revoked[0]: names: want at least one"},
		{`{"ip":"203.0.113.7/32","names":["cn:a"],"expires":"2026-11-22T00:00:00Z"}`, "revoked[0]: want the times revoked and expires"},
		{`{"ip":"203.0.113.7/32","names":["cn:a"],"revoked":"2026-11-22T00:00:00Z"}`, "revoked[0]: want the times revoked and expires"},
	} {
		_, err := parseState([]byte(`{"format":1,"store":"a","grants":[],"revoked":[` + row.revoked + `]}`))
		if err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %s", row.revoked, err, row.want)
		}
	}
}

// Nobody but who wrote the file says for how long.
func TestASavedRevocationEnds(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.restoreRevoked([]savedRevocation{{IP: home.String(), Names: []string{"cn:a"}, Revoked: epoch.Add(1000 * time.Hour), Expires: epoch.Add(1_000_000 * time.Hour)}}, atTime(epoch))
	e, _ := s.sharing.tombstones.of(member(home, cnA))
	if e.stamp != clockAt0 || e.expires != clockAt0+hour.ttl.Milliseconds() {
		t.Errorf("it is dated %d ms after now, and ends after %d", e.stamp-clockAt0, e.expires-clockAt0)
	}
}

func TestHowLongARevocationMatters(t *testing.T) {
	for _, row := range []struct {
		name     string
		terms    terms
		lifetime string
		want     time.Duration
	}{
		{"as long as the grant's lifetime", noTerms, "30m", 30 * time.Minute},
		{"or as a learner's, if that is more", terms{learner: true, limits: hour}, "30m", time.Hour},
		{"but it may be less", terms{learner: true, limits: limits{ttl: time.Minute, maxIPs: 1}}, "30s", time.Minute},
	} {
		s := newShared(row.terms)
		s.adopt(told(t, "10s g 203.0.113.7/32 cn:a "+row.lifetime), 10*time.Second)
		s.collect(1)
		s.revoke(home, "", when(11*time.Second))
		entries, _, _ := s.drain(1)
		if len(entries) != 1 || entries[0].kind != entryRevoked || entries[0].stamp != clockAt0+11_000 || entries[0].expires-entries[0].stamp != row.want.Milliseconds() {
			t.Errorf("%s: Redis is told %+v", row.name, entries)
		}
		ends := 11*time.Second + row.want
		saved := s.revocations(when(ends - 1))
		if len(saved) != 1 || !saved[0].Revoked.Equal(epoch.Add(11*time.Second)) || !saved[0].Expires.Equal(epoch.Add(ends)) || len(s.revocations(when(ends))) != 0 {
			t.Errorf("%s: a state file has %+v", row.name, saved)
		}
		s.adopt(told(t, ends.String()+" g 203.0.113.8/32 cn:a"), ends)
		s.revoke(netip.Prefix{}, "", when(ends))
		if len(s.sharing.tombstones.byMember) != 1 {
			t.Errorf("%s: got %v, want the later revocation alone", row.name, s.sharing.tombstones.all())
		}
	}
}

func TestAStoreThatIsNotSharedRemembersNoRevocation(t *testing.T) {
	s := newStore("alone")
	s.learn(home, cnA, hour, when(time.Second))
	s.revoke(home, "", when(time.Second))
	if saved, _ := s.state(atTime(epoch.Add(time.Second))); len(s.sharing.tombstones.byMember) != 0 || len(saved.Revoked) != 0 {
		t.Errorf("got %v", s.sharing.tombstones.all())
	}
}

func TestSavedRevocationsAreReadAgain(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.learn(home, named("cn:b"), hour, when(10*time.Second)) // somebody else at the address
	saved, err := parseState([]byte(`{"format":1,"store":"a","grants":[],"revoked":[
		{"ip":"203.0.113.7/32","names":["cn:a","dns:a.lan"],"revoked":"2001-01-01T00:00:00Z","expires":"2101-01-01T00:00:00Z"},
		{"ip":"203.0.113.8/32","names":["cn:a"],"revoked":"2001-01-01T00:00:00Z","expires":"2001-01-01T00:00:00Z"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	s.collect(1)
	s.restoreRevoked(saved.Revoked, atTime(epoch.Add(10*time.Second)))
	entries, _, _ := s.drain(1)
	if len(entries) != 1 || entries[0].ip != home || len(entries[0].identity.Names) != 2 || entries[0].learned != entries[0].stamp || len(s.sharing.tombstones.byMember) != 1 {
		t.Errorf("Redis is told %+v", entries)
	}
}

func TestARevocationFromBeforeTheProcessBeganIsKnown(t *testing.T) {
	for _, row := range []struct {
		proved string
		want   bool
	}{{"-61s", false}, {"-60s", false}, {"-59s", true}} {
		s := newStore("again")
		s.restoreRevoked([]savedRevocation{{IP: home.String(), Names: []string{"cn:a"}, Revoked: epoch.Add(-time.Minute), Expires: epoch.Add(time.Hour)}}, atTime(epoch))
		s.share()
		s.timeBy(clockAt0, 0, near)
		s.adopt(told(t, row.proved+" g 203.0.113.7/32 cn:a 24h"), time.Second)
		if got := s.holds(home, when(time.Second)); got != row.want {
			t.Errorf("proved %s from the beginning, it holds: %t", row.proved, got)
		}
	}
}
