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

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// at is the moment of a time.
func at(t time.Time) moment {
	return t.Sub(epoch)
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
			l.add(ipOf(part[0]), named(part[1]), limits, at(now))
		}
		if got := holders(l, now.Add(time.Nanosecond)); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestGrantEndsToTheNanosecond(t *testing.T) {
	l := newAllowlist()
	l.add(ipOf("A"), named("p"), limits{time.Hour, 10, 0}, at(t0))
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
		_, learned, _, gone := l.add(ipOf(row.ip), named("p"), limit, at(row.at))
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
		{"one from before 1970 is told as any", "", "a-2 b-1 a-2", "a b"},
		{"what a state file had is not", "a", "a1 a1", ""},
		{"its successor is", "a", "a1 b2 a1 b2", "b"},
		{"another one than a state file had is", "b", "a1 b2 a1 b2", "a"},
	} {
		l, now := newAllowlist(), at(t0)
		limit := limits{time.Hour, 10, 0}
		by := func(letter string, issued int64) identity.Identity {
			return identity.Identity{Names: []string{"cn:phone", identity.ByFingerprint + letter}, Issued: issued}
		}
		if row.restored != "" && !l.restore(ipOf("A"), &grant{identity: by(row.restored, 0), expires: now + limit.ttl}, limit, now) {
			t.Fatalf("%s: not restored", row.name)
		}
		told := []string{}
		for _, proof := range strings.Fields(row.proofs) {
			issued, err := strconv.ParseInt(proof[1:], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			g, learned, newer, _ := l.add(ipOf("A"), by(proof[:1], issued), limit, now)
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
		l.add(ipOf("A"), named(fmt.Sprint("p", i)), limits{time.Hour, 10, 0}, at(t0)+moment(i))
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
		if l.add(ipOf("A"), named(name), limits{time.Hour, 10, 0}, last); a.grantOf(named(name)) == nil {
			t.Fatalf("the grant just proved went, because others have the same time")
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
		l.add(ipOf(ip), named(id), limit, at(now))

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
	l.removeExpired(at(now.Add(time.Hour)))
	if len(l.addresses)+len(l.identities)+len(l.due)+l.recency.Len() != 0 {
		t.Errorf("something is left when everything has expired")
	}
}

func TestWhatIsGoneIsNotHeldInMemory(t *testing.T) {
	l := newAllowlist()
	for i := 0; i < 8; i++ {
		l.add(ipOf("A"), named(fmt.Sprint("p", i)), limits{time.Hour, 1, 0}, at(t0))
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
