package mtlsallowlist

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/proof"
	"github.com/mtlsallowlist/mtlsallowlist/internal/replica"
	"github.com/mtlsallowlist/mtlsallowlist/internal/statefile"
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
	s := settings{ // without a name: what it rejects isn't printed
		proof:            proof.Certificate,
		stores:           []*store{newStore("warm-up")},
		identities:       identity.Patterns{anybody},
		limits:           limits{ttl: time.Hour, maxIPs: 1, maxIPsPerIdentity: 1},
		sourceRange:      &clientip.Set{},
		address:          clientip.NewReader(0, &clientip.Set{}),
		direct:           true,
		ipv6Subnet:       64,
		rejectStatusCode: http.StatusForbidden,
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	replicator, _ := warmUpReplication(log) // a test looks whether all went well
	stores.replicas["warm-up"] = &replication{replicator: replicator, store: s.stores[0]}
	c := change.Change{Kind: change.Granted, IP: netip.MustParsePrefix("203.0.113.7/32"), Identity: identity.Identity{Names: []string{"cn:warm-up"}}}
	s.stores[0].observe(observerFile, statefile.WarmUp(s.stores[0], c))
	enforcer := newEnforcer(s, next, clocks.Clock{Now: time.Now, Since: time.Since}).handler()
	learner := newLearner(s, next, nil, clocks.Clock{Now: time.Now, Since: time.Since}, reporter{log: log, store: s.stores[0]}).handler()
	page := newStatus(s, clocks.Clock{Now: time.Now, Since: time.Since}, log)
	s.direct = false
	proxied := newEnforcer(s, next, clocks.Clock{Now: time.Now, Since: time.Since}).handler()
	s.proof = proof.Response
	s.identityHeader = "X-User"
	s.identities = identity.Patterns{}
	share := newLearner(s, next, nil, clocks.Clock{Now: time.Now, Since: time.Since}, reporter{log: log, store: s.stores[0]}).handler()
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
	delete(stores.replicas, "warm-up")
	s.stores[0].notice(clocks.Reading{Wall: time.Now().Add(time.Hour), Mono: time.Since(clocks.Epoch)}) // as after a suspend
	learner.ServeHTTP(httptest.NewRecorder(), &http.Request{RemoteAddr: "203.0.113.7:1", TLS: proven})  // which it remembers, alone
}

// warmUpReplication walks a replicator through its work, away from Redis, and returns it.
func warmUpReplication(log *slog.Logger) (*replica.Replicator, error) {
	clock := clocks.Clock{Now: time.Now, Since: time.Since}
	store := newStore("warm-up of replication")
	told := replicationLog{reporter: reporter{log: log, store: store}, now: clock.Now}
	phone := identity.Identity{Names: []string{"cn:warm-up"}}
	limits := limits{ttl: time.Hour, maxIPs: 1, maxIPsPerIdentity: 1}
	observe := func(r *replica.Replicator) { store.observe(observerRedis, r) }
	learn := func() {
		now := clock.Read()
		_, _, _, _ = store.learn(netip.MustParsePrefix("203.0.113.7/32"), phone, limits, now) // evicts the other
		_ = store.revoke(netip.MustParsePrefix("203.0.113.7/32"), "", now)
		_, _, _, _ = store.learn(netip.MustParsePrefix("203.0.113.8/32"), phone, limits, now)
	}
	return replica.WarmUp(replicated{store: store, clock: clock}, told, observe, learn)
}
