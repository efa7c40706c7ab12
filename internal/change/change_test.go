package change

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
)

// someSum is a fingerprint.
const someSum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var rows = []struct {
	name, line string
	ok         bool
}{
	{"a grant", "203.0.113.7/32 cn:phone -" + someSum + " 5 9 g 1 4 0c0ffee cn:phone", true},
	{"a revocation of an IPv6 subnet", "2001:db8::/64 cn:phone - 5 9 r 1 4 0 cn:phone", true},
	{"an eviction", "203.0.113.7/32 header:alice - 5 9 e 1 4 0 header:alice", true},
	{"nothing", "", false},
	{"a word too few", "203.0.113.7/32 cn:a - 5 9 g 1 4 0", false},
	{"a word too many", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a x", false},
	{"two spaces", "203.0.113.7/32  cn:a 5 9 g 1 0 cn:a", false},
	{"an unknown kind", "203.0.113.7/32 cn:a - 5 9 x 1 4 0 cn:a", false},
	{"a kind of two letters", "203.0.113.7/32 cn:a - 5 9 gr 1 4 0 cn:a", false},
	{"no kind", "203.0.113.7/32 cn:a - 5 9  1 4 0 cn:a", false},
	{"an address without its length", "203.0.113.7 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"an IPv4 network", "203.0.113.0/24 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"all of IPv4", "0.0.0.0/0 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"all of IPv6", "::/0 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"an address of nobody", "0.0.0.0/32 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"an address of many", "224.0.0.1/32 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"a mapped address", "::ffff:203.0.113.7/128 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"a translated address", "64:ff9b::cb00:7107/128 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"all translated addresses", "64:ff9b::/64 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"an address with a zone", "fe80::1%eth0/128 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"bits beyond the prefix", "2001:db8::1/64 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"a longer spelling of an address", "2001:db8:0::/64 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"another spelling of an address", "2001:DB8::/64 cn:a - 5 9 g 1 4 0 cn:a", false},
	{"a name for an address", "localhost cn:a - 5 9 g 1 4 0 cn:a", false},
	{"a stamp before 1970", "203.0.113.7/32 cn:a - -5 9 g 1 4 0 cn:a", false},
	{"a stamp in words", "203.0.113.7/32 cn:a - now 9 g 1 4 0 cn:a", false},
	{"a stamp beyond measure", "203.0.113.7/32 cn:a - 100000000000001 9 g 1 4 0 cn:a", false},
	{"all times as late as may be", "203.0.113.7/32 cn:a - 100000000000000 100000000000000 g 100000000000000 100000000000000 0 cn:a", true},
	{"learned beyond measure", "203.0.113.7/32 cn:a - 5 9 g 100000000000001 4 0 cn:a", false},
	{"proved beyond measure", "203.0.113.7/32 cn:a - 5 9 g 1 100000000000001 0 cn:a", false},
	{"times of all digits", "203.0.113.7/32 cn:a - 1234567890 2345678901 g 3456789012 4567890123 0 cn:a", true},
	{"a stamp that overflows", "203.0.113.7/32 cn:a - 99999999999999999999 9 g 1 4 0 cn:a", false},
	{"another spelling of a stamp", "203.0.113.7/32 cn:a - +5 9 g 1 4 0 cn:a", false},
	{"an end beyond measure", "203.0.113.7/32 cn:a - 5 100000000000001 g 1 4 0 cn:a", false},
	{"an end before 1970", "203.0.113.7/32 cn:a - 5 -9 g 1 4 0 cn:a", false},
	{"learned before 1970", "203.0.113.7/32 cn:a - 5 9 g -1 4 0 cn:a", false},
	{"no serial", "203.0.113.7/32 cn:a - 5 9 g 1 4 c0ffee cn:a", false},
	{"a serial cut short", "203.0.113.7/32 cn:a - 5 9 g 1 4 0% cn:a", false},
	{"no names", "203.0.113.7/32  5 9 g 1 0 ", false},
	{"a name without a kind", "203.0.113.7/32 phone - 5 9 g 1 4 0 phone", false},
	{"a second name without a kind", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,phone", false},
	{"a hole in the names", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,,cn:b", false},
	{"a name cut short", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,cn%3", false},
	{"a value cut short", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,cn:b%3", false},
	{"about another than it names", "203.0.113.7/32 cn:b - 5 9 g 1 4 0 cn:a", false},
	{"another spelling of the name", "203.0.113.7/32 cn%3Aa - 5 9 g 1 4 0 cn:a", false},
	{"all kinds of names", "203.0.113.7/32 uri:a -" + someSum + " 5 9 g 1 4 0 uri:a,cn:a,dns:a,email:a", true},
	{"requests of anybody", "203.0.113.7/32 anonymous:request - 5 9 g 1 4 0 anonymous:request", true},
	{"no more than a fingerprint", "203.0.113.7/32 sha256:" + someSum + " - 5 9 g 1 4 0 sha256:" + someSum, true},
	{"a name of an unknown kind", "203.0.113.7/32 user:a - 5 9 g 1 4 0 user:a", false},
	{"a name of no kind", "203.0.113.7/32 :a - 5 9 g 1 4 0 :a", false},
	{"a name of a kind in capitals", "203.0.113.7/32 CN:a - 5 9 g 1 4 0 CN:a", false},
	{"a name without a value", "203.0.113.7/32 cn: - 5 9 g 1 4 0 cn:", false},
	{"a second name without a value", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,dns:", false},
	{"a short fingerprint", "203.0.113.7/32 cn:a -abc 5 9 g 1 4 0 cn:a", false},
	{"a fingerprint that lacks a digit", "203.0.113.7/32 cn:a -" + someSum[1:] + " 5 9 g 1 4 0 cn:a", false},
	{"a fingerprint that has one more", "203.0.113.7/32 cn:a -0" + someSum + " 5 9 g 1 4 0 cn:a", false},
	{"a fingerprint in capitals", "203.0.113.7/32 cn:a -" + strings.ToUpper(someSum) + " 5 9 g 1 4 0 cn:a", false},
	{"a fingerprint with a star", "203.0.113.7/32 cn:a -" + someSum[1:] + "%2A 5 9 g 1 4 0 cn:a", false},
	{"a fingerprint before other names", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,sha256:" + someSum + ",dns:a", false},
	{"two fingerprints", "203.0.113.7/32 sha256:" + someSum + " - 5 9 g 1 4 0 sha256:" + someSum + ",sha256:" + someSum, false},
	{"a serial that is none", "203.0.113.7/32 cn:a - 5 9 g 1 4 0c0ffee%21 cn:a", false},
	{"a negative serial", "203.0.113.7/32 cn:a - 5 9 g 1 4 0-1 cn:a", false},
	{"a serial in capitals", "203.0.113.7/32 cn:a - 5 9 g 1 4 0C0FFEE cn:a", false},
	{"a serial as long as may be", "203.0.113.7/32 cn:a - 5 9 g 1 4 0" + strings.Repeat("f", identity.MaxSerial) + " cn:a", true},
	{"a longer serial", "203.0.113.7/32 cn:a - 5 9 g 1 4 0" + strings.Repeat("f", identity.MaxSerial+1) + " cn:a", false},
	{"names as long as may be", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,cn:" + strings.Repeat("b", identity.MaxNames-len("cn:acn:a,cn:,")), true},
	{"longer names", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,cn:" + strings.Repeat("b", identity.MaxNames+1-len("cn:acn:a,cn:,")), false},
	{"names that are longer as we write them", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,cn:" + strings.Repeat("é", identity.MaxNames/6), false},
	{"as many names as may be", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a" + strings.Repeat(",cn:a", (identity.MaxNames-len("cn:a"))/len("cn:a,")-1), true},
	{"more names than may be", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a" + strings.Repeat(",cn:a", (identity.MaxNames-len("cn:a"))/len("cn:a,")), false},
	{"4 KiB", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,cn:b" + strings.Repeat("%62", (identity.MaxEntry-43)/3), true},
	{"more than 4 KiB, of which less was needed", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,cn:bb" + strings.Repeat("%62", (identity.MaxEntry-43)/3), false},
	{"8 MiB", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,cn:" + strings.Repeat("b", 8<<20), false},
	{"no fingerprint, though it names one", "203.0.113.7/32 cn:a - 5 9 g 1 4 0 cn:a,sha256:" + someSum, false},
	{"a fingerprint twice", "203.0.113.7/32 cn:a -" + someSum + " 5 9 g 1 4 0 cn:a,sha256:" + someSum, false},
	{"a fingerprint in another spelling", "203.0.113.7/32 cn:a -%30" + someSum[1:] + " 5 9 g 1 4 0 cn:a", false},
	{"proved before 1970", "203.0.113.7/32 cn:a - 5 9 g 1 -4 0 cn:a", false},
	{"not said when proved", "203.0.113.7/32 cn:a - 5 9 g 1 0 cn:a", false},
}

func TestParse(t *testing.T) {
	for _, row := range rows {
		e, err := Parse(row.line)
		if (err == nil) != row.ok {
			t.Errorf("%s: got %v", row.name, err)
		}
		if err == nil && e.Line() != strings.ReplaceAll(row.line, "%62", "b") {
			t.Errorf("%s: got %q, want %q", row.name, e.Line(), row.line)
		}
	}
}

func TestLinesKeepEveryName(t *testing.T) {
	for _, names := range [][]string{
		{"cn:phone"},
		{"sha256:" + someSum},
		{"cn:phone", "sha256:" + someSum},
		{"uri:spiffe://home/phone?x=1&y=2#z", "cn:phone", "dns:phone.lan", "email:a+b@c.d", "sha256:" + strings.Repeat("ab", 32)},
		{"cn:a phone, with % and + and \"quotes\""},
		{"cn:line\nfeed\r\nand\ttab\x00"},
		{"cn:Zoë 电话 📱", "cn:\xff\xfe no UTF-8"},
		{"cn:,", "dns:,", "email: "},
		{"header:" + strings.Repeat("x y,", 200)},
	} {
		for _, serial := range []string{"", "c0ffee", "0"} {
			want := Change{Kind: Granted, IP: netip.MustParsePrefix("2001:db8::/64"), Identity: identity.Identity{Names: names, Serial: serial}, Learned: 1, Stamp: 2, Proved: 2, Expires: MaxStamp}
			got, err := Parse(want.Line())
			if got.Member() != want.Member() {
				t.Errorf("got the member %q, want %q", got.Member(), want.Member())
			}
			got.member = ""
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v and %v, want %+v", got, err, want)
			}
			if strings.Contains(want.Line(), "\n") {
				t.Errorf("%q is more than a line", want.Line())
			}
		}
	}
}

func TestAShiftedChangeHasAllItsTimesLater(t *testing.T) {
	c := Change{Kind: Granted, Learned: 1, Stamp: 20, Proved: 300, Expires: 4000}
	if got, want := c.Shifted(5), (Change{Kind: Granted, Learned: 6, Stamp: 25, Proved: 305, Expires: 4005}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOfTwoChangesOneHolds(t *testing.T) {
	for _, row := range []struct {
		name        string
		first       Change
		second      Change
		outweighs   bool
		isOutweighs bool
	}{
		{"the later proof", Change{Kind: 'g', Stamp: 2}, Change{Kind: 'g', Stamp: 1}, true, false},
		{"the same twice", Change{Kind: 'g', Stamp: 1}, Change{Kind: 'g', Stamp: 1}, false, false},
		{"of a proof and a revocation at once the revocation", Change{Kind: 'r', Stamp: 1}, Change{Kind: 'g', Stamp: 1}, true, false},
		{"of a proof and an eviction at once the eviction", Change{Kind: 'e', Stamp: 1}, Change{Kind: 'g', Stamp: 1}, true, false},
		{"a proof after a revocation", Change{Kind: 'g', Stamp: 2}, Change{Kind: 'r', Stamp: 1}, true, false},
		{"two revocations at once", Change{Kind: 'r', Stamp: 1}, Change{Kind: 'r', Stamp: 1}, false, false},
	} {
		if row.first.Outweighs(row.second.Stamp, row.second.Kind) != row.outweighs || row.second.Outweighs(row.first.Stamp, row.first.Kind) != row.isOutweighs {
			t.Errorf("%s: got %v and %v", row.name, row.first.Outweighs(row.second.Stamp, row.second.Kind), row.second.Outweighs(row.first.Stamp, row.first.Kind))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, row := range rows {
		f.Add(row.line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(c.Line())
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%q became %+v, and that %+v and %v", text, c, again, err)
		}
		if len(text) > identity.MaxEntry || len(c.Line()) > identity.MaxEntry {
			t.Errorf("%q is taken, and would be written as %q", text, c.Line())
		}
		if len(c.Identity.Names) == 0 || !c.IP.IsValid() || c.IP.Addr().Is4() && !c.IP.IsSingleIP() || c.Stamp < 0 || c.Expires < 0 {
			t.Errorf("%q became %+v", text, c)
		}
	})
}

func TestPortions(t *testing.T) {
	for _, row := range []struct {
		n    int
		want string
	}{
		{0, ""},
		{1, "0-1 "},
		{PortionSize, "0-50 "},
		{PortionSize + 1, "0-50 50-51 "},
		{3*PortionSize - 1, "0-50 50-100 100-149 "},
	} {
		got := ""
		Portions(row.n, func(first, last int) { got += fmt.Sprintf("%d-%d ", first, last) })
		if got != row.want {
			t.Errorf("%d: got %q, want %q", row.n, got, row.want)
		}
	}
}

func TestSort(t *testing.T) {
	stamps := func(changes []Change) string {
		text := ""
		for _, c := range changes {
			text += fmt.Sprint(" ", c.Stamp, c.Identity.Serial)
		}
		return text
	}
	changes := []Change{}
	for i, stamp := range []int64{7, MaxStamp, 10, 9, 7, 0, MaxStamp - 1, 7, 7, 7, 7, 7, 7} {
		changes = append(changes, Change{Stamp: stamp, Identity: identity.Identity{Serial: string(rune('a' + i))}})
	}
	SortOldestFirst(changes)
	if got, want := stamps(changes), " 0f 7a 7e 7h 7i 7j 7k 7l 7m 9d 10c 99999999999999g 100000000000000b"; got != want {
		t.Errorf("oldest first, got%s, want%s", got, want)
	}
	SortLatestFirst(changes)
	if got, want := stamps(changes), " 100000000000000b 99999999999999g 10c 9d 7m 7l 7k 7j 7i 7h 7e 7a 0f"; got != want {
		t.Errorf("latest first, got%s, want%s", got, want)
	}
	SortOldestFirst(nil)
	SortLatestFirst(nil)
}

func TestDecimal(t *testing.T) {
	if got := Decimal(-1234567890); got != "-1234567890" {
		t.Errorf("got %q, want -1234567890", got)
	}
}
