package clientip

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(t testing.TB, texts ...string) *Set {
	t.Helper()
	parsed := []netip.Prefix{}
	for _, text := range texts {
		prefix, err := ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, prefix)
	}
	return NewSet(parsed)
}

var remoteAddresses = []struct{ name, remoteAddr, want string }{
	{"IPv4", "203.0.113.7:4711", "203.0.113.7"},
	{"IPv6", "[2001:db8::7]:4711", "2001:db8::7"},
	{"IPv4-mapped IPv6 is IPv4", "[::ffff:203.0.113.7]:4711", "203.0.113.7"},
	{"zones don't matter", "[fe80::1%eth0]:4711", "fe80::1"},
	{"a translated address is the IPv4 address in it", "[64:ff9b::203.0.113.7]:4711", "203.0.113.7"},
	{"a translated address in hexadecimal", "[64:FF9B:0::cb00:7107]:4711", "203.0.113.7"},
	{"a translated address with a zone", "[64:ff9b::203.0.113.7%eth0]:4711", "203.0.113.7"},
	{"a translated address without a port", "64:ff9b::203.0.113.7", "203.0.113.7"},
	{"the first beyond the translated ones is IPv6", "[64:ff9b::1:0:0]:4711", "64:ff9b::1:0:0"},
	{"one translated by a prefix of a network's own is IPv6", "[64:ff9b:1::203.0.113.7]:4711", "64:ff9b:1::cb00:7107"},
	{"without a port", "203.0.113.7", "203.0.113.7"},
	{"a Unix socket", "@", ""},
	{"nothing", "", ""},
	{"a name", "phone.lan:4711", ""},
	{"leading zeros", "203.0.113.007:4711", ""},
	{"a number", "3405803783:4711", ""},
}

func TestRemoteAddress(t *testing.T) {
	for _, row := range remoteAddresses {
		checkAddress(t, row.name, NewReader(0, prefixes(t)), &http.Request{RemoteAddr: row.remoteAddr}, row.want)
	}
}

var forwardedAddresses = []struct {
	name     string
	header   string
	depth    int
	excluded string
	want     string
}{
	{"depth 1 is the rightmost", "198.51.100.1, 203.0.113.7", 1, "", "203.0.113.7"},
	{"depth 2 is the one before", "198.51.100.1, 203.0.113.7", 2, "", "198.51.100.1"},
	{"a depth beyond the list fails closed", "203.0.113.7", 2, "", ""},
	{"no header fails closed", "", 1, "", ""},
	{"an entry that is no address fails closed", "203.0.113.7, unknown", 1, "", ""},
	{"an entry may have a port", "203.0.113.7:4711", 1, "", "203.0.113.7"},
	{"an IPv6 entry too", "[2001:db8::7]:4711", 1, "", "2001:db8::7"},
	{"an excluded entry with a port is passed over", "203.0.113.7, 10.0.0.1:4711", 0, "10.0.0.0/8", "203.0.113.7"},
	{"an excluded IPv6 entry with a port, too", "203.0.113.7, [2001:db8::1]:4711", 0, "2001:db8::/32", "203.0.113.7"},
	{"what is left of them may have a port", "203.0.113.7:1, 10.0.0.1:4711, 10.0.0.2", 0, "10.0.0.0/8", "203.0.113.7"},
	{"a port on its own hides what stands left of it", "203.0.113.7, :4711, 10.0.0.2", 0, "10.0.0.0/8", ""},
	{"white space doesn't matter", " 203.0.113.7\t", 1, "", "203.0.113.7"},
	{"a mapped entry is IPv4", "::ffff:203.0.113.7", 1, "", "203.0.113.7"},
	{"a translated entry is IPv4", "64:ff9b::203.0.113.7", 1, "", "203.0.113.7"},
	{"a translated entry is excluded as IPv4", "203.0.113.7, 64:ff9b::10.0.0.1", 0, "10.0.0.0/8", "203.0.113.7"},
	{"an entry is excluded by its translated form", "203.0.113.7, 10.0.0.1", 0, "64:ff9b::10.0.0.0/104", "203.0.113.7"},
	{"a zone in an entry doesn't matter", "fe80::1%eth0", 1, "", "fe80::1"},
	{"excluded entries are passed over from the right", "203.0.113.7, 10.0.0.1, 10.0.0.2", 0, "10.0.0.0/8", "203.0.113.7"},
	{"what stands left of the first other entry doesn't count", "1.2.3.4, 203.0.113.7, 10.0.0.1", 0, "10.0.0.0/8", "203.0.113.7"},
	{"the rightmost entry counts if it isn't excluded", "1.2.3.4, 203.0.113.7", 0, "10.0.0.0/8", "203.0.113.7"},
	{"nothing but excluded entries fails closed", "10.0.0.1, 10.0.0.2", 0, "10.0.0.0/8", ""},
	{"empty entries are passed over", "203.0.113.7,, ,10.0.0.1", 0, "10.0.0.0/8", "203.0.113.7"},
	{"an unreadable entry hides what stands left of it", "203.0.113.7, unknown, 10.0.0.1", 0, "10.0.0.0/8", ""},
	{"a mapped entry is excluded as IPv4", "203.0.113.7, ::ffff:10.0.0.1", 0, "10.0.0.0/8", "203.0.113.7"},
	{"IPv6 is excluded too", "203.0.113.7, 2001:db8::1", 0, "2001:db8::/32", "203.0.113.7"},
	{"depth goes before excludedIPs", "198.51.100.1, 10.0.0.1", 1, "10.0.0.0/8", "10.0.0.1"},
}

func TestForwardedAddress(t *testing.T) {
	for _, row := range forwardedAddresses {
		excluded := prefixes(t)
		if row.excluded != "" {
			excluded = prefixes(t, row.excluded)
		}
		req := &http.Request{RemoteAddr: "192.0.2.1:4711", Header: http.Header{"X-Forwarded-For": {row.header}}}
		checkAddress(t, row.name, NewReader(row.depth, excluded), req, row.want)
	}
}

func checkAddress(t *testing.T, name string, read Reader, req *http.Request, want string) {
	t.Helper()
	got := ""
	addr, err := read(req)
	if err == nil {
		got = addr.String()
	}
	if got != want {
		t.Errorf("%s: got %q, want %q", name, got, want)
	}
}

func TestClientPrefix(t *testing.T) {
	for _, row := range []struct {
		name, addr string
		ipv6Subnet int
		want       string
	}{
		{"IPv4 stands for itself", "203.0.113.7", 64, "203.0.113.7/32"},
		{"IPv4 has no use for ipv6Subnet", "203.0.113.7", 8, "203.0.113.7/32"},
		{"IPv6 stands with its subnet", "2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::/64"},
		{"the subnet can be wide", "2001:db8:1:2:3:4:5:6", 48, "2001:db8:1::/48"},
		{"or the address alone", "2001:db8::7", 128, "2001:db8::7/128"},
	} {
		if got := Prefix(netip.MustParseAddr(row.addr), row.ipv6Subnet).String(); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
	if got := Prefix(netip.Addr{}, 64); got.IsValid() {
		t.Errorf("no address: got %s, want no prefix", got)
	}
}

func TestPublicAddresses(t *testing.T) {
	for _, row := range []struct {
		public bool
		addrs  string
	}{
		{true, "203.0.113.7 1.1.1.1 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 169.253.1.1 2001:db8::7 2a00::1 64:ff9b:2::1 64:ff9b:0:ffff::1 64:ff9a:1::1"},
		{false, "127.0.0.1 127.255.0.1 ::1 10.1.2.3 172.16.0.1 172.31.255.255 192.168.0.1 fd00::1 fc00::1"},
		{false, "169.254.1.1 fe80::1 100.64.0.0 100.127.255.255 0.0.0.0 :: 224.0.0.1 ff02::1 255.255.255.255"},
		{false, "64:ff9b:1:: 64:ff9b:1::cb00:7107 64:ff9b:1:ffff:ffff:ffff:ffff:ffff"},
	} {
		for _, addr := range strings.Fields(row.addrs) {
			if got := IsPublic(netip.MustParseAddr(addr)); got != row.public {
				t.Errorf("%s: got %v, want %v", addr, got, row.public)
			}
		}
	}
}

func FuzzRemoteAddress(f *testing.F) {
	for _, row := range remoteAddresses {
		f.Add(row.remoteAddr)
	}
	read := NewReader(0, &Set{})
	f.Fuzz(func(t *testing.T, remoteAddr string) {
		addr, err := read(&http.Request{RemoteAddr: remoteAddr})
		checkCanonical(t, addr, err)
	})
}

func FuzzForwardedAddress(f *testing.F) {
	for _, row := range forwardedAddresses {
		f.Add(row.header, row.depth)
	}
	excluded := prefixes(f, "10.0.0.0/8", "2001:db8::/32")
	f.Fuzz(func(t *testing.T, header string, depth int) {
		req := &http.Request{Header: http.Header{"X-Forwarded-For": {header}}}
		addr, err := NewReader(1+depth&7, excluded)(req)
		checkCanonical(t, addr, err)
		addr, err = NewReader(0, excluded)(req)
		checkCanonical(t, addr, err)
		if err == nil && excluded.Contains(addr) {
			t.Errorf("got %s, which is excluded", addr)
		}
	})
}

// checkCanonical holds for whatever clients send: an address is canonical, or there is none at all.
func checkCanonical(t *testing.T, addr netip.Addr, err error) {
	t.Helper()
	if (err == nil) != addr.IsValid() || addr != Canonical(addr) || addr.Zone() != "" {
		t.Errorf("got %s (valid: %v) with error %v", addr, addr.IsValid(), err)
	}
	if err == nil && !Prefix(addr, 64).Contains(addr) {
		t.Errorf("%s is not in its own prefix", addr)
	}
}

func TestIsUnicast(t *testing.T) {
	for text, want := range map[string]bool{
		"203.0.113.7": true, "127.0.0.1": true, "169.254.1.1": true, "255.255.255.255": true, "::1": true, "fe80::1": true, "2001:db8::1": true,
		"0.0.0.0": false, "::": false, "224.0.0.1": false, "ff02::1": false, "ff05::1": false,
	} {
		if got := IsUnicast(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %t", text, got)
		}
	}
	if IsUnicast(netip.Addr{}) {
		t.Error("no address counts as one")
	}
}
