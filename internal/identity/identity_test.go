package identity

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// tZero is when tests begin.
var tZero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// leafOf makes a leaf for FromCertificate: real handshakes are the matter of the end-to-end tests.
func leafOf(names string) *x509.Certificate {
	leaf := &x509.Certificate{
		Raw:          []byte(names),
		SerialNumber: big.NewInt(0xc0ffee),
		NotBefore:    tZero.Add(-time.Hour),
		NotAfter:     tZero.Add(1000 * time.Hour),
	}
	for _, name := range strings.Fields(names) {
		kind, value, _ := strings.Cut(name, ":")
		switch kind {
		case "cn":
			leaf.Subject = pkix.Name{CommonName: value}
		case "dns":
			leaf.DNSNames = append(leaf.DNSNames, value)
		case "email":
			leaf.EmailAddresses = append(leaf.EmailAddresses, value)
		case "uri":
			uri, err := url.Parse(value)
			if err != nil {
				panic(err)
			}
			leaf.URIs = append(leaf.URIs, uri)
		}
	}
	return leaf
}

// verifiedBy is the state of a connection on which Traefik verified leaf.
func verifiedBy(leaf *x509.Certificate) *tls.ConnectionState {
	ca := &x509.Certificate{NotBefore: tZero.Add(-time.Hour), NotAfter: tZero.Add(10000 * time.Hour)}
	return &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{leaf},
		VerifiedChains:   [][]*x509.Certificate{{leaf, ca}},
	}
}

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
		id := FromCertificate(leafOf(row.certificate))
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
	leaf := leafOf("cn:phone")
	expiredCA := verifiedBy(leaf)
	expiredCA.VerifiedChains[0][1].NotAfter = tZero.Add(-time.Minute)
	otherChain := verifiedBy(leaf)
	otherChain.VerifiedChains = append(expiredCA.VerifiedChains, otherChain.VerifiedChains...)
	alone := verifiedBy(leaf)
	alone.VerifiedChains[0] = alone.VerifiedChains[0][:1]
	for _, row := range []struct {
		name  string
		state *tls.ConnectionState
		at    time.Time
		want  error
	}{
		{"a verified certificate", verifiedBy(leaf), tZero, nil},
		{"plain HTTP", nil, tZero, ErrNoTLS},
		{"no certificate", &tls.ConnectionState{}, tZero, errNoCertificate},
		{"a certificate that nobody verified", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, tZero, errNotVerified},
		{"an empty chain", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{}}}, tZero, errNotValidNow},
		{"the last moment of its validity", verifiedBy(leaf), leaf.NotAfter, nil},
		{"a moment later", verifiedBy(leaf), leaf.NotAfter.Add(1), errNotValidNow},
		{"before its validity", verifiedBy(leaf), leaf.NotBefore.Add(-1), errNotValidNow},
		{"a CA that expired meanwhile", expiredCA, tZero, errNotValidNow},
		{"a second chain that holds", otherChain, tZero, nil},
		{"a certificate that is trusted by itself", alone, tZero, nil},
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
		state := verifiedBy(leafOf("cn:phone"))
		state.VerifiedChains[0][0].NotAfter, state.VerifiedChains[0][1].NotAfter = tZero.Add(row.leaf), tZero.Add(row.ca)
		if _, until, err := FromTLS(state, tZero); err != nil || !until.Equal(tZero.Add(row.want)) {
			t.Errorf("%s: got %v, %v, want %v", row.name, until, err, tZero.Add(row.want))
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
		if (pattern{Prefix: "cn:phone"}).match(id.Name()) {
			t.Errorf("%.80q matches cn:phone", cn)
		}
	}
}
