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
		id, err := FromHeader(row.header, row.name)
		if (err == nil) != (row.want != "") || err == nil && id.Name() != row.want {
			t.Errorf("%s in %v: got %v, %v, want %q", row.name, row.header, id, err, row.want)
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
