package mtlsallowlist

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// numbered returns one of as many public addresses as one likes.
func numbered(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

// revocationOf is what another replica tells, as anybody may have written it.
func revocationOf(t *testing.T, i int, at, expires int64) entry {
	t.Helper()
	e, err := parseEntry(line(entry{kind: entryRevoked, ip: numbered(i), identity: cnA, learned: at, stamp: at, proved: at, expires: expires}))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTombstonesAreBounded(t *testing.T) {
	for _, row := range []struct {
		limits limits
		want   int
	}{
		{limits{ttl: time.Hour, maxIPs: 1}, 100},
		{limits{ttl: time.Hour, maxIPs: 10}, 1000},
	} {
		s := newShared(terms{learner: true, limits: row.limits})
		const n = 3000
		for i := 0; i < n; i++ {
			s.adopt([]entry{revocationOf(t, i, clockAt0, clockAt0+60_000+int64(i))}, time.Second)
		}
		if got := len(s.sharing.tombstones.byMember); got != row.want || len(s.sharing.tombstones.due) != got {
			t.Errorf("maxIPs %d: got %d tombstones, want %d", row.limits.maxIPs, got, row.want)
		}
		if _, found := s.sharing.tombstones.of(revocationOf(t, n-1, 0, 0).member()); !found {
			t.Errorf("maxIPs %d: the one that ends last has gone", row.limits.maxIPs)
		}
		_, first := s.sharing.tombstones.of(revocationOf(t, n-row.want, 0, 0).member())
		if _, before := s.sharing.tombstones.of(revocationOf(t, n-row.want-1, 0, 0).member()); before || !first {
			t.Errorf("maxIPs %d: others have gone than those that end first", row.limits.maxIPs)
		}
		if saved, _ := s.state(when(time.Second)); len(saved.Revoked) != row.want {
			t.Errorf("maxIPs %d: a state file has %d", row.limits.maxIPs, len(saved.Revoked))
		}
	}
}

func TestATombstoneLastsNoLongerThanAGrant(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.adopt([]entry{revocationOf(t, 1, clockAt0, maxStamp), revocationOf(t, 2, maxStamp, maxStamp)}, time.Second)
	for _, row := range []struct {
		at   moment
		want int
	}{{time.Second, 2}, {time.Hour + time.Second - 1, 2}, {time.Hour + time.Second, 0}} {
		if got := len(s.entries(row.at)); got != row.want {
			t.Errorf("at %v: got %d, want %d", row.at, got, row.want)
		}
	}
}

// TestARevocationCountsWhateverItsStamp, and later proofs count, too.
func TestARevocationCountsWhateverItsStamp(t *testing.T) {
	for _, stamp := range []time.Duration{2 * time.Second, 12 * time.Hour, 25 * time.Hour, 9000 * time.Hour} {
		s := newShared(terms{learner: true, limits: hour})
		s.learn(home, cnA, hour, when(time.Second))
		e := told(t, stamp.String()+" r 203.0.113.7/32 cn:a")
		if skipped := s.adopt(e, 3*time.Second); skipped != 0 || s.holds(home, when(3*time.Second)) {
			t.Errorf("%v: skipped %d, and it holds: %t", stamp, skipped, s.holds(home, when(3*time.Second)))
		}
		s.learn(home, cnA, hour, when(4*time.Second))
		other := newShared(terms{learner: true, limits: hour})
		if skipped := other.adopt(s.entries(5*time.Second), 5*time.Second); skipped != 0 || !other.holds(home, when(5*time.Second)) {
			t.Errorf("%v: of a later proof, another replica skipped %d, and holds it: %t", stamp, skipped, other.holds(home, when(5*time.Second)))
		}
		if other.holds(home, when(time.Hour+4*time.Second)) {
			t.Errorf("%v: another replica lets it in for more than its lifetime", stamp)
		}
	}
}

// fastest returns the least of several times that something takes.
func fastest(prepare func() func()) time.Duration {
	least := time.Hour
	for i := 0; i < 5; i++ {
		run := prepare()
		started := time.Now()
		run()
		if took := time.Since(started); took < least {
			least = took
		}
	}
	return least
}

// TestRevokingTakesTimeInProportion compares what one of many costs with one of few.
func TestRevokingTakesTimeInProportion(t *testing.T) {
	wide := limits{ttl: time.Hour, maxIPs: 100_000}
	all := func(n int) time.Duration {
		return fastest(func() func() {
			s := newShared(terms{learner: true, limits: wide})
			for i := 0; i < n; i++ {
				s.learn(numbered(i), cnA, wide, when(time.Second))
			}
			return func() {
				if got := len(s.revoke(netip.Prefix{}, "cn:a", when(2*time.Second))); got != n {
					t.Errorf("got %d revoked, want %d", got, n)
				}
			}
		}) / time.Duration(n)
	}
	few, many := all(250), all(4000)
	t.Logf("each of 250: %v, each of 4000: %v, %.1f times", few, many, float64(many)/float64(few))
	if many > 6*few {
		t.Errorf("each of 4000 takes %v, each of 250 %v", many, few)
	}
}

// TestOneMoreTombstoneTakesHardlyMoreTime the more there are.
func TestOneMoreTombstoneTakesHardlyMoreTime(t *testing.T) {
	wide := limits{ttl: time.Hour, maxIPs: 100_000}
	one := func(n int) time.Duration {
		s := newShared(terms{learner: true, limits: wide})
		entries := []entry{}
		for i := 0; i < n; i++ {
			entries = append(entries, entry{kind: entryRevoked, ip: numbered(i), identity: cnA, stamp: clockAt0, proved: clockAt0, expires: clockAt0 + 60_000 + int64(i)})
		}
		s.adopt(entries, time.Second)
		next := n
		return fastest(func() func() {
			for i := 0; i < 50; i++ {
				s.learn(numbered(next+i), named(fmt.Sprint("cn:", i)), wide, when(time.Second))
			}
			return func() {
				for i := 0; i < 50; i++ {
					s.revoke(numbered(next+i), "", when(2*time.Second))
				}
				next += 50
			}
		})
	}
	few, many := one(500), one(16_000)
	t.Logf("with 500: %v, with 16,000: %v, %.1f times", few, many, float64(many)/float64(few))
	if many > 10*few {
		t.Errorf("with 16,000 it takes %v, with 500 %v", many, few)
	}
}

func TestATombstoneKeepsNoMoreNamesThanItIsToldBy(t *testing.T) {
	held := newTombstones()
	id := identity.Identity{Names: []string{"cn:a", "dns:a.lan", identity.ByFingerprint + someSum}, Serial: "c0ffee"}
	e := entry{kind: entryRevoked, ip: home, identity: id, expires: 1}
	held.put(e, 1)
	if got, found := held.of(e.member()); !found || len(got.identity.Names) != 2 || got.member() != e.member() || got.identity.Serial != "" {
		t.Errorf("got %v, and found: %t", got.identity, found)
	}
}
