package mtlsallowlist

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

func TestStoresAreSharedByName(t *testing.T) {
	first, second, other := openStore(t.Name()), openStore(t.Name()), openStore("another")
	if first != second {
		t.Errorf("one name gives two stores")
	}
	if first == other {
		t.Errorf("two names give one store")
	}
}

func TestNoteIsQuietForAMinute(t *testing.T) {
	s := newStore(t.Name())
	for _, row := range []struct {
		matter string
		at     time.Duration
		want   bool
	}{
		{"a", 0, true},
		{"a", time.Second, false},
		{"b", time.Second, true},
		{"a", noteInterval - 1, false},
		{"a", noteInterval, true},
		{"a", noteInterval + 1, false},
	} {
		if got := s.note(row.matter, t0.Add(row.at)); got != row.want {
			t.Errorf("%s at %v: got %v, want %v", row.matter, row.at, got, row.want)
		}
	}
}

// TestWhatIsAChange is about what a state file has to have, and enforcers have to ask for again.
func TestWhatIsAChange(t *testing.T) {
	s := newStore(t.Name())
	box := collect(s)
	learn := func(letter string, maxIPs int, after time.Duration) func() {
		return func() { s.learn(ipOf(letter), named("p"), limits{time.Hour, maxIPs, 0}, atTime(t0.Add(after))) }
	}
	revoke := func(letter string, after time.Duration, want int) func() {
		return func() {
			if got := len(s.revoke(ipOf(letter), "", atTime(t0.Add(after)))); got != want {
				t.Errorf("%d are revoked, want %d", got, want)
			}
		}
	}
	for _, row := range []struct {
		name string
		do   func()
		want int // changes so far
	}{
		{"a new grant is", learn("A", 9, 1), 1},
		{"a renewal isn't", learn("A", 9, 2), 1},
		{"another is", learn("B", 9, 3), 2},
		{"an eviction by a renewal is", learn("B", 1, 4), 3},
		{"a new grant and an eviction are", learn("C", 1, 5), 5},
		{"revoking nothing isn't", revoke("A", 6, 0), 5},
		{"a revocation is", revoke("C", 7, 1), 6},
		{"one more grant is", learn("D", 9, 8), 7},
		{"what has expired can't be revoked", revoke("D", time.Hour+8, 0), 7},
	} {
		nobody, _ := s.find(ipOf("X"), nil, atTime(t0))
		before := box.major
		row.do()
		if box.major != row.want {
			t.Errorf("%s: got %d changes, want %d", row.name, box.major, row.want)
		}
		if asked := nobody.expires == ended; asked != (box.major != before) {
			t.Errorf("%s: who had no grant is asked for again: %t", row.name, asked)
		}
	}
}

// TestWhatHasToBeSettled before a learner answers.
func TestWhatHasToBeSettled(t *testing.T) {
	s := newStore(t.Name())
	for _, row := range []struct {
		name   string
		letter string
		maxIPs int
		after  time.Duration
		want   bool
	}{
		{"a new grant", "A", 9, 0, true},
		{"a renewal", "A", 9, time.Second, false},
		{"one just before a minute is over", "A", 9, renewalInterval - 1, false},
		{"one after a minute", "A", 9, renewalInterval, true},
		{"the next one", "A", 9, renewalInterval + time.Second, false},
		{"another grant", "B", 9, renewalInterval + 2*time.Second, true},
		{"a renewal that has another make room", "B", 1, renewalInterval + 3*time.Second, true},
		{"a renewal with nobody else left", "B", 1, renewalInterval + 4*time.Second, false},
	} {
		if _, _, _, got := s.learn(ipOf(row.letter), named("cn:p"), limits{time.Hour, row.maxIPs, 0}, when(row.after)); got != row.want {
			t.Errorf("%s: got %t, want %t", row.name, got, row.want)
		}
	}
}

func TestWhoIsWaitedFor(t *testing.T) {
	s := newStore(t.Name())
	file, redis := &mailbox{}, &mailbox{}
	s.observe(observerFile, file)
	s.observe(observerRedis, redis)
	s.settle(when(0))
	s.settleBut(observerRedis, when(0)) // what has come from there is there
	if file.settled != 2 || redis.settled != 1 {
		t.Errorf("the file is waited for %d times, Redis %d times, want 2 and 1", file.settled, redis.settled)
	}
}

func TestWhatHasEndedCantBeRevoked(t *testing.T) {
	for _, row := range []struct {
		name string
		now  clocks.Reading
		want int
	}{
		{"just before they end", clocks.Reading{Wall: clocks.Epoch.Add(time.Hour - 1), Mono: time.Hour - 1}, 3},
		{"when they end", when(time.Hour), 0},
		{"when the machine has slept", clocks.Reading{Wall: clocks.Epoch.Add(2 * time.Hour), Mono: time.Minute}, 0},
	} {
		s := newStore(row.name)
		for _, letter := range []string{"A", "B", "C"} {
			s.learn(ipOf(letter), cnA, hour, when(0))
		}
		if got := len(s.revoke(netip.Prefix{}, "cn:a", row.now)); got != row.want || s.counts.revoked != row.want {
			t.Errorf("%s: got %d, and %d counted, want %d", row.name, got, s.counts.revoked, row.want)
		}
	}
}

// TestWhatChangesWhileManyAreRevoked: the lock is free between two portions.
func TestWhatChangesWhileManyAreRevoked(t *testing.T) {
	s := newStore(t.Name())
	s.learn(ipOf("A"), cnA, hour, when(0))
	s.learn(ipOf("B"), cnA, hour, when(0))
	selected := s.selected(netip.Prefix{}, "", when(time.Second))
	s.revoke(ipOf("A"), "", when(2*time.Second))
	now := clocks.Reading{Wall: clocks.Epoch.Add(10 * time.Minute), Mono: 3 * time.Second}
	s.notice(now) // what is left is older, and another grant stands for it
	revoked := s.revokeGrants(selected, now.Mono)
	if got := lettersOf(revoked); got != "B:cn:a" || heldBy(s, now.Mono) != "" {
		t.Errorf("got %s revoked, and %q is held, want B:cn:a and nothing", got, heldBy(s, now.Mono))
	}
}

func TestWhoIsLeastRecentlyProved(t *testing.T) {
	grants := []*grant{}
	for i, proved := range []clocks.Moment{3, 2, 1, 1, 4} {
		grants = append(grants, &grant{proved: proved, identity: named(fmt.Sprint("cn:", i)), address: &address{}})
	}
	for _, row := range []struct {
		name   string
		except *grant
		want   *grant
	}{
		{"of two at the same moment, that of the lower name", nil, grants[2]},
		{"but for one", grants[2], grants[3]},
		{"but for another", grants[1], grants[2]},
	} {
		if got := earliest(grants, row.except); got != row.want {
			t.Errorf("%s: got that of %d", row.name, got.proved)
		}
	}
	if got := earliest(grants[:1], grants[0]); got != nil {
		t.Errorf("of one but for that one: got that of %d", got.proved)
	}
}

// TestWhichGrantWasProvedBefore: all replicas have to agree.
func TestWhichGrantWasProvedBefore(t *testing.T) {
	grantOf := func(letter, name, sum string, stamp int64, proved clocks.Moment) *grant {
		return &grant{address: &address{ip: ipOf(letter)}, identity: byCertificate(name, sum), stamp: stamp, proved: proved}
	}
	for _, row := range []struct {
		name         string
		first, other *grant
		proved       bool // also by provedBefore
	}{
		{"that of the lower stamp, whatever the moments and addresses are", grantOf("B", "cn:b", "2", 5, 9), grantOf("A", "cn:a", "1", 6, 8), true},
		{"of one stamp, that of the lower address, whatever the moments are", grantOf("A", "cn:b", "2", 5, 9), grantOf("B", "cn:a", "1", 5, 8), true},
		{"of one stamp and address, that of the lower name", grantOf("A", "cn:a", "2", 5, 9), grantOf("A", "cn:b", "1", 5, 8), false},
		{"of one name, too, that of the lower fingerprint", grantOf("A", "cn:a", "1", 5, 9), grantOf("A", "cn:a", "2", 5, 8), false},
		{"without stamps, that of the earlier moment", grantOf("B", "cn:b", "2", 0, 8), grantOf("A", "cn:a", "1", 0, 9), true},
		{"of one moment, that of the lower address", grantOf("A", "cn:b", "2", 0, 9), grantOf("B", "cn:a", "1", 0, 9), true},
		{"of one moment and address, that of the lower name", grantOf("A", "cn:a", "2", 0, 9), grantOf("A", "cn:b", "1", 0, 9), false},
	} {
		if provedBefore(row.first, row.other) != row.proved || provedBefore(row.other, row.first) || provedBefore(row.first, row.first) {
			t.Errorf("%s: provedBefore gets it wrong", row.name)
		}
		if !before(row.first, row.other) || before(row.other, row.first) || before(row.first, row.first) {
			t.Errorf("%s: before gets it wrong", row.name)
		}
	}
}

// TestOfAnIdentityAndAnAddressTheGrantProvedLastIsShown in the place of the first.
func TestOfAnIdentityAndAnAddressTheGrantProvedLastIsShown(t *testing.T) {
	for _, row := range []struct{ proofs, want string }{ // an address, a name, a certificate and a moment each
		{"Aa15 Ab16", "Aa1 Ab1"},
		{"Aa15 Ba16", "Aa1 Ba1"},
		{"Aa15 Ab17 Aa26", "Aa2 Ab1"},
		{"Aa16 Ab17 Aa25", "Aa1 Ab1"},
		{"Aa15 Aa27 Aa36", "Aa2"},
	} {
		grants := []*grant{}
		for _, proof := range strings.Fields(row.proofs) {
			grants = append(grants, &grant{address: &address{ip: ipOf(proof[:1])}, identity: byCertificate(proof[1:2], proof[2:3]), proved: clocks.Moment(proof[3])})
		}
		shown := []string{}
		for _, g := range perIdentity(grants) {
			shown = append(shown, letterOf(g.address.ip)+g.identity.Name()+g.identity.Fingerprint())
		}
		if got := strings.Join(shown, " "); got != row.want {
			t.Errorf("of %s: got %s, want %s", row.proofs, got, row.want)
		}
	}
}

func TestTheFirstDeadlineIsOnTopInWhateverOrderTheyCome(t *testing.T) {
	for _, row := range [][]clocks.Moment{{1, 2, 3, 4}, {4, 3, 2, 1}, {1, 10, 2, 5}, {1, 10, 2, 11, 5}, {2, 2, 1, 1, 2, 1}} {
		l := newAllowlist()
		for i, due := range row {
			addDeadline(&l.due, &grant{due: due, expires: due})
			if !dueInOrder(l) || len(l.due) != i+1 {
				t.Errorf("%v: after number %d they are out of order", row, i)
			}
		}
	}
}

func TestParallelProofsAreLearnedOnceAndNeverLost(t *testing.T) {
	s := newStore(t.Name())
	limit := limits{time.Hour, 1000, 0}
	var wg sync.WaitGroup
	var mu sync.Mutex
	learnedBy := map[string]int{}
	proves := func(client int) {
		defer wg.Done()
		for round := 0; round < 20; round++ {
			// All learn a common address; each has one of its own as well.
			for _, last := range []byte{255, byte(client)} {
				ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, last}), 32)
				_, learned, evicted, _ := s.learn(ip, named("cn:phone"), limit, atTime(t0))
				_, found := s.find(ip, nil, atTime(t0))
				if !found || len(evicted) > 0 {
					t.Errorf("%s was lost", ip)
				}
				if learned {
					mu.Lock()
					learnedBy[fmt.Sprint(ip)]++
					mu.Unlock()
				}
			}
		}
	}
	for i := 0; i < 32; i++ {
		wg.Add(1)
		go proves(i)
	}
	wg.Wait()
	if len(learnedBy) != 33 {
		t.Errorf("got %d addresses learned, want 33", len(learnedBy))
	}
	for ip, times := range learnedBy {
		if times != 1 {
			t.Errorf("%s was learned %d times", ip, times)
		}
	}
}

func TestGrantsOfTheSameMomentAreInTheOrderOfTheirIPs(t *testing.T) {
	s := newStore(t.Name())
	for _, letter := range []string{"C", "A", "E", "B", "D"} {
		s.learn(ipOf(letter), named("p"), limits{time.Hour, 9, 0}, atTime(t0))
	}
	s.learn(ipOf("F"), named("p"), limits{time.Hour, 9, 0}, atTime(t0.Add(1)))
	held := s.claims(atTime(t0.Add(time.Millisecond)))
	got := ""
	for _, g := range held {
		got += letterOf(g.IP)
	}
	if got != "FABCDE" {
		t.Errorf("got %s, want the one proved last, and then ABCDE", got)
	}
}

// TestOfAnIdentityWithTwoCertificatesOneGrantIsShown, from the first proof of either until both have ended.
func TestOfAnIdentityWithTwoCertificatesOneGrantIsShown(t *testing.T) {
	for _, row := range []struct {
		name                     string
		earlier, later           string // "<first proof> <lifetime>" of the certificates, whose last proofs are at 20m and 21m
		learned, proved, expires time.Duration
	}{
		{"the first one came first", "0m 60m", "1m 60m", 0, 21 * time.Minute, 81 * time.Minute},
		{"the second one came first", "1m 60m", "0m 60m", 0, 21 * time.Minute, 81 * time.Minute},
		{"the first one lasts longer", "0m 90m", "1m 60m", 0, 21 * time.Minute, 110 * time.Minute},
	} {
		s := newStore(row.name)
		for i, text := range []string{row.earlier, row.later} {
			first, lifetime, _ := strings.Cut(text, " ")
			began, _ := time.ParseDuration(first)
			ttl, err := time.ParseDuration(lifetime)
			if err != nil {
				t.Fatal(err)
			}
			id := byCertificate("cn:a", fmt.Sprint(i))
			s.learn(home, id, limits{ttl, 9, 0}, atTime(t0.Add(began)))
			s.learn(home, id, limits{ttl, 9, 0}, atTime(t0.Add(time.Duration(20+i)*time.Minute)))
		}
		shown := s.claims(atTime(t0.Add(30 * time.Minute)))
		if len(shown) != 1 || shown[0].Learned.Sub(t0) != row.learned || shown[0].Proved.Sub(t0) != row.proved || shown[0].Expires.Sub(t0) != row.expires || shown[0].Identity.Fingerprint() != "1" {
			t.Errorf("%s: got %+v", row.name, shown)
		}
	}
}

// TestAStoreHandsOverAllThatHolds, in portions, and nothing that has ended.
func TestAStoreHandsOverAllThatHolds(t *testing.T) {
	s := newStore(t.Name())
	wide := limits{time.Hour, 9 * change.PortionSize, 0}
	for i := 0; i <= change.PortionSize; i++ {
		s.learn(numbered(i), cnA, limits{time.Minute, wide.maxIPs, 0}, when(0))
		s.learn(numbered(1000+i), cnA, wide, when(0))
		s.learn(numbered(2000+i), named("cn:b"), wide, when(0))
	}
	s.revoke(netip.Prefix{}, "cn:b", when(time.Second))
	if got := s.Alive(); got != 3*(change.PortionSize+1) {
		t.Errorf("got %d alive, want %d", got, 3*(change.PortionSize+1))
	}
	got := map[change.Kind]int{}
	s.Each(s.At(time.Minute), func(portion []change.Change) {
		if len(portion) > change.PortionSize {
			t.Errorf("got %d at once", len(portion))
		}
		for _, c := range portion {
			got[c.Kind]++
		}
	})
	if got[change.Granted] != change.PortionSize+1 || got[change.Revoked] != change.PortionSize+1 || len(got) != 2 {
		t.Errorf("got %v, want %d granted and as many revoked", got, change.PortionSize+1)
	}
	if got := s.Alive(); got != 2*(change.PortionSize+1) {
		t.Errorf("got %d alive after that, want %d", got, 2*(change.PortionSize+1))
	}
}

func TestWhatIsRestoredIsAChange(t *testing.T) {
	s := newStore(t.Name())
	one := granted(ipOf("A"), named("cn:p"), t0, t0, t0.Add(time.Hour))
	for _, row := range []struct {
		name             string
		saved            []change.Change
		restored, change int
	}{
		{"nothing", nil, 0, 0},
		{"a grant", []change.Change{one}, 1, 1},
		{"the same again", []change.Change{one}, 0, 0},
	} {
		miss, box := s.miss, collect(s)
		restored := restoreAll(s, row.saved, limits{time.Hour, 9, 0}, at(t0))
		if restored != row.restored || box.all != row.change || (miss.expires == ended) != (row.change > 0) {
			t.Errorf("%s: %d are restored by %d changes, want %d by %d", row.name, restored, box.all, row.restored, row.change)
		}
	}
}

// TestAnEnforcerLetsInWhoIsRestored although it has rejected them before.
func TestAnEnforcerLetsInWhoIsRestored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	learn := Config{Mode: "learn", StateFile: path}
	h := newHouse(t, map[string]Config{"learn": learn})
	h.walk("before", "learn 203.0.113.7 cn:phone=200")
	h.restart(map[string]Config{"photos": {Mode: "enforce"}})
	h.walk("before the learner is there", "photos 203.0.113.7=403; photos 203.0.113.7=403")
	photos := h.handlers["photos"]
	h.handlers = h.reload(map[string]Config{"learn": learn})
	h.handlers["photos"] = photos
	h.walk("with it", "photos 203.0.113.7=200")
}

// FuzzApply is about what a state file or Redis may hold: what is read of it can be shown, handed on, and written and read again.
func FuzzApply(f *testing.F) {
	for _, names := range []string{"cn:phone", "cn:phone,dns:phone.lan", "header:a", "anonymous:request", "cn:%FF%00"} {
		for _, ip := range []string{"203.0.113.7/32", "2001:db8::/64", "0.0.0.0/0"} {
			for _, kind := range []string{"g", "r", "e"} {
				name, _, _ := strings.Cut(names, ",")
				f.Add(ip + " " + name + " - 1767225600000 2000000000000 " + kind + " 1767225600000 1767225600000 0c0ffee " + names)
				f.Add(ip + " " + name + " -" + someSum + " 5 9 " + kind + " 1 4 0 " + names)
			}
		}
	}
	v := newViewing()
	f.Fuzz(func(t *testing.T, text string) {
		c, err := change.Parse(text)
		if err != nil {
			return
		}
		s := newStore("x")
		s.Compare(later(c.Stamp, 100_000_000), 0, replicaTolerance)
		s.applyRemote([]change.Change{c}, 0)
		if got := heldBy(s, 0); c.Kind != change.Granted && got != "" {
			t.Errorf("%q let in %q", text, got)
		}
		s.learn(c.IP, c.Identity, hour, clocks.Reading{Wall: t0, Mono: 0}) // whether or not it holds
		v.shows(t, s)
		for _, held := range allOf(s, 0) {
			again, err := change.Parse(held.Line())
			if err != nil || identity.CheckNames(again.Identity.Names) != nil || again.Line() != held.Line() {
				t.Errorf("others are told %q: %v", held.Line(), err)
			}
		}
	})
}

// restarted returns a store that has begun anew from what another has on disk.
func restarted(t *testing.T, s *store, now clocks.Moment) *store {
	t.Helper()
	saved := []change.Change{}
	for _, c := range allOf(s, now) {
		read, err := change.Parse(c.Line())
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, read.Shifted(clocks.Epoch.UnixMilli()-s.list.Ahead)) // by the wall clock
	}
	again := newStore(s.name)
	restoreAll(again, saved, hour, now)
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
			s.applyRemote(told(t, "11s r 203.0.113.7/32 cn:a"), now+2*time.Second)
			return restarted(t, s, now+2*time.Second)
		}, "r 203.0.113.7"},
		{"twice", func(s *store) *store {
			s.revoke(home, "", when(now))
			return restarted(t, restarted(t, s, now+time.Second), now+2*time.Second)
		}, "r 203.0.113.7"},
		{"if Redis answers before", func(s *store) *store {
			s.revoke(home, "", when(now))
			saved := allOf(s, now)
			again := newShared(terms{learner: true, limits: hour})
			restoreAll(again, saved, hour, now+time.Second)
			return again
		}, "r 203.0.113.7"},
		{"but for a proof before they are read", func(s *store) *store {
			s.revoke(home, "", when(now))
			saved := allOf(s, now)
			again := newShared(terms{learner: true, limits: hour})
			again.learn(home, cnA, hour, when(now+time.Second))
			restoreAll(again, saved, hour, now+time.Second)
			return again
		}, "g 203.0.113.7"},
		{"but for later ones", func(s *store) *store {
			s.revoke(home, "", when(now))
			saved := allOf(s, now)
			again := newShared(terms{learner: true, limits: hour})
			again.applyRemote(told(t, "13s r 203.0.113.7/32 cn:a 2h"), now+3*time.Second)
			restoreAll(again, saved, hour, now+3*time.Second)
			if e := allOf(again, now+3*time.Second)[0]; e.Stamp != clockAt0+13_000 {
				t.Errorf("it is dated %d", e.Stamp-clockAt0)
			}
			return again
		}, "r 203.0.113.7"},
		{"and a proof ends them", func(s *store) *store {
			s.revoke(home, "", when(now))
			again := restarted(t, s, now+time.Second)
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
		before := allOf(s, now)
		s = row.happen(s)
		s.Compare(clockAt0, 0, replicaTolerance)
		if got := tells(s, now+3*time.Second); got != row.want && row.want != "" {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
		s.applyRemote(before, now+3*time.Second)
		if got := s.holds(home, when(now+3*time.Second)); got != (row.want != "r 203.0.113.7") && row.want != "" {
			t.Errorf("%s: told again from before, it holds: %t", row.name, got)
		}
		if len(s.list.tombstones.byMember) > 0 && row.want == "" {
			t.Errorf("%s: got %v", row.name, s.list.tombstones.due)
		}
	}
}

// Nobody but who wrote the file says for how long.
func TestASavedRevocationEnds(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	restoreAll(s, inStore(s, revokedAt(home, cnA, clocks.Epoch.Add(1000*time.Hour), clocks.Epoch.Add(1_000_000*time.Hour))), hour, 0)
	g := tombstoneOf(s.list.tombstones, change.Change{IP: home, Identity: cnA})
	if g == nil || g.stamp != clockAt0 || g.expires != hour.ttl {
		t.Errorf("it is dated %+v", g)
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
		s.applyRemote(told(t, "10s g 203.0.113.7/32 cn:a "+row.lifetime), 10*time.Second)
		box := collect(s)
		s.revoke(home, "", when(11*time.Second))
		entries := box.drain()
		if len(entries) != 1 || entries[0].Kind != change.Revoked || entries[0].Stamp != clockAt0+11_000 || entries[0].Expires-entries[0].Stamp != row.want.Milliseconds() {
			t.Errorf("%s: Redis is told %+v", row.name, entries)
		}
		ends := 11*time.Second + row.want
		saved := allOf(s, ends-1)
		if len(saved) != 1 || saved[0].Stamp != clockAt0+11_000 || saved[0].Expires != clockAt0+ends.Milliseconds() || len(allOf(s, ends)) != 0 {
			t.Errorf("%s: a state file has %+v", row.name, saved)
		}
		s.applyRemote(told(t, ends.String()+" g 203.0.113.8/32 cn:a"), ends)
		s.revoke(netip.Prefix{}, "", when(ends))
		if len(s.list.tombstones.byMember) != 1 {
			t.Errorf("%s: got %v, want the later revocation alone", row.name, s.list.tombstones.due)
		}
	}
}

func TestRestoredRevocationsAreHandedOn(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.learn(home, named("cn:b"), hour, when(10*time.Second)) // somebody else at the address
	box := collect(s)
	saved := inStore(s, revokedAt(home, cnA, clocks.Epoch.Add(-time.Minute), clocks.Epoch.Add(100_000*time.Hour)), revokedAt(ipOf("A"), cnA, clocks.Epoch.Add(-time.Hour), clocks.Epoch.Add(-time.Minute)))
	restoreAll(s, saved, hour, 10*time.Second)
	entries := box.drain()
	if len(entries) != 1 || entries[0].IP != home || entries[0].Stamp-entries[0].Learned != restoredLag || len(s.list.tombstones.byMember) != 1 {
		t.Errorf("Redis is told %+v", entries)
	}
}

func TestARevocationFromBeforeTheProcessBeganIsKnown(t *testing.T) {
	for _, row := range []struct {
		proved string
		want   bool
	}{{"-61s", false}, {"-60s", false}, {"-59s", true}} {
		s := newStore("again")
		restoreAll(s, inStore(s, revokedAt(home, cnA, clocks.Epoch.Add(-time.Minute), clocks.Epoch.Add(time.Hour))), hour, 0)
		s.Compare(clockAt0, 0, replicaTolerance)
		s.applyRemote(told(t, row.proved+" g 203.0.113.7/32 cn:a 24h"), time.Second)
		if got := s.holds(home, when(time.Second)); got != row.want {
			t.Errorf("proved %s from the beginning, it holds: %t", row.proved, got)
		}
	}
}

// newShared returns a store whose moment 0 is 1,000,000,000 by Redis's clock.
func newShared(terms terms) *store {
	s := newStore("shared")
	s.learnBy(terms, when(0))
	s.Compare(clockAt0, 0, replicaTolerance)
	return s
}

const clockAt0 = 1_000_000_000

var hour = limits{ttl: time.Hour, maxIPs: 3}

// told parses "<seconds> <kind> <ip> <name> [<lifetime>]", a line each, as another replica would tell it.
func told(t *testing.T, text string) []change.Change {
	t.Helper()
	entries := []change.Change{}
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
		entries = append(entries, change.Change{
			Kind: change.Kind(words[1][0]), IP: netip.MustParsePrefix(words[2]), Identity: identity.Identity{Names: []string{words[3]}},
			Learned: stamp, Stamp: stamp, Proved: stamp, Expires: stamp + lifetime.Milliseconds(),
		})
	}
	return entries
}

// heldBy returns all grants of a store that hold at now, in order.
func heldBy(s *store, now clocks.Moment) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list.removeExpired(now, 0)
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
			skipped += s.applyRemote([]change.Change{e}, 10*time.Second)
		}
		if got := heldBy(s, 10*time.Second); got != row.want || skipped != row.skipped {
			t.Errorf("%s: got %q and %d skipped, want %q and %d", row.name, got, skipped, row.want, row.skipped)
		}
		all := newShared(terms{learner: true, limits: row.limits})
		all.applyRemote(told(t, row.entries), 10*time.Second)
		if got := heldBy(all, 10*time.Second); got != row.want {
			t.Errorf("%s, all at once: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestTheLifetimeIsOursAtMost(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.applyRemote(told(t, "5s g 203.0.113.7/32 cn:a 24h; 5s g 203.0.113.8/32 cn:a 30m"), 10*time.Second)
	for _, row := range []struct {
		at   clocks.Moment
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
		s.applyRemote(told(t, "1s g 192.168.1.7/32 cn:a"), 10*time.Second)
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
func tells(s *store, now clocks.Moment) string {
	texts := []string{}
	for _, e := range allOf(s, now) {
		texts = append(texts, string(e.Kind)+" "+e.IP.Addr().String())
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
			s.Compare(clockAt0+5000, 0, replicaTolerance)
		}, "r 203.0.113.7"},
		{"revoked, and told again from before", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			before := allOf(s, now)
			s.revoke(home, "", when(now))
			s.applyRemote(before, now)
		}, "r 203.0.113.7"},
		{"revoked, and proved elsewhere", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			s.revoke(home, "", when(now))
			s.applyRemote(told(t, "11s g 203.0.113.7/32 cn:a"), now+time.Second)
		}, "g 203.0.113.7"},
		{"revoked, and restored from a state file", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			saved := allOf(s, now)
			s.revoke(home, "", when(now+time.Second))
			if n := restoreAll(s, saved, hour, now+2*time.Second); n != 0 {
				t.Errorf("got %d restored after the revocation", n)
			}
		}, "r 203.0.113.7"},
		{"revoked elsewhere, and restored from a state file", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			saved := allOf(s, now)
			s.list.remove(s.list.due[0])
			s.applyRemote(told(t, "11s r 203.0.113.7/32 cn:a"), now+2*time.Second)
			restoreAll(s, saved, hour, now+2*time.Second)
			s.Compare(clockAt0+1000, 0, replicaTolerance)
		}, "r 203.0.113.7"},
		{"restored from a state file", func(s *store) {
			s.learn(home, cnA, hour, when(now))
			saved := allOf(s, now)
			s.list.remove(s.list.due[0])
			restoreAll(s, saved, hour, now+2*time.Second)
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
	s.learn(home, cnA, hour, when(time.Second))
	s.learn(netip.MustParsePrefix("203.0.113.8/32"), cnA, hour, when(2*time.Second))
	s.learn(netip.MustParsePrefix("203.0.113.9/32"), cnA, hour, when(2*time.Second))
	s.revoke(home, "", when(3*time.Second))
	s.revoke(netip.MustParsePrefix("203.0.113.9/32"), "", when(3*time.Second))
	s.learn(netip.MustParsePrefix("203.0.113.9/32"), cnA, hour, when(3*time.Second))
	s.Compare(clockAt0, 0, replicaTolerance)
	got := map[string]int64{}
	for _, e := range allOf(s, 4*time.Second) {
		got[string(e.Kind)+" "+e.IP.Addr().String()] = e.Stamp - clockAt0
		if e.Expires-e.Stamp != time.Hour.Milliseconds() {
			t.Errorf("%c %v: got a lifetime of %d ms", e.Kind, e.IP, e.Expires-e.Stamp)
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
	a.applyRemote(allOf(b, 103*time.Millisecond), 100*time.Millisecond)
	box := collect(a)
	_, _, evicted, _ := a.learn(netip.MustParsePrefix("203.0.113.8/32"), cnA, one, when(100*time.Millisecond))
	changes := box.drain()
	if len(evicted) != 1 || len(changes) != 2 || box.all != 2 {
		t.Fatalf("got %d evicted and %d changes, %d told, want 1, 2 and 2", len(evicted), len(changes), box.all)
	}
	b.applyRemote(changes, 110*time.Millisecond)
	if got := heldBy(b, time.Second); got != "203.0.113.8 cn:a" || heldBy(a, time.Second) != got {
		t.Errorf("got %q and %q", heldBy(a, time.Second), got)
	}
}

func TestRedissClockMayBeSetAhead(t *testing.T) {
	for _, off := range []int64{-900, -40, 0, 40, 3_600_000} {
		s := newShared(terms{learner: true, limits: hour})
		s.learn(home, cnA, hour, when(time.Second))
		s.learn(netip.MustParsePrefix("203.0.113.8/32"), cnA, hour, when(2*time.Second))
		s.Compare(clockAt0+off, 0, replicaTolerance)
		s.learn(home, cnA, hour, when(3*time.Second))
		s.learn(netip.MustParsePrefix("203.0.113.9/32"), cnA, hour, when(4*time.Second))
		s.learn(netip.MustParsePrefix("203.0.113.10/32"), cnA, hour, when(5*time.Second))
		if got, want := heldBy(s, 6*time.Second), "203.0.113.10 cn:a\n203.0.113.7 cn:a\n203.0.113.9 cn:a"; got != want {
			t.Errorf("%d ms: got %q, want %q", off, got, want)
		}
	}
}

func TestAnObserverThatWasReplacedIsToldNothing(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	before := collect(s)
	after := collect(s)
	s.learn(home, cnA, hour, when(time.Second))
	if before.all != 0 || after.all != 1 {
		t.Errorf("it is told %d, the other one %d, want 0 and 1", before.all, after.all)
	}
	s.observe(observerRedis, nil)
	s.learn(home, cnA, hour, when(2*time.Minute))
	if after.all != 1 {
		t.Error("it is told after it has gone")
	}
}

// TestRedissClockMayBeSetBack is about a replica that starts after that: what is dated later than now holds, but no longer
// than a proof of now would.
func TestRedissClockMayBeSetBack(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.learn(home, cnA, hour, when(time.Second))
	s.Compare(clockAt0-7_200_000, 0, replicaTolerance)
	s.learn(home, cnA, hour, when(2*time.Second))
	again := newStore("shared")
	again.learnBy(terms{learner: true, limits: hour}, when(0))
	again.Compare(clockAt0-7_200_000, 0, replicaTolerance)
	if skipped := again.applyRemote(allOf(s, 3*time.Second), 3*time.Second); skipped > 0 || !again.holds(home, when(time.Hour)) {
		t.Errorf("it has skipped %d, and holds %q", skipped, heldBy(again, 3*time.Second))
	}
	if again.holds(home, when(time.Hour+3*time.Second)) {
		t.Error("it holds longer than a lifetime")
	}
	again.revoke(home, "", when(4*time.Second))
	s.applyRemote(allOf(again, 5*time.Second), 5*time.Second)
	if s.holds(home, when(5*time.Second)) {
		t.Error("what the other has revoked holds")
	}
}

// TestWhatWasTakenOverBeforeThereWasALearnerHasToFit: Traefik makes its middlewares in any order.
func TestWhatWasTakenOverBeforeThereWasALearnerHasToFit(t *testing.T) {
	s := newShared(noTerms)
	box := collect(s)
	s.applyRemote(told(t, "1s g 192.168.1.7/32 cn:a; 2s g 203.0.113.1/32 cn:a 24h; 3s g 203.0.113.2/32 cn:a; 4s g 203.0.113.3/32 cn:a; 5s g 203.0.113.4/32 cn:a 24h"), 10*time.Second)
	if got := len(s.list.due); got != 5 {
		t.Fatalf("without a learner it holds %d", got)
	}
	old, _ := s.find(netip.MustParsePrefix("192.168.1.7/32"), nil, when(10*time.Second))
	nobody := s.miss
	s.learnBy(terms{learner: true, limits: hour}, when(10*time.Second))
	if got, want := heldBy(s, 10*time.Second), "203.0.113.2 cn:a\n203.0.113.3 cn:a\n203.0.113.4 cn:a"; got != want || old.expires != ended || nobody.expires != ended {
		t.Errorf("got %q, want %q", got, want)
	}
	if s.holds(netip.MustParsePrefix("203.0.113.4/32"), when(time.Hour+5*time.Second)) {
		t.Error("it holds longer than a lifetime of the learner's")
	}
	if entries := box.drain(); len(entries) != 1 || entries[0].Kind != change.Evicted || entries[0].IP.String() != "203.0.113.1/32" || s.counts.evicted != 1 {
		t.Errorf("Redis is told %v, and %d are counted as evicted", entries, s.counts.evicted)
	}
	s.learnBy(terms{learner: true, limits: limits{time.Hour, 2, 0}}, when(10*time.Second)) // at a reload: from the next proof on
	if got := len(s.list.due); got != 3 {
		t.Errorf("after a reload it holds %d", got)
	}
	s.applyRemote(told(t, "6s g 203.0.113.4/32 cn:a"), 10*time.Second)
	if got := heldBy(s, 10*time.Second); got != "203.0.113.3 cn:a\n203.0.113.4 cn:a" || len(box.drain()) != 1 {
		t.Errorf("after a renewal it holds %q", got)
	}
}

func TestRevocationsFromBeforeThereWasALearnerHaveToFitToo(t *testing.T) {
	s := newShared(noTerms)
	s.applyRemote(told(t, "1s r 203.0.113.7/32 cn:a 24h; 1s r 203.0.113.8/32 cn:a 10m"), 10*time.Second)
	s.learnBy(terms{learner: true, limits: hour}, when(10*time.Second))
	for _, row := range []struct {
		at   clocks.Moment
		want string
	}{
		{10 * time.Second, "r 203.0.113.7, r 203.0.113.8"},
		{time.Hour + 10*time.Second - 1, "r 203.0.113.7"},
		{time.Hour + 10*time.Second, ""},
	} {
		texts := strings.Split(tells(s, row.at), ", ")
		sort.Strings(texts)
		if got := strings.Join(texts, ", "); got != row.want {
			t.Errorf("at %v: got %q, want %q", row.at, got, row.want)
		}
	}
}

// TestALearnerComparesTheClocksFromTheBeginning, before anybody asks for anything.
func TestALearnerComparesTheClocksFromTheBeginning(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.applyRemote(told(t, "1s g 203.0.113.7/32 cn:a"), time.Second)
	if s.holds(home, clocks.Reading{Wall: clocks.Epoch.Add(time.Hour + 2*time.Second), Mono: 2 * time.Second}) {
		t.Error("it holds although the machine has slept for its lifetime")
	}
}

func TestRedissClockIsMeasured(t *testing.T) {
	for _, row := range []struct{ off, ahead, behind int64 }{{-1000, 0, 1000}, {-51, 0, 51}, {-50, 0, 0}, {0, 0, 0}, {50, 0, 0}, {51, 51, 0}, {1000, 1000, 0}} {
		s := newStore("shared")
		s.Compare(clockAt0+1000, time.Second, replicaTolerance)
		s.learn(home, cnA, hour, when(2*time.Second))
		behind := s.Compare(clockAt0+3000+row.off, 3*time.Second, replicaTolerance)
		if got := s.list.Ahead - clockAt0; got != row.ahead || behind != row.behind {
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
	}{{time.Second, false}, {2 * time.Second, false}, {2*time.Second + restoredLag*time.Millisecond, false}, {2*time.Second + (restoredLag+1)*time.Millisecond, true}} {
		s := newStore("shared")
		s.learn(home, cnA, hour, when(time.Second))
		s.revoke(home, "", when(2*time.Second))
		nobody := s.miss
		restoreAll(s, inStore(s, granted(home, cnA, clocks.Epoch, clocks.Epoch.Add(row.proved), clocks.Epoch.Add(time.Hour))), hour, 3*time.Second)
		s.Compare(clockAt0, 0, replicaTolerance)
		if got := s.holds(home, when(3*time.Second)); got != row.want || (nobody.expires == ended) != row.want {
			t.Errorf("proved at %v, it holds: %t; who had no grant asks again: %t", row.proved, got, nobody.expires == ended)
		}
	}
}

// TestWhatWasRestoredIsDatedEarlier when Redis answers, unless it was proved again: it may have been revoked elsewhere
// meanwhile.
func TestWhatWasRestoredIsDatedEarlier(t *testing.T) {
	s := newStore("shared")
	before := func(ip netip.Prefix) change.Change {
		return granted(ip, cnA, clocks.Epoch, clocks.Epoch.Add(time.Second), clocks.Epoch.Add(time.Hour))
	}
	collect(s) // Redis's, which hasn't answered yet
	restoreAll(s, inStore(s, before(ipOf("A")), before(ipOf("B"))), hour, 2*time.Second)
	s.learn(ipOf("B"), cnA, hour, when(3*time.Second))
	s.learn(ipOf("C"), cnA, hour, when(4*time.Second))
	s.Compare(clockAt0, 0, replicaTolerance)
	for letter, want := range map[string]int64{"A": 1000 - restoredLag, "B": 3000, "C": 4000} {
		if got := s.list.addresses[ipOf(letter)].grantOf(cnA).stamp - clockAt0; got != want {
			t.Errorf("%s is dated %d, want %d", letter, got, want)
		}
	}
}

// TestWhoMakesRoomWhileAFileIsRestored is neither told as restored nor counted as evicted.
func TestWhoMakesRoomWhileAFileIsRestored(t *testing.T) {
	one := limits{time.Hour, 1, 0}
	for _, row := range []struct {
		name, held string
		want       int
		left       string
	}{
		{"for the others of the file", "", 1, "203.0.113.67 cn:a"},
		{"for what the store has", "2m g 203.0.113.68/32 cn:a", 0, "203.0.113.68 cn:a"},
	} {
		s := newShared(terms{learner: true, limits: one})
		if row.held != "" {
			s.applyRemote(told(t, row.held), 3*time.Minute)
		}
		saved := told(t, "3s g 203.0.113.67/32 cn:a; 1s g 203.0.113.65/32 cn:a; 2s g 203.0.113.66/32 cn:a")
		if got := restoreAll(s, saved, one, 3*time.Minute); got != row.want || s.counts.evicted != 0 || heldBy(s, 3*time.Minute) != row.left {
			t.Errorf("%s: got %d, %d evicted, and %q is held, want %d, none and %q", row.name, got, s.counts.evicted, heldBy(s, 3*time.Minute), row.want, row.left)
		}
	}
}

// TestARestoredGrantKeepsItsLifetime since another learner of the store may have another one.
func TestARestoredGrantKeepsItsLifetime(t *testing.T) {
	for _, lifetime := range []time.Duration{time.Minute, time.Hour, 24 * time.Hour} {
		s := newStore("alone")
		restoreAll(s, inStore(s, granted(home, cnA, clocks.Epoch, clocks.Epoch, clocks.Epoch.Add(lifetime))), hour, time.Second)
		s.learnBy(terms{learner: true, limits: hour}, when(time.Second))
		if !s.holds(home, when(lifetime-1)) || s.holds(home, when(lifetime)) {
			t.Errorf("got other than until %v", lifetime)
		}
	}
}

// TestWhatIsDatedAheadCanBeRevoked: another replica's clock may be ahead a little.
func TestWhatIsDatedAheadCanBeRevoked(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.applyRemote(told(t, "10040ms g 203.0.113.7/32 cn:a"), 10*time.Second)
	revoked := s.revoke(home, "", when(10*time.Second))
	if got := allOf(s, 10*time.Second); len(revoked) != 1 || len(got) != 1 || got[0].Kind != change.Revoked || got[0].Stamp != clockAt0+10_040 || got[0].Proved != clockAt0+10_000 {
		t.Errorf("got %d revoked, and %+v is left", len(revoked), got)
	}
}

// TestHowMuchOlderGrantsBecome is about a grant of 24 hours, proved at 1 s, one that was revoked then, and what the clocks say
// of 10 s.
func TestHowMuchOlderGrantsBecome(t *testing.T) {
	now := when(10 * time.Second)
	for _, row := range []struct {
		name   string
		happen func(s *store)
		want   time.Duration // that is left
	}{
		{"nobody sets a clock", func(s *store) { s.Compare(clockAt0+10_000, now.Mono, replicaTolerance) }, 24*time.Hour - 9*time.Second},
		{"Redis's clock is set ahead", func(s *store) { s.Compare(clockAt0+8*3600_000+10_000, now.Mono, replicaTolerance) }, 16*time.Hour - 9*time.Second},
		{"Redis's clock is set back", func(s *store) { s.Compare(clockAt0-8*3600_000, now.Mono, replicaTolerance) }, 24*time.Hour - 9*time.Second},
		{"the replica has slept: the wall clock says so, and Redis's", func(s *store) {
			s.notice(clocks.Reading{Wall: now.Wall.Add(8 * time.Hour), Mono: now.Mono})
			s.Compare(clockAt0+8*3600_000+10_000, now.Mono, replicaTolerance)
		}, 16*time.Hour - 9*time.Second},
		{"it has slept for longer than the wall clock says", func(s *store) {
			s.notice(clocks.Reading{Wall: now.Wall.Add(2 * time.Hour), Mono: now.Mono})
			s.Compare(clockAt0+8*3600_000+10_000, now.Mono, replicaTolerance)
		}, 16*time.Hour - 9*time.Second},
		{"for less than the wall clock says", func(s *store) {
			s.notice(clocks.Reading{Wall: now.Wall.Add(9 * time.Hour), Mono: now.Mono})
			s.Compare(clockAt0+8*3600_000+10_000, now.Mono, replicaTolerance)
		}, 15*time.Hour - 9*time.Second},
		{"the wall clock is set, and later Redis's", func(s *store) {
			s.notice(clocks.Reading{Wall: now.Wall.Add(time.Hour), Mono: now.Mono})
			s.Compare(clockAt0+10_000, now.Mono, replicaTolerance)
			s.Compare(clockAt0+8*3600_000+10_000, now.Mono, replicaTolerance)
		}, 15*time.Hour - 9*time.Second},
		{"other replicas' proofs are from later, and the wall clock has said so in part", func(s *store) {
			s.notice(clocks.Reading{Wall: now.Wall.Add(time.Hour), Mono: now.Mono})
			s.applyRemote(told(t, "4h10s g 203.0.113.8/32 cn:b"), now.Mono)
			s.applyRemote(told(t, "8h10s g 203.0.113.8/32 cn:b"), now.Mono)
		}, 16*time.Hour - 9*time.Second},
		{"another replica's proof is from later", func(s *store) { s.applyRemote(told(t, "8h10s g 203.0.113.8/32 cn:b"), now.Mono) }, 16*time.Hour - 9*time.Second},
		{"another replica's proof is from as good as now", func(s *store) { s.applyRemote(told(t, "10050ms g 203.0.113.8/32 cn:b"), now.Mono) }, 24*time.Hour - 9*time.Second},
		{"another replica's proof makes no sense", func(s *store) { s.applyRemote(told(t, "24h11s g 203.0.113.8/32 cn:b"), now.Mono) }, 24*time.Hour - 9*time.Second},
	} {
		s := newShared(terms{learner: true, limits: house24})
		s.notice(when(0))
		s.learn(home, cnA, house24, when(time.Second))
		s.learn(ipOf("R"), cnA, house24, when(time.Second))
		s.revoke(ipOf("R"), "", when(time.Second))
		row.happen(s)
		g := s.list.addresses[home].grantOf(cnA)
		if got := g.expires - now.Mono; got != row.want || g.due > g.expires {
			t.Errorf("%s: got %v left, want %v", row.name, got, row.want)
		}
		gone := tombstoneOf(s.list.tombstones, change.Change{IP: ipOf("R"), Identity: cnA})
		if got := gone.expires - now.Mono; got != row.want || gone.due != gone.expires || gone.proved != g.proved {
			t.Errorf("%s: got %v left of the revocation of %v, due in %v, want %v of that of %v", row.name, got, gone.proved, gone.due-now.Mono, row.want, g.proved)
		}
	}
}

// TestWhatTheWallClockSaidBeforeRedisAnsweredIsOver: Redis's clock is set ahead by so much more.
func TestWhatTheWallClockSaidBeforeRedisAnsweredIsOver(t *testing.T) {
	s := newStore("shared")
	s.learn(home, cnA, house24, when(time.Second))
	s.notice(clocks.Reading{Wall: clocks.Epoch.Add(2*time.Hour + 2*time.Second), Mono: 2 * time.Second})
	s.Compare(clockAt0, 0, replicaTolerance)
	s.Compare(clockAt0+8*3600_000, 0, replicaTolerance)
	if got := s.list.addresses[home].grantOf(cnA).expires; got != 14*time.Hour+time.Second {
		t.Errorf("it expires at %v, want 10 hours earlier than it did", got)
	}
}

func TestProofsAreDatedByRedissClock(t *testing.T) {
	one := limits{ttl: time.Hour, maxIPs: 1}
	for _, row := range []struct {
		name   string
		limits limits
		before string // what is known at 10 s
		at     clocks.Moment
		want   int64 // milliseconds by Redis's clock
	}{
		{"at once", hour, "", 10 * time.Second, 10_000},
		{"a part of a millisecond later", hour, "", 10*time.Second + 1, 10_001},
		{"a renewal", hour, "9s g 203.0.113.7/32 cn:a", 10 * time.Second, 10_000},
		{"a renewal in the same millisecond", hour, "10s g 203.0.113.7/32 cn:a", 10 * time.Second, 10_001},
		{"a renewal of what another clock has dated later", hour, "15s g 203.0.113.7/32 cn:a", 10 * time.Second, 15_001},
		{"after a revocation", hour, "9s r 203.0.113.7/32 cn:a", 10 * time.Second, 10_000},
		{"after a revocation in the same millisecond", hour, "10s r 203.0.113.7/32 cn:a", 10 * time.Second, 10_001},
		{"after a revocation that another clock has dated later", hour, "15s r 203.0.113.7/32 cn:a", 10 * time.Second, 15_001},
		{"after the revocation of somebody else", hour, "15s r 203.0.113.7/32 cn:b", 10 * time.Second, 10_000},
		{"with room made by one of the same millisecond", one, "10s g 203.0.113.8/32 cn:a", 10 * time.Second, 10_001},
		{"with room made by what another clock has dated later", one, "15s g 203.0.113.8/32 cn:a", 10 * time.Second, 15_001},
	} {
		s := newShared(terms{learner: true, limits: row.limits})
		if row.before != "" {
			s.applyRemote(told(t, row.before), 10*time.Second)
		}
		g, _, _, _ := s.learn(home, cnA, row.limits, when(row.at))
		if g.stamp != clockAt0+row.want || g.proved != row.at || g.expires != row.at+time.Hour {
			t.Errorf("%s: got %d ms, proved at %v, expires at %v, want %d ms", row.name, g.stamp-clockAt0, g.proved, g.expires, row.want)
		}
	}
}

func TestWithoutRedisNothingIsDated(t *testing.T) {
	s := newStore("alone")
	if g, _, _, _ := s.learn(home, cnA, hour, when(time.Second+1)); g.stamp != 0 || g.proved != time.Second+1 {
		t.Errorf("got the stamp %d, proved at %v", g.stamp, g.proved)
	}
}

func TestARevocationIsDatedWhenRedisAnswers(t *testing.T) {
	s := newStore("shared")
	s.learn(home, cnA, hour, when(time.Second))
	s.revoke(home, "", when(2*time.Second))
	s.Compare(clockAt0, 0, replicaTolerance)
	entries := allOf(s, 3*time.Second)
	if len(entries) != 1 || entries[0].Learned != clockAt0+2000 || entries[0].Stamp != clockAt0+2000 {
		t.Errorf("Redis is told %+v", entries)
	}
}

func TestAnEvictionIsToldAtOnce(t *testing.T) {
	one := limits{ttl: time.Hour, maxIPs: 1}
	s := newShared(terms{learner: true, limits: one})
	box := collect(s)
	g, _, _, _ := s.learn(home, cnA, one, when(time.Second))
	s.learn(ipOf("A"), cnA, one, when(2*time.Second))
	if got := tells(s, 3*time.Second); got != "g 203.0.113.65" {
		t.Errorf("got %q", got)
	}
	if told := box.changes[change.Member(home, cnA)]; told.Kind != change.Evicted || told.Stamp != clockAt0+1000 || told.Expires != told.Stamp {
		t.Errorf("observers are told %+v", told)
	}
	if held, copied := s.changesOf([]*grant{g}, false), s.copies([]*grant{g}); len(held) != 0 || len(copied) != 0 {
		t.Errorf("what was evicted is told as held: %v, %v", held, copied)
	}
}
