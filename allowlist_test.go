package mtlsallowlist

import (
	"fmt"
	"math/rand"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity/identitytest"
	"github.com/mtlsallowlist/mtlsallowlist/internal/option"
	"github.com/mtlsallowlist/mtlsallowlist/internal/wording"
)

// at is the moment of a time.
func at(t time.Time) clocks.Moment {
	return t.Sub(clocks.Epoch)
}

func named(name string) identity.Identity {
	return identity.Identity{Names: []string{name}}
}

// ipOf gives a letter its own IP prefix.
func ipOf(letter string) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, letter[0]}), 32)
}

// letterOf is the reverse; of other prefixes it returns their text.
func letterOf(ip netip.Prefix) string {
	if ip == ipOf(string(ip.Addr().AsSlice()[3:4])) {
		return string(ip.Addr().AsSlice()[3:])
	}
	return ip.String()
}

// holders lists the live grants as "A:phone", in alphabetical order.
func holders(l *allowlist, now time.Time) string {
	live := []string{}
	for ip, a := range l.addresses {
		anybody := false
		for _, g := range a.grants {
			name := g.identity.Name()
			alive := at(now) < g.expires
			if alive {
				if l.find(ip, identity.Patterns{{Prefix: name}}, at(now)) == nil {
					return "find misses " + name
				}
				live = append(live, letterOf(ip)+":"+name)
			}
			anybody = anybody || alive
		}
		if (l.find(ip, nil, at(now)) != nil) != anybody {
			return "find differs from expires for everybody at " + ip.String()
		}
	}
	sort.Strings(live)
	return strings.Join(live, " ")
}

func TestAllowlistKeepsWhatIsProvedLast(t *testing.T) {
	for _, row := range []struct {
		name   string
		limits limits
		proofs string // one a minute: letter of the IP, identity, and a lifetime if not the limits'
		want   string // the live grants a nanosecond after the last proof
	}{
		{"one proof is one grant", limits{time.Hour, 10, 0}, "A:p", "A:p"},
		{"a second proof renews", limits{time.Hour, 10, 0}, "A:p A:p", "A:p"},
		{"the least recently proved IP goes first", limits{time.Hour, 2, 0}, "A:p B:p C:p", "B:p C:p"},
		{"a renewed IP is not the oldest", limits{time.Hour, 2, 0}, "A:p B:p A:p C:p", "A:p C:p"},
		{"two identities behind one IP hold two grants of one IP", limits{time.Hour, 2, 0}, "A:p A:q B:p", "A:p A:q B:p"},
		{"an evicted IP takes all its grants along", limits{time.Hour, 1, 0}, "A:p A:q B:p", "B:p"},
		{"an IP is as recent as its latest proof by anybody", limits{time.Hour, 2, 0}, "A:p B:p A:q C:p", "A:p A:q C:p"},
		{"with one IP per identity the new replaces the old", limits{time.Hour, 10, 1}, "A:p B:p", "B:p"},
		{"a limit per identity leaves the others alone", limits{time.Hour, 10, 1}, "A:p A:q B:p", "A:q B:p"},
		{"a limit per identity drops the least recently proved", limits{time.Hour, 10, 2}, "A:p B:p A:p C:p", "A:p C:p"},
		{"a grant ends its lifetime after its proof", limits{2 * time.Minute, 10, 0}, "A:p B:p C:p", "B:p C:p"},
		{"a renewal prolongs", limits{2 * time.Minute, 10, 0}, "A:p B:p A:p C:p", "A:p C:p"},
		{"expired IPs leave before living ones", limits{time.Hour, 2, 0}, "A:p B:p:1m C:p", "A:p C:p"},
		{"expired grants don't count for their identity", limits{time.Hour, 10, 2}, "A:p B:p:1m C:p", "A:p C:p"},
		{"a shorter lifetime holds from its proof on", limits{time.Hour, 10, 0}, "A:p A:p:1m B:p", "B:p"},
		{"a longer lifetime too", limits{time.Minute, 10, 0}, "A:p A:p:1h B:p C:p", "A:p C:p"},
		{"a lowered limit holds with the next proof", limits{time.Hour, 3, 0}, "A:p B:p C:p C:p/1", "C:p"},
	} {
		l := newAllowlist()
		now := t0
		for _, proof := range strings.Fields(row.proofs) {
			now = now.Add(time.Minute)
			limits := row.limits
			proof, lowered := strings.CutSuffix(proof, "/1")
			if lowered {
				limits.maxIPs = 1
			}
			part := strings.Split(proof, ":")
			if len(part) == 3 {
				ttl, err := time.ParseDuration(part[2])
				if err != nil {
					t.Fatal(err)
				}
				limits.ttl = ttl
			}
			add(l, ipOf(part[0]), named(part[1]), limits, at(now))
		}
		if got := holders(l, now.Add(time.Nanosecond)); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestGrantEndsToTheNanosecond(t *testing.T) {
	l := newAllowlist()
	add(l, ipOf("A"), named("p"), limits{time.Hour, 10, 0}, at(t0))
	for _, row := range []struct {
		name string
		at   time.Time
		want bool
	}{
		{"at the proof", t0, true},
		{"a nanosecond before the end", t0.Add(time.Hour - 1), true},
		{"at the end", t0.Add(time.Hour), false},
		{"a nanosecond after it", t0.Add(time.Hour + 1), false},
	} {
		if got := l.find(ipOf("A"), nil, at(row.at)) != nil; got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func TestAddTellsWhatIsNewAndWhatHadToGo(t *testing.T) {
	l := newAllowlist()
	limit := limits{time.Hour, 1, 0}
	for _, row := range []struct {
		name    string
		ip      string
		at      time.Time
		learned bool
		evicted string
	}{
		{"the first proof is learned", "A", t0, true, ""},
		{"the second is not", "A", t0.Add(time.Minute), false, ""},
		{"another IP is, and evicts", "B", t0.Add(2 * time.Minute), true, "A"},
		{"a proof after the end is learned again, and evicts nothing", "B", t0.Add(3 * time.Hour), true, ""},
	} {
		_, learned, _, gone := add(l, ipOf(row.ip), named("p"), limit, at(row.at))
		evicted := ""
		for _, g := range gone {
			evicted += string(g.address.ip.Addr().AsSlice()[3:])
		}
		if learned != row.learned || evicted != row.evicted {
			t.Errorf("%s: got %v, %q, want %v, %q", row.name, learned, evicted, row.learned, row.evicted)
		}
	}
}

func TestAddTellsWhichCertificatesAreNew(t *testing.T) {
	for _, row := range []struct {
		name, restored, proofs string // certificates of one name: a letter, and the second from which it is valid
		want                   string // those that are told
	}{
		{"the same one again is not", "", "a1 a1 a1", "a"},
		{"its successor is", "", "a1 b2 b2", "a b"},
		{"each successor is", "", "a1 b2 c3", "a b c"},
		{"an older one is not", "", "b2 a1", "b"},
		{"one as old is not", "", "a1 b1 a1 b1", "a"},
		{"what came back is not", "", "a1 b2 a1 b2 a1", "a b"},
		{"one older than the newest of all is not", "", "a1 c3 a1 b2", "a c"},
		{"nor if an even older one came in between", "", "c3 a1 b2", "c"},
		{"one from before 1970 is told as any", "", "a-2 b-1 a-2", "a b"},
		{"what a state file had is not", "a", "a1 a1", ""},
		{"its successor is", "a", "a1 b2 a1 b2", "b"},
		{"another one than a state file had is", "b", "a1 b2 a1 b2", "a"},
		{"but not an older one, once that of the state file was here", "b", "b2 a1", ""},
	} {
		l, now := newAllowlist(), at(t0)
		limit := limits{time.Hour, 10, 0}
		by := func(letter string, issued int64) identity.Identity {
			return identity.Identity{Names: []string{"cn:phone", identity.ByFingerprint + letter}, Issued: issued}
		}
		if row.restored != "" && !putBack(l, ipOf("A"), &grant{identity: by(row.restored, 0), proved: now, expires: now + limit.ttl}, limit, now) {
			t.Fatalf("%s: not restored", row.name)
		}
		told := []string{}
		for _, proof := range strings.Fields(row.proofs) {
			issued, err := strconv.ParseInt(proof[1:], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			g, learned, newer, _ := add(l, ipOf("A"), by(proof[:1], issued), limit, now)
			if learned || newer {
				told = append(told, proof[:1])
			}
			if got := g.identity.Fingerprint(); got != proof[:1] || l.find(ipOf("A"), identity.Patterns{{Prefix: identity.ByFingerprint + got}}, now) != g {
				t.Errorf("%s: after %s the grant is by %s", row.name, proof, got)
			}
		}
		if got := strings.Join(told, " "); got != row.want || len(l.addresses) != 1 {
			t.Errorf("%s: got %q of %d addresses, want %q of 1", row.name, got, len(l.addresses), row.want)
		}
	}
}

func TestIdentitiesBehindOneIPAreBounded(t *testing.T) {
	l := newAllowlist()
	for i := 0; i < maxGrantsPerIP+10; i++ {
		add(l, ipOf("A"), named(fmt.Sprint("p", i)), limits{time.Hour, 10, 0}, at(t0)+clocks.Moment(i))
	}
	a := l.addresses[ipOf("A")]
	if got := len(a.grants); got != maxGrantsPerIP {
		t.Errorf("got %d grants, want %d", got, maxGrantsPerIP)
	}
	if a.grantOf(named("p9")) != nil || a.grantOf(named("p10")) == nil {
		t.Errorf("want the ten least recently proved to go")
	}
	last := a.grantOf(named("p10")).proved
	for i := 0; i < 10; i++ {
		name := fmt.Sprint("late", i)
		if add(l, ipOf("A"), named(name), limits{time.Hour, 10, 0}, last); a.grantOf(named(name)) == nil {
			t.Fatalf("the grant just proved went, because others have the same time")
		}
	}
}

// byCertificate is an identity with a certificate of its own.
func byCertificate(name, sum string) identity.Identity {
	return identity.Identity{Names: []string{name, identity.ByFingerprint + sum}}
}

func TestCertificatesOfOneIdentityAreBounded(t *testing.T) {
	l := newAllowlist()
	wide := limits{time.Hour, 10, 0}
	add(l, ipOf("A"), named("cn:q"), wide, at(t0))
	for i := 0; i < maxCertificates+2; i++ {
		_, _, _, evicted := add(l, ipOf("A"), byCertificate("cn:p", fmt.Sprint(i)), wide, at(t0)+clocks.Moment(i+1))
		got, want := "", ""
		for _, g := range evicted {
			got += g.identity.Name() + " " + g.identity.Fingerprint()
		}
		if i >= maxCertificates {
			want = fmt.Sprint("cn:p ", i-maxCertificates)
		}
		if got != want {
			t.Errorf("number %d has %q make room, want %q", i, got, want)
		}
	}
	if got := len(l.due); got != maxCertificates+1 {
		t.Errorf("got %d grants, want %d, and one of somebody else", got, maxCertificates)
	}
}

// TestGrantsOfAnIdentityForAnAddressCountAsOne however many certificates it has.
func TestGrantsOfAnIdentityForAnAddressCountAsOne(t *testing.T) {
	l := newAllowlist()
	for _, row := range []struct {
		name, ip string
		id       identity.Identity
		gone     bool
		want     int
	}{
		{"a grant", "A", byCertificate("cn:p", "1"), false, 1},
		{"by another certificate", "A", byCertificate("cn:p", "2"), false, 1},
		{"of another identity", "A", byCertificate("cn:q", "3"), false, 2},
		{"for another address", "B", byCertificate("cn:p", "1"), false, 3},
		{"one of two certificates' has gone", "A", byCertificate("cn:p", "1"), true, 3},
		{"the other's, too", "A", byCertificate("cn:p", "2"), true, 2},
		{"the last one of the address", "A", byCertificate("cn:q", "3"), true, 1},
		{"the last one of all", "B", byCertificate("cn:p", "1"), true, 0},
	} {
		if row.gone {
			l.remove(grantOf(l, ipOf(row.ip), row.id))
		} else {
			add(l, ipOf(row.ip), row.id, limits{time.Hour, 10, 0}, at(t0))
		}
		if l.claims != row.want {
			t.Errorf("%s: got %d, want %d", row.name, l.claims, row.want)
		}
	}
}

// TestAllowlistStaysWhole does at random what can be done, and compares with a plain list of what should be.
func TestAllowlistStaysWhole(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	type plain struct {
		ip, id          string
		proved, expires time.Time
	}
	l := newAllowlist()
	model := []plain{}             // in order of proof
	last := map[string]time.Time{} // the last proof at an IP, whoever gave it
	now := t0
	for step := 0; step < 3000; step++ {
		now = now.Add(time.Duration(1 + random.Intn(60)))
		ip, id := string(rune('A'+random.Intn(12))), string(rune('p'+random.Intn(4)))
		limit := limits{time.Duration(50 + random.Intn(3)*400), 1 + random.Intn(8), random.Intn(4)}
		add(l, ipOf(ip), named(id), limit, at(now))

		kept := []plain{}
		for _, g := range model {
			if now.Before(g.expires) && (g.ip != ip || g.id != id) {
				kept = append(kept, g)
			}
		}
		kept = append(kept, plain{ip, id, now, now.Add(limit.ttl)})
		model = kept
		last[ip] = now
		drop := func(doomed func(g plain) bool) {
			rest := []plain{}
			for _, g := range model {
				if !doomed(g) {
					rest = append(rest, g)
				}
			}
			model = rest
		}
		for own := 0; limit.maxIPsPerIdentity > 0; own = 0 {
			oldest := plain{}
			for i := len(model) - 1; i >= 0; i-- {
				if model[i].id == id {
					own++
					oldest = model[i]
				}
			}
			if own <= limit.maxIPsPerIdentity {
				break
			}
			drop(func(g plain) bool { return g == oldest })
		}
		for {
			ips := map[string]bool{}
			oldest := ip
			for _, g := range model {
				ips[g.ip] = true
				if last[g.ip].Before(last[oldest]) {
					oldest = g.ip
				}
			}
			if len(ips) <= limit.maxIPs {
				break
			}
			drop(func(g plain) bool { return g.ip == oldest })
		}

		want := []string{}
		for _, g := range model {
			want = append(want, g.ip+":"+g.id)
		}
		sort.Strings(want)
		if got := holders(l, now); got != strings.Join(want, " ") {
			t.Fatalf("step %d: got %q, want %q", step, got, strings.Join(want, " "))
		}
		if len(l.due) != len(model) {
			t.Fatalf("step %d: %d grants are due, want %d", step, len(l.due), len(model))
		}
	}
	l.removeExpired(at(now.Add(time.Hour)), 0)
	if len(l.addresses)+len(l.identities)+len(l.due)+l.recency.Len() != 0 {
		t.Errorf("something is left when everything has expired")
	}
}

func TestWhatIsGoneIsNotHeldInMemory(t *testing.T) {
	l := newAllowlist()
	for i := 0; i < 8; i++ {
		add(l, ipOf("A"), named(fmt.Sprint("p", i)), limits{time.Hour, 1, 0}, at(t0))
	}
	a := l.addresses[ipOf("A")]
	l.remove(a.grantOf(named("p7")))
	l.remove(a.grantOf(named("p0")))
	for _, list := range [][]*grant{l.due, a.grants} {
		for i, g := range list[:8] {
			if (g != nil) != (i < 6) {
				t.Errorf("place %d of 6 that are left holds %v", i, g)
			}
		}
	}
}

// lettersOf are those of the grants' IPs with the identities' names, in the order given.
func lettersOf(grants []*grant) string {
	texts := []string{}
	for _, g := range grants {
		texts = append(texts, letterOf(g.address.ip)+":"+g.identity.Name())
	}
	return strings.Join(texts, " ")
}

func TestEveryEvictedGrantIsTold(t *testing.T) {
	fill := func(names int) *allowlist {
		l := newAllowlist()
		add(l, ipOf("B"), named("p0"), limits{time.Hour, 10, 0}, at(t0))
		for i := 0; i < names; i++ {
			add(l, ipOf("A"), named(fmt.Sprint("p", i)), limits{time.Hour, 10, 0}, at(t0)+clocks.Moment(i+1))
		}
		return l
	}
	for _, row := range []struct {
		name   string
		names  int // at A; the first has B, too
		ip, id string
		limits limits
		want   string
	}{
		{"nothing beyond the limits", 2, "A", "p1", limits{time.Hour, 2, 0}, ""},
		{"one identity too many behind an IP", maxGrantsPerIP, "A", "another", limits{time.Hour, 2, 0}, "A:p0"},
		{"as many identities as may be, and an IP too many", maxGrantsPerIP, "A", "p5", limits{time.Hour, 1, 0}, "B:p0"},
		{"IPs of the identity", 1, "C", "p0", limits{time.Hour, 10, 1}, "B:p0 A:p0"},
		{"IPs of the identity, and then of all", 2, "C", "p0", limits{time.Hour, 1, 2}, "B:p0 A:p0 A:p1"},
	} {
		l := fill(row.names)
		_, _, _, evicted := add(l, ipOf(row.ip), named(row.id), row.limits, at(t0)+1000)
		if got := lettersOf(evicted); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
		for _, g := range evicted {
			if g.expires != ended {
				t.Errorf("%s: %s:%s is evicted, and hasn't ended", row.name, letterOf(g.address.ip), g.identity.Name())
			}
		}
	}
}

func TestIdentitiesAreIndexedOnceAndOnlyForALimitOfTheirOwn(t *testing.T) {
	l := newAllowlist()
	for i, ttl := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour} {
		add(l, ipOf(string(rune('A'+i))), named("p"), limits{ttl, 10, 0}, at(t0)+clocks.Moment(i))
	}
	if l.identities != nil {
		t.Errorf("there is an index, which takes memory, before any limit")
	}
	_, _, _, evicted := add(l, ipOf("D"), named("p"), limits{time.Hour, 10, 3}, at(t0)+3)
	if got := lettersOf(evicted); got != "A:p" {
		t.Errorf("got %q, want the one proved longest ago, A:p", got)
	}
	own := l.identities["p"]
	add(l, ipOf("E"), named("p"), limits{time.Hour, 10, 0}, at(t0)+4)
	add(l, ipOf("F"), named("p"), limits{time.Hour, 10, 9}, at(t0)+5)
	putBack(l, ipOf("G"), &grant{identity: named("p"), proved: at(t0), expires: at(t0) + time.Second}, limits{time.Hour, 10, 9}, at(t0)+6)
	if l.identities["p"] != own || own.Len() != 6 {
		t.Errorf("the index was made again, or holds %d grants, want 6", own.Len())
	}
}

// TestTheIndexHasAnAddressOnceHoweverManyCertificatesProvedIt, at the place of the last proof.
func TestTheIndexHasAnAddressOnceHoweverManyCertificatesProvedIt(t *testing.T) {
	l := newAllowlist()
	for i, proof := range []struct{ letter, sum string }{{"A", "1"}, {"B", "1"}, {"A", "2"}} {
		add(l, ipOf(proof.letter), byCertificate("cn:a", proof.sum), limits{time.Hour, 9, 0}, at(t0)+clocks.Moment(i))
	}
	_, _, _, evicted := add(l, ipOf("C"), byCertificate("cn:a", "1"), limits{time.Hour, 9, 2}, at(t0)+3)
	if all, own := order(l); lettersOf(evicted) != "B:cn:a" || all != "AC" || own != "AC" {
		t.Errorf("got %q evicted, and %s, of the identity %s, want B:cn:a and AC", lettersOf(evicted), all, own)
	}
}

// TestARenewalLeavesItsGrantWhereItIs since that is what makes it cheap.
func TestARenewalLeavesItsGrantWhereItIs(t *testing.T) {
	l := newAllowlist()
	start := clocks.Epoch.Add(time.Hour) // after epoch, so that no due time at all would be an early one
	certified := identity.FromCertificate(identitytest.Certificate("cn:p"))
	other := certified
	other.Names = []string{"cn:p", identity.ByFingerprint + someSum}
	for _, row := range []struct {
		name      string
		at        time.Duration
		id        identity.Identity
		ttl       time.Duration
		due, made int // in hours after start; of grants
	}{
		{"a new grant is due when it expires", 0, certified, 5 * time.Hour, 5, 1},
		{"a renewal lets it be due as before", time.Hour, certified, 5 * time.Hour, 5, 1},
		{"unless it expires earlier", time.Hour, certified, 2 * time.Hour, 3, 1},
		{"another certificate makes another grant", time.Hour, other, 2 * time.Hour, 3, 2},
	} {
		g, _, _, _ := add(l, ipOf("A"), row.id, limits{row.ttl, 10, 0}, at(start.Add(row.at)))
		if due := at(start.Add(time.Duration(row.due) * time.Hour)); g.due != due || len(l.due) != row.made {
			t.Errorf("%s: got %v and %d, want %v and %d", row.name, g.due, len(l.due), due, row.made)
		}
	}
}

// dueInOrder reports whether what is due is found in time.
func dueInOrder(l *allowlist) bool {
	for i, g := range l.due {
		if int(g.position) != i || g.due > g.expires || i > 0 && g.due < l.due[(i-1)/2].due {
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
		{"one that finds room, since a later one has ended", limits{time.Hour, 2, 0}, "1s g 203.0.113.7/32 cn:a; 2s g 203.0.113.9/32 cn:a 7s", "3s g 203.0.113.8/32 cn:a", true, 0, ""},
		{"a new grant, and the same again", hour, "1s g 203.0.113.7/32 cn:a", "2s g 203.0.113.8/32 cn:a; 1s g 203.0.113.7/32 cn:a", true, 0, ""},
		{"one that makes room of its identity's", limits{time.Hour, 9, 1}, "1s g 203.0.113.7/32 cn:a", "2s g 203.0.113.8/32 cn:a", true, 1, "e 203.0.113.7"},
	} {
		s := newShared(terms{learner: true, limits: row.limits})
		if row.before != "" {
			s.applyRemote(told(t, row.before), 8*time.Second)
		}
		file, box := &mailbox{changes: map[string]change.Change{}}, collect(s)
		s.observe(observerFile, file)
		nobody := s.miss
		s.applyRemote(told(t, row.entries), 10*time.Second)
		if news := file.all > 0 && row.name != "a renewal"; news != row.news || (nobody.expires == ended) != row.news {
			t.Errorf("%s: got news for a state file: %t, for others: %t, want %t", row.name, news, nobody.expires == ended, row.news)
		}
		if s.counts.evicted != row.evicted {
			t.Errorf("%s: got %d evicted, want %d", row.name, s.counts.evicted, row.evicted)
		}
		texts := []string{}
		entries := box.drain()
		for _, e := range entries {
			texts = append(texts, string(e.Kind)+" "+e.IP.Addr().String())
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
			s.applyRemote([]change.Change{e}, 10*time.Second)
		}
		if !s.holds(home, when(row.ends-1)) || s.holds(home, when(row.ends)) || !dueInOrder(s.list) {
			t.Errorf("%s: got other than until %v", row.name, row.ends)
		}
		s.list.removeExpired(row.ends, 0)
		if s.list.addresses[home] != nil {
			t.Errorf("%s: it isn't removed when it has ended", row.name)
		}
	}
}

func TestAnotherCertificateFromElsewhere(t *testing.T) {
	s := newShared(terms{learner: true, limits: limits{time.Hour, 9, 2}})
	held := func(sum, dns string, stamp int64) change.Change {
		id := identity.Identity{Names: []string{"cn:a", dns, identity.ByFingerprint + sum}}
		return change.Change{Kind: change.Granted, IP: home, Identity: id, Learned: stamp, Stamp: stamp, Proved: stamp, Expires: stamp + 3_600_000}
	}
	s.applyRemote([]change.Change{held("aa", "dns:a.lan", clockAt0+1000)}, 10*time.Second)
	old, _ := s.find(home, nil, when(10*time.Second))
	s.applyRemote([]change.Change{held("bb", "dns:b.lan", clockAt0+2000)}, 10*time.Second)
	newer := identity.Patterns{{Prefix: "dns:b.lan"}}
	g, _ := s.find(home, newer, when(10*time.Second))
	for _, row := range []struct {
		name string
		at   clocks.Moment
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
	s.applyRemote([]change.Change{held("bb", "dns:b.lan", clockAt0+3000)}, 10*time.Second)
	if again, _ := s.find(home, newer, when(10*time.Second)); again != g || g.stamp != clockAt0+3000 {
		t.Error("the same certificate's grant is another one")
	}
}

// TestOneAddressHoldsSoManyGrantsWhereverTheyComeFrom: those proved last.
func TestOneAddressHoldsSoManyGrantsWhereverTheyComeFrom(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	for i := maxGrantsPerIP + 1; i >= 0; i-- {
		s.applyRemote(told(t, fmt.Sprintf("%dms g 203.0.113.7/32 cn:%d", 100+i, i)), 10*time.Second)
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
			s.applyRemote(told(t, proof[1:2]+"s g "+ipOf(proof[:1]).String()+" "+name), 10*time.Second)
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
	for _, letter := range []string{"C", "A", "B"} { // all in one millisecond
		s.learn(ipOf(letter), named("cn:a"), wide, when(time.Second))
	}
	s.Compare(clockAt0, 0, replicaTolerance)
	if all, own := order(s.list); all != "ABC" || own != "ABC" {
		t.Errorf("got %s, of the identity %s, want both by address", all, own)
	}
	box := collect(s)
	restored := inStore(s, granted(ipOf("D"), named("cn:a"), clocks.Epoch, clocks.Epoch.Add(1500*time.Millisecond), clocks.Epoch.Add(time.Hour)))
	if n := restoreAll(s, restored, wide, 2*time.Second); n != 1 {
		t.Errorf("got %d restored, want 1", n)
	}
	if all, own := order(s.list); all != "ABCD" || own != "ABCD" {
		t.Errorf("got %s, of the identity %s, want the restored one last", all, own)
	}
	if entries := box.drain(); len(entries) != 1 || entries[0].IP != ipOf("D") || entries[0].Stamp != clockAt0+1500-restoredLag {
		t.Errorf("Redis is told %+v", entries)
	}
}

// TestAProofHereIsAmongThoseFromElsewhere, whose clocks may be a little ahead.
func TestAProofHereIsAmongThoseFromElsewhere(t *testing.T) {
	wide := limits{time.Hour, 9, 9}
	s := newShared(terms{learner: true, limits: wide})
	s.applyRemote(told(t, "9s g "+ipOf("A").String()+" cn:a; 10040ms g "+ipOf("B").String()+" cn:a"), 10*time.Second)
	s.learn(ipOf("C"), cnA, wide, when(10*time.Second))
	if all, own := order(s.list); all != "ACB" || own != "ACB" {
		t.Errorf("got %s, of the identity %s, want ACB", all, own)
	}
}

// TestAnAddressIsAsOldAsTheLastOfItsProofsThatIsLeft on all replicas, though some may not have heard of the others. Without
// replicas it stays where it is.
func TestAnAddressIsAsOldAsTheLastOfItsProofsThatIsLeft(t *testing.T) {
	wide := limits{time.Hour, 9, 9}
	for _, row := range []struct {
		name   string
		shared bool
		ids    []identity.Identity // who proves A, B and A again
		gone   string              // whose grants are revoked then
		want   string
		own    string // the addresses of cn:a
	}{
		{"with the proof of another identity gone", true, []identity.Identity{named("cn:a"), named("cn:a"), named("cn:b")}, "cn:b", "AB", "AB"},
		{"with that of another certificate gone", true, []identity.Identity{byCertificate("cn:a", "1"), byCertificate("cn:a", "1"), byCertificate("cn:a", "2")}, identity.ByFingerprint + "2", "AB", "AB"},
		{"with an older one gone", true, []identity.Identity{byCertificate("cn:a", "1"), byCertificate("cn:a", "2"), byCertificate("cn:a", "2")}, identity.ByFingerprint + "1", "BA", "BA"},
		{"alone, with that of another identity gone", false, []identity.Identity{named("cn:a"), named("cn:a"), named("cn:b")}, "cn:b", "BA", "AB"},
		{"alone, with that of another certificate gone", false, []identity.Identity{byCertificate("cn:a", "1"), byCertificate("cn:a", "1"), byCertificate("cn:a", "2")}, identity.ByFingerprint + "2", "BA", "BA"},
	} {
		s := newStore(row.name)
		if row.shared {
			s = newShared(terms{learner: true, limits: wide})
		}
		for i, letter := range []string{"A", "B", "A"} {
			s.learn(ipOf(letter), row.ids[i], wide, when(clocks.Moment(i+1)*time.Second))
		}
		if all, _ := order(s.list); all != "BA" {
			t.Fatalf("%s: got %s before, want BA", row.name, all)
		}
		s.revoke(netip.Prefix{}, row.gone, when(11*time.Second))
		if all, own := order(s.list); all != row.want || own != row.own {
			t.Errorf("%s: got %s, of the identity %s, want %s and %s", row.name, all, own, row.want, row.own)
		}
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

func TestRestore(t *testing.T) {
	for _, row := range []struct {
		name   string
		proofs string // one a second, with a limit of their own for identities
		saved  string // one a second before, the one proved last first; "-" before the one that can't be restored
		limits limits
		proof  string // one more, after all
		want   string // who holds a grant then
	}{
		{"to an empty list", "", "A:p B:q", limits{time.Hour, 2, 0}, "", "A:p B:q"},
		{"what is there already", "A:p", "-A:p B:p", limits{time.Hour, 2, 0}, "", "A:p B:p"},
		{"the same twice", "", "A:p -A:p", limits{time.Hour, 2, 0}, "", "A:p"},
		{"more IPs than there may be", "A:p", "B:p -C:p", limits{time.Hour, 2, 0}, "", "A:p B:p"},
		{"another identity of an IP when the list is full", "A:p", "A:q -B:p A:r", limits{time.Hour, 1, 0}, "", "A:p A:q A:r"},
		{"as many IPs of an identity as it may have", "A:p", "B:p -C:p C:q", limits{time.Hour, 9, 2}, "", "A:p B:p C:q"},
		{"any number of IPs where others limit them", "A:p", "B:p C:p", limits{time.Hour, 9, 0}, "", "A:p B:p C:p"},
		{"the next to go of an identity is the one proved longest ago", "A:p", "B:p C:p", limits{time.Hour, 9, 3}, "D:p", "A:p B:p D:p"},
		{"the next to go of all is, too", "A:p", "B:q C:r", limits{time.Hour, 3, 0}, "D:p", "A:p B:q D:p"},
	} {
		l := newAllowlist()
		now := at(t0)
		add := func(proof string, limits limits) {
			now += time.Second
			ip, id, _ := strings.Cut(proof, ":")
			add(l, ipOf(ip), named(id), limits, now)
		}
		for _, proof := range strings.Fields(row.proofs) {
			add(proof, limits{time.Hour, 9, 9})
		}
		for i, text := range strings.Fields(row.saved) {
			text, refused := strings.CutPrefix(text, "-")
			ip, id, _ := strings.Cut(text, ":")
			g := &grant{identity: named(id), proved: now - clocks.Moment(i+1)*time.Second, expires: now + time.Hour}
			if got := putBack(l, ipOf(ip), g, row.limits, now); got == refused {
				t.Errorf("%s: %s is restored: got %t, want %t", row.name, text, got, !refused)
			}
		}
		if row.proof != "" {
			add(row.proof, row.limits)
		}
		if got := holders(l, t0.Add(time.Minute)); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestRestoreAtItsBounds(t *testing.T) {
	l := newAllowlist()
	for _, row := range []struct {
		name    string
		expires time.Duration
		want    bool
	}{{"a millisecond left", time.Millisecond, true}, {"none", 0, false}, {"less than none", -1, false}} {
		g := &grant{identity: named(row.name), proved: at(t0), expires: at(t0) + row.expires}
		if got := putBack(l, ipOf("A"), g, limits{time.Hour, 9, 0}, at(t0)); got != row.want {
			t.Errorf("%s: got %t, want %t", row.name, got, row.want)
		}
	}
	for i := 0; i < maxGrantsPerIP+1; i++ {
		g := &grant{identity: named(fmt.Sprint("p", i)), proved: at(t0) - clocks.Moment(i)*time.Second, expires: at(t0) + time.Hour/2}
		if got, want := putBack(l, ipOf("B"), g, limits{time.Hour, 9, 0}, at(t0)), i < maxGrantsPerIP; got != want {
			t.Errorf("the identity %d of an IP: got %t, want %t", i, got, want)
		}
	}
	if l.identities != nil {
		t.Errorf("there is an index, which takes memory, before any limit")
	}
}

// numbered returns one of as many public addresses as one likes.
func numbered(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
}

// revocationOf is what another replica tells, as anybody may have written it.
func revocationOf(t *testing.T, i int, at, expires int64) change.Change {
	t.Helper()
	e, err := change.Parse(change.Change{Kind: change.Revoked, IP: numbered(i), Identity: cnA, Learned: at, Stamp: at, Proved: at, Expires: expires}.Line())
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
			s.applyRemote([]change.Change{revocationOf(t, i, clockAt0, clockAt0+60_000+int64(i))}, time.Second)
		}
		if got := len(s.list.tombstones.byMember); got != row.want || len(s.list.tombstones.due) != got {
			t.Errorf("maxIPs %d: got %d tombstones, want %d", row.limits.maxIPs, got, row.want)
		}
		if tombstoneOf(s.list.tombstones, revocationOf(t, n-1, 0, 0)) == nil {
			t.Errorf("maxIPs %d: the one that ends last has gone", row.limits.maxIPs)
		}
		if tombstoneOf(s.list.tombstones, revocationOf(t, n-row.want, 0, 0)) == nil || tombstoneOf(s.list.tombstones, revocationOf(t, n-row.want-1, 0, 0)) != nil {
			t.Errorf("maxIPs %d: others have gone than those that end first", row.limits.maxIPs)
		}
		if saved := allOf(s, time.Second); len(saved) != row.want {
			t.Errorf("maxIPs %d: a state file has %d", row.limits.maxIPs, len(saved))
		}
	}
}

// TestHowManyTombstonesThereMayBe: as many as grants, but 100,000 unless there may be more addresses than that.
func TestHowManyTombstonesThereMayBe(t *testing.T) {
	for _, row := range []struct{ maxIPs, want int }{{1, 100}, {999, 99_900}, {1000, 100_000}, {1001, 100_000}, {100_000, 100_000}, {100_001, 100_001}, {1_000_000, 1_000_000}} {
		if got := (limits{maxIPs: row.maxIPs}).maxTombstones(); got != row.want {
			t.Errorf("of %d addresses: got %d, want %d", row.maxIPs, got, row.want)
		}
	}
}

func TestATombstoneLastsNoLongerThanAGrant(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.applyRemote([]change.Change{revocationOf(t, 1, clockAt0, change.MaxStamp), revocationOf(t, 2, change.MaxStamp, change.MaxStamp)}, time.Second)
	for _, row := range []struct {
		at   clocks.Moment
		want int
	}{{time.Second, 2}, {time.Hour + time.Second - 1, 2}, {time.Hour + time.Second, 0}} {
		if got := len(allOf(s, row.at)); got != row.want {
			t.Errorf("at %v: got %d, want %d", row.at, got, row.want)
		}
	}
}

// TestALaterRevocationStandsForTheEarlierOne, and lasts as long as it says.
func TestALaterRevocationStandsForTheEarlierOne(t *testing.T) {
	s := newShared(terms{learner: true, limits: hour})
	s.applyRemote([]change.Change{revocationOf(t, 1, clockAt0, clockAt0+60_000)}, time.Second)
	s.applyRemote([]change.Change{revocationOf(t, 1, clockAt0+1, clockAt0+90_000)}, time.Second)
	for _, row := range []struct {
		at   clocks.Moment
		want int
	}{{time.Second, 1}, {time.Minute, 1}, {90*time.Second - 1, 1}, {90 * time.Second, 0}} {
		s.list.removeExpired(row.at, 0)
		if held := s.list.tombstones; len(held.due) != row.want || len(held.byMember) != row.want || (tombstoneOf(held, revocationOf(t, 1, 0, 0)) != nil) != (row.want > 0) {
			t.Errorf("at %v: got %d and %d, want %d", row.at, len(held.due), len(held.byMember), row.want)
		}
	}
}

func TestARevocationThatEndsNowIsNoNews(t *testing.T) {
	for left, want := range map[int64]bool{-1: false, 0: false, 1: true} {
		l := newAllowlist()
		now := l.At(time.Second)
		o, _ := merge(l, change.Change{Kind: change.Revoked, IP: home, Identity: cnA, Learned: now, Stamp: now, Proved: now, Expires: now + left}, noTerms, time.Second)
		if o.buried != want || o.isNews() != want || (len(l.tombstones.due) > 0) != want {
			t.Errorf("%d ms before its end it is news: %t, and %d are remembered", left, o.isNews(), len(l.tombstones.due))
		}
	}
}

// TestARevocationCountsWhateverItsStamp, and later proofs count, too.
func TestARevocationCountsWhateverItsStamp(t *testing.T) {
	for _, stamp := range []time.Duration{2 * time.Second, 12 * time.Hour, 25 * time.Hour, 9000 * time.Hour} {
		s := newShared(terms{learner: true, limits: hour})
		s.learn(home, cnA, hour, when(time.Second))
		e := told(t, stamp.String()+" r 203.0.113.7/32 cn:a")
		if skipped := s.applyRemote(e, 3*time.Second); skipped != 0 || s.holds(home, when(3*time.Second)) {
			t.Errorf("%v: skipped %d, and it holds: %t", stamp, skipped, s.holds(home, when(3*time.Second)))
		}
		s.learn(home, cnA, hour, when(4*time.Second))
		other := newShared(terms{learner: true, limits: hour})
		if skipped := other.applyRemote(allOf(s, 5*time.Second), 5*time.Second); skipped != 0 || !other.holds(home, when(5*time.Second)) {
			t.Errorf("%v: of a later proof, another replica skipped %d, and holds it: %t", stamp, skipped, other.holds(home, when(5*time.Second)))
		}
		if other.holds(home, when(time.Hour+4*time.Second)) {
			t.Errorf("%v: another replica lets it in for more than its lifetime", stamp)
		}
	}
}

// TestGrantsFromTheFuture are invalid from the millisecond on that is beyond what replicas' clocks may differ by. Others are of
// now.
func TestGrantsFromTheFuture(t *testing.T) {
	for _, row := range []struct {
		stamp, proved int64 // after now
		valid         bool
	}{{0, 0, true}, {change.MaxAhead, change.MaxAhead, true}, {change.MaxAhead + 1, 0, false}, {0, change.MaxAhead + 1, false}} {
		l := newAllowlist()
		now := l.At(time.Second)
		c := change.Change{Kind: change.Granted, IP: home, Identity: cnA, Learned: now, Stamp: now + row.stamp, Proved: now + row.proved, Expires: now + row.proved + 1000}
		o, valid := merge(l, c, noTerms, time.Second)
		if valid != row.valid || valid != (len(l.due) == 1) {
			t.Errorf("stamped %d ms and proved %d ms after now: valid is %t, and there are %d grants", row.stamp, row.proved, valid, len(l.due))
		}
		if g := o.grant; valid && (g.proved != time.Second || g.expires != 2*time.Second) {
			t.Errorf("stamped %d ms and proved %d ms after now: it was proved at %v and expires at %v, want 1s and 2s", row.stamp, row.proved, g.proved, g.expires)
		}
	}
}

// TestRevocationsFromTheFuture end what is held, whenever that is dated, but not later proofs: those too far ahead are of now.
func TestRevocationsFromTheFuture(t *testing.T) {
	for _, row := range []struct {
		name                        string
		held                        int64 // the stamp of the grant; this and what follows is in milliseconds after now
		stamp, learned, proved      int64 // of the revocation
		want, wantLearned, wantSeen int64
	}{
		{"of now", -5, 0, -1000, 0, 0, -1000, 0},
		{"of before", -5, -1, -1000, -1, -1, -1000, -1},
		{"as far ahead as may be", -5, change.MaxAhead, 2000, 3000, change.MaxAhead, 0, 0},
		{"a millisecond further", -5, change.MaxAhead + 1, 2000, 3000, 0, 0, 0},
		{"a millisecond further, of a grant that is dated ahead", 10, change.MaxAhead + 1, -1000, 1, 10, 0, 0},
	} {
		l := newAllowlist()
		l.share(clockAt0)
		now := l.At(time.Second)
		merge(l, change.Change{Kind: change.Granted, IP: home, Identity: cnA, Learned: now, Stamp: now + row.held, Proved: now, Expires: now + 1000}, noTerms, time.Second)
		c := change.Change{Kind: change.Revoked, IP: home, Identity: cnA, Learned: now + row.learned, Stamp: now + row.stamp, Proved: now + row.proved, Expires: now + 1000}
		o, valid := merge(l, c, noTerms, time.Second)
		if !valid || o.ended == nil || len(l.due) != 0 || len(l.tombstones.due) != 1 {
			t.Errorf("%s: valid is %t, and %d grants and %d tombstones are left, want true, 0 and 1", row.name, valid, len(l.due), len(l.tombstones.due))
			continue
		}
		if got := o.change; got.Stamp-now != row.want || got.Learned-now != row.wantLearned || got.Proved-now != row.wantSeen {
			t.Errorf("%s: it is handed on as of %d, %d and %d, want %d, %d and %d", row.name, got.Stamp-now, got.Learned-now, got.Proved-now, row.want, row.wantLearned, row.wantSeen)
		}
		if got := l.tombstones.due[0].stamp - now; got != row.want {
			t.Errorf("%s: it is remembered as of %d, want %d", row.name, got, row.want)
		}
	}
}

// TestAGrantIsLearnedNoLaterThanItIsProved, to the nanosecond if it is here.
func TestAGrantIsLearnedNoLaterThanItIsProved(t *testing.T) {
	now := 10*time.Second + 1
	for _, row := range []struct {
		name                  string
		learned, proved, want time.Duration
	}{
		{"before", time.Second, 2 * time.Second, time.Second},
		{"at once", 2 * time.Second, 2 * time.Second, 2 * time.Second},
		{"after", 3 * time.Second, 2 * time.Second, 2 * time.Second},
		{"in the future", 12 * time.Second, 11 * time.Second, now},
	} {
		l := newAllowlist()
		c := change.Change{Kind: change.Granted, IP: home, Identity: cnA, Learned: l.At(row.learned), Stamp: l.At(row.proved), Proved: l.At(row.proved), Expires: l.At(time.Hour)}
		if o, _ := merge(l, c, noTerms, now); o.grant.learned != row.want {
			t.Errorf("learned %s it was proved: got %v, want %v", row.name, o.grant.learned, row.want)
		}
	}
	l := newAllowlist()
	if g, _, _, _ := add(l, home, cnA, hour, now); g.learned != now || g.proved != now || g.expires != now+time.Hour {
		t.Errorf("a proof of now is learned at %v, proved at %v and expires at %v", g.learned, g.proved, g.expires)
	}
	if g, _, _, _ := add(l, home, cnA, hour, now+1); g.learned != now || g.proved != now+1 {
		t.Errorf("a second one is learned at %v and proved at %v", g.learned, g.proved)
	}
}

// times returns how many times as long many takes as few: the median of some rounds. In a round they take turns, so that whatever
// else the machine does slows both alike.
func times(t *testing.T, round func() (few, many time.Duration)) float64 {
	ratios := []float64{}
	for i := 0; i < 5; i++ {
		few, many := round()
		ratios = append(ratios, float64(many)/float64(few))
	}
	sort.Float64s(ratios)
	t.Logf("times %.1f", ratios)
	return ratios[2]
}

// timesEach compares each of many with each of few: a round does as many of either.
func timesEach(t *testing.T, few, many int, prepare func(n int) (run func())) float64 {
	return times(t, func() (fewTook, manyTook time.Duration) {
		sum := time.Duration(0)
		for i := 0; i < many/few; i++ {
			sum += timed(prepare(few))
		}
		return sum, timed(prepare(many))
	})
}

func timed(run func()) time.Duration {
	started := time.Now()
	run()
	return time.Since(started)
}

func TestRevokingTakesTimeInProportion(t *testing.T) {
	wide := limits{ttl: time.Hour, maxIPs: 100_000}
	got := timesEach(t, 250, 4000, func(n int) func() {
		s := newShared(terms{learner: true, limits: wide})
		for i := 0; i < n; i++ {
			s.learn(numbered(i), cnA, wide, when(time.Second))
		}
		return func() {
			if got := len(s.revoke(netip.Prefix{}, "cn:a", when(2*time.Second))); got != n {
				t.Errorf("got %d revoked, want %d", got, n)
			}
		}
	})
	if got > 5 {
		t.Errorf("each of 4000 takes %.1f times as long as each of 250", got)
	}
}

// TestRestoringTakesTimeInProportion has grants restored that stand in the file in any order, as they do after renewals.
func TestRestoringTakesTimeInProportion(t *testing.T) {
	to := &settings{limits: limits{ttl: time.Hour, maxIPs: 100_000}, ipv6Subnet: 64}
	got := timesEach(t, 100, 4000, func(n int) func() {
		s := newStore(t.Name())
		changes := []change.Change{}
		for _, i := range rand.New(rand.NewSource(1)).Perm(n) {
			at := s.list.At(0) + int64(i)
			changes = append(changes, change.Change{Kind: change.Granted, IP: numbered(n - i), Identity: cnA, Learned: at, Stamp: at, Proved: at, Expires: at + 60_000})
		}
		return func() {
			if _, restored, _ := s.restore(changes, to, time.Minute/2); restored != n {
				t.Errorf("got %d restored, want %d", restored, n)
			}
			e := s.list.recency.Front()
			for i := 0; i < n; i++ {
				if ip := e.Value.(*address).ip; ip != numbered(n-i) {
					t.Fatalf("%s was proved as number %d", ip, i)
				}
				e = e.Next()
			}
		}
	})
	if got > 5 {
		t.Errorf("each of 4000 takes %.1f times as long as each of 100", got)
	}
}

// TestOneMoreTombstoneTakesHardlyMoreTime the more there are: fifty more of 16,000, and fifty more of 500.
func TestOneMoreTombstoneTakesHardlyMoreTime(t *testing.T) {
	wide := limits{ttl: time.Hour, maxIPs: 100_000}
	more := func(n int) func() func() {
		s := newShared(terms{learner: true, limits: wide})
		entries := []change.Change{}
		for i := 0; i < n; i++ {
			entries = append(entries, change.Change{Kind: change.Revoked, IP: numbered(i), Identity: cnA, Stamp: clockAt0, Proved: clockAt0, Expires: clockAt0 + 60_000 + int64(i)})
		}
		s.applyRemote(entries, time.Second)
		next := n
		return func() func() {
			for i := 0; i < 50; i++ {
				s.learn(numbered(next+i), named(fmt.Sprint("cn:", i)), wide, when(time.Second))
			}
			return func() {
				for i := 0; i < 50; i++ {
					s.revoke(numbered(next+i), "", when(2*time.Second))
				}
				next += 50
			}
		}
	}
	ofFew, ofMany := more(500), more(16_000)
	got := times(t, func() (few, many time.Duration) {
		few = timed(ofFew())
		many = timed(ofMany())
		return few, many
	})
	if got > 5 {
		t.Errorf("with 16,000 it takes %.1f times as long as with 500", got)
	}
}

func TestATombstoneKeepsNoMoreNamesThanItIsToldBy(t *testing.T) {
	held := newTombstones()
	id := identity.Identity{Names: []string{"cn:a", "dns:a.lan", identity.ByFingerprint + someSum}, Serial: "c0ffee"}
	e := change.Change{Kind: change.Revoked, IP: home, Identity: id, Expires: 1}
	held.put(e, 0, 1, 1)
	got := tombstoneOf(held, e)
	if got == nil || len(got.identity.Names) != 2 || change.Member(got.address.ip, got.identity) != e.Member() || got.identity.Serial != "" {
		t.Errorf("got %+v", got)
	}
}

// TestBounds is there since all other tests take the bounds from the constants: a slip in one would go unnoticed.
func TestBounds(t *testing.T) {
	for _, row := range []struct {
		name      string
		got, want int64
	}{
		{"identities behind one IP", maxGrantsPerIP, 100},
		{"certificates of one identity behind one IP", maxCertificates, 4},
		{"bytes of a text that a client is remembered by", maxSource, 256},
		{"clients that an enforcer remembers", maxKnown, 16_384},
		{"connections of other proxies that it remembers", maxConnections, 1024},
		{"connections that a learner remembers", maxProofs, 1000},
		{"bytes of a form", maxForm, 1_048_576},
		{"seconds between two writes for renewals alone", int64(renewalInterval / time.Second), 60},
		{"seconds of quiet about a matter that recurs", int64(noteInterval / time.Second), 60},
		{"days of the longest lifetime", int64(option.MaxDuration / time.Hour / 24), 36_500},
		{"events that are kept", maxEvents, 50},
		{"bytes of an entry", identity.MaxEntry, 4096},
		{"bytes of the names in it", identity.MaxNames, 3840},
		{"digits of a serial", identity.MaxSerial, 128},
		{"milliseconds up to the last moment that anybody may mean", change.MaxStamp, 100_000_000_000_000},
		{"hours that Redis's clock may be set back", change.MaxAhead / 3_600_000, 24},
		{"grants that are handled under one lock", change.PortionSize, 50},
		{"IPs that a store without a learner takes over", maxShared, 100_000},
		{"milliseconds between times that are taken for the same", replicaTolerance, 50},
		{"milliseconds by which a restored grant is dated earlier", restoredLag, 100},
		{"letters of a name that are shown", wording.ShownRunes, 120},
	} {
		if row.got != row.want {
			t.Errorf("%s: got %d, want %d", row.name, row.got, row.want)
		}
	}
}

// TestManyThatExpireAtOnceAreRemovedInPortions, and make room without being told as evicted.
func TestManyThatExpireAtOnceAreRemovedInPortions(t *testing.T) {
	l := newAllowlist()
	wide := limits{time.Hour, 10 * change.PortionSize, 0}
	for i := 0; i < wide.maxIPs; i++ {
		add(l, numbered(i), named("cn:a"), wide, 0)
	}
	for i, want := range []int{9*change.PortionSize + 1, 8*change.PortionSize + 2, 7*change.PortionSize + 3} {
		_, first, _, evicted := add(l, numbered(wide.maxIPs+i), named("cn:a"), wide, time.Hour)
		if !first || len(evicted) > 0 || len(l.due) != want {
			t.Errorf("number %d: %d are evicted, and %d are left, want none and %d", i, len(evicted), len(l.due), want)
		}
	}
	few := limits{time.Hour, 5, 0}
	_, _, _, evicted := add(l, ipOf("A"), named("cn:a"), few, time.Hour)
	if len(evicted) != 0 || len(l.addresses) > 5 {
		t.Errorf("with room for five, %d are evicted, and %d addresses are left, want none and five at most", len(evicted), len(l.addresses))
	}
}

// TestAGrantThatHasExpiredIsLearnedAnew although it is among many that haven't been removed yet.
func TestAGrantThatHasExpiredIsLearnedAnew(t *testing.T) {
	wide := limits{time.Hour, 10 * change.PortionSize, 0}
	for _, row := range []struct {
		name string
		do   func(s *store, ip netip.Prefix)
		held int // at the address
	}{
		{"by a proof", func(s *store, ip netip.Prefix) {
			if _, news, _, _ := s.learn(ip, cnA, wide, when(time.Hour)); !news {
				t.Error("it isn't told")
			}
		}, 1},
		{"by a proof of another certificate", func(s *store, ip netip.Prefix) {
			if _, news, _, _ := s.learn(ip, byCertificate("cn:a", "2"), wide, when(time.Hour)); !news || s.counts.learned != wide.maxIPs+1 {
				t.Errorf("it is told: %t; %d are learned, want %d", news, s.counts.learned, wide.maxIPs+1)
			}
		}, 2}, // the other is removed later
		{"by another replica", func(s *store, ip netip.Prefix) {
			at := s.At(time.Hour)
			s.applyRemote([]change.Change{{Kind: change.Granted, IP: ip, Identity: cnA, Learned: at, Stamp: at, Proved: at, Expires: at + 1000}}, time.Hour)
		}, 1},
	} {
		s := newShared(terms{learner: true, limits: wide})
		for i := 0; i < wide.maxIPs; i++ {
			s.learn(numbered(i), cnA, wide, when(0))
		}
		middle := numbered(wide.maxIPs / 2) // not of the first that are removed
		miss, found := s.find(middle, nil, when(time.Hour))
		row.do(s, middle)
		if found || miss.expires != ended || !s.holds(middle, when(time.Hour)) {
			t.Errorf("%s: it held before: %t; who had none asks again: %t; it holds: %t", row.name, found, miss.expires == ended, s.holds(middle, when(time.Hour)))
		}
		if got := len(s.list.addresses[middle].grants); got != row.held {
			t.Errorf("%s: the address has %d grants, want %d", row.name, got, row.held)
		}
	}
}
