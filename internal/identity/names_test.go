package identity

import (
	"crypto/x509"
	"math/big"
	"net/url"
	"strings"
	"testing"
)

func TestNamesThatNobodyHas(t *testing.T) {
	sum := ByFingerprint + someSum
	for _, row := range []struct {
		name  string
		names []string
		want  string // empty: they are good
	}{
		{"a phone", []string{"cn:phone", sum}, ""},
		{"every kind", []string{"uri:a", "cn:a", "dns:a", "email:a", sum}, ""},
		{"a user", []string{"header:alice"}, ""},
		{"anybody", []string{"anonymous:request"}, ""},
		{"anybody, with a comma", []string{"anonymous:a,b"}, ""},
		{"no more than a fingerprint", []string{sum}, ""},
		{"colons in the value", []string{"cn::"}, ""},
		{"none", nil, "names: want at least one"},
		{"no kind", []string{"phone"}, `names: invalid value "phone": want kind:value with one of the kinds cn, dns, email, uri, sha256, header`},
		{"an unknown kind", []string{"cn:a", "user:a"}, `names: invalid value "user:a": want kind:value`},
		{"an empty kind", []string{":a"}, `names: invalid value ":a": want kind:value`},
		{"an empty name", []string{""}, `names: invalid value "": want kind:value`},
		{"an empty name behind another", []string{"cn:a", ""}, `names: invalid value "": want kind:value`},
		{"a name without a kind behind a comma", []string{"cn:a,b", "b,cn:a"}, `names: invalid value "b,cn:a": want kind:value`},
		{"a comma and a line's end in a name", []string{"cn:a,b\n", "dns:\n,cn:a", sum}, ""},
		{"an empty value behind a comma", []string{"cn:a,b", "dns:"}, `names: invalid value "dns:": want kind:value`},
		{"an empty value", []string{"cn:"}, `names: invalid value "cn:": want kind:value`},
		{"a short fingerprint", []string{"cn:a", "sha256:abc"}, `names: invalid value "sha256:abc": want 64 of the digits 0123456789abcdef after "sha256:", and nothing after them`},
		{"a fingerprint of other letters", []string{"sha256:" + strings.Repeat("g", 64)}, `want 64 of the digits`},
		{"an empty fingerprint", []string{"cn:a", "sha256:"}, `names: invalid value "sha256:": want kind:value`},
		{"a fingerprint in capitals", []string{strings.ToUpper(someSum)}, `names: invalid value "`},
		{"a fingerprint that isn't the last", []string{sum, "cn:a"}, `want 64 of the digits`},
		{"as much as there is room for", []string{"cn:a", "dns:" + strings.Repeat("a", 3821), "cn:a"}, ""},
		{"one byte more", []string{"cn:a", "dns:" + strings.Repeat("a", 3822), "cn:a"}, "names: want 3840 bytes at most, not 3841"},
		{"what isn't UTF-8 as it may be written later", []string{"cn:" + strings.Repeat("\xff", 210)}, ""},
		{"one byte more of that", []string{"cn:" + strings.Repeat("\xff", 211)}, "names: want 3840 bytes at most, not 3853"},
	} {
		err := CheckNames(row.names)
		if (err == nil) != (row.want == "") || err != nil && !strings.HasPrefix(err.Error(), row.want) && !strings.Contains(err.Error(), ": "+row.want) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
	}
}

func TestSerials(t *testing.T) {
	for _, row := range []struct {
		name, text string
		ok         bool
	}{
		{"none", "", true},
		{"one", "c0ffee", true},
		{"the longest", strings.Repeat("f", 128), true},
		{"a longer one", strings.Repeat("f", 129), false},
		{"other letters", "coffee", false},
	} {
		if err := CheckSerial(row.text); (err == nil) != row.ok || err != nil && err.Error() != "serial: want 128 of the digits 0123456789abcdef at most" {
			t.Errorf("%s: got %v", row.name, err)
		}
	}
}

func TestWhatIsKeptOfAnIdentity(t *testing.T) {
	long := func(kind string, n int) string { return kind + ":" + strings.Repeat("x", n) }
	sum := ByFingerprint + someSum // takes 74 bytes with its comma
	for _, row := range []struct {
		name        string
		names, want []string // no want: it can't be kept
	}{
		{"a phone", []string{"cn:phone", sum}, []string{"cn:phone", sum}},
		{"no more than a fingerprint", []string{sum}, []string{sum}},
		{"a user", []string{"header:alice"}, []string{"header:alice"}},
		{"all that fits", []string{"cn:a", long("dns", 3754), sum}, []string{"cn:a", long("dns", 3754), sum}},
		{"a name too long", []string{"cn:a", long("dns", 3755), sum}, []string{"cn:a", sum}},
		{"a name too long before others", []string{"cn:a", "dns:b", long("dns", 3755), "email:c", sum}, []string{"cn:a", "dns:b", "email:c", sum}},
		{"the first of names that are too long together", []string{"cn:a", long("dns", 2000), long("email", 2000), "dns:b", sum}, []string{"cn:a", long("dns", 2000), "dns:b", sum}},
		{"as long as a canonical name may be", []string{long("cn", 1880), sum}, []string{long("cn", 1880), sum}},
		{"others beside a canonical name that long", []string{long("cn", 1880), "dns:a", sum}, []string{long("cn", 1880), sum}},
		{"a canonical name too long", []string{long("cn", 1881), sum}, nil},
		{"a user as long as may be", []string{long("header", 1912)}, []string{long("header", 1912)}},
		{"a user too long", []string{long("header", 1913)}, nil},
		{"a user that isn't UTF-8, as long as may be", []string{"header:" + strings.Repeat("\xff", 206)}, []string{"header:" + strings.Repeat("\xff", 206)}},
		{"a user that isn't UTF-8, too long", []string{"header:" + strings.Repeat("\xff", 207)}, nil},
	} {
		before := strings.Join(row.names, " ")
		id, err := Identity{Names: row.names, Serial: "c0ffee", Issued: 7}.Kept()
		if strings.Join(id.Names, " ") != strings.Join(row.want, " ") || (err == nil) != (row.want != nil) {
			t.Errorf("%s: got %.300q and %v, want %.300q", row.name, id.Names, err, row.want)
		}
		if err == nil && (id.Serial != "c0ffee" || id.Issued != 7 || CheckNames(id.Names) != nil) {
			t.Errorf("%s: got %.300v, %v", row.name, id, CheckNames(id.Names))
		}
		if strings.Join(row.names, " ") != before {
			t.Errorf("%s: the identity itself lacks names now", row.name)
		}
	}
}

func TestEmptyNamesAndImpossibleSerialsAreLeftOut(t *testing.T) {
	for _, row := range []struct {
		name   string
		serial *big.Int
		want   string
	}{
		{"a serial", big.NewInt(0xc0ffee), "c0ffee"},
		{"none", nil, ""},
		{"zero", big.NewInt(0), "0"},
		{"a negative one", big.NewInt(-1), ""},
		{"the largest", new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 4*MaxSerial), big.NewInt(1)), strings.Repeat("f", MaxSerial)},
		{"a larger one", new(big.Int).Lsh(big.NewInt(1), 4*MaxSerial), ""},
	} {
		id := FromCertificate(&x509.Certificate{SerialNumber: row.serial, URIs: []*url.URL{{}}, DNSNames: []string{"", "a"}, EmailAddresses: []string{""}})
		if id.Serial != row.want || len(id.Names) != 2 || id.Name() != "dns:a" || CheckNames(id.Names) != nil {
			t.Errorf("%s: got %q of %q, want %q of dns:a", row.name, id.Serial, id.Names, row.want)
		}
	}
}
