package mtlsallowlist

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/clocks"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity/identitytest"
)

// A house has middlewares that share a clock, a log and stores of their own.
type house struct {
	t        *testing.T
	number   int
	now      time.Time
	log      bytes.Buffer
	logger   *slog.Logger
	cancel   context.CancelFunc                                                                                     // of the last reload
	make     func(context.Context, http.Handler, *Config, string, clocks.Clock, *slog.Logger) (http.Handler, error) // newHandler, unless a test says otherwise
	service  http.HandlerFunc                                                                                       // welcomes, unless a test says otherwise
	handlers map[string]http.Handler
}

var houses int

// newHouse makes the middlewares by name. Their stores are the house's own.
func newHouse(t *testing.T, configs map[string]Config) *house {
	t.Helper()
	houses++
	h := &house{t: t, number: houses, now: t0, make: newHandler, cancel: func() {}}
	h.logger = slog.New(slog.NewTextHandler(&h.log, nil))
	h.handlers = h.reload(configs)
	return h
}

// clock shows the house's time.
func (h *house) clock() clocks.Clock {
	return clocks.Clock{
		Now:   func() time.Time { return h.now },
		Since: func(t time.Time) time.Duration { return h.now.Sub(t) },
	}
}

// store returns the house's own name of a store.
func (h *house) store(name string) string {
	return fmt.Sprint("house-", h.number, "-", name)
}

// reload makes new middlewares, as Traefik does at every reload.
func (h *house) reload(configs map[string]Config) map[string]http.Handler {
	h.t.Helper()
	next := http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if h.service != nil {
			h.service(rw, req)
			return
		}
		fmt.Fprint(rw, "welcome")
	})
	handlers := map[string]http.Handler{}
	h.cancel()
	var ctx context.Context
	ctx, h.cancel = context.WithCancel(context.Background())
	for name, config := range configs {
		own := []string{}
		for _, store := range config.Store {
			own = append(own, h.store(store))
		}
		if len(own) == 0 {
			own = append(own, h.store("default"))
		}
		config.Store = own
		handler, err := h.make(ctx, next, &config, name, h.clock(), h.logger)
		if err != nil {
			h.t.Fatal(err)
		}
		handlers[name] = handler
	}
	return handlers
}

// ask sends a request from an address to a middleware, and returns the status. The certificate is its names
// as in "cn:phone"; empty for none.
func (h *house) ask(middleware, from, certificateNames string) int {
	h.t.Helper()
	var state *tls.ConnectionState
	if certificateNames != "" {
		state = identitytest.Verified(identitytest.Certificate(certificateNames))
	}
	return h.send(middleware, from, state).Code
}

func (h *house) send(middleware, from string, state *tls.ConnectionState) *httptest.ResponseRecorder {
	h.t.Helper()
	req := httptest.NewRequest(http.MethodGet, "https://home.example/", nil)
	req.RemoteAddr = from
	if !strings.Contains(from, "]:") && strings.Count(from, ":") != 1 {
		req.RemoteAddr = "[" + from + "]:4711"
	}
	req.TLS = state
	rw := httptest.NewRecorder()
	h.handlers[middleware].ServeHTTP(rw, req)
	if (rw.Code == http.StatusOK) != (rw.Body.String() == "welcome") {
		h.t.Errorf("status %d with body %q", rw.Code, rw.Body)
	}
	return rw
}

// walk asks step by step: "middleware address [certificate]=status", and tells the first that comes out otherwise.
func (h *house) walk(name, steps string) {
	h.t.Helper()
	for _, step := range strings.Split(steps, "; ") {
		if wait, ok := strings.CutPrefix(step, "wait "); ok {
			d, err := time.ParseDuration(wait)
			if err != nil {
				h.t.Fatal(err)
			}
			h.now = h.now.Add(d)
			continue
		}
		question, want, _ := strings.Cut(step, "=")
		words := strings.Fields(question)
		names := strings.Join(words[2:], " ")
		if got := fmt.Sprint(h.ask(words[0], words[1], names)); got != want {
			h.t.Errorf("%s: %s: got %s, want %s", name, question, got, want)
			return
		}
	}
}

func TestHouseholds(t *testing.T) {
	learn := Config{Mode: "learn"}
	enforce := Config{Mode: "enforce"}
	for _, row := range []struct {
		name    string
		configs map[string]Config
		steps   string
	}{
		{"a proof opens every enforcer to its address, and to no other",
			map[string]Config{"learn": learn, "photos": enforce, "files": enforce},
			"photos 203.0.113.7=403; learn 203.0.113.7 cn:phone=200; photos 203.0.113.7=200; files 203.0.113.7=200; photos 203.0.113.8=403"},
		{"no certificate learns nothing",
			map[string]Config{"learn": learn, "photos": enforce},
			"learn 203.0.113.7=403; photos 203.0.113.7=403"},
		{"a mapped address is the IPv4 address",
			map[string]Config{"learn": learn, "photos": enforce},
			"learn ::ffff:203.0.113.7 cn:phone=200; photos 203.0.113.7=200; photos ::ffff:203.0.113.7=200"},
		{"a translated address is the IPv4 address in it",
			map[string]Config{"learn": learn, "photos": enforce},
			"learn 64:ff9b::cb00:7107 cn:phone=200; photos 203.0.113.7=200; photos 64:ff9b::203.0.113.7=200; photos 64:ff9b::198.51.100.1=403; photos 64:ff9b::cb00:7106=403; photos 64:ff9b:1::cb00:7107=403"},
		{"an IPv4 address is its translated one",
			map[string]Config{"learn": learn, "photos": enforce},
			"learn 203.0.113.7 cn:phone=200; photos 64:ff9b::cb00:7107=200; photos 64:ff9b::cb00:7108=403"},
		{"the source range lets translated addresses in as IPv4",
			map[string]Config{"photos": {Mode: "enforce", SourceRange: []string{"203.0.113.0/24", "64:ff9b::198.51.100.0/120"}}},
			"photos 64:ff9b::203.0.113.7=200; photos 203.0.113.7=200; photos 198.51.100.7=200; photos 64:ff9b::198.51.100.7=200; photos 64:ff9b::192.0.2.7=403; photos 192.0.2.7=403"},
		{"a translated private address is private, and so is what a network translates by itself",
			map[string]Config{"learn": learn, "photos": enforce},
			"learn 64:ff9b::192.168.1.5 cn:phone=200; photos 64:ff9b::192.168.1.5=403; photos 192.168.1.5=403; learn 64:ff9b:1::203.0.113.7 cn:phone=200; photos 64:ff9b:1::203.0.113.7=403"},
		{"with allowPrivate they are learned",
			map[string]Config{"learn": {Mode: "learn", AllowPrivate: "true"}, "photos": enforce},
			"learn 64:ff9b::192.168.1.5 cn:phone=200; photos 192.168.1.5=200; learn 64:ff9b:1::203.0.113.7 cn:phone=200; photos 64:ff9b:1::203.0.113.7=200"},
		{"no Teredo address is learned, not even with allowPrivate",
			map[string]Config{"learn": learn, "private": {Mode: "learn", AllowPrivate: "true"}, "photos": enforce},
			"learn 2001:0:4136:e378:8000:63bf:3fff:fdd2 cn:phone=200; private 2001:0:4136:e378:8000:63bf:3fff:fdd2 cn:phone=200; photos 2001:0:4136:e378:8000:63bf:3fff:fdd2=403; photos 2001:0:4136:e378:8000:1111:1111:1111=403; learn 2001:0:ffff:ffff::1 cn:phone=200; photos 2001:0:ffff:ffff::1=403; learn 2001:1::7 cn:phone=200; photos 2001:1::7=200"},
		{"IPv6 clients match as a /64, and zones don't matter",
			map[string]Config{"learn": learn, "photos": enforce},
			"learn 2001:db8:1:2::7 cn:phone=200; photos 2001:db8:1:2:ffff::1=200; photos 2001:db8:1:2::9%eth0=200; photos 2001:db8:1:3::7=403"},
		{"ipv6Subnet makes the prefix another length",
			map[string]Config{"learn": {Mode: "learn", IPStrategy: IPStrategy{IPv6Subnet: "48"}}, "photos": {Mode: "enforce", IPStrategy: IPStrategy{IPv6Subnet: "48"}}},
			"learn 2001:db8:1:2::7 cn:phone=200; photos 2001:db8:1:ffff::1=200; photos 2001:db8:2:2::7=403"},
		{"private addresses pass the learner, but aren't learned",
			map[string]Config{"learn": learn, "photos": enforce},
			"learn 192.168.1.5 cn:phone=200; photos 192.168.1.5=403; learn 127.0.0.1 cn:phone=200; photos 127.0.0.1=403; learn 100.64.0.9 cn:phone=200; photos 100.64.0.9=403; learn fe80::1%eth0 cn:phone=200; photos fe80::1=403"},
		{"with allowPrivate they are",
			map[string]Config{"learn": {Mode: "learn", AllowPrivate: "true"}, "photos": enforce},
			"learn 192.168.1.5 cn:phone=200; photos 192.168.1.5=200; photos 192.168.1.6=403"},
		{"even with allowPrivate no address of nobody is learned",
			map[string]Config{"learn": {Mode: "learn", AllowPrivate: "true"}, "photos": enforce},
			"learn 0.0.0.0 cn:phone=200; photos 0.0.0.0=403; learn ff02::1 cn:phone=200; photos ff02::1=403"},
		{"the source range is always let in",
			map[string]Config{"photos": {Mode: "enforce", SourceRange: []string{"192.168.0.0/16", "2001:db8::7"}}},
			"photos 192.168.1.5=200; photos ::ffff:192.168.1.5=200; photos 2001:db8::7=200; photos 2001:db8::8=403; photos 203.0.113.7=403"},
		{"a learner asks the source range for a proof, and spends no grant on it",
			map[string]Config{"learn": {Mode: "learn", SourceRange: []string{"203.0.113.0/24"}}, "photos": enforce},
			"learn 203.0.113.7=403; learn 203.0.113.7 cn:phone=200; photos 203.0.113.7=403; learn 198.51.100.1 cn:phone=200; photos 198.51.100.1=200"},
		{"either learns with a proof and enforces without",
			map[string]Config{"home": {Mode: "either", SourceRange: []string{"192.168.0.0/16"}}, "photos": enforce},
			"home 203.0.113.7=403; home 192.168.1.5=200; home 203.0.113.7 cn:phone=200; home 203.0.113.7=200; photos 203.0.113.7=200; home 203.0.113.8=403"},
		{"either rejects a proof outside identities, even from an address that is in",
			map[string]Config{"home": {Mode: "either", Identities: []string{"cn:phone"}}},
			"home 203.0.113.7 cn:phone=200; home 203.0.113.7=200; home 203.0.113.7 cn:tablet=403; home 203.0.113.7=200"},
		{"a learner lets in and learns its identities only",
			map[string]Config{"learn": {Mode: "learn", Identities: []string{"cn:phone*", "dns:*.lan"}}, "photos": enforce},
			"learn 203.0.113.7 cn:tablet=403; photos 203.0.113.7=403; learn 203.0.113.7 cn:tablet dns:tablet.lan=200; photos 203.0.113.7=200"},
		{"an enforcer opens for its identities only, by any of their names",
			map[string]Config{"learn": learn, "photos": {Mode: "enforce", Identities: []string{"dns:phone.lan"}}, "files": {Mode: "enforce", Identities: []string{"cn:tablet"}}},
			"learn 203.0.113.7 uri:spiffe://home/phone cn:phone dns:phone.lan=200; photos 203.0.113.7=200; files 203.0.113.7=403"},
		{"the names of both certificates of one identity count",
			map[string]Config{"learn": learn, "photos": {Mode: "enforce", Identities: []string{"dns:phone.lan"}}},
			"learn 203.0.113.7 cn:phone=200; photos 203.0.113.7=403; learn 203.0.113.7 cn:phone dns:phone.lan=200; photos 203.0.113.7=200; wait 1h; learn 203.0.113.7 cn:phone=200; photos 203.0.113.7=200; wait 23h; photos 203.0.113.7=403"},
		{"two identities behind one address open both of their routers",
			map[string]Config{"learn": learn, "photos": {Mode: "enforce", Identities: []string{"cn:phone"}}, "files": {Mode: "enforce", Identities: []string{"cn:tablet"}}},
			"learn 203.0.113.7 cn:phone=200; files 203.0.113.7=403; learn 203.0.113.7 cn:tablet=200; files 203.0.113.7=200; photos 203.0.113.7=200"},
		{"two stores don't see each other, and an enforcer may name both",
			map[string]Config{"learn": {Mode: "learn", Store: []string{"a"}}, "a": {Mode: "enforce", Store: []string{"a"}}, "b": {Mode: "enforce", Store: []string{"b"}}, "ab": {Mode: "enforce", Store: []string{"b", "a"}}},
			"learn 203.0.113.7 cn:phone=200; a 203.0.113.7=200; b 203.0.113.7=403; ab 203.0.113.7=200"},
		{"a grant ends a lifetime after the last proof, and being let in is no proof",
			map[string]Config{"learn": {Mode: "learn", TTL: "60"}, "photos": enforce},
			"learn 203.0.113.7 cn:phone=200; wait 40s; photos 203.0.113.7=200; learn 203.0.113.7 cn:phone=200; wait 40s; photos 203.0.113.7=200; wait 20s; photos 203.0.113.7=403"},
		{"maxIPs keeps the addresses proved last",
			map[string]Config{"learn": {Mode: "learn", MaxIPs: "2"}, "photos": enforce},
			"learn 203.0.113.1 cn:a=200; wait 1s; learn 203.0.113.2 cn:a=200; wait 1s; learn 203.0.113.1 cn:a=200; wait 1s; learn 203.0.113.3 cn:a=200; photos 203.0.113.1=200; photos 203.0.113.2=403; photos 203.0.113.3=200"},
		{"maxIPsPerIdentity lets a device's new address replace its old one",
			map[string]Config{"learn": {Mode: "learn", MaxIPsPerIdentity: "1"}, "photos": enforce, "files": {Mode: "enforce", Identities: []string{"cn:b"}}},
			"learn 203.0.113.1 cn:a=200; learn 203.0.113.1 cn:b=200; wait 1s; learn 203.0.113.2 cn:a=200; photos 203.0.113.2=200; photos 203.0.113.1=200; files 203.0.113.1=200"},
		{"limits are those of the learner that takes the proof",
			map[string]Config{"wide": learn, "tight": {Mode: "learn", MaxIPs: "1"}, "photos": enforce},
			"wide 203.0.113.1 cn:a=200; wide 203.0.113.2 cn:a=200; tight 203.0.113.3 cn:a=200; photos 203.0.113.1=403; photos 203.0.113.2=403; photos 203.0.113.3=200"},
		{"an expired certificate proves nothing",
			map[string]Config{"learn": learn, "photos": enforce},
			"wait 1001h; learn 203.0.113.7 cn:phone=403; photos 203.0.113.7=403"},
	} {
		t.Run(row.name, func(t *testing.T) {
			newHouse(t, row.configs).walk(row.name, row.steps)
		})
	}
}

func TestAnUnreadableAddressIsNotLearnedAndNotLetIn(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn":  {Mode: "learn", IPStrategy: IPStrategy{Depth: "1"}},
		"photos": {Mode: "enforce", SourceRange: []string{"0.0.0.0/0", "::/0"}, IPStrategy: IPStrategy{Depth: "1"}},
	})
	h.walk("no X-Forwarded-For", "learn 203.0.113.7 cn:phone=200; photos 203.0.113.7=403")
	if got := strings.Count(h.log.String(), "no usable client address"); got != 1 {
		t.Errorf("got %d lines in %s", got, h.log.String())
	}
}

func TestRejections(t *testing.T) {
	for _, row := range []struct {
		code, contentType, body string
		status                  int
	}{
		{"", "text/plain; charset=utf-8", "Forbidden\n", 403},
		{"401", "text/plain; charset=utf-8", "Unauthorized\n", 401},
		{"404", "text/plain; charset=utf-8", "404 page not found\n", 404},
	} {
		for _, mode := range []string{"learn", "enforce", "either"} {
			h := newHouse(t, map[string]Config{"m": {Mode: mode, RejectStatusCode: row.code}})
			rw := h.send("m", "203.0.113.7", nil)
			if rw.Code != row.status || rw.Body.String() != row.body || rw.Header().Get("Content-Type") != row.contentType {
				t.Errorf("%s with %q: got %d %v %q", mode, row.code, rw.Code, rw.Header(), rw.Body)
			}
		}
	}
}

func TestEventsAreLoggedOnce(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn", MaxIPs: "1", Identities: []string{"cn:phone"}}, "photos": {Mode: "enforce"}})
	for i := 0; i < 50; i++ {
		h.walk("many of each", "learn 203.0.113.7 cn:phone=200; learn 203.0.113.7=403; learn 203.0.113.7 cn:tablet=403; learn 10.0.0.1 cn:phone=200; photos 203.0.113.8=403")
	}
	h.walk("another address", "learn 2001:db8::7 cn:phone=200")
	fingerprint := identity.FromCertificate(identitytest.Certificate("cn:phone")).Fingerprint()
	for _, want := range []string{
		"level=INFO msg=learned middleware=learn store=" + h.store("default") + " ip=203.0.113.7 identity=cn:phone fingerprint=" + fingerprint + " serial=c0ffee expires=2026-01-02T00:00:00.000Z\n",
		"level=INFO msg=learned middleware=learn store=" + h.store("default") + " ip=2001:db8::/64 identity=cn:phone",
		"level=INFO msg=evicted middleware=learn store=" + h.store("default") + " ip=203.0.113.7 identity=cn:phone fingerprint=" + fingerprint + " serial=c0ffee",
		"level=WARN msg=refused middleware=learn store=" + h.store("default") + " ip=203.0.113.7 remote=[203.0.113.7]:4711 reason=\"no TLS\"",
		"msg=refused middleware=learn store=" + h.store("default") + " ip=203.0.113.7 identity=cn:tablet",
		"level=WARN msg=\"not learned\" middleware=learn store=" + h.store("default") + " ip=10.0.0.1 identity=cn:phone",
	} {
		if got := strings.Count(h.log.String(), want); got != 1 {
			t.Errorf("got %d lines with %q, want 1", got, want)
		}
	}
	if got := strings.Count(h.log.String(), "\n"); got != 6 {
		t.Errorf("got %d lines, want 6:\n%s", got, h.log.String())
	}
	h.now = h.now.Add(noteInterval)
	h.walk("a minute later", "learn 10.0.0.1 cn:phone=200")
	if got := strings.Count(h.log.String(), "not learned"); got != 2 {
		t.Errorf("got %d notes of the private address, want 2", got)
	}
}

func TestTwoDevicesWithOneNameDontFillTheLog(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn"}, "photos": {Mode: "enforce"}})
	older, newer := identitytest.Certificate("cn:phone"), identitytest.Certificate("cn:phone")
	older.Raw, newer.Raw = []byte("older"), []byte("newer")
	newer.NotBefore = newer.NotBefore.Add(time.Second)
	for i := 0; i < 1000; i++ {
		for _, leaf := range []*x509.Certificate{older, newer} {
			if rw := h.send("learn", "203.0.113.7", identitytest.Verified(leaf)); rw.Code != http.StatusOK {
				t.Fatalf("got %d", rw.Code)
			}
		}
	}
	lines := strings.Split(strings.TrimSpace(h.log.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %d lines, want 2:\n%s", len(lines), lines[:2])
	}
	for i, leaf := range []*x509.Certificate{older, newer} {
		want := " msg=learned middleware=learn store=" + h.store("default") + " ip=203.0.113.7 identity=cn:phone fingerprint=" +
			identity.FromCertificate(leaf).Fingerprint() + " serial=c0ffee expires=2026-01-02T00:00:00.000Z"
		if !strings.HasSuffix(lines[i], want) {
			t.Errorf("got %q, want its end %q", lines[i], want)
		}
	}
	counts := openStore(h.store("default")).counts
	if counts.learned != 1 || counts.renewed != 1999 {
		t.Errorf("got %d grants learned and %d proofs renewed, want 1 and 1999", counts.learned, counts.renewed)
	}
	h.walk("it is one grant", "photos 203.0.113.7=200; wait 24h; photos 203.0.113.7=403")
}

func TestNamesOfCertificatesDontForgeTheLog(t *testing.T) {
	h := newHouse(t, map[string]Config{"learn": {Mode: "learn"}})
	leaf := identitytest.Certificate("cn:phone")
	leaf.Subject.CommonName = "a\ntime=x level=INFO msg=learned ip=1.2.3.4 \u202E\""
	h.send("learn", "203.0.113.7", identitytest.Verified(leaf))
	if got := h.log.String(); strings.Count(got, "\n") != 1 || strings.Contains(got, "\u202E") {
		t.Errorf("got %q, want one line without control characters", got)
	}
}

func TestTheNextHandlerGetsTheResponseWriterItself(t *testing.T) {
	for _, mode := range []string{"learn", "enforce", "either"} {
		rw := httptest.NewRecorder()
		var got http.ResponseWriter
		next := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { got = rw })
		config := CreateConfig()
		config.Mode, config.SourceRange = mode, []string{"192.0.2.0/24"}
		handler, err := New(context.Background(), next, config, "m")
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest(http.MethodGet, "https://home.example/", nil)
		req.TLS = identitytest.Verified(identitytest.Certificate("cn:phone"))
		req.TLS.VerifiedChains[0][0].NotAfter = time.Now().Add(time.Hour)
		req.TLS.VerifiedChains[0][1].NotAfter = time.Now().Add(time.Hour)
		handler.ServeHTTP(rw, req)
		if got != rw {
			t.Errorf("%s: got %T", mode, got)
		}
	}
}

func TestNewNamesTheMiddlewareWithAllFaults(t *testing.T) {
	config := CreateConfig()
	config.TTL, config.MaxIPs = "soon", "many"
	handler, err := New(context.Background(), http.NotFoundHandler(), config, "learn@file")
	if handler != nil || err == nil {
		t.Fatalf("got %v, %v, want an error and no handler", handler, err)
	}
	for _, want := range []string{`middleware "learn@file"`, `mode: invalid value ""`, `ttl: invalid value "soon"`, `maxIPs: invalid value "many"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q", err, want)
		}
	}
}

func TestWhatWasLearnedSurvivesNewHandlers(t *testing.T) {
	configs := map[string]Config{"learn": {Mode: "learn"}, "photos": {Mode: "enforce"}}
	h := newHouse(t, configs)
	h.walk("before the reload", "learn 203.0.113.7 cn:phone=200")
	h.handlers = h.reload(configs)
	h.walk("after it", "photos 203.0.113.7=200; photos 203.0.113.8=403")
}

func TestNoGrantIsLostUnderReloads(t *testing.T) {
	const clients, rounds, reloads = 32, 30, 20
	configs := map[string]Config{"learn": {Mode: "learn", MaxIPs: "100"}, "photos": {Mode: "enforce"}}
	h := newHouse(t, configs)
	var mu sync.RWMutex
	learner, enforcer := h.handlers["learn"], h.handlers["photos"]
	serve := func(learn bool, last int) int {
		mu.RLock()
		handler := enforcer
		if learn {
			handler = learner
		}
		mu.RUnlock()
		req := httptest.NewRequest(http.MethodGet, "https://home.example/", nil)
		req.RemoteAddr = fmt.Sprintf("203.0.113.%d:4711", last)
		if learn {
			req.TLS = identitytest.Verified(identitytest.Certificate("cn:phone"))
		}
		rw := httptest.NewRecorder()
		handler.ServeHTTP(rw, req)
		return rw.Code
	}
	var wg sync.WaitGroup
	client := func(last int) {
		defer wg.Done()
		for round := 0; round < rounds; round++ {
			if got := serve(true, last); got != http.StatusOK {
				t.Errorf("client %d: the learner answered %d", last, got)
			}
			if got := serve(false, last); got != http.StatusOK {
				t.Errorf("client %d: the enforcer answered %d right after a proof", last, got)
			}
			if got := serve(false, last+100); got != http.StatusForbidden {
				t.Errorf("a stranger beside client %d got %d", last, got)
			}
		}
	}
	for i := 0; i < clients; i++ {
		wg.Add(1)
		go client(i)
	}
	for i := 0; i < reloads; i++ {
		handlers := h.reload(configs)
		mu.Lock()
		learner, enforcer = handlers["learn"], handlers["photos"]
		mu.Unlock()
	}
	wg.Wait()
}

// t0 is when tests begin.
var t0 = identitytest.T0

// someSum is a fingerprint.
const someSum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// add has an identity give its proof at ip. It returns the grant, whether the identity had none for ip, or none by a
// certificate as new, and the grants that had to go.
func add(l *allowlist, ip netip.Prefix, id identity.Identity, limits limits, now clocks.Moment) (g *grant, first, newer bool, evicted []*grant) {
	o := l.prove(ip, id, limits, now)
	return o.grant, o.first, o.newer, o.evicted
}

// putBack applies a grant from before, and reports whether it is a new one that holds.
func putBack(l *allowlist, ip netip.Prefix, g *grant, limits limits, now clocks.Moment) bool {
	g.address = &address{ip: ip}
	o, valid := merge(l, l.change(change.Granted, g), terms{limits: limits, allowPrivate: true}, now)
	return valid && o.made && o.grant.expires != ended
}

// A mailbox is an observer that keeps what it is handed, the last change of each grant.
type mailbox struct {
	changes map[string]change.Change
	all     int // changes that it was handed
	major   int // but for mere renewals
	settled int // times that it was waited for
	ahead   int64
}

// collect has a mailbox observe a store, instead of the one before.
func collect(s *store) *mailbox {
	m := &mailbox{changes: map[string]change.Change{}}
	s.observe(observerRedis, m)
	return m
}

func (m *mailbox) Changed(c change.Change) {
	m.changes[c.Member()] = c
	m.all++
	if !c.Minor {
		m.major++
	}
}

func (m *mailbox) Settle(_, _ int64) {
	m.settled++
}

func (m *mailbox) ClockSet(by int64) {
	m.ahead += by
}

// drain empties the mailbox.
func (m *mailbox) drain() []change.Change {
	changes := []change.Change{}
	for _, c := range m.changes {
		changes = append(changes, c)
	}
	m.changes = map[string]change.Change{}
	return changes
}

// allOf returns all that a store tells whoever asks it at now, the oldest first.
func allOf(s *store, now clocks.Moment) []change.Change {
	all := []change.Change{}
	grants, tombstones := s.holding(now)
	all = append(all, s.changesOf(grants, false)...)
	all = append(all, s.changesOf(tombstones, true)...)
	sort.Slice(all, func(i, j int) bool { return all[i].Stamp < all[j].Stamp })
	return all
}

// granted is a change as a state file has it, by the wall clock.
func granted(ip netip.Prefix, id identity.Identity, learned, proved, expires time.Time) change.Change {
	return change.Change{Kind: change.Granted, IP: ip, Identity: id, Learned: learned.UnixMilli(), Stamp: proved.UnixMilli(), Proved: proved.UnixMilli(), Expires: expires.UnixMilli()}
}

// revokedAt is likewise one.
func revokedAt(ip netip.Prefix, id identity.Identity, revoked, expires time.Time) change.Change {
	c := granted(ip, id, revoked, revoked, expires)
	c.Kind = change.Revoked
	return c
}

// inStore returns changes by the time of a store that the wall clock stands for.
func inStore(s *store, changes ...change.Change) []change.Change {
	shifted := []change.Change{}
	for _, c := range changes {
		shifted = append(shifted, c.Shifted(s.list.Ahead-clocks.Epoch.UnixMilli()))
	}
	return shifted
}

// restoreAll restores changes by limits, and returns how many grants.
func restoreAll(s *store, changes []change.Change, limits limits, now clocks.Moment) int {
	_, restored, _ := s.restore(changes, &settings{limits: limits, ipv6Subnet: 64}, now)
	return restored
}

func TestTheWarmUpOfReplicationGoesAsWritten(t *testing.T) {
	r, err := warmUpReplication(slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Error(err)
	}
	if state := r.State(); !r.Ended() || state.Synced || state.Failures != 1 {
		t.Errorf("in the end its state is %+v", state)
	}
	for name := range stores.replicas {
		if strings.HasPrefix(name, "warm-up") {
			t.Errorf("the replicator of %q is still in use", name)
		}
	}
}
