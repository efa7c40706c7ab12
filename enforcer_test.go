package mtlsallowlist

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/clientip"
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
