package mtlsallowlist

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

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
}

func (l *learner) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	now := l.now()
	addr, _ := l.address(req) // if it can't be read, it is the zero Addr, which learn refuses
	id, err := certificateIdentity(req.TLS, now)
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
	if err := l.learn(addr, id, now); err != nil {
		l.note("not learned", err, req, addr, id, now)
	}
	l.next.ServeHTTP(rw, req)
}

// learn records that id gave its proof at addr, and logs what is new. It fails if the address may not be learned.
func (l *learner) learn(addr netip.Addr, id identity, now time.Time) error {
	switch {
	case l.sourceRange.contains(addr):
		return nil
	case !isUnicast(addr):
		return errNoAddress
	case !l.allowPrivate && !isPublic(addr):
		return errPrivate
	}
	store := l.stores[0]
	ip := clientPrefix(addr, l.ipv6Subnet)
	learned, evicted := store.learn(ip, id, l.limits, now.UnixNano())
	if learned {
		l.log.Info("learned", append(about(store, ip, id), "expires", now.Add(l.limits.ttl))...)
	}
	for _, g := range evicted {
		l.log.Info("evicted", about(store, g.address.ip, g.identity)...)
	}
	return nil
}

// note logs a matter that recurs with every request: once a minute and store.
func (l *learner) note(event string, matter error, req *http.Request, addr netip.Addr, id identity, now time.Time) {
	store := l.stores[0]
	if store.note(matter.Error(), now) {
		l.log.Warn(event, append(about(store, clientPrefix(addr, l.ipv6Subnet), id), "remote", req.RemoteAddr, "reason", matter.Error())...)
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
