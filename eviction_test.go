package mtlsallowlist

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

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
		l.add(ipOf("B"), named("p0"), limits{time.Hour, 10, 0}, at(t0))
		for i := 0; i < names; i++ {
			l.add(ipOf("A"), named(fmt.Sprint("p", i)), limits{time.Hour, 10, 0}, at(t0)+moment(i+1))
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
		_, _, _, evicted := l.add(ipOf(row.ip), named(row.id), row.limits, at(t0)+1000)
		if got := lettersOf(evicted); got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
		for _, g := range evicted {
			if g.expires != over {
				t.Errorf("%s: %s:%s is evicted, and hasn't ended", row.name, letterOf(g.address.ip), g.identity.Name())
			}
		}
	}
}

func TestIdentitiesAreIndexedOnceAndOnlyForALimitOfTheirOwn(t *testing.T) {
	l := newAllowlist()
	for i, ttl := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour} {
		l.add(ipOf(string(rune('A'+i))), named("p"), limits{ttl, 10, 0}, at(t0)+moment(i))
	}
	if l.identities != nil {
		t.Errorf("there is an index, which takes memory, before any limit")
	}
	_, _, _, evicted := l.add(ipOf("D"), named("p"), limits{time.Hour, 10, 3}, at(t0)+3)
	if got := lettersOf(evicted); got != "A:p" {
		t.Errorf("got %q, want the one proved longest ago, A:p", got)
	}
	own := l.identities["p"]
	l.add(ipOf("E"), named("p"), limits{time.Hour, 10, 0}, at(t0)+4)
	l.add(ipOf("F"), named("p"), limits{time.Hour, 10, 9}, at(t0)+5)
	l.restore(ipOf("G"), &grant{identity: named("p"), expires: at(t0) + 9}, limits{time.Hour, 10, 9}, at(t0)+6)
	if l.identities["p"] != own || own.Len() != 6 {
		t.Errorf("the index was made again, or holds %d grants, want 6", own.Len())
	}
}

// TestARenewalLeavesItsGrantWhereItIs since that is what makes it cheap.
func TestARenewalLeavesItsGrantWhereItIs(t *testing.T) {
	l := newAllowlist()
	start := epoch.Add(time.Hour) // after epoch, so that no due time at all would be an early one
	certified := identity.FromCertificate(certificate("cn:p"))
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
		g, _, _, _ := l.add(ipOf("A"), row.id, limits{row.ttl, 10, 0}, at(start.Add(row.at)))
		if due := at(start.Add(time.Duration(row.due) * time.Hour)); g.due != due || l.made != row.made {
			t.Errorf("%s: got %v and %d, want %v and %d", row.name, g.due, l.made, due, row.made)
		}
	}
}
