package mtlsallowlist

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// maxProofs bounds for how many connections a learner remembers the certificate.
const maxProofs = 1000

var (
	errIdentity = errors.New("identity not among identities")
	errPrivate  = errors.New("private address: everybody behind the same gateway has it; see ipStrategy, PROXY protocol and allowPrivate")
)

// A learner lets in who proves an identity, and puts the address onto its store's allowlist.
type learner struct {
	settings
	next     http.Handler
	unproven http.Handler // takes the requests without a valid proof; nil: they are rejected
	now      func() time.Time
	log      *slog.Logger

	store  *store
	proved map[string]*proof // by the connection's remote address, guarded by the store's lock; see ServeHTTP
}

// A proof is what a learner found on a connection.
type proof struct {
	leaf  *x509.Certificate
	until moment // the last moment at which the certificate is valid
	grant *grant
}

func newLearner(s settings, next, unproven http.Handler, now func() time.Time, log *slog.Logger) *learner {
	return &learner{
		settings: s, next: next, unproven: unproven, now: now, log: log.With("middleware", s.name),
		store: s.stores[0], proved: map[string]*proof{},
	}
}

// ServeHTTP holds the fast path, for a connection on which this certificate was taken before and whose grant still
// holds: it is renewed. All else is for decide. Nothing can panic between Lock and Unlock.
func (l *learner) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	renewed := false
	if req.TLS != nil && len(req.TLS.VerifiedChains) > 0 && len(req.TLS.PeerCertificates) > 0 {
		now := l.now().UnixNano()
		l.store.mu.Lock()
		p := l.proved[req.RemoteAddr]
		if p != nil && p.leaf == req.TLS.PeerCertificates[0] && now <= p.until && now < p.grant.expires {
			renewed = l.store.list.renewWithin(p.grant, l.limits, now)
		}
		l.store.mu.Unlock()
	}
	if renewed {
		l.next.ServeHTTP(rw, req)
	} else {
		l.decide(rw, req)
	}
}

func (l *learner) decide(rw http.ResponseWriter, req *http.Request) {
	now := l.now()
	addr, _ := l.address(req) // if it can't be read, it is the zero Addr, which learn refuses
	id, until, err := certificateIdentity(req.TLS, now)
	if err != nil && l.unproven != nil {
		l.unproven.ServeHTTP(rw, req)
		return
	}
	if err == nil && !l.identities.match(id) {
		err = errIdentity
	}
	if err != nil {
		l.note("refused", err, req, addr, id, now)
		l.reject(rw, req, err.Error())
		return
	}
	g, err := l.learn(addr, id, now)
	if err != nil {
		l.note("not learned", err, req, addr, id, now)
	}
	if g != nil && l.direct {
		l.remember(req.RemoteAddr, &proof{leaf: req.TLS.PeerCertificates[0], until: until.UnixNano(), grant: g})
	}
	l.next.ServeHTTP(rw, req)
}

// learn records that id gave its proof at addr, and logs what is new. It returns no grant if addr is in the source
// range, and fails if the address may not be learned.
func (l *learner) learn(addr netip.Addr, id identity, now time.Time) (*grant, error) {
	switch {
	case l.sourceRange.contains(addr):
		return nil, nil
	case !isUnicast(addr):
		return nil, errNoAddress
	case !l.allowPrivate && !isPublic(addr):
		return nil, errPrivate
	}
	ip := clientPrefix(addr, l.ipv6Subnet)
	g, learned, evicted := l.store.learn(ip, id, l.limits, now.UnixNano())
	if learned {
		l.log.Info("learned", append(about(l.store, ip, id), "expires", now.Add(l.limits.ttl))...)
	}
	for _, gone := range evicted {
		l.log.Info("evicted", about(l.store, gone.address.ip, gone.identity)...)
	}
	return g, nil
}

// remember keeps p for the connection's next request. The memory is bounded by forgetting all.
func (l *learner) remember(remoteAddr string, p *proof) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if len(l.proved) >= maxProofs {
		l.proved = map[string]*proof{}
	}
	l.proved[remoteAddr] = p
}

// note logs a matter that recurs with every request: once a minute and store.
func (l *learner) note(event string, matter error, req *http.Request, addr netip.Addr, id identity, now time.Time) {
	if l.store.note(matter.Error(), now) {
		l.log.Warn(event, append(about(l.store, clientPrefix(addr, l.ipv6Subnet), id), "remote", req.RemoteAddr, "reason", matter.Error())...)
	}
}

// about returns what an event is about, as slog's keys and values.
func about(store *store, ip netip.Prefix, id identity) []any {
	args := []any{"store", store.name}
	switch {
	case ip.IsSingleIP():
		args = append(args, "ip", ip.Addr().String())
	case ip.IsValid():
		args = append(args, "ip", ip.String())
	}
	if len(id.names) > 0 {
		args = append(args, "identity", id.name(), "fingerprint", id.fingerprint, "serial", id.serial)
	}
	return args
}
