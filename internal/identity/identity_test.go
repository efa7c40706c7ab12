package identity

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/identity/identitytest"
)

func TestNamesOfACertificate(t *testing.T) {
	for _, row := range []struct{ name, certificate, canonical, all string }{
		{"a URI goes first", "cn:phone uri:spiffe://home/phone dns:phone.lan", "uri:spiffe://home/phone", "uri:spiffe://home/phone cn:phone dns:phone.lan"},
		{"then the CN", "email:a@b.c dns:phone.lan cn:phone", "cn:phone", "cn:phone dns:phone.lan email:a@b.c"},
		{"then a DNS name", "email:a@b.c dns:b.lan dns:a.lan", "dns:b.lan", "dns:b.lan dns:a.lan email:a@b.c"},
		{"then an e-mail address", "email:a@b.c", "email:a@b.c", "email:a@b.c"},
		{"at last the fingerprint", "", "sha256:", ""},
		{"the first of several URIs", "uri:b://b uri:a://a", "uri:b://b", "uri:b://b uri:a://a"},
		{"a DNS name has no case", "dns:Phone.LAN", "dns:phone.lan", "dns:phone.lan"},
		{"a CN can't pretend to another kind", "cn:uri:spiffe://home/phone", "cn:uri:spiffe://home/phone", "cn:uri:spiffe://home/phone"},
	} {
		id := FromCertificate(identitytest.Certificate(row.certificate))
		if !strings.HasPrefix(id.Name(), row.canonical) {
			t.Errorf("%s: got %s, want %s", row.name, id.Name(), row.canonical)
		}
		want := strings.TrimSpace(row.all + " sha256:" + id.Fingerprint())
		if got := strings.Join(id.Names, " "); got != want {
			t.Errorf("%s: got %s, want %s", row.name, got, want)
		}
		if len(id.Fingerprint()) != 64 || id.Serial != "c0ffee" {
			t.Errorf("%s: got fingerprint %q and serial %q", row.name, id.Fingerprint(), id.Serial)
		}
	}
}

func TestOnlyAVerifiedChainThatHoldsNowProves(t *testing.T) {
	leaf := identitytest.Certificate("cn:phone")
	expiredCA := identitytest.Verified(leaf)
	expiredCA.VerifiedChains[0][1].NotAfter = identitytest.T0.Add(-time.Minute)
	otherChain := identitytest.Verified(leaf)
	otherChain.VerifiedChains = append(expiredCA.VerifiedChains, otherChain.VerifiedChains...)
	alone := identitytest.Verified(leaf)
	alone.VerifiedChains[0] = alone.VerifiedChains[0][:1]
	for _, row := range []struct {
		name  string
		state *tls.ConnectionState
		at    time.Time
		want  error
	}{
		{"a verified certificate", identitytest.Verified(leaf), identitytest.T0, nil},
		{"plain HTTP", nil, identitytest.T0, ErrNoTLS},
		{"no certificate", &tls.ConnectionState{}, identitytest.T0, errNoCertificate},
		{"a certificate that nobody verified", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, identitytest.T0, errNotVerified},
		{"an empty chain", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{}}}, identitytest.T0, errNotValidNow},
		{"the last moment of its validity", identitytest.Verified(leaf), leaf.NotAfter, nil},
		{"a moment later", identitytest.Verified(leaf), leaf.NotAfter.Add(1), errNotValidNow},
		{"before its validity", identitytest.Verified(leaf), leaf.NotBefore.Add(-1), errNotValidNow},
		{"a CA that expired meanwhile", expiredCA, identitytest.T0, errNotValidNow},
		{"a second chain that holds", otherChain, identitytest.T0, nil},
		{"a certificate that is trusted by itself", alone, identitytest.T0, nil},
	} {
		id, _, err := FromTLS(row.state, row.at)
		if !errors.Is(err, row.want) || (err == nil) != (len(id.Names) > 0) {
			t.Errorf("%s: got %v and %v, want %v", row.name, err, id.Names, row.want)
		}
	}
}

func TestAProofHoldsUntilTheFirstOfItsChainEnds(t *testing.T) {
	for _, row := range []struct {
		name     string
		leaf, ca time.Duration // how long each is valid
		want     time.Duration
	}{
		{"the certificate ends before its CA", time.Hour, 2 * time.Hour, time.Hour},
		{"the CA ends before its certificate", 2 * time.Hour, time.Hour, time.Hour},
	} {
		state := identitytest.Verified(identitytest.Certificate("cn:phone"))
		state.VerifiedChains[0][0].NotAfter, state.VerifiedChains[0][1].NotAfter = identitytest.T0.Add(row.leaf), identitytest.T0.Add(row.ca)
		if _, until, err := FromTLS(state, identitytest.T0); err != nil || !until.Equal(identitytest.T0.Add(row.want)) {
			t.Errorf("%s: got %v, %v, want %v", row.name, until, err, identitytest.T0.Add(row.want))
		}
	}
}

func TestAUserInAHeaderIsTheMiddlewaresNotTheClients(t *testing.T) {
	for _, row := range []struct {
		name   string
		header http.Header
		want   string
	}{
		{"X-User", http.Header{"X-User": {"alice"}}, "header:alice"},
		{"x-uSER", http.Header{"X-User": {"alice"}}, "header:alice"},
		{"X-WebAuth-User", http.Header{"X-WebAuth-User": {"alice"}}, "header:alice"},
		{"X-WebAuth-User", http.Header{"X-WebAuth-User": {"alice"}, "X-Webauth-User": {"mallory"}}, "header:alice"},
		{"X-Webauth-User", http.Header{"X-WebAuth-User": {"alice"}, "X-Webauth-User": {"mallory"}}, "header:alice"},
		{"X-User", http.Header{"X-User": {"alice", "mallory"}}, "header:alice"},
		{"X-User", http.Header{"X-Users": {"mallory"}}, ""},
		{"X-User", http.Header{"X-User": {""}}, ""},
		{"X-User", http.Header{"X-User": {}}, ""},
		{"X-User", nil, ""},
	} {
		for n := 0; n < 30; n++ { // a map has no order
			id, err := FromHeader(row.header, row.name)
			if (err == nil) != (row.want != "") || err == nil && id.Name() != row.want {
				t.Fatalf("%s in %v: got %v, %v, want %q", row.name, row.header, id, err, row.want)
			}
		}
	}
}

func TestWhoIsWho(t *testing.T) {
	sum, other := ByFingerprint+someSum, ByFingerprint+someSum[1:]+"0"
	for _, row := range []struct {
		name   string
		names  []string
		others []string
		want   bool
	}{
		{"the same certificate", []string{"cn:a", sum}, []string{"cn:a", sum}, true},
		{"the same certificate, of which less is kept", []string{"cn:a", "dns:a", sum}, []string{"cn:a", sum}, true},
		{"another certificate of the same name", []string{"cn:a", sum}, []string{"cn:a", other}, false},
		{"another name", []string{"cn:a", sum}, []string{"cn:b", sum}, false},
		{"a name without a certificate", []string{"cn:a", sum}, []string{"cn:a"}, false},
		{"the same user", []string{"header:a"}, []string{"header:a"}, true},
		{"another user", []string{"header:a"}, []string{"header:b"}, false},
		{"no more than a fingerprint", []string{sum}, []string{sum}, true},
		{"no more than another fingerprint", []string{sum}, []string{other}, false},
	} {
		id, with := Identity{Names: row.names, Serial: "1"}, Identity{Names: row.others, Serial: "2"}
		if id.Is(with) != row.want || with.Is(id) != row.want {
			t.Errorf("%s: got %t and %t, want %t", row.name, id.Is(with), with.Is(id), row.want)
		}
	}
}

func TestBareIdentities(t *testing.T) {
	sum := ByFingerprint + someSum
	for _, row := range []struct{ names, want string }{
		{"cn:a " + sum, "cn:a " + sum},
		{"uri:a cn:a dns:a " + sum, "uri:a " + sum},
		{sum, sum},
		{"header:a", "header:a"},
		{"cn:a dns:a", "cn:a"},
	} {
		got := Identity{Names: strings.Fields(row.names), Serial: "c0ffee", Issued: 7}.Bare()
		if strings.Join(got.Names, " ") != row.want || got.Serial != "" || got.Issued != 0 {
			t.Errorf("%s: got %v, want %s", row.names, got, row.want)
		}
	}
}

func TestHugeAndHostileNames(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for _, cn := range []string{long, "<script>alert(1)</script>", "a\nmsg=learned", "\u202Ephone", "\x00", "*", "a,b"} {
		id := FromCertificate(&x509.Certificate{Subject: pkix.Name{CommonName: cn}, SerialNumber: big.NewInt(1)})
		if id.Name() != "cn:"+cn {
			t.Errorf("got %.80q, want the name as it is", id.Name())
		}
		if (Pattern{Prefix: "cn:phone"}).match(id.Name()) {
			t.Errorf("%.80q matches cn:phone", cn)
		}
	}
}
