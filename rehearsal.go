package mtlsallowlist

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/proof"
)

// init walks requests through the handlers, one after the other and away from every store, before Traefik can send
// any at once: Yaegi 0.16 fills a cache at the first call of each method (itype.refType), and takes no lock for it.
func init() {
	leaf := &x509.Certificate{SerialNumber: big.NewInt(0), NotAfter: time.Now().Add(time.Hour)}
	proven := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
	unproven := &tls.ConnectionState{}

	next := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusOK)
		_, _ = rw.Write(nil)
	})
	anybody, _ := identity.ParsePattern("sha256:*")
	s := settings{
		name:             "rehearsal (no real request)",
		proof:            proof.Certificate,
		stores:           []*store{newStore("rehearsal")},
		identities:       identity.Patterns{anybody},
		limits:           limits{ttl: time.Hour, maxIPs: 1, maxIPsPerIdentity: 1},
		sourceRange:      &clientip.Set{},
		address:          clientip.NewReader(0, &clientip.Set{}),
		direct:           true,
		ipv6Subnet:       64,
		rejectStatusCode: http.StatusForbidden,
	}
	s.stores[0].keepIn(&stateFile{path: filepath.Join(os.DevNull, "none")}) // can't be written, so nothing is
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	l, _ := rehearseSharing(log) // a test looks whether all went well
	stores.links["rehearsal"] = l
	enforcer := newEnforcer(s, next, clock{time.Now, time.Since}).handler()
	learner := newLearner(s, next, nil, clock{time.Now, time.Since}, teller{log: log, store: s.stores[0]}).handler()
	page := newStatus(s, clock{time.Now, time.Since}, log)
	s.direct = false
	proxied := newEnforcer(s, next, clock{time.Now, time.Since}).handler()
	s.proof = proof.Response
	s.identityHeader = "X-User"
	s.identities = identity.Patterns{}
	share := newLearner(s, next, nil, clock{time.Now, time.Since}, teller{log: log, store: s.stores[0]}).handler()
	for _, request := range []struct {
		handler    http.Handler
		remoteAddr string
		state      *tls.ConnectionState
		url        string // with the method before it, where that matters
	}{
		{learner, "203.0.113.7:1", unproven, ""},
		{learner, "203.0.113.7:1", proven, ""},
		{learner, "203.0.113.7:1", proven, ""},
		{learner, "[2001:db8::7]:1", proven, ""}, // evicts the one before
		{learner, "192.168.0.7:1", proven, ""},   // isn't learned
		{enforcer, "[2001:db8::7]:1", nil, ""},
		{enforcer, "[2001:db8::7]:1", nil, ""},
		{enforcer, "203.0.113.7:1", nil, ""},
		{share, "203.0.113.7:1", nil, "GET /"},
		{proxied, "203.0.113.7:1", nil, ""},
		{page, "203.0.113.7:1", unproven, "GET /"},
		{page, "203.0.113.7:1", proven, "GET /"},
		{page, "203.0.113.7:1", proven, "GET /grants"},
		{page, "203.0.113.7:1", proven, "GET /metrics"},
		{page, "203.0.113.7:1", proven, "DELETE /grants?ip=2001:db8::7"},
	} {
		method, address, _ := strings.Cut(request.url, " ")
		parsed, err := url.Parse(address)
		if err != nil {
			panic(err) // of the rows above
		}
		header := http.Header{"X-User": {"nobody"}}
		req := &http.Request{Method: method, URL: parsed, Header: header, RemoteAddr: request.remoteAddr, TLS: request.state}
		request.handler.ServeHTTP(httptest.NewRecorder(), req)
	}
	delete(stores.links, "rehearsal")
	s.stores[0].notice(reading{wall: time.Now().Add(time.Hour), mono: time.Since(epoch)})              // as after a suspend
	learner.ServeHTTP(httptest.NewRecorder(), &http.Request{RemoteAddr: "203.0.113.7:1", TLS: proven}) // which it remembers, alone
}
