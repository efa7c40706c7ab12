package mtlsallowlist

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

func TestThePageTellsWhatWasRevoked(t *testing.T) {
	h := newHouse(t, map[string]Config{"status": {Mode: "status", Proof: "request"}})
	for _, row := range []struct{ query, want string }{
		{"?revoked=0", "0 grants revoked."},
		{"?revoked=1", "1 grant revoked."},
		{"?revoked=2", "2 grants revoked."},
		{"?revoked=-1", ""},
		{"?revoked=one", ""},
		{"?revoked=", ""},
		{"", ""},
	} {
		page := h.get("status", "/"+row.query, "text/html").Body.String()
		if got := strings.Contains(page, " revoked."); got != (row.want != "") || !strings.Contains(page, row.want) {
			t.Errorf("%s: the page doesn't say %q, or something like it: %s", row.query, row.want, page)
		}
	}
}

func TestThePageHasTheStyleThatItsPolicyAllows(t *testing.T) {
	h := newHouse(t, map[string]Config{"status": {Mode: "status", Proof: "request"}})
	rw := h.fetch("status", http.MethodGet, "/", "203.0.113.7", http.Header{})
	if page := rw.Body.String(); strings.Count(page, "<style>"+pageStyle+"</style>") != 1 || strings.Count(page, "<style") != 1 {
		t.Errorf("the page has another style: %s", page)
	}
	if policy := rw.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "style-src 'sha256-"+styleHash()+"'") {
		t.Errorf("the policy allows another style: %s", policy)
	}
}

func TestWhatThePageShowsOfAStore(t *testing.T) {
	s := newStore("a\u202eb")
	s.learnBy(terms{learner: true, limits: limits{maxIPs: 2}}, atTime(t0))
	phone := identity.Identity{Names: []string{"cn:phone", "dns:phone.lan", "email:a\u202e@b.c", identity.ByFingerprint + someSum}, Serial: "c0ffee"}
	wide := limits{time.Hour, 9, 0}
	s.learn(ipOf("B"), phone, wide, atTime(t0))
	s.learn(ipOf("A"), named("header:alice"), limits{2 * time.Hour, 9, 0}, atTime(t0.Add(time.Minute)))
	s.learn(ipOf("A"), phone, wide, atTime(t0.Add(2*time.Minute)))
	s.learn(ipOf("B"), phone, wide, atTime(t0.Add(16*time.Minute)))
	s.keepIn(&stateFile{path: "/state\u202e.json", failed: errors.New("no\u202eroom")})

	v := storeViewOf(s, ipOf("A").String(), atTime(t0.Add(31*time.Minute)))
	lines := []string{
		fmt.Sprintf("%s=%q %d/%d %d%% %t in %s", v.Name, v.Value, v.IPs, v.MaxIPs, v.Full, v.Learns, v.Kept),
		strings.Join(v.Problems, ""),
	}
	for _, g := range v.Grants {
		lines = append(lines, fmt.Sprintf("%s %s %t %s %s (%s) %s %s: %s, %s, %s, %d%%",
			g.IP, g.Prefix, g.Yours, g.Identity, g.Name, g.Others, g.Serial, g.Short, g.Learned.Text, g.Proved.Text, g.Expires.Text, g.Left))
	}
	lines = append(lines, fmt.Sprint(v.IPList), fmt.Sprint(v.Who))
	want := []string{
		`a\u202eb="a\u202eb" 2/2 100% true in /state\u202e.json`,
		`The state can't be written, and would be lost at a restart: no\u202eroom`,
		`203.0.113.66 203.0.113.66/32 false cn:phone "cn:phone" (dns:phone.lan, email:a\u202e@b.c) c0ffee 0123456789abcdef: 31 min ago, 15 min ago, 45 min left, 75%`,
		`203.0.113.65 203.0.113.65/32 true cn:phone "cn:phone" (dns:phone.lan, email:a\u202e@b.c) c0ffee 0123456789abcdef: 29 min ago, 29 min ago, 31 min left, 51%`,
		`203.0.113.65 203.0.113.65/32 true header:alice "header:alice" ()  : 30 min ago, 30 min ago, 1 h 30 min left, 75%`,
		`[{203.0.113.65/32 203.0.113.65 2 grants} {203.0.113.66/32 203.0.113.66 1 grant}]`,
		`[{"cn:phone" cn:phone 2 grants} {"header:alice" header:alice 1 grant}]`,
	}
	for i := range want {
		if i >= len(lines) || lines[i] != want[i] {
			t.Errorf("line %d: got %s\nwant %s", i, lines[i], want[i])
		}
	}
	if len(lines) != len(want) {
		t.Errorf("got %d lines, want %d", len(lines), len(want))
	}
	if v := storeViewOf(newStore("b"), "", atTime(t0)); v.Learns || v.Kept != "" || len(v.Problems)+len(v.Grants)+len(v.Events) != 0 {
		t.Errorf("of an empty store: got %+v", v)
	}
	one := newStore("c")
	one.learnBy(terms{learner: true, limits: limits{maxIPs: 1}}, atTime(t0))
	one.keepIn(&stateFile{path: "/state.json"})
	if v := storeViewOf(one, "", atTime(t0)); !v.Learns || v.Kept != "/state.json" || len(v.Problems) != 0 {
		t.Errorf("of a store with a file: got %+v", v)
	}
}

func TestThePageShowsTheLastEventsFirst(t *testing.T) {
	s := newStore("events")
	s.record(event{at: t0, what: "first"})
	if events := storeViewOf(s, "", atTime(t0)).Events; len(events) != 1 || events[0].What != "first" {
		t.Errorf("got %v, want the first", events)
	}
	for i := 0; i < shownEvents-2; i++ {
		s.record(event{at: t0, what: "old"})
	}
	s.record(event{at: t0, what: "learned", ip: ipOf("A"), identity: named("cn:\u202ephone")})
	s.record(event{at: t0.Add(time.Second), what: "failed", why: "no\u202eroom"})
	s.record(event{at: t0.Add(time.Minute), what: "refused", ip: clientip.Prefix(netip.MustParseAddr("2001:db8::7"), 64), why: "no TLS"})
	events := storeViewOf(s, "", atTime(t0.Add(2*time.Minute))).Events
	if len(events) != shownEvents {
		t.Fatalf("got %d, want %d", len(events), shownEvents)
	}
	for i, want := range []string{
		"refused 2001:db8::/64  no TLS 1 min ago 2026-01-01 00:01:00 UTC 2026-01-01T00:01:00Z",
		`failed   no\u202eroom 2 min ago 2026-01-01 00:00:01 UTC 2026-01-01T00:00:01Z`,
		`learned 203.0.113.65 cn:\u202ephone  2 min ago 2026-01-01 00:00:00 UTC 2026-01-01T00:00:00Z`,
		"old    2 min ago 2026-01-01 00:00:00 UTC 2026-01-01T00:00:00Z",
	} {
		e := events[i]
		if got := strings.Join([]string{e.What, e.IP, e.Who, e.Why, e.At.Text, e.At.Exact, e.At.RFC}, " "); got != want {
			t.Errorf("event %d: got %s, want %s", i, got, want)
		}
	}
}

func TestChoicesComeInOrder(t *testing.T) {
	counts := map[string]int{}
	for i, value := range strings.Split("hgfedcba", "") {
		counts[value] = i
	}
	got := ""
	for _, c := range choices(counts, strings.ToUpper) {
		got += c.Value + c.Text + c.Count[:1] + " "
	}
	if want := "aA7 bB6 cC5 dD4 eE3 fF2 gG1 hH0 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTimesAreShownInUTC(t *testing.T) {
	want := instant{Text: "now", Exact: "2026-01-01 00:00:00 UTC", RFC: "2026-01-01T00:00:00Z"}
	if got := instantOf(t0.In(time.FixedZone("far", 7*60*60)), "now"); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestThePageTellsWhyWhoeverLooksIsNotOnTheList(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn":  {Mode: "learn", AllowPrivate: "true"},
		"status": {Mode: "status", Proof: "request"},
	})
	h.walk("two", "learn 192.168.0.1 cn:a=200; learn 203.0.113.7 cn:b=200")
	for _, row := range []struct{ from, want, hint string }{
		{"203.0.113.7", "is let in", ""},
		{"203.0.113.8", "isn’t on the list", ""},
		{"192.168.0.1", "is let in", ""},
		{"192.168.0.2", "isn’t on the list", "It is a private address"},
		{"[64:ff9b::203.0.113.7]", "is let in", ""},
		{"[64:ff9b:1::203.0.113.7]", "isn’t on the list", "It is a private address"},
		{"nowhere", "", "Your address can&#39;t be read"},
	} {
		page := h.fetch("status", http.MethodGet, "/", row.from, http.Header{}).Body.String()
		_, you, _ := strings.Cut(page, `<p class="you `)
		you, _, _ = strings.Cut(you, "</p>")
		if !strings.Contains(you, row.want) || !strings.Contains(you, row.hint) || row.hint == "" && strings.Contains(you, "address") {
			t.Errorf("%s: got %s, want %s %s", row.from, you, row.want, row.hint)
		}
	}
}
