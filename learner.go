package mtlsallowlist

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// maxProofs bounds for how many connections a learner remembers the proof.
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
	clock    clock
	log      *slog.Logger
	rejecter *rejecter
	store    *store
	taken    map[string]*proof // by the connection's remote address, guarded by the store's mu
}

// A proof is what a learner took on a connection: a certificate, which the connection keeps, for a grant.
type proof struct {
	connection *tls.ConnectionState
	until      moment // the last moment at which the certificate is valid
	*grant
}

func newLearner(s settings, next, unproven http.Handler, clock clock, log *slog.Logger) *learner {
	return &learner{
		settings: s, next: next, unproven: unproven, clock: clock, log: log.With("middleware", s.name),
		rejecter: newRejecter(s), store: s.stores[0], taken: map[string]*proof{},
	}
}

// handler returns the fast path, for a connection whose certificate was taken before: while that is valid, and the
// grant holds and keeps the limits, the grant is renewed. All else is for decide. As with the enforcer, there is no
// call of ours, fields are captured, and nothing can panic between Lock and Unlock.
func (l *learner) handler() http.Handler {
	next := l.next
	mu := &l.store.mu
	list := l.store.list
	recency := list.recency
	taken := l.taken
	since := l.clock.since
	ttl := l.limits.ttl
	maxIPs := l.limits.maxIPs
	maxOwn := l.limits.maxIPsPerIdentity
	return http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		now := since(epoch)
		mu.Lock()
		p := taken[req.RemoteAddr]
		if p == nil || p.connection != req.TLS || now > p.until || now >= p.expires || now+ttl < p.due ||
			len(list.addresses) > maxIPs || maxOwn > 0 && p.own.Len() > maxOwn {
			mu.Unlock()
			l.decide(rw, req)
			return
		}
		recency.MoveToBack(p.address.recency)
		if p.own != nil {
			p.own.MoveToBack(p.byIdentity)
		}
		p.proved = now
		p.expires = now + ttl
		mu.Unlock()
		next.ServeHTTP(rw, req)
	})
}

func (l *learner) decide(rw http.ResponseWriter, req *http.Request) {
	now := l.clock.now()
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
		l.rejecter.reject(rw, req, err.Error())
		return
	}
	g, err := l.learn(addr, id, now)
	if err != nil {
		l.note("not learned", err, req, addr, id, now)
	}
	if g != nil && l.direct {
		l.remember(req.RemoteAddr, &proof{connection: req.TLS, until: until.Sub(epoch), grant: g})
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
	g, learned, evicted := l.store.learn(ip, id, l.limits, l.clock.since(epoch))
	if learned {
		l.log.Info("learned", append(about(l.store, ip, id), "expires", now.Add(l.limits.ttl))...)
	}
	for _, gone := range evicted {
		l.log.Info("evicted", about(l.store, gone.address.ip, gone.identity)...)
	}
	return g, nil
}

// remember keeps p for the connection's next request. The memory is bounded by forgetting any other.
func (l *learner) remember(remoteAddr string, p *proof) {
	l.store.mu.Lock()
	defer l.store.mu.Unlock()
	if len(l.taken) >= maxProofs {
		for other := range l.taken {
			delete(l.taken, other)
			break
		}
	}
	l.taken[remoteAddr] = p
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
		args = append(args, "identity", id.name(), "fingerprint", id.fingerprint(), "serial", id.serial)
	}
	return args
}
