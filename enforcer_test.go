package mtlsallowlist

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity/identitytest"
)

// TestWhoHasBeenHereIsKnownByOneLookUp counts how often an enforcer reads an address.
func TestWhoHasBeenHereIsKnownByOneLookUp(t *testing.T) {
	h := newHouse(t, nil)
	for _, row := range []struct {
		name     string
		strategy IPStrategy
	}{
		{"by the connection", IPStrategy{}},
		{"behind a proxy", IPStrategy{Depth: "1"}},
	} {
		s, err := parse(&Config{Mode: "enforce", Store: []string{h.store(row.name)}, IPStrategy: row.strategy})
		if err != nil {
			t.Fatal(err)
		}
		reads, welcomed := 0, 0
		address := s.address
		s.address = func(req *http.Request) (netip.Addr, error) {
			reads++
			return address(req)
		}
		next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { welcomed++ })
		handler, store := newEnforcer(*s, next, h.clock()).handler(), s.stores[0]
		ask := func(step string, want, reading int) {
			t.Helper()
			reads = 0
			for i := 0; i < 3; i++ {
				req := &http.Request{RemoteAddr: "203.0.113.7:1", Header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}}
				rw := httptest.NewRecorder()
				if handler.ServeHTTP(rw, req); rw.Code != want {
					t.Errorf("%s: %s: got %d, want %d", row.name, step, rw.Code, want)
				}
			}
			if reads != reading {
				t.Errorf("%s: %s: three requests read %d addresses, want %d", row.name, step, reads, reading)
			}
		}
		ask("a stranger", 403, 1)
		store.learn(clientip.Prefix(ipOf("\x07").Addr(), 64), named("cn:p"), limits{ttl: time.Hour, maxIPs: 1}, atTime(h.now))
		ask("a phone", 200, 1)
		store.learn(clientip.Prefix(ipOf("\x08").Addr(), 64), named("cn:q"), limits{ttl: time.Hour, maxIPs: 1}, atTime(h.now))
		ask("a stranger again", 403, 1)
		if admitted, rejected := store.counts.admitted, *store.rejections(errStranger); admitted != 3 || rejected != 6 || welcomed != 3 {
			t.Errorf("%s: counted are %d admissions and %d rejections, and there were %d, want 3, 6 and 3", row.name, admitted, rejected, welcomed)
		}
	}
}

func TestNobodyIsKnownByWhatOnlyLooksLikeTheAddress(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn":   {Mode: "learn"},
		"direct":  {Mode: "enforce"},
		"proxied": {Mode: "enforce", IPStrategy: IPStrategy{Depth: "1"}},
	})
	h.walk("a phone", "learn 203.0.113.7 cn:phone=200")
	const phone, stranger = "203.0.113.7:4711", "203.0.113.8:4711"
	for _, row := range []struct {
		middleware, remoteAddr, forwardedFor string
		want                                 int
	}{
		{"direct", phone, stranger, 200},
		{"direct", stranger, phone, 403},
		{"direct", phone, stranger, 200},
		{"proxied", stranger, phone, 200},
		{"proxied", phone, stranger, 403},
		{"proxied", stranger, phone, 200},
	} {
		req := &http.Request{RemoteAddr: row.remoteAddr, Header: http.Header{"X-Forwarded-For": {row.forwardedFor}}}
		rw := httptest.NewRecorder()
		if h.handlers[row.middleware].ServeHTTP(rw, req); rw.Code != row.want {
			t.Errorf("%v: got %d, want %d", row, rw.Code, row.want)
		}
	}
}

// TestOnlyTheFirstStoreIsRemembered since what is remembered is guarded by its lock alone.
func TestOnlyTheFirstStoreIsRemembered(t *testing.T) {
	h := newHouse(t, nil)
	s, err := parse(&Config{Mode: "enforce", Store: []string{h.store("first"), h.store("second")}})
	if err != nil {
		t.Fatal(err)
	}
	for i, letter := range []string{"\x07", "\x08"} {
		s.stores[i].learn(clientip.Prefix(ipOf(letter).Addr(), 64), named("cn:p"), limits{ttl: time.Hour, maxIPs: 1}, atTime(h.now))
	}
	e := newEnforcer(*s, http.NotFoundHandler(), h.clock())
	for _, row := range []struct {
		name, from string
		want       int
	}{
		{"a stranger", "203.0.113.9:1", 0},
		{"one of the second store", "203.0.113.8:1", 0},
		{"one of the first", "203.0.113.7:1", 1},
	} {
		e.decide(httptest.NewRecorder(), &http.Request{RemoteAddr: row.from})
		if len(e.known) != row.want {
			t.Errorf("after %s: got %d, want %d", row.name, len(e.known), row.want)
		}
	}
}

// TestTheFastPathsDecideAsThePlainOnesDo does the same at random in two houses, of which one has no fast paths, and compares every answer and what the stores hold.
func TestTheFastPathsDecideAsThePlainOnesDo(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	configs := map[string]Config{
		"learn":    {Mode: "learn", TTL: "60", MaxIPs: "6", Store: []string{"a"}},
		"brief":    {Mode: "learn", TTL: "20", MaxIPs: "4", MaxIPsPerIdentity: "2", Store: []string{"a"}, SourceRange: []string{"203.0.113.1"}},
		"choosy":   {Mode: "either", TTL: "90", Identities: []string{"cn:p", "dns:*.lan"}, Store: []string{"a"}},
		"other":    {Mode: "learn", TTL: "40", Store: []string{"b"}, AllowPrivate: "true"},
		"enforce":  {Mode: "enforce", Store: []string{"a"}},
		"ranges":   {Mode: "enforce", Store: []string{"a"}, SourceRange: []string{"203.0.113.2", "2001:db8:1::/48", "10.0.0.0/8"}},
		"named":    {Mode: "enforce", Store: []string{"a"}, Identities: []string{"dns:p.lan", "cn:q"}},
		"both":     {Mode: "enforce", Store: []string{"a", "b"}},
		"depth":    {Mode: "enforce", Store: []string{"a"}, IPStrategy: IPStrategy{Depth: "1"}},
		"excluded": {Mode: "enforce", Store: []string{"a"}, IPStrategy: IPStrategy{ExcludedIPs: []string{"203.0.113.1"}}},
		"both too": {Mode: "enforce", Store: []string{"b", "a"}, Identities: []string{"cn:*"}},
	}
	addresses := []string{
		"203.0.113.1:1", "203.0.113.1:2", "203.0.113.2:1", "203.0.113.3:1", "203.0.113.4:1", "[::ffff:203.0.113.3]:1", "[203.0.113.4]:9",
		"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:1::1]:1", "[2001:db8:2::1%eth0]:1", "2001:db8::1", "2001:db8::1:1",
		"203.0.113.3", "10.0.0.1:1", "192.168.0.1:1", "@", "", ":", "203.0.113.3:x:1",
	}
	certificates := []string{"cn:p", "cn:p dns:p.lan", "cn:q", "cn:r dns:r.lan", "uri:spiffe://home/s cn:q"}

	fast, plain := newHouse(t, configs), newHouse(t, configs)
	plain.make = newPlainHandler
	plain.handlers = plain.reload(configs)
	connections := map[string]*tls.ConnectionState{}
	kinds := map[string]int{}
	for step := 0; step < 20_000; step++ {
		did := ""
		switch random.Intn(100) {
		case 0:
			did = "reload"
			fast.handlers, plain.handlers = fast.reload(configs), plain.reload(configs)
		case 1:
			did = "revoke"
			addr, _ := clientip.ParseAddress(clientip.Host(addresses[random.Intn(len(addresses))]))
			ip := clientip.Prefix(addr, 64)
			for _, h := range []*house{fast, plain} {
				list := openStore(h.store("a")).list
				list.removeExpired(at(h.now), 0) // the one may have kept some that the other hasn't
				if a := list.addresses[ip]; a != nil {
					list.remove(a.grants[0])
				}
			}
		case 2, 3, 4:
			did = "wait"
			wait := time.Duration(random.Intn(15)) * time.Second
			fast.now, plain.now = fast.now.Add(wait), plain.now.Add(wait)
		default:
			names := []string{"learn", "brief", "choosy", "other", "enforce", "ranges", "named", "both", "both too", "depth", "excluded"}
			name, from := names[random.Intn(len(names))], addresses[random.Intn(len(addresses))]
			if connections[from] == nil || random.Intn(20) == 0 {
				leaf := identitytest.Certificate(certificates[random.Intn(len(certificates))])
				leaf.NotAfter = fast.now.Add(time.Duration(random.Intn(120)) * time.Second)
				connections[from] = identitytest.Verified(leaf)
			}
			state := connections[from]
			if random.Intn(4) == 0 {
				state = nil
			}
			got, want := fast.answer(name, from, state), plain.answer(name, from, state)
			did = fmt.Sprint(name, " from ", from, " with ", state != nil)
			kinds[fmt.Sprint(name, want)]++
			if got != want {
				t.Fatalf("step %d: %s: got %d, want %d", step, did, got, want)
			}
		}
		for _, store := range []string{"a", "b"} {
			got, want := holders(openStore(fast.store(store)).list, fast.now), holders(openStore(plain.store(store)).list, plain.now)
			if got != want {
				t.Fatalf("step %d: %s: store %s holds %q, want %q", step, did, store, got, want)
			}
		}
	}
	for name := range configs {
		if kinds[name+"200"] < 50 || kinds[name+"403"] < 50 {
			t.Errorf("%s answered 200 %d times and 403 %d times, which tells too little", name, kinds[name+"200"], kinds[name+"403"])
		}
	}
}

// newPlainHandler makes a handler without a fast path.
func newPlainHandler(_ context.Context, next http.Handler, config *Config, name string, clock clocks.Clock, log *slog.Logger) (http.Handler, error) {
	s, err := parse(config)
	if err != nil {
		return nil, err
	}
	t := reporter{log: log.With("middleware", name), store: s.stores[0]}
	enforcer := http.HandlerFunc(newEnforcer(*s, next, clock).decide)
	switch s.mode {
	case modeEnforce:
		return enforcer, nil
	case modeEither:
		return http.HandlerFunc(newLearner(*s, next, enforcer, clock, t).decide), nil
	}
	return http.HandlerFunc(newLearner(*s, next, nil, clock, t).decide), nil
}

func (h *house) answer(middleware, from string, state *tls.ConnectionState) int {
	rw := httptest.NewRecorder()
	h.handlers[middleware].ServeHTTP(rw, &http.Request{Method: http.MethodGet, RemoteAddr: from, TLS: state, Header: http.Header{"X-Forwarded-For": {"203.0.113.4, " + from}}})
	return rw.Code
}

// TestAConnectionThatCarriesManyClientsIsNotRemembered is about the connection of a proxy that sets X-Forwarded-For.
func TestAConnectionThatCarriesManyClientsIsNotRemembered(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn":    {Mode: "learn", IPStrategy: IPStrategy{Depth: "1"}},
		"depth":    {Mode: "enforce", IPStrategy: IPStrategy{Depth: "1"}},
		"excluded": {Mode: "enforce", IPStrategy: IPStrategy{ExcludedIPs: []string{"192.0.2.1"}}},
	})
	state := identitytest.Verified(identitytest.Certificate("cn:p"))
	ask := func(middleware, forwardedFor string, want int) {
		t.Helper()
		rw := httptest.NewRecorder()
		req := &http.Request{Method: http.MethodGet, RemoteAddr: "192.0.2.1:1", TLS: state, Header: http.Header{"X-Forwarded-For": {forwardedFor}}}
		h.handlers[middleware].ServeHTTP(rw, req)
		if rw.Code != want {
			t.Errorf("%s for %s: got %d, want %d", middleware, forwardedFor, rw.Code, want)
		}
	}
	ask("learn", "203.0.113.7", 200)
	ask("learn", "203.0.113.8", 200)
	for _, middleware := range []string{"depth", "excluded"} {
		ask(middleware, "203.0.113.7", 200)
		ask(middleware, "203.0.113.9", 403)
		ask(middleware, "203.0.113.8", 200)
		ask(middleware, "203.0.113.9", 403)
	}
}

func TestAFastRenewalKeepsItsGrantInOrder(t *testing.T) {
	h := newHouse(t, map[string]Config{"long": {Mode: "learn", TTL: "60"}, "brief": {Mode: "learn", TTL: "20"}})
	list := openStore(h.store("default")).list
	state := identitytest.Verified(identitytest.Certificate("cn:p"))
	h.answer("brief", "203.0.113.7:1", state)
	h.answer("long", "203.0.113.7:1", state)
	h.now = h.now.Add(30 * time.Second)
	h.ask("long", "203.0.113.8", "cn:p") // looks at what is due: the first grant, in another 30 seconds
	for _, wait := range []time.Duration{0, time.Second} {
		h.now = h.now.Add(wait)
		h.answer("brief", "203.0.113.7:1", state)
		g := list.addresses[clientip.Prefix(ipOf("\x07").Addr(), 64)].grants[0]
		if g.proved != at(h.now) || g.expires != at(h.now.Add(20*time.Second)) || g.due > g.expires {
			t.Errorf("proved at %d, expires at %d, due at %d, and now it is %d", g.proved, g.expires, g.due, at(h.now))
		}
	}
}

func TestWhatIsRememberedOfClientsIsBounded(t *testing.T) {
	h := newHouse(t, nil)
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	s, err := parse(&Config{Mode: "enforce", Store: []string{h.store("a")}, SourceRange: []string{"203.0.113.7"}, IPStrategy: IPStrategy{Depth: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	e := newEnforcer(*s, next, h.clock())
	most := maxKnown + 4 // for the one address that is learned
	e.store.learn(clientip.Prefix(ipOf("\x07").Addr(), 64), identity.Identity{Names: []string{"cn:p"}}, limits{ttl: time.Hour, maxIPs: 1}, when(0))
	for i := 0; i < most+100; i++ {
		header := http.Header{"X-Forwarded-For": {fmt.Sprint(i, ", 203.0.113.7")}}
		e.decide(httptest.NewRecorder(), &http.Request{RemoteAddr: fmt.Sprint("192.0.2.1:", i), Header: header})
	}
	if len(e.known) != most || len(e.seen) != maxConnections {
		t.Errorf("an enforcer remembers %d clients and %d connections of %d, want %d and %d", len(e.known), len(e.seen), most+100, most, maxConnections)
	}
	for _, long := range []int{maxSource, maxSource + 1} {
		source := fmt.Sprintf("%*s", long, ", 203.0.113.7")
		e.decide(httptest.NewRecorder(), &http.Request{Header: http.Header{"X-Forwarded-For": {source}}})
		if got, want := e.known[source] != nil, long <= maxSource; got != want {
			t.Errorf("a text of %d bytes is remembered: got %t, want %t", long, got, want)
		}
	}

	if s, err = parse(&Config{Mode: "enforce", Store: []string{h.store("a")}, SourceRange: []string{"203.0.113.7"}}); err != nil {
		t.Fatal(err)
	}
	e = newEnforcer(*s, next, h.clock())
	e.decide(httptest.NewRecorder(), &http.Request{RemoteAddr: "203.0.113.7:1"})
	if len(e.known) != 1 || len(e.seen) != 0 {
		t.Errorf("behind no other proxy, an enforcer remembers %d clients and %d connections, want 1 and none", len(e.known), len(e.seen))
	}

	if s, err = parse(&Config{Mode: "learn", Store: []string{h.store("a")}}); err != nil {
		t.Fatal(err)
	}
	l := newLearner(*s, next, nil, h.clock(), reporter{log: h.logger, store: s.stores[0]})
	state := identitytest.Verified(identitytest.Certificate("cn:p"))
	for i := 0; i < maxProofs+100; i++ {
		l.decide(httptest.NewRecorder(), &http.Request{RemoteAddr: fmt.Sprint("203.0.113.7:", i), TLS: state})
	}
	if len(l.taken) != maxProofs {
		t.Errorf("a learner remembers %d of %d connections, want %d", len(l.taken), maxProofs+100, maxProofs)
	}
}
