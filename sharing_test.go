package mtlsallowlist

import (
	"net/netip"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// newShared returns a store whose moment 0 is 1,000,000,000 by Redis's clock.
func newShared(terms terms) *store {
	s := newStore("shared")
	s.share()
	s.learnBy(terms, when(0))
	s.timeBy(clockAt0, 0, near)
	return s
}

const clockAt0 = 1_000_000_000

var hour = limits{ttl: time.Hour, maxIPs: 3}

// told parses "<seconds> <kind> <ip> <name> [<lifetime>]", a line each, as another replica would tell it.
func told(t *testing.T, text string) []entry {
	t.Helper()
	entries := []entry{}
	for _, line := range strings.Split(text, "; ") {
		words := strings.Fields(line)
		at, err := time.ParseDuration(words[0])
		if err != nil {
			t.Fatal(err)
		}
		lifetime := time.Hour
		if len(words) > 4 {
			lifetime, err = time.ParseDuration(words[4])
			if err != nil {
				t.Fatal(err)
			}
		}
		stamp := clockAt0 + at.Milliseconds()
		entries = append(entries, entry{
			kind: words[1][0], ip: netip.MustParsePrefix(words[2]), identity: identity.Identity{Names: []string{words[3]}},
			learned: stamp, stamp: stamp, proved: stamp, expires: stamp + lifetime.Milliseconds(),
		})
	}
	return entries
}

// heldBy returns all grants of a store that hold at now, in order.
func heldBy(s *store, now moment) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list.removeExpired(now)
	texts := []string{}
	for _, g := range s.list.due {
		texts = append(texts, g.address.ip.Addr().String()+" "+g.identity.Name())
	}
	sort.Strings(texts)
	return strings.Join(texts, "\n")
}

func TestAdopting(t *testing.T) {
	for _, row := range []struct {
		name    string
		limits  limits
		entries string
		want    string // after 10 s
		skipped int
	}{
		{"a grant", hour, "1s g 203.0.113.7/32 cn:a", "203.0.113.7 cn:a", 0},
		{"two of an address", hour, "1s g 203.0.113.7/32 cn:a; 2s g 203.0.113.7/32 cn:b", "203.0.113.7 cn:a\n203.0.113.7 cn:b", 0},
		{"an old one again", hour, "2s g 203.0.113.7/32 cn:a; 1s g 203.0.113.7/32 cn:a", "203.0.113.7 cn:a", 0},
		{"a stamp ahead", hour, "24h9s g 203.0.113.7/32 cn:a", "203.0.113.7 cn:a", 0},
		{"a stamp as far ahead as may be", hour, "24h10s g 203.0.113.7/32 cn:a", "203.0.113.7 cn:a", 0},
		{"a stamp far ahead", hour, "24h11s g 203.0.113.7/32 cn:a", "", 1},
		{"a revocation from far ahead", hour, "1s g 203.0.113.7/32 cn:a; 24h11s r 203.0.113.7/32 cn:a", "", 0},
		{"one that has expired", hour, "1s g 203.0.113.7/32 cn:a 9s", "", 0},
		{"one that has not", hour, "1s g 203.0.113.7/32 cn:a 9001ms", "203.0.113.7 cn:a", 0},
		{"one proved so long ago that it has expired by our lifetime", hour, "-1h g 203.0.113.7/32 cn:a 24h", "", 0},
		{"a private address", hour, "1s g 192.168.1.7/32 cn:a", "", 0},
		{"a carrier's address", hour, "1s g 100.64.0.7/32 cn:a", "", 0},
		{"an address that a network translates by itself", hour, "1s g 64:ff9b:1::/64 cn:a", "", 0},
		{"a Teredo address", hour, "1s g 2001:0:4136:e378::/64 cn:a", "", 0},
		{"loopback", hour, "1s g ::1/128 cn:a", "", 0},
		{"more addresses than may be", hour, "1s g 203.0.113.1/32 cn:a; 3s g 203.0.113.3/32 cn:a; 2s g 203.0.113.2/32 cn:a; 4s g 203.0.113.4/32 cn:a", "203.0.113.2 cn:a\n203.0.113.3 cn:a\n203.0.113.4 cn:a", 0},
		{"more than may be, the oldest last", hour, "2s g 203.0.113.2/32 cn:a; 3s g 203.0.113.3/32 cn:a; 4s g 203.0.113.4/32 cn:a; 1s g 203.0.113.1/32 cn:a", "203.0.113.2 cn:a\n203.0.113.3 cn:a\n203.0.113.4 cn:a", 0},
		{"more than may be at once: the lowest goes", hour, "1s g 203.0.113.4/32 cn:a; 1s g 203.0.113.1/32 cn:a; 1s g 203.0.113.3/32 cn:a; 1s g 203.0.113.2/32 cn:a", "203.0.113.2 cn:a\n203.0.113.3 cn:a\n203.0.113.4 cn:a", 0},
		{"more of an identity than may be", limits{time.Hour, 9, 1}, "2s g 203.0.113.2/32 cn:a; 1s g 203.0.113.1/32 cn:a; 1s g 203.0.113.1/32 cn:b", "203.0.113.1 cn:b\n203.0.113.2 cn:a", 0},
		{"more of an identity than may be at once: the lowest goes", limits{time.Hour, 9, 1}, "1s g 203.0.113.2/32 cn:a; 1s g 203.0.113.1/32 cn:a", "203.0.113.2 cn:a", 0},
		{"a revocation after its grant", hour, "1s g 203.0.113.7/32 cn:a; 2s r 203.0.113.7/32 cn:a", "", 0},
		{"a revocation before its grant", hour, "2s r 203.0.113.7/32 cn:a; 1s g 203.0.113.7/32 cn:a", "", 0},
		{"a revocation at once with its grant", hour, "1s g 203.0.113.7/32 cn:a; 1s r 203.0.113.7/32 cn:a", "", 0},
		{"a grant at once with its revocation", hour, "1s r 203.0.113.7/32 cn:a; 1s g 203.0.113.7/32 cn:a", "", 0},
		{"a proof after the revocation", hour, "2s g 203.0.113.7/32 cn:a; 1s r 203.0.113.7/32 cn:a", "203.0.113.7 cn:a", 0},
		{"an older revocation than one that is known", hour, "5s r 203.0.113.7/32 cn:a; 1s r 203.0.113.7/32 cn:a; 3s g 203.0.113.7/32 cn:a", "", 0},
		{"the revocation of another identity", hour, "1s g 203.0.113.7/32 cn:a; 2s r 203.0.113.7/32 cn:b", "203.0.113.7 cn:a", 0},
		{"an eviction", hour, "1s g 203.0.113.7/32 cn:a; 1s e 203.0.113.7/32 cn:a", "", 0},
		{"an eviction from before the proof", hour, "2s g 203.0.113.7/32 cn:a; 1s e 203.0.113.7/32 cn:a", "203.0.113.7 cn:a", 0},
		{"an eviction is forgotten", hour, "2s e 203.0.113.7/32 cn:a; 1s g 203.0.113.7/32 cn:a", "203.0.113.7 cn:a", 0},
	} {
		s := newShared(terms{learner: true, limits: row.limits})
		skipped := 0
		for _, e := range told(t, row.entries) {
			skipped += s.adopt([]entry{e}, 10*time.Second)
		}
		if got := heldBy(s, 10*time.Second); got != row.want || skipped != row.skipped {
			t.Errorf("%s: got %q and %d skipped, want %q and %d", row.name, got, skipped, row.want, row.skipped)
		}
		all := newShared(terms{learner: true, limits: row.limits})
		all.adopt(told(t, row.entries), 10*time.Second)
		if got := heldBy(all, 10*time.Second); got != row.want {
			t.Errorf("%s, all at once: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestTheLifetimeIsOursAtMost(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.adopt(told(t, "5s g 203.0.113.7/32 cn:a 24h; 5s g 203.0.113.8/32 cn:a 30m"), 10*time.Second)
	for _, row := range []struct {
		at   moment
		want string
	}{
		{30*time.Minute + 4999*time.Millisecond, "203.0.113.7 cn:a\n203.0.113.8 cn:a"},
		{30*time.Minute + 5*time.Second, "203.0.113.7 cn:a"},
		{time.Hour + 4999*time.Millisecond, "203.0.113.7 cn:a"},
		{time.Hour + 5*time.Second, ""},
	} {
		if got := heldBy(s, row.at); got != row.want {
			t.Errorf("at %v: got %q, want %q", row.at, got, row.want)
		}
	}
}

func TestWithAllowPrivateOthersMayLearnThemToo(t *testing.T) {
	for _, terms := range []terms{{learner: true, limits: hour, allowPrivate: true}, noTerms} {
		s := newShared(terms)
		s.adopt(told(t, "1s g 192.168.1.7/32 cn:a"), 10*time.Second)
		if got := heldBy(s, 10*time.Second); got != "192.168.1.7 cn:a" {
			t.Errorf("got %q", got)
		}
	}
}

var (
	home = netip.MustParsePrefix("203.0.113.7/32")
	cnA  = identity.Identity{Names: []string{"cn:a"}}
)

// tells returns what a store would tell of a grant or revocation; empty if nothing.
func tells(s *store, now moment) string {
	texts := []string{}
	for _, e := range s.entries(now) {
		texts = append(texts, string(e.kind)+" "+e.ip.Addr().String())
	}
	return strings.Join(texts, ", ")
}

func TestRevocationsLast(t *testing.T) {
	now := 10 * time.Second
	for _, row := range []struct {
		name   string
		happen func(s *store)
		want   string
	}{
		{"while it holds", func(s *store) { s.learn(home, cnA, hour, when(now)) }, "g 203.0.113.7"},
		{"revoked", func(s *store) { s.learn(home, cnA, hour, when(now)); s.revoke(home, "", when(now)) }, "r 203.0.113.7"},
		{"revoked, and proved again in the same moment", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			s.revoke(home, "", when(now))
			s.learn(home, cnA, hour, when(now))
		}, "g 203.0.113.7"},
		{"revoked, and other settings take over", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			s.revoke(home, "", when(now))
			s.share()
			s.timeBy(clockAt0+5000, 0, near)
		}, "r 203.0.113.7"},
		{"revoked, and told again from before", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			before := s.entries(now)
			s.revoke(home, "", when(now))
			s.adopt(before, now)
		}, "r 203.0.113.7"},
		{"revoked, and proved elsewhere", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			s.revoke(home, "", when(now))
			s.adopt(told(t, "11s g 203.0.113.7/32 cn:a"), now+time.Second)
		}, "g 203.0.113.7"},
		{"revoked, and restored from a state file", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			saved, _ := s.state(atTime(epoch.Add(now)))
			s.revoke(home, "", when(now+time.Second))
			if n := s.restore(saved.Grants, &settings{limits: hour, ipv6Subnet: 64}, atTime(epoch.Add(now+2*time.Second))); n != 0 {
				t.Errorf("got %d restored after the revocation", n)
			}
		}, "r 203.0.113.7"},
		{"revoked elsewhere, and restored from a state file", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			saved, _ := s.state(atTime(epoch.Add(now)))
			s.list.remove(s.list.due[0])
			s.adopt(told(t, "11s r 203.0.113.7/32 cn:a"), now+2*time.Second)
			s.restore(saved.Grants, &settings{limits: hour, ipv6Subnet: 64}, atTime(epoch.Add(now+2*time.Second)))
			s.timeBy(clockAt0+1000, 0, near)
		}, "r 203.0.113.7"},
		{"restored from a state file", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			saved, _ := s.state(atTime(epoch.Add(now)))
			s.list.remove(s.list.due[0])
			s.restore(saved.Grants, &settings{limits: hour, ipv6Subnet: 64}, atTime(epoch.Add(now+2*time.Second)))
		}, "g 203.0.113.7"},
	} {
		s := newShared(terms{learner: true, limits: hour})
		row.happen(s)
		if got := tells(s, now+3*time.Second); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
		if got := tells(s, now+2*time.Hour); got != "" {
			t.Errorf("%s: got %q after its time, want nothing", row.name, got)
		}
	}
}

func TestBeforeRedisHasEverAnsweredNothingIsLost(t *testing.T) {
	s := newStore("shared")
	s.share()
	s.learn(home, cnA, hour, when(time.Second))
	s.learn(netip.MustParsePrefix("203.0.113.8/32"), cnA, hour, when(2*time.Second))
	s.learn(netip.MustParsePrefix("203.0.113.9/32"), cnA, hour, when(2*time.Second))
	s.revoke(home, "", when(3*time.Second))
	s.revoke(netip.MustParsePrefix("203.0.113.9/32"), "", when(3*time.Second))
	s.learn(netip.MustParsePrefix("203.0.113.9/32"), cnA, hour, when(3*time.Second))
	s.timeBy(clockAt0, 0, near)
	got := map[string]int64{}
	for _, e := range s.entries(4 * time.Second) {
		got[string(e.kind)+" "+e.ip.Addr().String()] = e.stamp - clockAt0
		if e.expires-e.stamp != time.Hour.Milliseconds() {
			t.Errorf("%c %v: got a lifetime of %d ms", e.kind, e.ip, e.expires-e.stamp)
		}
	}
	if len(got) != 3 || got["r 203.0.113.7"] != 3000 || got["g 203.0.113.8"] != 2000 || got["g 203.0.113.9"] != 3000 {
		t.Errorf("got %v", got)
	}
}

// Whoever has just given a proof stays, and the others agree who made room, though their clocks differ a little.
func TestRoomIsMadeForTheLastProof(t *testing.T) {
	one := limits{ttl: time.Hour, maxIPs: 1}
	a, b := newShared(terms{learner: true, limits: one}), newShared(terms{learner: true, limits: one})
	b.learn(home, cnA, one, when(103*time.Millisecond))
	a.adopt(b.entries(103*time.Millisecond), 100*time.Millisecond)
	a.collect(1)
	_, _, evicted := a.learn(netip.MustParsePrefix("203.0.113.8/32"), cnA, one, when(100*time.Millisecond))
	changes, told, _ := a.drain(1)
	if len(evicted) != 1 || len(changes) != 2 || told != 2 {
		t.Fatalf("got %d evicted and %d changes, %d told, want 1, 2 and 2", len(evicted), len(changes), told)
	}
	b.adopt(changes, 110*time.Millisecond)
	if got := heldBy(b, time.Second); got != "203.0.113.8 cn:a" || heldBy(a, time.Second) != got {
		t.Errorf("got %q and %q", heldBy(a, time.Second), got)
	}
}

func TestRedissClockMayBeSetAhead(t *testing.T) {
	for _, off := range []int64{-900, -40, 0, 40, 3_600_000} {
		s := newShared(terms{learner: true, limits: hour})
		s.learn(home, cnA, hour, when(time.Second))
		s.learn(netip.MustParsePrefix("203.0.113.8/32"), cnA, hour, when(2*time.Second))
		s.timeBy(clockAt0+off, 0, near)
		s.learn(home, cnA, hour, when(3*time.Second))
		s.learn(netip.MustParsePrefix("203.0.113.9/32"), cnA, hour, when(4*time.Second))
		s.learn(netip.MustParsePrefix("203.0.113.10/32"), cnA, hour, when(5*time.Second))
		if got, want := heldBy(s, 6*time.Second), "203.0.113.10 cn:a\n203.0.113.7 cn:a\n203.0.113.9 cn:a"; got != want {
			t.Errorf("%d ms: got %q, want %q", off, got, want)
		}
	}
}

func TestOfALinkThatWasReplacedNothingIsTold(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.collect(1)
	s.learn(home, cnA, hour, when(time.Second))
	s.collect(2)
	if entries, told, _ := s.drain(1); len(entries) != 0 || told != 0 {
		t.Errorf("got %v and %d", entries, told)
	}
	s.drop(1)
	if entries, told, _ := s.drain(2); len(entries) != 1 || told != 1 || s.pends() {
		t.Errorf("got %v and %d", entries, told)
	}
}

// TestRedissClockMayBeSetBack is about a replica that starts after that: what is dated later than now holds, but no longer
// than a proof of now would.
func TestRedissClockMayBeSetBack(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.learn(home, cnA, hour, when(time.Second))
	s.timeBy(clockAt0-7_200_000, 0, near)
	s.learn(home, cnA, hour, when(2*time.Second))
	again := newStore("shared")
	again.share()
	again.learnBy(terms{learner: true, limits: hour}, when(0))
	again.timeBy(clockAt0-7_200_000, 0, near)
	if skipped := again.adopt(s.entries(3*time.Second), 3*time.Second); skipped > 0 || !again.holds(home, when(time.Hour)) {
		t.Errorf("it has skipped %d, and holds %q", skipped, heldBy(again, 3*time.Second))
	}
	if again.holds(home, when(time.Hour+3*time.Second)) {
		t.Error("it holds longer than a lifetime")
	}
	again.revoke(home, "", when(4*time.Second))
	s.adopt(again.entries(5*time.Second), 5*time.Second)
	if s.holds(home, when(5*time.Second)) {
		t.Error("what the other has revoked holds")
	}
}

// TestWhatWasTakenOverBeforeThereWasALearnerHasToFit: Traefik makes its middlewares in any order.
func TestWhatWasTakenOverBeforeThereWasALearnerHasToFit(t *testing.T) {
	s := newShared(noTerms)
	s.collect(1)
	s.adopt(told(t, "1s g 192.168.1.7/32 cn:a; 2s g 203.0.113.1/32 cn:a 24h; 3s g 203.0.113.2/32 cn:a; 4s g 203.0.113.3/32 cn:a; 5s g 203.0.113.4/32 cn:a 24h"), 10*time.Second)
	if got := len(s.list.due); got != 5 {
		t.Fatalf("without a learner it holds %d", got)
	}
	old, _ := s.find(netip.MustParsePrefix("192.168.1.7/32"), nil, when(10*time.Second))
	nobody := s.nobody
	s.learnBy(terms{learner: true, limits: hour}, when(10*time.Second))
	if got, want := heldBy(s, 10*time.Second), "203.0.113.2 cn:a\n203.0.113.3 cn:a\n203.0.113.4 cn:a"; got != want || old.expires != over || nobody.expires != over {
		t.Errorf("got %q, want %q", got, want)
	}
	if s.holds(netip.MustParsePrefix("203.0.113.4/32"), when(time.Hour+5*time.Second)) {
		t.Error("it holds longer than a lifetime of the learner's")
	}
	if entries, _, _ := s.drain(1); len(entries) != 1 || entries[0].kind != entryEvicted || entries[0].ip.String() != "203.0.113.1/32" {
		t.Errorf("Redis is told %v", entries)
	}
	s.learnBy(terms{learner: true, limits: limits{time.Hour, 2, 0}}, when(10*time.Second)) // at a reload: from the next proof on
	if got := len(s.list.due); got != 3 {
		t.Errorf("after a reload it holds %d", got)
	}
	changes := s.changed()
	s.adopt(told(t, "6s g 203.0.113.4/32 cn:a"), 10*time.Second)
	if got := heldBy(s, 10*time.Second); got != "203.0.113.3 cn:a\n203.0.113.4 cn:a" || s.changed() == changes {
		t.Errorf("after a renewal it holds %q, which is news: %t", got, s.changed() > changes)
	}
}

func TestRedissClockIsMeasured(t *testing.T) {
	for _, row := range []struct{ off, ahead, behind int64 }{{-1000, 0, 1000}, {-51, 0, 51}, {-50, 0, 0}, {0, 0, 0}, {50, 0, 0}, {51, 51, 0}, {1000, 1000, 0}} {
		s := newStore("shared")
		s.share()
		s.timeBy(clockAt0+1000, time.Second, near)
		s.learn(home, cnA, hour, when(2*time.Second))
		behind := s.timeBy(clockAt0+3000+row.off, 3*time.Second, near)
		if got := s.sharing.ahead - clockAt0; got != row.ahead || behind != row.behind {
			t.Errorf("off by %d ms, it is set by %d, and Redis's is behind by %d, want %d and %d", row.off, got, behind, row.ahead, row.behind)
		}
		g, _ := s.find(home, nil, when(3*time.Second))
		if want := 2*time.Second - time.Duration(row.ahead)*time.Millisecond; g.stamp != clockAt0+2000 || g.proved != want || g.expires != want+time.Hour {
			t.Errorf("off by %d ms, got the stamp %d, proved %v, want %v, expires %v", row.off, g.stamp-clockAt0, g.proved, want, g.expires)
		}
	}
}

// TestWhatWasRestoredMayHaveBeenRevoked is about a state file that is read before Redis has ever answered.
func TestWhatWasRestoredMayHaveBeenRevoked(t *testing.T) {
	for _, row := range []struct {
		proved time.Duration
		want   bool
	}{{time.Second, false}, {2 * time.Second, false}, {2*time.Second + time.Millisecond, true}} {
		s := newStore("shared")
		s.share()
		s.learn(home, cnA, hour, when(time.Second))
		s.revoke(home, "", when(2*time.Second))
		saved := []savedGrant{{IP: home.String(), Names: cnA.Names, Learned: epoch, Proved: epoch.Add(row.proved), Expires: epoch.Add(time.Hour)}}
		s.restore(saved, &settings{limits: hour, ipv6Subnet: 64}, atTime(epoch.Add(3*time.Second)))
		nobody, changes := s.nobody, s.changed()
		s.timeBy(clockAt0, 0, near)
		if got := s.holds(home, when(3*time.Second)); got != row.want || (s.changed() > changes) == row.want || (nobody.expires == over) == row.want {
			t.Errorf("proved at %v, it holds: %t; %d changes", row.proved, got, s.changed()-changes)
		}
	}
}

// TestHowMuchOlderGrantsBecome is about a grant of 24 hours, proved at 1 s, and what the clocks say of 10 s.
func TestHowMuchOlderGrantsBecome(t *testing.T) {
	now := when(10 * time.Second)
	for _, row := range []struct {
		name   string
		happen func(s *store)
		want   time.Duration // that is left
	}{
		{"nobody sets a clock", func(s *store) { s.timeBy(clockAt0+10_000, now.mono, near) }, 24*time.Hour - 9*time.Second},
		{"Redis's clock is set ahead", func(s *store) { s.timeBy(clockAt0+8*3600_000+10_000, now.mono, near) }, 16*time.Hour - 9*time.Second},
		{"Redis's clock is set back", func(s *store) { s.timeBy(clockAt0-8*3600_000, now.mono, near) }, 24*time.Hour - 9*time.Second},
		{"the replica has slept: the wall clock says so, and Redis's", func(s *store) {
			s.notice(reading{wall: now.wall.Add(8 * time.Hour), mono: now.mono})
			s.timeBy(clockAt0+8*3600_000+10_000, now.mono, near)
		}, 16*time.Hour - 9*time.Second},
		{"it has slept for longer than the wall clock says", func(s *store) {
			s.notice(reading{wall: now.wall.Add(2 * time.Hour), mono: now.mono})
			s.timeBy(clockAt0+8*3600_000+10_000, now.mono, near)
		}, 16*time.Hour - 9*time.Second},
		{"for less than the wall clock says", func(s *store) {
			s.notice(reading{wall: now.wall.Add(9 * time.Hour), mono: now.mono})
			s.timeBy(clockAt0+8*3600_000+10_000, now.mono, near)
		}, 15*time.Hour - 9*time.Second},
		{"the wall clock is set, and later Redis's", func(s *store) {
			s.notice(reading{wall: now.wall.Add(time.Hour), mono: now.mono})
			s.timeBy(clockAt0+10_000, now.mono, near)
			s.timeBy(clockAt0+8*3600_000+10_000, now.mono, near)
		}, 15*time.Hour - 9*time.Second},
		{"another replica's proof is from later", func(s *store) { s.adopt(told(t, "8h10s g 203.0.113.8/32 cn:b"), now.mono) }, 16*time.Hour - 9*time.Second},
		{"another replica's proof is from as good as now", func(s *store) { s.adopt(told(t, "10050ms g 203.0.113.8/32 cn:b"), now.mono) }, 24*time.Hour - 9*time.Second},
		{"another replica's proof makes no sense", func(s *store) { s.adopt(told(t, "24h11s g 203.0.113.8/32 cn:b"), now.mono) }, 24*time.Hour - 9*time.Second},
	} {
		s := newShared(terms{learner: true, limits: house24})
		s.notice(when(0))
		s.learn(home, cnA, house24, when(time.Second))
		row.happen(s)
		g := s.list.addresses[home].grantOf(cnA)
		if got := g.expires - now.mono; got != row.want || g.due > g.expires {
			t.Errorf("%s: got %v left, want %v", row.name, got, row.want)
		}
	}
}
