package mtlsallowlist

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/page"
	"github.com/mtlsallowlist/mtlsallowlist/internal/proof"
)

// askingMethods are those with which a 2xx says something of what was asked for. To OPTIONS, say, many services answer so
// on every path.
var askingMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// maxProofs bounds for how many connections a learner remembers the proof.
const maxProofs = 1000

var errIdentity = errors.New("identity not among identities")

// A learner lets in who proves an identity, and puts the address onto its store's allowlist.
type learner struct {
	settings
	next     http.Handler
	unproven http.Handler // takes the requests without a valid proof; nil: they are rejected
	prove    proof.Prover
	clock    clocks.Clock
	reports  reporter
	rejecter *rejecter
	store    *store
	taken    map[string]*remembered // by the connection's remote address, guarded by the store's mu
}

// A remembered proof is what a learner took on a connection: a certificate, which the connection keeps, for a grant.
type remembered struct {
	connection *tls.ConnectionState
	until      clocks.Moment // the last moment at which the certificate is valid, and no renewal is handed to observers
	*grant
}

func newLearner(s settings, next, unproven http.Handler, clock clocks.Clock, reports reporter) *learner {
	reports.store.learnBy(terms{learner: true, limits: s.limits, allowPrivate: s.allowPrivate}, clock.Read())
	return &learner{
		settings: s, next: next, unproven: unproven, prove: proof.New(s.proof, s.identityHeader), clock: clock, reports: reports,
		rejecter: newRejecter(s), store: s.stores[0], taken: map[string]*remembered{},
	}
}

// handler returns the fast path, for a connection whose certificate was taken before: while that is valid, and the
// grant holds and keeps the limits, the grant is renewed. All else is for decide, and what comes from another site, too.
// As with the enforcer, there is no call of ours, fields are captured, and nothing can panic between Lock and Unlock.
// Only certificates are remembered: on a connection of another proxy, requests are of many users.
func (l *learner) handler() http.Handler {
	if l.proof == proof.Response {
		return http.HandlerFunc(l.await)
	}
	next := l.next
	mu := &l.store.mu
	list := l.store.list
	recency := list.recency
	counts := l.store.counts
	taken := l.taken
	since := l.clock.Since
	start := clocks.Epoch
	ttl := l.limits.ttl
	maxIPs := l.limits.maxIPs
	maxOwn := l.limits.maxIPsPerIdentity
	siteHeader := proof.SiteHeader // a constant of another package costs an allocation each time
	crossSite := proof.CrossSite
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		now := since(start)
		site := req.Header[siteHeader]
		mu.Lock()
		p := taken[req.RemoteAddr]
		if p == nil || p.connection != req.TLS || now > p.until || now >= p.expires || now+ttl < p.due ||
			len(site) > 0 && site[0] == crossSite || len(list.addresses) > maxIPs || maxOwn > 0 && p.own.Len() > maxOwn {
			mu.Unlock()
			l.decide(rw, req)
			return
		}
		recency.MoveToBack(p.address.recency)
		if p.own != nil {
			p.own.MoveToBack(p.byIdentity)
		}
		counts.renewed++
		p.proved = now
		p.expires = now + ttl
		mu.Unlock()
		next.ServeHTTP(rw, req)
	})
}

func (l *learner) decide(rw http.ResponseWriter, req *http.Request) {
	now := l.clock.Read()
	id, until, passes := l.check(rw, req, now.Wall)
	if !passes {
		return
	}
	l.takeUnless(proof.CheckIntent(req), req, id, until, now)
	l.next.ServeHTTP(rw, req)
}

// await lets the service decide: its answer is the proof. Of whom is settled before: the service may write into req.
func (l *learner) await(rw http.ResponseWriter, req *http.Request) {
	id, _, passes := l.check(rw, req, l.clock.Now())
	if !passes {
		return
	}
	if !slices.Contains(askingMethods, req.Method) {
		l.next.ServeHTTP(rw, req)
		return
	}
	doubt := proof.CheckIntent(req) // before the service writes into req
	if doubt == nil {
		doubt = proof.CheckPath(req)
	}
	a := proof.NewAnswer(rw, func() {
		now := l.clock.Read()
		l.takeUnless(doubt, req, id, now.Wall, now)
	})
	l.next.ServeHTTP(a, req)
	a.Begin(http.StatusOK) // as net/http does if nothing was written
}

// check returns who is there, and until when the proof is valid. If they may not pass, it has answered.
func (l *learner) check(rw http.ResponseWriter, req *http.Request, now time.Time) (id identity.Identity, until time.Time, passes bool) {
	id, until, err := l.prove(req, now)
	if err != nil && l.unproven != nil {
		l.unproven.ServeHTTP(rw, req)
		return id, until, false
	}
	if err == nil && !l.identities.Match(id) {
		err = errIdentity
	}
	if err != nil {
		addr, _ := l.address(req)
		l.note("refused", err, req, addr, id, now)
		l.rejecter.reject(rw, req, err)
		return id, until, false
	}
	return id, until, true
}

// takeUnless takes the proof, unless there is a doubt. The doubt is reported; the request passes, but nothing is learned.
func (l *learner) takeUnless(doubt error, req *http.Request, id identity.Identity, until time.Time, now clocks.Reading) {
	if doubt == nil {
		l.take(req, id, until, now)
		return
	}
	addr, _ := l.address(req)
	if !l.sourceRange.Contains(addr) {
		l.note("not learned", doubt, req, addr, id, now.Wall)
	}
}

// take learns where req comes from, and waits until that is safe. If it can't be learned or saved, that is reported, and the
// request passes all the same: its proof was right.
func (l *learner) take(req *http.Request, id identity.Identity, until time.Time, now clocks.Reading) {
	addr, _ := l.address(req) // if it can't be read, it is the zero Addr, which learn refuses
	g, unsettled, err := l.learn(addr, id, now)
	if err != nil {
		l.note("not learned", err, req, addr, id, now.Wall)
	}
	if unsettled {
		l.store.settle(now)
	}
	if g != nil && l.direct && l.proof == proof.Certificate && replicaOf(l.store) == nil {
		l.remember(req.RemoteAddr, &remembered{connection: req.TLS, until: now.MomentOf(until), grant: g})
	}
}

// learn records that id gave its proof at addr, and reports what is new. It returns no grant if addr is in the source
// range, and fails if the address may not be learned, or the identity is too large to be kept.
func (l *learner) learn(addr netip.Addr, id identity.Identity, now clocks.Reading) (g *grant, unsettled bool, err error) {
	if l.sourceRange.Contains(addr) {
		return nil, false, nil
	}
	if err := clientip.CheckLearnable(addr, l.allowPrivate); err != nil {
		return nil, false, err
	}
	kept, err := id.Kept()
	if err != nil {
		return nil, false, err
	}
	ip := clientip.Prefix(addr, l.ipv6Subnet)
	g, news, evicted, unsettled := l.store.learn(ip, kept, l.limits, now)
	if news {
		l.reports.report(slog.LevelInfo, page.Event{At: now.Wall, What: "learned", IP: ip, Identity: id}, "expires", now.Wall.Add(l.limits.ttl))
	}
	for _, gone := range evicted {
		l.reports.report(slog.LevelInfo, page.Event{At: now.Wall, What: "evicted", IP: gone.address.ip, Identity: gone.identity})
	}
	return g, unsettled, nil
}

// remember keeps p for the connection's next request. The memory is bounded by forgetting any other.
func (l *learner) remember(remoteAddr string, p *remembered) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if fresh := clocks.Moment(p.saved)*time.Second + renewalInterval; fresh < p.until && len(l.store.observers) > 0 {
		p.until = fresh // then a renewal is handed to observers
	}
	if len(l.taken) >= maxProofs {
		for other := range l.taken {
			delete(l.taken, other)
			break
		}
	}
	l.taken[remoteAddr] = p
}

func (l *learner) note(what string, matter error, req *http.Request, addr netip.Addr, id identity.Identity, now time.Time) {
	e := page.Event{At: now, What: what, IP: clientip.Prefix(addr, l.ipv6Subnet), Identity: id, Why: matter.Error()}
	l.reports.warn(e, "remote", req.RemoteAddr)
}
