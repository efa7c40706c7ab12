package hosted

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/middlewares/ipallowlist"
)

// strategies are as Traefik's ipAllowList has them.
var strategies = []struct {
	name     string
	strategy *dynamic.IPStrategy
}{
	{"none", nil},
	{"empty", &dynamic.IPStrategy{}},
	{"depth 1", &dynamic.IPStrategy{Depth: 1}},
	{"depth 2", &dynamic.IPStrategy{Depth: 2}},
	{"depth 3", &dynamic.IPStrategy{Depth: 3}},
	{"excluded IP", &dynamic.IPStrategy{ExcludedIPs: []string{"10.0.0.1"}}},
	{"excluded CIDRs", &dynamic.IPStrategy{ExcludedIPs: []string{"10.0.0.0/8", "192.168.0.0/16"}}},
	{"excluded IPv6", &dynamic.IPStrategy{ExcludedIPs: []string{"fd00::/8", "2001:db8:ffff::1"}}},
	{"excluded mapped", &dynamic.IPStrategy{ExcludedIPs: []string{"::ffff:10.0.0.0/104", "::ffff:192.168.0.1"}}},
	{"excluded all IPv4", &dynamic.IPStrategy{ExcludedIPs: []string{"0.0.0.0/0"}}},
	{"excluded all IPv6", &dynamic.IPStrategy{ExcludedIPs: []string{"::/0"}}},
	{"excluded everything", &dynamic.IPStrategy{ExcludedIPs: []string{"0.0.0.0/0", "::/0"}}},
	{"depth 1 and excluded", &dynamic.IPStrategy{Depth: 1, ExcludedIPs: []string{"10.0.0.0/8", "fd00::/8"}}},
	{"depth 2 and excluded", &dynamic.IPStrategy{Depth: 2, ExcludedIPs: []string{"10.0.0.0/8", "fd00::/8"}}},
}

// options are the same strategy as the plugin's options.
func options(strategy *dynamic.IPStrategy) map[string]any {
	o := map[string]any{}
	if strategy != nil && strategy.Depth > 0 {
		o["depth"] = strategy.Depth
	}
	if strategy != nil && strategy.ExcludedIPs != nil {
		o["excludedIPs"] = slices.Clone(strategy.ExcludedIPs)
	}
	if strategy != nil && strategy.IPv6Subnet != nil {
		o["ipv6Subnet"] = *strategy.IPv6Subnet
	}
	return o
}

// ranges tell which address was picked: each address of the clients below alone, and what contains several.
var ranges = []string{
	"203.0.113.7", "203.0.113.7/32", "203.0.113.8", "198.51.100.9", "10.0.0.1", "10.0.0.2", "192.168.0.1", "0.0.0.0", "127.0.0.1",
	"2001:db8::7", "2001:db8::7/128", "2001:db8::8", "2001:db8:ffff::1", "fd00::1", "fe80::1", "::1", "::",
	"::ffff:203.0.113.7", "::ffff:203.0.113.0/120", "::ffff:0:0/96", "2001:db8::/64", "2001:db8::/33", "203.0.113.0/29", "203.0.113.7/31",
	"0.0.0.0/0", "0.0.0.0/1", "::/0", "8000::/1", "fe80::/10",
}

// clients are where requests say that they come from: the connection, and the lines of X-Forwarded-For.
var clients = []struct {
	name         string
	remoteAddr   string
	forwardedFor []string
}{
	{"an IPv4 connection", "203.0.113.7:4711", nil},
	{"an IPv6 connection", "[2001:db8::7]:4711", nil},
	{"an IPv6 connection, written otherwise", "[2001:DB8:0:0::0007]:4711", nil},
	{"a mapped connection, as of a dual-stack socket", "[::ffff:203.0.113.7]:4711", nil},
	{"a mapped connection in hexadecimal", "[::ffff:cb00:7107]:4711", nil},
	{"a link-local connection with a zone", "[fe80::1%eth0]:4711", nil},
	{"a mapped connection with a zone", "[::ffff:203.0.113.7%eth0]:4711", nil},
	{"loopback", "127.0.0.1:4711", nil},
	{"the unspecified address", "0.0.0.0:0", nil},
	{"no port", "203.0.113.7", nil},
	{"no port on IPv6", "2001:db8::7", nil},
	{"brackets without a port", "[2001:db8::7]", nil},
	{"an empty port", "203.0.113.7:", nil},
	{"a zone without a port", "fe80::1%eth0", nil},
	{"a Unix socket", "@", nil},
	{"a named Unix socket", "/run/traefik.sock", nil},
	{"nothing", "", nil},
	{"a port alone", ":4711", nil},
	{"a host name", "localhost:4711", nil},
	{"an address with leading zeros", "203.000.113.007:4711", nil},
	{"an address of three parts", "203.0.113:4711", nil},
	{"an address with a space", " 203.0.113.7:4711", nil},
	{"an address with two ports", "203.0.113.7:1:2", nil},
	{"a zone on IPv4", "203.0.113.7%eth0:4711", nil},

	{"one entry", "10.0.0.1:4711", []string{"203.0.113.7"}},
	{"two entries", "10.0.0.1:4711", []string{"203.0.113.7, 10.0.0.2"}},
	{"three entries", "10.0.0.1:4711", []string{"203.0.113.7, 198.51.100.9, 10.0.0.2"}},
	{"four entries", "10.0.0.1:4711", []string{"203.0.113.8,203.0.113.7, 198.51.100.9, 10.0.0.2"}},
	{"a forged entry in front", "10.0.0.1:4711", []string{"10.0.0.1, 203.0.113.7, 10.0.0.2"}},
	{"entries that are all excluded", "10.0.0.1:4711", []string{"10.0.0.1, 10.0.0.2, 192.168.0.1"}},
	{"the same entry again and again", "10.0.0.1:4711", []string{"203.0.113.7, 203.0.113.7, 203.0.113.7"}},
	{"IPv6 entries", "[fd00::1]:4711", []string{"2001:db8::7, fd00::1, 2001:db8:ffff::1"}},
	{"both families", "10.0.0.1:4711", []string{"2001:db8::7, 203.0.113.7, fd00::1, 10.0.0.1"}},
	{"a mapped entry", "10.0.0.1:4711", []string{"::ffff:203.0.113.7, ::ffff:10.0.0.1"}},
	{"a mapped entry in hexadecimal", "10.0.0.1:4711", []string{"::ffff:cb00:7107, ::FFFF:0a00:0001"}},
	{"an entry with a zone", "10.0.0.1:4711", []string{"203.0.113.7, fe80::1%eth0"}},
	{"an excluded entry with a zone", "10.0.0.1:4711", []string{"2001:db8::7, fd00::1%eth0"}},
	{"a mapped entry with a zone", "10.0.0.1:4711", []string{"::ffff:203.0.113.7%eth0, 10.0.0.1"}},
	{"spaces and tabs", "10.0.0.1:4711", []string{"  203.0.113.7 ,\t198.51.100.9\t,  10.0.0.2  "}},
	{"a space inside an entry", "10.0.0.1:4711", []string{"203.0.113.7, 10.0. 0.1"}},
	{"empty entries", "10.0.0.1:4711", []string{"203.0.113.7,,10.0.0.2,"}},
	{"commas only", "10.0.0.1:4711", []string{",,,"}},
	{"an empty header", "10.0.0.1:4711", []string{""}},
	{"no header", "10.0.0.1:4711", nil},
	{"spaces only", "10.0.0.1:4711", []string{"   "}},
	{"two header lines", "10.0.0.1:4711", []string{"203.0.113.7", "198.51.100.9, 10.0.0.2"}},
	{"an empty first header line", "10.0.0.1:4711", []string{"", "203.0.113.7"}},
	{"many header lines", "10.0.0.1:4711", slices.Repeat([]string{"203.0.113.7, 10.0.0.2"}, 50)},
	{"rubbish at the end", "10.0.0.1:4711", []string{"203.0.113.7, unknown"}},
	{"rubbish in front of a proxy", "10.0.0.1:4711", []string{"203.0.113.7, _hidden, 10.0.0.1"}},
	{"rubbish at the far end", "10.0.0.1:4711", []string{"unknown, 203.0.113.7, 10.0.0.2"}},
	{"a CIDR as an entry", "10.0.0.1:4711", []string{"203.0.113.0/24, 10.0.0.1"}},
	{"quotes", "10.0.0.1:4711", []string{`"203.0.113.7", 10.0.0.1`}},
	{"semicolons", "10.0.0.1:4711", []string{"203.0.113.7; 10.0.0.1"}},
	{"leading zeros in an entry", "10.0.0.1:4711", []string{"203.0.113.007, 010.0.0.1"}},
	{"a number as an entry", "10.0.0.1:4711", []string{"3405803783, 10.0.0.1"}},
	{"brackets without a port in an entry", "10.0.0.1:4711", []string{"[2001:db8::7], 10.0.0.1"}},
	{"a huge header", "10.0.0.1:4711", []string{"203.0.113.7, " + strings.Repeat("198.51.100.9, ", 1000) + "10.0.0.1"}},
	{"a huge header of proxies", "10.0.0.1:4711", []string{"203.0.113.7" + strings.Repeat(", 10.0.0.1", 1000)}},
	{"a huge entry", "10.0.0.1:4711", []string{"203.0.113.7, " + strings.Repeat("1", 1<<16)}},
	{"a forwarded Unix socket", "@", []string{"203.0.113.7, 10.0.0.1"}},
	{"a header that is not ASCII", "10.0.0.1:4711", []string{"２０３.0.113.7, 203.0.113.7\u00a0"}},
	{"a header with a NUL", "10.0.0.1:4711", []string{"203.0.113.7\x00, 10.0.0.1"}},
}

// A pair is Traefik's ipAllowList and an enforcer without grants, with the same range and strategy.
type pair struct {
	real, ours http.Handler
}

func newPair(t *testing.T, sourceRange string, strategy *dynamic.IPStrategy) pair {
	t.Helper()
	config := dynamic.IPAllowList{SourceRange: []string{sourceRange}, IPStrategy: strategy}
	reference := check.Must(ipallowlist.New(context.Background(), service, config, "reference"))(t)
	return pair{reference, mustBuild(t, sharedBuilder(t), map[string]any{
		"mode": "enforce", "store": "ipstrategy: nobody learns here", "sourceRange": []string{sourceRange}, "ipStrategy": options(strategy),
	}, "enter")}
}

// picked asks both for every range, and returns those that contain the address each of them picks.
func picked(pairs map[string]pair, remoteAddr string, forwardedFor []string) (reference, ours []string) {
	for _, sourceRange := range ranges {
		p := pairs[sourceRange]
		if status(p.real, remoteAddr, forwardedFor, nil) == http.StatusOK {
			reference = append(reference, sourceRange)
		}
		if status(p.ours, remoteAddr, forwardedFor, nil) == http.StatusOK {
			ours = append(ours, sourceRange)
		}
	}
	return reference, ours
}

func TestEnforcerPicksTheAddressThatIPAllowListPicks(t *testing.T) {
	admitted := 0
	for _, s := range strategies {
		pairs := map[string]pair{}
		for _, sourceRange := range ranges {
			pairs[sourceRange] = newPair(t, sourceRange, s.strategy)
		}
		for _, c := range clients {
			t.Run(s.name+"/"+c.name, func(t *testing.T) {
				want, got := picked(pairs, c.remoteAddr, c.forwardedFor)
				if !slices.Equal(got, want) {
					t.Errorf("got an address in %v, want one in %v", got, want)
				}
				admitted += len(got)
			})
		}
	}
	t.Logf("%d strategies, %d clients, %d ranges: both admitted %d times of %d",
		len(strategies), len(clients), len(ranges), admitted, len(strategies)*len(clients)*len(ranges))
	if admitted < 1000 {
		t.Errorf("both admitted %d times only: this compares nothing", admitted)
	}
}

// What both pick, written out, so that the comparison above does not compare two wrong ones.
func TestAddressThatIsPicked(t *testing.T) {
	excluded := &dynamic.IPStrategy{ExcludedIPs: []string{"10.0.0.0/8", "fd00::/8"}}
	for _, c := range []struct {
		name         string
		strategy     *dynamic.IPStrategy
		remoteAddr   string
		forwardedFor []string
		want         string // empty: none
	}{
		{"without a strategy the connection counts, whatever the header says", nil, "203.0.113.7:1", []string{"203.0.113.8"}, "203.0.113.7"},
		{"depth counts from the right", &dynamic.IPStrategy{Depth: 2}, "10.0.0.1:1", []string{"203.0.113.8, 203.0.113.7, 10.0.0.2"}, "203.0.113.7"},
		{"depth beyond the list is nobody", &dynamic.IPStrategy{Depth: 4}, "203.0.113.7:1", []string{"203.0.113.8, 203.0.113.7, 10.0.0.2"}, ""},
		{"depth without a header is nobody, not the connection", &dynamic.IPStrategy{Depth: 1}, "203.0.113.7:1", nil, ""},
		{"depth goes before excluded IPs", &dynamic.IPStrategy{Depth: 1, ExcludedIPs: excluded.ExcludedIPs}, "10.0.0.1:1", []string{"203.0.113.7, 10.0.0.2"}, "10.0.0.2"},
		{"excluded IPs are skipped from the right", excluded, "10.0.0.1:1", []string{"203.0.113.8, 203.0.113.7, fd00::1, 10.0.0.2"}, "203.0.113.7"},
		{"all excluded is nobody", excluded, "203.0.113.7:1", []string{"10.0.0.1, 10.0.0.2"}, ""},
		{"rubbish hides what stands left of it", excluded, "10.0.0.1:1", []string{"203.0.113.7, unknown, 10.0.0.2"}, ""},
		{"of several header lines the first counts", &dynamic.IPStrategy{Depth: 1}, "10.0.0.1:1", []string{"203.0.113.7", "203.0.113.8"}, "203.0.113.7"},
		{"a mapped address is its IPv4 address", nil, "[::ffff:203.0.113.7]:1", nil, "203.0.113.7"},
		{"a zone doesn't count", nil, "[fe80::1%eth0]:1", nil, "fe80::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, candidate := range []string{"203.0.113.7", "203.0.113.8", "10.0.0.1", "10.0.0.2", "fd00::1", "fe80::1"} {
				want := http.StatusForbidden
				if candidate == c.want {
					want = http.StatusOK
				}
				p := newPair(t, candidate, c.strategy)
				for who, handler := range map[string]http.Handler{"ipAllowList": p.real, "enforcer": p.ours} {
					if got := status(handler, c.remoteAddr, c.forwardedFor, nil); got != want {
						t.Errorf("%s with %s: got %d, want %d", who, candidate, got, want)
					}
				}
			}
		})
	}
}

// Both cut a port off the entry of X-Forwarded-For that counts. The enforcer does so for the excluded ones, too, which
// ipAllowList doesn't find: it takes a proxy that writes ports for the client.
func TestForwardedForMayHavePorts(t *testing.T) {
	excluded := &dynamic.IPStrategy{ExcludedIPs: []string{"10.0.0.0/8", "fd00::/8"}}
	for _, c := range []struct {
		name         string
		strategy     *dynamic.IPStrategy
		forwardedFor string
		ours, real   string
	}{
		{"IPv4 at a depth", &dynamic.IPStrategy{Depth: 1}, "203.0.113.7:4711", "203.0.113.7", "203.0.113.7"},
		{"IPv6 at a depth", &dynamic.IPStrategy{Depth: 2}, "[2001:db8::7]:4711, 10.0.0.1", "2001:db8::7", "2001:db8::7"},
		{"a port at a depth of a proxy's", &dynamic.IPStrategy{Depth: 1}, "203.0.113.7, 10.0.0.1:4711", "10.0.0.1", "10.0.0.1"},
		{"IPv4 not excluded", excluded, "203.0.113.7:4711, 10.0.0.1", "203.0.113.7", "203.0.113.7"},
		{"IPv4 excluded, with a port", excluded, "203.0.113.7, 10.0.0.1:4711", "203.0.113.7", "10.0.0.1"},
		{"IPv6 excluded, with a port", excluded, "203.0.113.7, [fd00::1]:4711", "203.0.113.7", "fd00::1"},
		{"ports everywhere", excluded, "198.51.100.9:1, 203.0.113.7:2, 10.0.0.1:3, [fd00::1]:4", "203.0.113.7", "fd00::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, candidate := range []string{"203.0.113.7", "2001:db8::7", "198.51.100.9", "10.0.0.1", "fd00::1"} {
				p := newPair(t, candidate, c.strategy)
				for name, picks := range map[string]struct {
					http.Handler
					addr string
				}{"ipAllowList": {p.real, c.real}, "enforcer": {p.ours, c.ours}} {
					want := http.StatusForbidden
					if candidate == picks.addr {
						want = http.StatusOK
					}
					if got := status(picks.Handler, "10.0.0.9:1", []string{c.forwardedFor}, nil); got != want {
						t.Errorf("%s with %s: got %d, want %d", name, candidate, got, want)
					}
				}
			}
		})
	}
}

// An address in 64:ff9b::/96 counts as the IPv4 address in it, and so does a prefix; ipAllowList compares both as IPv6.
func TestTranslatedAddressesAreIPv4(t *testing.T) {
	excluded := &dynamic.IPStrategy{ExcludedIPs: []string{"10.0.0.0/8"}}
	for _, c := range []struct {
		name         string
		strategy     *dynamic.IPStrategy
		block        string
		remoteAddr   string
		forwardedFor string
		ours, real   int
	}{
		{"a translated address in an IPv4 range", nil, "203.0.113.0/24", "[64:ff9b::203.0.113.7]:1", "", 200, 403},
		{"a translated address in a translated range", nil, "64:ff9b::203.0.113.0/120", "[64:ff9b::203.0.113.7]:1", "", 200, 200},
		{"a translated address outside", nil, "64:ff9b::203.0.113.0/120", "[64:ff9b::198.51.100.9]:1", "", 403, 403},
		{"an IPv4 address in a translated range", nil, "64:ff9b::203.0.113.0/120", "203.0.113.7:1", "", 200, 403},
		{"a translated address in all of IPv6", nil, "::/0", "[64:ff9b::203.0.113.7]:1", "", 403, 200},
		{"what a network translates by itself stays IPv6", nil, "64:ff9b:1::/48", "[64:ff9b:1::203.0.113.7]:1", "", 200, 200},
		{"a translated entry of X-Forwarded-For", &dynamic.IPStrategy{Depth: 1}, "203.0.113.7", "10.0.0.9:1", "64:ff9b::203.0.113.7", 200, 403},
		{"an excluded entry, translated", excluded, "203.0.113.7", "10.0.0.9:1", "203.0.113.7, 64:ff9b::10.0.0.1", 200, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, c.block, c.strategy)
			if got := status(p.ours, c.remoteAddr, []string{c.forwardedFor}, nil); got != c.ours {
				t.Errorf("enforcer: got %d, want %d", got, c.ours)
			}
			if got := status(p.real, c.remoteAddr, []string{c.forwardedFor}, nil); got != c.real {
				t.Errorf("ipAllowList: got %d, want %d", got, c.real)
			}
		})
	}
}

// The plugin's ipv6Subnet is about grants: sourceRange is compared with the whole address, where ipAllowList compares
// the first address of the subnet.
func TestIPv6SubnetIsForGrantsOnly(t *testing.T) {
	subnet := func(bits int) *dynamic.IPStrategy { return &dynamic.IPStrategy{IPv6Subnet: &bits} }
	for _, c := range []struct {
		name       string
		strategy   *dynamic.IPStrategy
		block      string
		remoteAddr string
		ours, real int
	}{
		{"an address in the range by itself", subnet(64), "2001:db8::7", "[2001:db8::7]:1", 200, 403},
		{"another one of its subnet", subnet(64), "2001:db8::7", "[2001:db8::8]:1", 403, 403},
		{"the subnet's first address in the range", subnet(64), "2001:db8::", "[2001:db8::7]:1", 403, 200},
		{"the whole subnet in the range", subnet(64), "2001:db8::/64", "[2001:db8::7]:1", 200, 200},
		{"a range longer than the subnet", subnet(48), "2001:db8:0:1::/64", "[2001:db8:0:1::7]:1", 200, 403},
		{"without the option the plugin's subnet is 64, and the range still compares all", nil, "2001:db8::7", "[2001:db8::8]:1", 403, 403},
		{"IPv4 has no subnet", subnet(1), "203.0.113.7", "203.0.113.7:1", 200, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, c.block, c.strategy)
			if got := status(p.ours, c.remoteAddr, nil, nil); got != c.ours {
				t.Errorf("enforcer: got %d, want %d", got, c.ours)
			}
			if got := status(p.real, c.remoteAddr, nil, nil); got != c.real {
				t.Errorf("ipAllowList: got %d, want %d", got, c.real)
			}
		})
	}
}

func TestGrantsFollowTheStrategy(t *testing.T) {
	for i, c := range []struct {
		name     string
		strategy *dynamic.IPStrategy
		learned  string // X-Forwarded-For, or with no strategy the connection
		asked    string
		want     int
	}{
		{"the same IPv4 address", nil, "203.0.113.7:1", "203.0.113.7:2", 200},
		{"its mapped form", nil, "203.0.113.7:1", "[::ffff:203.0.113.7]:2", 200},
		{"learned in its mapped form", nil, "[::ffff:203.0.113.7]:1", "203.0.113.7:2", 200},
		{"the next IPv4 address", nil, "203.0.113.7:1", "203.0.113.8:1", 403},
		{"the same IPv6 subnet", nil, "[2001:db8::7]:1", "[2001:db8::ffff:8]:1", 200},
		{"another IPv6 subnet", nil, "[2001:db8::7]:1", "[2001:db8:0:1::7]:1", 403},
		{"a zone", &dynamic.IPStrategy{Depth: 1}, "2001:db8::7%eth0", "2001:db8::7", 200},
		{"at a depth", &dynamic.IPStrategy{Depth: 2}, "203.0.113.7, 10.0.0.1", "198.51.100.9, 203.0.113.7, 10.0.0.2", 200},
		{"not at the depth", &dynamic.IPStrategy{Depth: 2}, "203.0.113.7, 10.0.0.1", "203.0.113.7", 403},
		{"before excluded IPs", &dynamic.IPStrategy{ExcludedIPs: []string{"10.0.0.0/8"}}, "203.0.113.7, 10.0.0.1", "203.0.113.7", 200},
		{"nobody at the depth", &dynamic.IPStrategy{Depth: 3}, "203.0.113.7", "203.0.113.7", 403},
		{"a port in the header", &dynamic.IPStrategy{Depth: 1}, "203.0.113.7:4711", "203.0.113.7:4712", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			common := map[string]any{"store": fmt.Sprintf("ipstrategy %d", i), "ipStrategy": options(c.strategy)}
			learn, enter := maps.Clone(common), maps.Clone(common)
			learn["mode"], enter["mode"] = "learn", "enforce"
			ask := func(handler http.Handler, from string, cn string) int {
				remoteAddr, forwardedFor := from, []string(nil)
				if c.strategy != nil {
					remoteAddr, forwardedFor = "10.0.0.1:1", []string{from}
				}
				if cn == "" {
					return status(handler, remoteAddr, forwardedFor, nil)
				}
				return status(handler, remoteAddr, forwardedFor, proof(t, cn))
			}
			if got := ask(mustBuild(t, sharedBuilder(t), learn, "learn"), c.learned, "phone"); got != http.StatusOK {
				t.Fatalf("learner: got %d, want %d", got, http.StatusOK)
			}
			if got := ask(mustBuild(t, sharedBuilder(t), enter, "enter"), c.asked, ""); got != c.want {
				t.Errorf("enforcer: got %d, want %d", got, c.want)
			}
		})
	}
}
