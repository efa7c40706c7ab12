package clientip

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestParsePrefix(t *testing.T) {
	for _, row := range []struct{ name, text, want string }{
		{"a CIDR", "192.168.0.0/16", "192.168.0.0/16"},
		{"an IP", "192.168.0.1", "192.168.0.1/32"},
		{"host bits are dropped", "192.168.0.1/16", "192.168.0.0/16"},
		{"an IPv6 IP", "2001:db8::7", "2001:db8::7/128"},
		{"mapped IPv6 is IPv4", "::ffff:10.1.2.3", "10.1.2.3/32"},
		{"a mapped CIDR is IPv4", "::ffff:10.1.2.3/104", "10.0.0.0/8"},
		{"a mapped CIDR that is wider than IPv4", "::ffff:10.1.2.3/95", ""},
		{"a translated IP is IPv4", "64:ff9b::10.1.2.3", "10.1.2.3/32"},
		{"a translated CIDR is IPv4", "64:ff9b::10.1.2.3/104", "10.0.0.0/8"},
		{"a half of the translated addresses is a half of IPv4", "64:ff9b::10.1.2.3/97", "0.0.0.0/1"},
		{"all translated addresses", "64:ff9b::/96", ""},
		{"more than all translated addresses", "64:ff9b::/64", ""},
		{"a network's own translated addresses", "64:ff9b:1::/48", "64:ff9b:1::/48"},
		{"all of IPv6", "::/0", "::/0"},
		{"everything", "0.0.0.0/0", "0.0.0.0/0"},
		{"too long", "10.0.0.0/33", ""},
		{"a name", "home.lan", ""},
		{"nothing", "", ""},
		{"a range", "10.0.0.1-10.0.0.9", ""},
	} {
		got := ""
		prefix, err := ParsePrefix(row.text)
		if err == nil {
			got = prefix.String()
		}
		if got != row.want {
			t.Errorf("%s: got %q, want %q", row.name, got, row.want)
		}
	}
}

func TestPrefixSetContains(t *testing.T) {
	set := prefixes(t, "192.168.0.0/16", "10.1.0.0/16", "203.0.113.7", "2001:db8::/32", "2001:db9::7", "::ffff:198.51.100.0/120")
	for _, row := range []struct {
		addr string
		want bool
	}{
		{"192.168.255.255", true},
		{"192.169.0.0", false},
		{"10.1.2.3", true},
		{"10.2.0.0", false},
		{"203.0.113.7", true},
		{"203.0.113.8", false},
		{"198.51.100.9", true},
		{"2001:db8:ffff::1", true},
		{"2001:db9::7", true},
		{"2001:db9::8", false},
	} {
		if got := set.Contains(netip.MustParseAddr(row.addr)); got != row.want {
			t.Errorf("%s: got %v, want %v", row.addr, got, row.want)
		}
	}
	if NewSet(nil).Contains(netip.MustParseAddr("203.0.113.7")) {
		t.Errorf("the empty set contains an address")
	}
	if prefixes(t, "::/0").Contains(netip.MustParseAddr("203.0.113.7")) {
		t.Errorf("all of IPv6 contains an IPv4 address")
	}
}

func TestALookUpTriesEachLengthOnce(t *testing.T) {
	set := prefixes(t, "192.168.0.0/16", "10.1.0.0/16", "203.0.113.7", "198.51.100.7", "2001:db8::/32", "2001:db9::/32", "2001:db8::/48")
	if got := fmt.Sprint(set.bits4, set.bits6); got != "[16 32] [32 48]" {
		t.Errorf("got %s, want [16 32] [32 48]", got)
	}
}
