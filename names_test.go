package mtlsallowlist

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/proof"
)

func TestNamesThatNobodyHas(t *testing.T) {
	sum := identity.ByFingerprint + someSum
	for _, row := range []struct {
		name  string
		names []string
		want  string // empty: they are good
	}{
		{"a phone", []string{"cn:phone", sum}, ""},
		{"every kind", []string{"uri:a", "cn:a", "dns:a", "email:a", sum}, ""},
		{"a user", []string{"header:alice"}, ""},
		{"anybody", []string{"anonymous:request"}, ""},
		{"no more than a fingerprint", []string{sum}, ""},
		{"colons in the value", []string{"cn::"}, ""},
		{"none", nil, "names: want at least one"},
		{"no kind", []string{"phone"}, `names: invalid value "phone": want kind:value with one of the kinds cn, dns, email, uri, sha256, header`},
		{"an unknown kind", []string{"cn:a", "user:a"}, `names: invalid value "user:a": want kind:value`},
		{"an empty kind", []string{":a"}, `names: invalid value ":a": want kind:value`},
		{"an empty name", []string{""}, `names: invalid value "": want kind:value`},
		{"an empty value", []string{"cn:"}, `names: invalid value "cn:": want kind:value`},
		{"a short fingerprint", []string{"cn:a", "sha256:abc"}, `names: invalid value "sha256:abc": want 64 of the digits 0123456789abcdef after "sha256:", and nothing after them`},
		{"an empty fingerprint", []string{"cn:a", "sha256:"}, `names: invalid value "sha256:": want kind:value`},
		{"a fingerprint in capitals", []string{strings.ToUpper(someSum)}, `names: invalid value "`},
		{"a fingerprint that isn't the last", []string{sum, "cn:a"}, `want 64 of the digits`},
		{"as much as there is room for", []string{"cn:a", "dns:" + strings.Repeat("a", 3813), "cn:a"}, ""},
		{"one byte more", []string{"cn:a", "dns:" + strings.Repeat("a", 3814), "cn:a"}, "names: want 3840 bytes at most, not 3841"},
		{"what isn't UTF-8 as it may be written later", []string{"cn:" + strings.Repeat("\xff", 210)}, ""},
		{"one byte more of that", []string{"cn:" + strings.Repeat("\xff", 211)}, "names: want 3840 bytes at most, not 3853"},
	} {
		err := identity.CheckNames(row.names)
		if (err == nil) != (row.want == "") || err != nil && !strings.HasPrefix(err.Error(), row.want) && !strings.Contains(err.Error(), ": "+row.want) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
	}
}

func TestWhatIsKeptOfAnIdentity(t *testing.T) {
	long := func(kind string, n int) string { return kind + ":" + strings.Repeat("x", n) }
	sum := identity.ByFingerprint + someSum // takes 74 bytes with its comma
	for _, row := range []struct {
		name        string
		names, want []string // no want: it can't be kept
	}{
		{"a phone", []string{"cn:phone", sum}, []string{"cn:phone", sum}},
		{"no more than a fingerprint", []string{sum}, []string{sum}},
		{"a user", []string{"header:alice"}, []string{"header:alice"}},
		{"all that fits", []string{"cn:a", long("dns", 3746), sum}, []string{"cn:a", long("dns", 3746), sum}},
		{"a name too long", []string{"cn:a", long("dns", 3747), sum}, []string{"cn:a", sum}},
		{"a name too long before others", []string{"cn:a", "dns:b", long("dns", 3747), "email:c", sum}, []string{"cn:a", "dns:b", "email:c", sum}},
		{"the first of names that are too long together", []string{"cn:a", long("dns", 2000), long("email", 2000), "dns:b", sum}, []string{"cn:a", long("dns", 2000), "dns:b", sum}},
		{"as long as a canonical name may be", []string{long("cn", 1877), sum}, []string{long("cn", 1877), sum}},
		{"others beside a canonical name that long", []string{long("cn", 1877), "dns:a", sum}, []string{long("cn", 1877), sum}},
		{"a canonical name too long", []string{long("cn", 1878), sum}, nil},
		{"a user as long as may be", []string{long("header", 1910)}, []string{long("header", 1910)}},
		{"a user too long", []string{long("header", 1911)}, nil},
		{"a user that isn't UTF-8, as long as may be", []string{"header:" + strings.Repeat("\xff", 206)}, []string{"header:" + strings.Repeat("\xff", 206)}},
		{"a user that isn't UTF-8, too long", []string{"header:" + strings.Repeat("\xff", 207)}, nil},
	} {
		before := strings.Join(row.names, " ")
		id, err := identity.Identity{Names: row.names, Serial: "c0ffee", Issued: 7}.Kept()
		if strings.Join(id.Names, " ") != strings.Join(row.want, " ") || (err == nil) != (row.want != nil) {
			t.Errorf("%s: got %.300q and %v, want %.300q", row.name, id.Names, err, row.want)
		}
		if err == nil && (id.Serial != "c0ffee" || id.Issued != 7 || identity.CheckNames(id.Names) != nil) {
			t.Errorf("%s: got %.300v, %v", row.name, id, identity.CheckNames(id.Names))
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
		{"the largest", new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 4*identity.MaxSerial), big.NewInt(1)), strings.Repeat("f", identity.MaxSerial)},
		{"a larger one", new(big.Int).Lsh(big.NewInt(1), 4*identity.MaxSerial), ""},
	} {
		id := identity.FromCertificate(&x509.Certificate{SerialNumber: row.serial, URIs: []*url.URL{{}}, DNSNames: []string{"", "a"}, EmailAddresses: []string{""}})
		if id.Serial != row.want || len(id.Names) != 2 || id.Name() != "dns:a" || identity.CheckNames(id.Names) != nil {
			t.Errorf("%s: got %q of %q, want %q of dns:a", row.name, id.Serial, id.Names, row.want)
		}
	}
}

// issued makes a real certificate, which has signed itself, with n DNS names.
func issued(t *testing.T, cn string, n int) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: cn}, SerialNumber: big.NewInt(0xc0ffee),
		NotBefore: t0.Add(-time.Hour), NotAfter: t0.Add(1000 * time.Hour),
	}
	for i := 0; i < n; i++ {
		template.DNSNames = append(template.DNSNames, fmt.Sprintf("host-%03d.home.example", i))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

func TestACertificateOfManyNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	configs := map[string]Config{
		"learn":  {Mode: "learn", TTL: "1h", Identities: []string{"dns:host-199.*"}, StateFile: path},
		"all":    {Mode: "enforce"},
		"by cn":  {Mode: "enforce", Identities: []string{"cn:cluster"}},
		"by sum": {Mode: "enforce", Identities: []string{"sha256:*"}},
		"first":  {Mode: "enforce", Identities: []string{"dns:host-000.home.example"}},
		"last":   {Mode: "enforce", Identities: []string{"dns:host-199.home.example"}},
		"status": {Mode: "status", Proof: "request"},
	}
	h := newHouse(t, configs)
	leaf := issued(t, "cluster", 200)
	if got := h.send("learn", "203.0.113.7", verified(leaf)).Code; got != http.StatusOK {
		t.Fatalf("the learner, which goes by the last of all names, answered %d", got)
	}
	walk := func(when string) {
		t.Helper()
		for _, middleware := range []string{"all", "by cn", "by sum", "first", "last"} {
			want := 200
			if middleware == "last" { // it is kept nowhere
				want = 403
			}
			if got := h.ask(middleware, "203.0.113.7", ""); got != want {
				t.Errorf("%s: %s answered %d, want %d", when, middleware, got, want)
			}
		}
	}
	walk("learned")
	before := h.listing("status", "203.0.113.7")
	h.restart(configs)
	walk("restarted")
	if after := h.listing("status", "203.0.113.7"); fmt.Sprint(after) != fmt.Sprint(before) || strings.Contains(h.log.String(), "unreadable") {
		t.Errorf("after a restart: got %v, want %v", after, before)
	}
	for _, e := range entriesOf(openStore(h.store("default")), h.now) {
		if got, err := parseEntry(line(e)); err != nil || len(line(e)) > identity.MaxEntry || len(got.identity.Names) < 100 {
			t.Errorf("another replica takes %d names of an entry of %d bytes: %v", len(got.identity.Names), len(line(e)), err)
		}
	}
}

// entriesOf returns what a store tells of its grants to other replicas.
func entriesOf(s *store, now time.Time) []entry {
	s.share()
	s.timeBy(now.UnixMilli(), at(now), near)
	return s.entries(at(now))
}

func TestWhoseNameIsTooLongIsServedButNotLearned(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn"}, "user": {Mode: "learn", Proof: "request", IdentityHeader: "X-User"}, "enforce": {Mode: "enforce"}})
	if got := h.send("learn", "203.0.113.7", verified(issued(t, strings.Repeat("x", 4000), 0))).Code; got != http.StatusOK {
		t.Errorf("the learner answered %d", got)
	}
	if got := h.fetch("user", http.MethodGet, "/", "203.0.113.8", http.Header{"X-User": {strings.Repeat("x", 4000)}}).Code; got != http.StatusOK {
		t.Errorf("behind a login, the learner answered %d", got)
	}
	h.walk("both", "enforce 203.0.113.7=403; enforce 203.0.113.8=403")
	if log := h.log.String(); strings.Count(log, `msg="not learned"`) != 1 || !strings.Contains(log, `reason="the name is too long: what is kept of an identity has 4 KiB at most"`) || strings.Contains(log, "msg=learned") {
		t.Errorf("the log says %.1000s", log)
	}
}

// A viewing is a status page without a proof, for any store.
type viewing struct {
	page *status
}

func newViewing() *viewing {
	silent := slog.New(slog.NewTextHandler(io.Discard, nil))
	s := settings{stores: []*store{newStore("x")}, proof: proof.Request, address: clientip.NewReader(0, clientip.NewSet(nil)), ipv6Subnet: 64, rejectStatusCode: 403}
	return &viewing{page: newStatus(s, clock{now: func() time.Time { return t0 }, since: func(t time.Time) time.Duration { return t0.Sub(t) }}, silent)}
}

// shows fails unless all that the page tells of a store can be had.
func (v *viewing) shows(t *testing.T, s *store) {
	t.Helper()
	v.page.stores = []*store{s}
	for _, path := range []string{"/", "/grants", "/metrics"} {
		req := httptest.NewRequest(http.MethodGet, "https://status.example"+path, nil)
		rw := httptest.NewRecorder()
		v.page.ServeHTTP(rw, req)
		if rw.Code != http.StatusOK {
			t.Errorf("%s: got %d: %s", path, rw.Code, rw.Body)
		}
		if path == "/grants" && !json.Valid(rw.Body.Bytes()) {
			t.Errorf("the listing is %s", rw.Body)
		}
	}
}

// TestThePageShowsWhateverAStoreHolds is about names that nothing lets into a store.
func TestThePageShowsWhateverAStoreHolds(t *testing.T) {
	v := newViewing()
	for _, names := range [][]string{{"sha256:abc"}, {"cn:a", "sha256:abc"}, {"sha256:"}, {"cn:a", "sha256:"}, {""}, {":"}, {"cn:a", "sha256:\u202e" + someSum}, {"sha256:" + strings.Repeat("z", 64)}} {
		s := newStore("x")
		s.learn(netip.MustParsePrefix("203.0.113.7/32"), identity.Identity{Names: names}, hour, atTime(t0))
		v.shows(t, s)
		if short := storeViewOf(s, "", atTime(t0)).Grants[0].Short; short != "" {
			t.Errorf("%q is shown as %q", names, short)
		}
	}
}

// FuzzKept is about what a certificate may hold: what is kept of it can be told to others, and read at the next start.
func FuzzKept(f *testing.F) {
	f.Add("phone", "phone.lan", "a@b.c", "spiffe://home/phone", 1)
	f.Add("", "", "", "", 1)
	f.Add("\xff\x00,%\n", "A b", "é", ":", 300)
	f.Add(strings.Repeat("x", 1877), "", "", "", 1)
	f.Add(strings.Repeat("\xff", 300), "a", "", "", 2)
	v := newViewing()
	f.Fuzz(func(t *testing.T, cn, dns, email, uri string, n int) {
		leaf := &x509.Certificate{Raw: []byte(cn), Subject: pkix.Name{CommonName: cn}, SerialNumber: big.NewInt(int64(n)), URIs: []*url.URL{{Opaque: uri, Scheme: uri}}}
		for i := 0; i < n && i < 1000; i++ {
			leaf.DNSNames = append(leaf.DNSNames, dns)
			leaf.EmailAddresses = append(leaf.EmailAddresses, email)
		}
		all := identity.FromCertificate(leaf)
		id, err := all.Kept()
		if err != nil {
			if len(all.Name())*9 < 1800 {
				t.Errorf("%q can't be kept: %v", all.Names, err)
			}
			return
		}
		if id.Name() != all.Name() || id.Fingerprint() != all.Fingerprint() {
			t.Errorf("of %q, %q is kept", all.Names, id.Names)
		}
		e := entry{kind: entryGrant, ip: netip.MustParsePrefix("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128"), identity: id, learned: maxStamp, stamp: maxStamp, expires: maxStamp}
		if _, err := parseEntry(line(e)); err != nil || len(line(e)) > identity.MaxEntry {
			t.Errorf("others don't take %q, of %d bytes: %v", line(e), len(line(e)), err)
		}
		s := newStore("x")
		s.learn(netip.MustParsePrefix("203.0.113.7/32"), id, hour, atTime(t0))
		state, _ := s.state(atTime(t0))
		rereads(t, state)
		v.shows(t, s)
	})
}

// rereads writes a state as a file has it, and reads it.
func rereads(t *testing.T, written state) state {
	t.Helper()
	data, err := json.MarshalIndent(written, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := checkHead(data, written.Store); err != nil {
		t.Errorf("%s is refused: %v", data, err)
	}
	read, err := parseState(data)
	if err != nil {
		t.Errorf("%s is damaged: %v", data, err)
	}
	return read
}
