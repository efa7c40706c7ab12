package mtlsallowlist

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

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
			l.add(ipOf(ip), named(id), limits, now)
		}
		for _, proof := range strings.Fields(row.proofs) {
			add(proof, limits{time.Hour, 9, 9})
		}
		for i, text := range strings.Fields(row.saved) {
			text, refused := strings.CutPrefix(text, "-")
			ip, id, _ := strings.Cut(text, ":")
			g := &grant{identity: named(id), proved: now - moment(i+1)*time.Second, expires: now + time.Hour}
			if got := l.restore(ipOf(ip), g, row.limits, now); got == refused {
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
	}{{"a moment left", 1, true}, {"none", 0, false}, {"less than none", -1, false}} {
		g := &grant{identity: named(row.name), expires: at(t0) + row.expires}
		if got := l.restore(ipOf("A"), g, limits{time.Hour, 9, 0}, at(t0)); got != row.want {
			t.Errorf("%s: got %t, want %t", row.name, got, row.want)
		}
	}
	for i := 0; i < maxGrantsPerIP+1; i++ {
		g := &grant{identity: named(fmt.Sprint("p", i)), expires: at(t0) + time.Hour}
		if got, want := l.restore(ipOf("B"), g, limits{time.Hour, 9, 0}, at(t0)), i < maxGrantsPerIP; got != want {
			t.Errorf("the identity %d of an IP: got %t, want %t", i, got, want)
		}
	}
	if l.identities != nil {
		t.Errorf("there is an index, which takes memory, before any limit")
	}
}
