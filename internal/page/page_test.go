package page

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

const someSum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ipOf(letter string) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, letter[0]}), 32)
}

func named(name string) identity.Identity {
	return identity.Identity{Names: []string{name}}
}

// shown is what the page shows of a store to somebody at an address.
func shown(store Store, mine netip.Prefix, now time.Time) storeView {
	return storeViewOf(store, store.Grants, 0, mine, now)
}

func grant(letter string, id identity.Identity, learned, proved, expires time.Duration) Grant {
	return Grant{IP: ipOf(letter), Identity: id, Learned: t0.Add(learned), Proved: t0.Add(proved), Expires: t0.Add(expires)}
}

func TestWhatThePageShowsOfAStore(t *testing.T) {
	phone := identity.Identity{Names: []string{"cn:phone", "dns:phone.lan", "email:a\u202e@b.c", identity.ByFingerprint + someSum}, Serial: "c0ffee"}
	s := Store{Name: "a\u202eb", MaxIPs: 2, StateFile: "/state\u202e.json", StateFailure: errors.New("no\u202eroom"), Grants: []Grant{
		grant("B", phone, 0, 16*time.Minute, 76*time.Minute),
		grant("A", phone, 2*time.Minute, 2*time.Minute, 62*time.Minute),
		grant("A", named("header:alice"), time.Minute, time.Minute, 121*time.Minute),
	}}
	v := shown(s, ipOf("A"), t0.Add(31*time.Minute))
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
	if v := shown(Store{Name: "b"}, netip.Prefix{}, t0); v.Learns || v.Kept != "" || len(v.Problems)+len(v.Grants)+len(v.Events) != 0 {
		t.Errorf("of an empty store: got %+v", v)
	}
	if v := shown(Store{Name: "c", MaxIPs: 1, StateFile: "/state.json"}, netip.Prefix{}, t0); !v.Learns || v.Kept != "/state.json" || len(v.Problems) != 0 {
		t.Errorf("of a store with a file: got %+v", v)
	}
}

func TestThePageShowsTheLastEventsFirst(t *testing.T) {
	s := Store{Name: "events", Events: []Event{{At: t0, What: "first"}}}
	if events := shown(s, netip.Prefix{}, t0).Events; len(events) != 1 || events[0].What != "first" {
		t.Errorf("got %v, want the first", events)
	}
	for i := 0; i < 18; i++ {
		s.Events = append(s.Events, Event{At: t0, What: "old"})
	}
	s.Events = append(s.Events, Event{At: t0, What: "learned", IP: ipOf("A"), Identity: named("cn:\u202ephone")})
	s.Events = append(s.Events, Event{At: t0.Add(time.Second), What: "failed", Why: "no\u202eroom"})
	s.Events = append(s.Events, Event{At: t0.Add(time.Minute), What: "refused", IP: netip.MustParsePrefix("2001:db8::/64"), Why: "no TLS"})
	events := shown(s, netip.Prefix{}, t0.Add(2*time.Minute)).Events
	if len(events) != 20 {
		t.Fatalf("got %d, want 20", len(events))
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
	for _, c := range choices(counts, strings.ToUpper, true) {
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

// many returns a store with so many grants, each with an address and a name of its own.
func many(n int) Store {
	s := Store{Name: "many", MaxIPs: 100_000}
	for i := 0; i < n; i++ {
		ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 32)
		s.Grants = append(s.Grants, Grant{IP: ip, Identity: named(fmt.Sprintf("cn:Phone-%d", i)), Learned: t0, Proved: t0.Add(-time.Duration(i)), Expires: t0.Add(time.Hour)})
	}
	return s
}

func TestGrantsAreShownAHundredAtATime(t *testing.T) {
	for _, row := range []struct {
		name         string
		grants       int
		query        string
		shown        int
		first        string // identity
		text         string // which are shown
		newer, older string
		searches     bool
	}{
		{"a household", 3, "", 3, "cn:Phone-0", "", "", "", false},
		{"as many as need no search", 10, "", 10, "cn:Phone-0", "", "", "", false},
		{"a few more", 11, "", 11, "cn:Phone-0", "", "", "", true},
		{"as many as there is room for", 100, "", 100, "cn:Phone-0", "", "", "", true},
		{"one more", 101, "", 100, "cn:Phone-0", "1 to 100 of 101 grants.", "", "?page=2", true},
		{"the second page", 101, "page=2", 1, "cn:Phone-100", "101 to 101 of 101 grants.", "?page=1", "", true},
		{"one in between", 10_000, "page=50", 100, "cn:Phone-4900", "4901 to 5000 of 10000 grants.", "?page=49", "?page=51", true},
		{"one that isn't there", 101, "page=3", 0, "", "None of 101 grants.", "?page=2", "", true},
		{"no page", 101, "page=0", 100, "cn:Phone-0", "1 to 100 of 101 grants.", "", "?page=2", true},
		{"a page before", 101, "page=-1", 100, "cn:Phone-0", "1 to 100 of 101 grants.", "", "?page=2", true},
		{"no number", 101, "page=x", 100, "cn:Phone-0", "1 to 100 of 101 grants.", "", "?page=2", true},
		{"the last page that is looked for", 101, "page=1048576", 0, "", "None of 101 grants.", "?page=1048575", "", true},
		{"one beyond", 101, "page=1048577", 100, "cn:Phone-0", "1 to 100 of 101 grants.", "", "?page=2", true},
		{"a number that is too large", 101, "page=99999999999999999999", 100, "cn:Phone-0", "1 to 100 of 101 grants.", "", "?page=2", true},
		{"by a name", 1000, "find=cn:phone-77", 11, "cn:Phone-77", "1 to 11 of 11 found, of 1000 grants.", "", "", true},
		{"by a part of a name, whatever its case", 1000, "find=+HONE-77+", 11, "cn:Phone-77", "1 to 11 of 11 found, of 1000 grants.", "", "", true},
		{"by an address", 1000, "find=198.51.1.7", 1, "cn:Phone-263", "1 to 1 of 1 found, of 1000 grants.", "", "", true},
		{"by a mapped address", 1000, "find=::ffff:198.51.1.7", 1, "cn:Phone-263", "1 to 1 of 1 found, of 1000 grants.", "", "", true},
		{"by a part of an address", 1000, "find=198.51.3.&page=2", 100, "cn:Phone-868", "101 to 200 of 232 found, of 1000 grants.", "?find=198.51.3.&page=1", "?find=198.51.3.&page=3", true},
		{"what nobody has", 1000, "find=nobody", 0, "", "None of 0 found, of 1000 grants.", "", "", true},
		{"in a household", 3, "find=phone-1", 1, "cn:Phone-1", "1 to 1 of 1 found, of 3 grants.", "", "", true},
	} {
		query, err := url.ParseQuery(row.query)
		if err != nil {
			t.Fatal(err)
		}
		v := viewOf(Request{Path: "/", Query: query, Now: t0}, Viewer{}, []Store{many(row.grants)})
		s, first := v.Stores[0], ""
		if len(s.Grants) > 0 {
			first = s.Grants[0].Identity
		}
		if len(s.Grants) != row.shown || first != row.first || s.Range != row.text || v.Newer != row.newer || v.Older != row.older || v.Searches != row.searches {
			t.Errorf("%s: got %d from %q, %q, before %q, after %q, search: %t", row.name, len(s.Grants), first, s.Range, v.Newer, v.Older, v.Searches)
		}
		if len(s.IPList) != row.shown || s.IPs != row.grants {
			t.Errorf("%s: %d addresses can be revoked, and it counts %d", row.name, len(s.IPList), s.IPs)
		}
		if isCounted := len(s.IPList) > 0 && s.IPList[0].Count != ""; isCounted != (row.text == "") {
			t.Errorf("%s: the grants of an address are counted: %t, although %q are shown", row.name, isCounted, row.text)
		}
	}
}

func TestOneStoreOfManyGrantsIsEnoughToSearchAndTurnPages(t *testing.T) {
	for _, stores := range [][]Store{{many(101), many(3)}, {many(3), many(101)}} {
		if v := viewOf(Request{Path: "/", Query: url.Values{}, Now: t0}, Viewer{}, stores); !v.Searches || v.Older != "?page=2" {
			t.Errorf("of %d grants first: got a search: %t, after %q, want both", len(stores[0].Grants), v.Searches, v.Older)
		}
	}
}

// TestWhatIsSearchedForIsNoMarkup, and an IPv6 client is found by its address.
func TestWhatIsSearchedForIsNoMarkup(t *testing.T) {
	s := many(3)
	s.Grants[1].IP = netip.MustParsePrefix("2001:db8::/64")
	text := &strings.Builder{}
	query := url.Values{"find": {`"><script>alert(1)</script>`}}
	if err := New().WriteHTML(text, Request{Path: "/", Query: query, Now: t0}, Viewer{}, []Store{s}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), "<script>") {
		t.Errorf("the page has a script: %s", text)
	}
	if found := matching(s.Grants, "2001:db8::1234"); len(found) != 1 {
		t.Errorf("got %d found by an address in the subnet, want 1", len(found))
	}
	if found := matching(s.Grants, "2001:db8:1::1"); len(found) != 0 {
		t.Errorf("got %d found by another address, want none", len(found))
	}
}

func TestOnlyFingerprintsAreShortened(t *testing.T) {
	for _, row := range []struct{ fingerprint, want string }{{someSum, "0123456789abcdef"}, {"", ""}, {"abc", ""}, {"\u202e" + someSum, ""}, {strings.Repeat("z", 64), ""}} {
		if got := shortFingerprint(row.fingerprint); got != row.want {
			t.Errorf("%q is shown as %q, want %q", row.fingerprint, got, row.want)
		}
	}
}

func TestWhatThePageSaysOfReplication(t *testing.T) {
	for _, row := range []struct {
		name    string
		state   Replication
		text    string
		problem bool
	}{
		{"all is well", Replication{Synced: true}, "Shared with the other replicas: in step.", false},
		{"all is well again", Replication{Synced: true, Failures: 3}, "Shared with the other replicas: in step.", false},
		{"just begun", Replication{}, "Shared with the other replicas: not in step yet.", false},
		{"Redis is away", Replication{Failure: "dial tcp 10.0.0.1:6379: connect: connection refused"}, "Not in step with the other replicas since 3 min: dial tcp 10.0.0.1:6379: connect: connection refused", true},
		{"Redis says odd things", Replication{Failure: "redis: \x1b[31m\n"}, `Not in step with the other replicas since 3 min: redis: \x1b[31m\n`, true},
		{"somebody writes what he likes", Replication{Synced: true, Invalid: 1}, "Shared with the other replicas: in step. 1 entry in Redis made no sense.", false},
		{"and writes on", Replication{Synced: true, Invalid: 2}, "Shared with the other replicas: in step. 2 entries in Redis made no sense.", false},
	} {
		row.state.Since = t0
		if text, problem := row.state.Text(t0.Add(3 * time.Minute)); text != row.text || problem != row.problem {
			t.Errorf("%s: got %q, a problem: %t; want %q, %t", row.name, text, problem, row.text, row.problem)
		}
		v := shown(Store{Name: "a", Replication: &row.state}, netip.Prefix{}, t0.Add(3*time.Minute))
		if got := strings.Join(append(v.Problems, v.Replicated), "|"); !v.IsReplicated || row.problem && got != row.text+"|" || !row.problem && got != row.text {
			t.Errorf("%s: the page shows %q of a store that is replicated: %t, want %q", row.name, got, v.IsReplicated, row.text)
		}
	}
	if v := shown(Store{Name: "a"}, netip.Prefix{}, t0); v.IsReplicated || v.Replicated != "" {
		t.Errorf("of a store alone: got %q, replicated: %t", v.Replicated, v.IsReplicated)
	}
}
