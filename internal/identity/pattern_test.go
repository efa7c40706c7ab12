package identity

import (
	"strings"
	"testing"
)

const someSum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var patternRows = []struct{ name, pattern, matches, others string }{
	{"a CN", "cn:phone", "cn:phone", "cn:phone2 dns:phone cn:Phone cn:"},
	{"the start of a CN", "cn:phone*", "cn:phone cn:phone2", "cn:my-phone dns:phone2"},
	{"the end of a DNS name", "dns:*.lan", "dns:a.lan dns:.lan", "dns:lan dns:a.lan.org cn:a.lan"},
	{"any URI", "uri:*", "uri:spiffe://home/a", "cn:uri: dns:a"},
	{"a SPIFFE path", "uri:spiffe://home/*", "uri:spiffe://home/phone", "uri:spiffe://home uri:spiffe://homes/phone"},
	{"an e-mail address", "email:a@b.c", "email:a@b.c", "email:aa@b.c cn:a@b.c"},
	{"DNS names have no case", "dns:Phone.LAN", "dns:phone.lan", "dns:phone"},
	{"a fingerprint", "sha256:" + someSum, "sha256:" + someSum, "cn:" + someSum},
	{"a fingerprint as openssl prints it", "sha256:01:23:45:67:89:AB:CD:EF:" + strings.Repeat("01:23:45:67:89:AB:CD:EF:", 2) + "01:23:45:67:89:AB:CD:EF", "sha256:" + someSum, "sha256:0123"},
	{"the start of a fingerprint", "sha256:012*", "sha256:" + someSum, "sha256:1" + someSum[1:]},
	{"nearly all of a fingerprint", "sha256:" + someSum[:62] + "*", "sha256:" + someSum, "sha256:1" + someSum[1:]},
	{"kind and end don't overlap", "cn:*n:x", "cn:n:x cn:an:x", "cn:x"},
	{"a value with a colon", "cn:a:b", "cn:a:b", "cn:a"},
}

func TestPatternMatches(t *testing.T) {
	for _, row := range patternRows {
		p, err := ParsePattern(row.pattern)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		for _, name := range strings.Fields(row.matches) {
			if !p.match(name) {
				t.Errorf("%s: %s doesn't match %s", row.name, row.pattern, name)
			}
		}
		for _, name := range strings.Fields(row.others) {
			if p.match(name) {
				t.Errorf("%s: %s matches %s", row.name, row.pattern, name)
			}
		}
	}
}

func TestPatternFaults(t *testing.T) {
	for _, row := range []struct{ name, pattern, want string }{
		{"no kind", "phone", "want kind:value"},
		{"an unknown kind", "ou:phone", "cn, dns, email, uri, sha256"},
		{"kinds have a case", "CN:phone", "want kind:value"},
		{"no value", "cn:", `want a value after "cn:"`},
		{"a star in the middle", "cn:a*b", "at its end or its start"},
		{"two stars", "cn:*a*", `at most one "*"`},
		{"a short fingerprint", "sha256:0123", "64 hexadecimal digits"},
		{"a short fingerprint with half a byte", "sha256:012", "64 hexadecimal digits"},
		{"a fingerprint that lacks a digit", "sha256:" + someSum[:63], "64 hexadecimal digits"},
		{"a long fingerprint", "sha256:" + someSum + "00", "64 hexadecimal digits"},
		{"a long fingerprint with a star", "sha256:" + someSum + "*", "64 hexadecimal digits"},
		{"a fingerprint with two stars", "sha256:*01*", "64 hexadecimal digits"},
		{"a fingerprint that is none", "sha256:phone*", "64 hexadecimal digits"},
	} {
		_, err := ParsePattern(row.pattern)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
	}
}

func TestPatternsTryAllNames(t *testing.T) {
	id := Identity{Names: []string{"uri:spiffe://home/phone", "cn:phone", "dns:phone.lan"}}
	for _, row := range []struct {
		name  string
		texts string
		want  bool
	}{
		{"no pattern is everybody", "", true},
		{"the first name", "uri:spiffe://home/phone", true},
		{"another name", "dns:phone.lan", true},
		{"one of several patterns", "cn:tablet cn:phone", true},
		{"a name of another kind", "cn:phone.lan dns:phone", false},
	} {
		who := Patterns{}
		for _, text := range strings.Fields(row.texts) {
			p, err := ParsePattern(text)
			if err != nil {
				t.Fatal(err)
			}
			who = append(who, p)
		}
		if got := who.Match(id); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, row := range patternRows {
		f.Add(row.pattern, row.matches)
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		kind, value, _ := strings.Cut(text, ":")
		if p.match(name) && !strings.HasPrefix(name, kind+":") {
			t.Errorf("%q matches %q of another kind", text, name)
		}
		if (kind == "cn" || kind == "uri" || kind == "email") && !p.match(kind+":"+value) {
			t.Errorf("%q doesn't match its own text", text)
		}
		if !strings.Contains(value, "*") && p.match(name) && p.match(name+"x") {
			t.Errorf("%q matches %q and more", text, name)
		}
	})
}
