package mtlsallowlist

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// dueInOrder reports whether what is due is found in time.
func dueInOrder(l *allowlist) bool {
	for i, g := range l.due {
		if g.position != i || g.due > g.expires || i > 0 && g.due < l.due[(i-1)/2].due {
			return false
		}
	}
	return true
}

func TestWhatAdoptingChanges(t *testing.T) {
	one := limits{ttl: time.Hour, maxIPs: 1}
	for _, row := range []struct {
		name    string
		limits  limits
		before  string
		entries string
		news    bool // for those who remember that there is no grant, and for a state file
		evicted int
		tells   string // what Redis is told
	}{
		{"a new grant", hour, "", "1s g 203.0.113.7/32 cn:a", true, 0, ""},
		{"another identity's", hour, "1s g 203.0.113.7/32 cn:a", "2s g 203.0.113.7/32 cn:b", true, 0, ""},
		{"a renewal", hour, "1s g 203.0.113.7/32 cn:a", "2s g 203.0.113.7/32 cn:a", false, 0, ""},
		{"the same again", hour, "1s g 203.0.113.7/32 cn:a", "1s g 203.0.113.7/32 cn:a", false, 0, ""},
		{"what has ended", hour, "", "1s g 203.0.113.7/32 cn:a 1s", false, 0, ""},
		{"a revocation", hour, "1s g 203.0.113.7/32 cn:a", "2s r 203.0.113.7/32 cn:a", true, 0, ""},
		{"a revocation of what isn't known", hour, "", "2s r 203.0.113.7/32 cn:a", true, 0, ""},
		{"an older revocation", hour, "2s r 203.0.113.7/32 cn:a", "1s r 203.0.113.7/32 cn:a", false, 0, ""},
		{"an eviction", hour, "1s g 203.0.113.7/32 cn:a", "1s e 203.0.113.7/32 cn:a", true, 0, ""},
		{"an eviction of what isn't known", hour, "", "1s e 203.0.113.7/32 cn:a", false, 0, ""},
		{"one that makes room", one, "1s g 203.0.113.7/32 cn:a", "2s g 203.0.113.8/32 cn:a", true, 1, "e 203.0.113.7"},
		{"one that has to make room itself", one, "2s g 203.0.113.7/32 cn:a", "1s g 203.0.113.8/32 cn:a", true, 1, "e 203.0.113.8"},
		{"one that has two make room", one, "1s g 203.0.113.7/32 cn:a; 2s g 203.0.113.7/32 cn:b", "3s g 203.0.113.8/32 cn:a", true, 2, "e 203.0.113.7, e 203.0.113.7"},
		{"one that finds room, since another has ended", one, "1s g 203.0.113.7/32 cn:a 8s", "2s g 203.0.113.8/32 cn:a", true, 0, ""},
		{"one that makes room of its identity's", limits{time.Hour, 9, 1}, "1s g 203.0.113.7/32 cn:a", "2s g 203.0.113.8/32 cn:a", true, 1, "e 203.0.113.7"},
	} {
		s := newShared(terms{learner: true, limits: row.limits})
		if row.before != "" {
			s.adopt(told(t, row.before), 8*time.Second)
		}
		s.collect(1)
		nobody, changes := s.nobody, s.changed()
		s.adopt(told(t, row.entries), 10*time.Second)
		if news := s.changed() > changes; news != row.news || (nobody.expires == over) != row.news {
			t.Errorf("%s: got news for a state file: %t, for others: %t, want %t", row.name, news, nobody.expires == over, row.news)
		}
		if s.counts.evicted != row.evicted {
			t.Errorf("%s: got %d evicted, want %d", row.name, s.counts.evicted, row.evicted)
		}
		texts := []string{}
		entries, _, _ := s.drain(1)
		for _, e := range entries {
			texts = append(texts, string(e.kind)+" "+e.ip.Addr().String())
		}
		if got := strings.Join(texts, ", "); got != row.tells {
			t.Errorf("%s: Redis is told %q, want %q", row.name, got, row.tells)
		}
		if !dueInOrder(s.list) {
			t.Errorf("%s: the heap is out of order", row.name)
		}
	}
}

func TestRenewalsFromElsewhere(t *testing.T) {
	for _, row := range []struct {
		name, entries string
		ends          time.Duration
	}{
		{"prolong", "1s g 203.0.113.7/32 cn:a 20s; 5s g 203.0.113.7/32 cn:a 20s", 25 * time.Second},
		{"shorten, too", "1s g 203.0.113.7/32 cn:a 50s; 1s g 203.0.113.8/32 cn:a 30s; 5s g 203.0.113.7/32 cn:a 20s", 25 * time.Second},
		{"that are late change nothing", "5s g 203.0.113.7/32 cn:a 20s; 1s g 203.0.113.7/32 cn:a 50s", 25 * time.Second},
	} {
		s := newShared(terms{learner: true, limits: hour})
		for _, e := range told(t, row.entries) {
			s.adopt([]entry{e}, 10*time.Second)
		}
		if !s.holds(home, when(row.ends-1)) || s.holds(home, when(row.ends)) || !dueInOrder(s.list) {
			t.Errorf("%s: got other than until %v", row.name, row.ends)
		}
		s.list.removeExpired(row.ends)
		if s.list.addresses[home] != nil {
			t.Errorf("%s: it isn't removed when it has ended", row.name)
		}
	}
}

func TestAnotherCertificateFromElsewhere(t *testing.T) {
	s := newShared(terms{learner: true, limits: limits{time.Hour, 9, 2}})
	held := func(sum, dns string, stamp int64) entry {
		id := identity.Identity{Names: []string{"cn:a", dns, identity.ByFingerprint + sum}}
		return entry{kind: entryGrant, ip: home, identity: id, learned: stamp, stamp: stamp, proved: stamp, expires: stamp + 3_600_000}
	}
	s.adopt([]entry{held("aa", "dns:a.lan", clockAt0+1000)}, 10*time.Second)
	old, _ := s.find(home, nil, when(10*time.Second))
	s.adopt([]entry{held("bb", "dns:b.lan", clockAt0+2000)}, 10*time.Second)
	newer := identity.Patterns{{Prefix: "dns:b.lan"}}
	g, _ := s.find(home, newer, when(10*time.Second))
	for _, row := range []struct {
		name string
		at   moment
		want bool
	}{
		{"dns:a.lan", time.Hour + time.Second - 1, true},
		{"dns:a.lan", time.Hour + time.Second, false},
		{"dns:b.lan", time.Hour + 2*time.Second - 1, true},
		{"dns:b.lan", time.Hour + 2*time.Second, false},
	} {
		if _, found := s.find(home, identity.Patterns{{Prefix: row.name}}, when(row.at)); found != row.want {
			t.Errorf("%s at %v: got %t, want %t", row.name, row.at, found, row.want)
		}
	}
	if g.stamp != clockAt0+2000 || old.byIdentity != g.byIdentity || g.own.Len() != 1 {
		t.Errorf("got %+v and %+v, want two grants of one address", old, g)
	}
	s.adopt([]entry{held("bb", "dns:b.lan", clockAt0+3000)}, 10*time.Second)
	if again, _ := s.find(home, newer, when(10*time.Second)); again != g || g.stamp != clockAt0+3000 {
		t.Error("the same certificate's grant is another one")
	}
}

// TestOneAddressHoldsSoManyGrantsWhereverTheyComeFrom: those proved last.
func TestOneAddressHoldsSoManyGrantsWhereverTheyComeFrom(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	for i := maxGrantsPerIP + 1; i >= 0; i-- {
		s.adopt(told(t, fmt.Sprintf("%dms g 203.0.113.7/32 cn:%d", 100+i, i)), 10*time.Second)
	}
	a := s.list.addresses[home]
	if len(a.grants) != maxGrantsPerIP || a.grantOf(named("cn:0")) != nil || a.grantOf(named("cn:1")) != nil || a.grantOf(named("cn:2")) == nil || s.counts.evicted != 2 {
		t.Errorf("got %d grants, %d evicted", len(a.grants), s.counts.evicted)
	}
}

// order returns the addresses, and cn:a's grants, the least recently proved first.
func order(l *allowlist) (string, string) {
	all, own := "", "" // no named results: in a loop, Yaegi 0.16 has them begin as they were
	for e := l.recency.Front(); e != nil; e = e.Next() {
		all += string(e.Value.(*address).ip.Addr().AsSlice()[3:])
	}
	if l.identities != nil && l.identities["cn:a"] != nil {
		for e := l.identities["cn:a"].Front(); e != nil; e = e.Next() {
			own += string(e.Value.(*address).ip.Addr().AsSlice()[3:])
		}
	}
	return all, own
}

func TestGrantsAreInTheOrderOfTheirProofs(t *testing.T) {
	wide := limits{time.Hour, 9, 9}
	for _, row := range []struct{ name, proofs, want, own string }{
		{"as they come", "A1 B2 C3", "ABC", "ABC"},
		{"the other way round", "C3 B2 A1", "ABC", "ABC"},
		{"in between", "A1 C3 B2 D4", "ABCD", "ABCD"},
		{"renewed", "A1 B2 C3 A4", "BCA", "BCA"},
		{"renewed in between", "A1 B3 C4 A2", "ABC", "ABC"},
		{"by one of two", "A1 B2 A3b", "BA", "AB"},
		{"at once: by address", "B1 A1 C1", "ABC", "ABC"},
	} {
		s := newShared(terms{learner: true, limits: wide})
		for _, proof := range strings.Fields(row.proofs) {
			name := "cn:a"
			if len(proof) > 2 {
				name = "cn:" + proof[2:]
			}
			s.adopt(told(t, proof[1:2]+"s g "+ipOf(proof[:1]).String()+" "+name), 10*time.Second)
		}
		all, own := order(s.list)
		if all != row.want || own != row.own {
			t.Errorf("%s: got %s, of the identity %s, want %s and %s", row.name, all, own, row.want, row.own)
		}
	}
}

// TestWhatWasProvedBeforeRedisAnsweredIsPutInOrder is about what a state file or a learner gave, and Redis's clock.
func TestWhatWasProvedBeforeRedisAnsweredIsPutInOrder(t *testing.T) {
	wide := limits{time.Hour, 9, 9}
	s := newStore("shared")
	s.share()
	for _, letter := range []string{"C", "A", "B"} { // all in one millisecond
		s.learn(ipOf(letter), named("cn:a"), wide, when(time.Second))
	}
	s.timeBy(clockAt0, 0, near)
	if all, own := order(s.list); all != "ABC" || own != "ABC" {
		t.Errorf("got %s, of the identity %s, want both by address", all, own)
	}
	s.collect(1)
	restored := []savedGrant{{IP: ipOf("D").String(), Names: []string{"cn:a"}, Learned: epoch, Proved: epoch.Add(1500 * time.Millisecond), Expires: epoch.Add(time.Hour)}}
	if n := s.restore(restored, &settings{limits: wide, ipv6Subnet: 64}, atTime(epoch.Add(2*time.Second))); n != 1 {
		t.Errorf("got %d restored, want 1", n)
	}
	if all, own := order(s.list); all != "ABCD" || own != "ABCD" {
		t.Errorf("got %s, of the identity %s, want the restored one last", all, own)
	}
	if entries, _, _ := s.drain(1); len(entries) != 1 || entries[0].ip != ipOf("D") || entries[0].stamp != clockAt0+1500 {
		t.Errorf("Redis is told %+v", entries)
	}
}

func TestAnAddressIsAsOldAsTheLastOfItsProofsThatIsLeft(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.adopt(told(t, "1s g 203.0.113.65/32 cn:a; 2s g 203.0.113.66/32 cn:a; 3s g 203.0.113.65/32 cn:b"), 10*time.Second)
	if all, _ := order(s.list); all != "BA" {
		t.Fatalf("got %s", all)
	}
	s.revoke(netip.Prefix{}, "cn:b", when(11*time.Second))
	if all, _ := order(s.list); all != "AB" {
		t.Errorf("got %s, want that of the older proof first", all)
	}
}

// TestOneAddressWithPrefixesOfTwoLengths is about replicas whose ipv6Subnet differ: even then they agree.
func TestOneAddressWithPrefixesOfTwoLengths(t *testing.T) {
	long, short := netip.MustParsePrefix("2001:db8::/64"), netip.MustParsePrefix("2001:db8::/48")
	next := netip.MustParsePrefix("2001:db8:1::/32")
	for _, row := range []struct {
		a, b netip.Prefix
		want bool
	}{{short, long, true}, {long, short, false}, {long, long, false}, {long, next, true}, {next, long, false}} {
		if got := lower(row.a, row.b); got != row.want {
			t.Errorf("%v before %v: got %t", row.a, row.b, got)
		}
	}
}
