package page

import (
	"fmt"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/wording"
)

type storeView struct {
	Name         string
	Value        string // as revoking takes it
	IPs          int
	MaxIPs       int
	Full         int // percent
	Learns       bool
	Kept         string // the state file
	Replicated   string // how it is in sync; empty: it isn't replicated, or a problem says so
	IsReplicated bool
	Problems     []string
	Total        int    // grants
	Range        string // which of them are shown; empty: all
	Grants       []grantView
	IPList       []choice // by which several grants can be revoked
	Who          []choice
	Events       []eventView
}

type grantView struct {
	IP       string
	Prefix   string // as revoking takes it
	Yours    bool
	Identity string
	Name     string // as revoking takes it: quoted, for no form carries every byte
	Others   string
	Serial   string
	Short    string // of the fingerprint
	Learned  instant
	Proved   instant
	Expires  instant
	Left     int // percent of the lifetime
}

type choice struct {
	Value string
	Text  string
	Count string // of grants; empty: not all are shown
}

type eventView struct {
	What string
	IP   string
	Who  string
	Why  string
	At   instant
}

// An instant is a time as one says it, and exactly.
type instant struct {
	Text  string
	Exact string
	RFC   string
}

// storeViewOf shows those of the grants that were found from the first on.
func storeViewOf(store Store, found []Grant, first int, mine netip.Prefix, now time.Time) storeView {
	v := storeView{
		Name: wording.Printable(store.Name), Value: store.Name, MaxIPs: store.MaxIPs, Learns: store.MaxIPs > 0,
		Kept: wording.Printable(store.StateFile), Total: len(store.Grants),
	}
	if store.StateFailure != nil {
		v.Problems = append(v.Problems, "The state can't be written, and would be lost at a restart: "+wording.Printable(store.StateFailure.Error()))
	}
	if store.Replication != nil {
		v.IsReplicated = true
		text, problem := store.Replication.Text(now)
		if problem {
			v.Problems = append(v.Problems, text)
		} else {
			v.Replicated = text
		}
	}
	shown := found
	if first > len(shown) {
		first = len(shown)
	}
	shown = shown[first:]
	if len(shown) > shownGrants {
		shown = shown[:shownGrants]
	}
	if len(shown) < len(store.Grants) {
		v.Range = rangeOf(first, len(shown), len(found), len(store.Grants))
	}
	ips, names := map[string]int{}, map[string]int{}
	for _, g := range shown {
		ips[g.IP.String()]++
		names[g.Identity.Name()]++
		v.Grants = append(v.Grants, grantViewOf(g, mine, now))
	}
	all := map[netip.Prefix]bool{}
	for _, g := range store.Grants {
		all[g.IP] = true
	}
	v.IPs = len(all)
	v.Full = wording.Percent(v.IPs, v.MaxIPs)
	v.IPList = choices(ips, wording.ShortPrefix, v.Range == "")
	v.Who = choices(names, wording.Printable, v.Range == "")
	for i := range v.Who {
		v.Who[i].Value = strconv.QuoteToASCII(v.Who[i].Value)
	}
	for i := len(store.Events) - 1; i >= 0 && len(v.Events) < shownEvents; i-- {
		v.Events = append(v.Events, eventViewOf(store.Events[i], now))
	}
	return v
}

func grantViewOf(g Grant, mine netip.Prefix, now time.Time) grantView {
	prefix, name := g.IP.String(), g.Identity.Name()
	v := grantView{
		IP: wording.ShortPrefix(prefix), Prefix: prefix, Yours: g.IP == mine,
		Identity: wording.Printable(name), Name: strconv.QuoteToASCII(name), Serial: g.Identity.Serial,
		Learned: instantOf(g.Learned, wording.Ago(now.Sub(g.Learned))),
		Proved:  instantOf(g.Proved, wording.Ago(now.Sub(g.Proved))),
		Expires: instantOf(g.Expires, wording.Span(g.Expires.Sub(now))+" left"),
		Left:    wording.Percent(int(g.Expires.Sub(now)/time.Millisecond), int(g.Expires.Sub(g.Proved)/time.Millisecond)),
		Short:   shortFingerprint(g.Identity.Fingerprint()),
	}
	others := []string{}
	for _, other := range g.Identity.Names[1:] {
		if !strings.HasPrefix(other, identity.ByFingerprint) {
			others = append(others, wording.Printable(other))
		}
	}
	v.Others = strings.Join(others, ", ")
	return v
}

// shortFingerprint returns the first digits of a fingerprint, by which people know it; empty if it is none.
func shortFingerprint(fingerprint string) string {
	if !identity.IsFingerprint(fingerprint) {
		return ""
	}
	return fingerprint[:16]
}

func eventViewOf(e Event, now time.Time) eventView {
	v := eventView{What: e.What, Why: wording.Printable(e.Why), At: instantOf(e.At, wording.Ago(now.Sub(e.At)))}
	if e.IP.IsValid() {
		v.IP = wording.ShortPrefix(e.IP.String())
	}
	if len(e.Identity.Names) > 0 {
		v.Who = wording.Printable(e.Identity.Name())
	}
	return v
}

// choices are the keys in order.
func choices(counts map[string]int, text func(string) string, complete bool) []choice {
	list := []choice{}
	for value, n := range counts {
		c := choice{Value: value, Text: text(value)}
		if complete {
			c.Count = wording.Counted(n, "grant")
		}
		list = append(list, c)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Value < list[j].Value })
	return list
}

func instantOf(t time.Time, text string) instant {
	t = t.UTC()
	return instant{Text: text, Exact: t.Format("2006-01-02 15:04:05 UTC"), RFC: t.Format(time.RFC3339)}
}

// Text says how a store is kept in sync, and whether that is a problem.
func (r *Replication) Text(now time.Time) (text string, problem bool) {
	switch {
	case r.Synced:
		text = "Shared with the other replicas: in step."
	case r.Failure == "":
		text = "Shared with the other replicas: not in step yet."
	default:
		text = "Not in step with the other replicas since " + wording.Span(now.Sub(r.Since)) + ": " + wording.Printable(r.Failure)
		problem = true
	}
	if r.Invalid == 1 {
		text += " 1 entry in Redis made no sense."
	} else if r.Invalid > 1 {
		text += fmt.Sprintf(" %d entries in Redis made no sense.", r.Invalid)
	}
	return text, problem
}
