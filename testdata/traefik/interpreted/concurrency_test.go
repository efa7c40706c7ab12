package interpreted

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

const (
	clientsAtOnce   = 32
	roundsOfAClient = 10
)

var service = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusOK) })

// A generation is the handlers of one dynamic configuration: a reload replaces them all.
type generation struct {
	learner, enforcer http.Handler
	links             http.Handler   // learns whose requests are answered
	own               []http.Handler // enforcers that let in one client's identity only
}

func newGeneration(t *testing.T, plugin *Plugin) *generation {
	t.Helper()
	handler := func(options map[string]any) http.Handler {
		t.Helper()
		h := check.Must(plugin.Handler(service, options, "concurrent"))(t)
		return h
	}
	g := &generation{
		learner:  handler(map[string]any{"mode": "learn", "maxIPs": 10_000}),
		enforcer: handler(map[string]any{"mode": "enforce"}),
		links:    handler(map[string]any{"mode": "learn", "maxIPs": 10_000, "proof": "response", "identityHeader": "X-User"}),
	}
	for client := range clientsAtOnce {
		g.own = append(g.own, handler(map[string]any{"mode": "enforce", "identities": fmt.Sprintf("cn:client%d", client)}))
	}
	return g
}

// TestNoGrantIsLostByManyAtOnce lets clients learn and enter at once in a plugin that has served nobody before, while
// reloads go on. With -race it also shows that Yaegi's own caches are filled before.
func TestNoGrantIsLostByManyAtOnce(t *testing.T) {
	silence(t)
	for range 3 {
		plugin := check.Must(Load("github.com/mtlsallowlist/mtlsallowlist", "../../.."))(t)
		runClients(t, plugin)
	}
}

func runClients(t *testing.T, plugin *Plugin) {
	var current atomic.Pointer[generation]
	current.Store(newGeneration(t, plugin))
	check := func(what string, handler http.Handler, address string, state *tls.ConnectionState, want int) {
		req := &http.Request{
			Method: http.MethodGet, URL: &url.URL{Path: "/"}, RequestURI: "/", RemoteAddr: address, TLS: state, Header: http.Header{"X-User": {address}},
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, req)
		if recorder.Code != want {
			t.Errorf("%s from %s: got %d, want %d", what, address, recorder.Code, want)
		}
	}
	const shared = "203.1.1.1:1"
	start, done := make(chan struct{}), make(chan struct{})
	var clients, reloads sync.WaitGroup
	for client := range clientsAtOnce {
		clients.Go(func() {
			<-start
			state := verified(fmt.Sprintf("client%d", client))
			for round := range roundsOfAClient {
				for _, address := range []string{fmt.Sprintf("203.0.%d.%d:1", client, round), fmt.Sprintf("[2001:db8:%x:%x::1]:1", client, round)} {
					check("before the proof", current.Load().enforcer, address, nil, http.StatusForbidden)
					check("without a certificate", current.Load().learner, address, nil, http.StatusForbidden)
					check("with a proof", current.Load().learner, address, state, http.StatusOK)
					check("after the proof", current.Load().enforcer, address, nil, http.StatusOK)
					check("for the client's identity", current.Load().own[client], address, nil, http.StatusOK)
					check("for another identity", current.Load().own[(client+1)%clientsAtOnce], address, nil, http.StatusForbidden)
				}
				linked := fmt.Sprintf("203.4.%d.%d:1", client, round)
				check("before the link", current.Load().enforcer, linked, nil, http.StatusForbidden)
				check("by a link", current.Load().links, linked, nil, http.StatusOK)
				check("after the link", current.Load().enforcer, linked, nil, http.StatusOK)
				check("with a proof from everybody's address", current.Load().learner, shared, state, http.StatusOK)
				check("for the client's identity from everybody's address", current.Load().own[client], shared, nil, http.StatusOK)
			}
		})
	}
	reloads.Go(func() {
		<-start
		for {
			select {
			case <-done:
				return
			default:
				current.Store(newGeneration(t, plugin))
			}
		}
	})
	close(start)
	clients.Wait()
	close(done)
	reloads.Wait()
	for client := range clientsAtOnce {
		for round := range roundsOfAClient {
			check("in the end", current.Load().own[client], fmt.Sprintf("203.0.%d.%d:1", client, round), nil, http.StatusOK)
		}
	}
	check("a stranger in the end", current.Load().enforcer, "203.2.2.2:1", nil, http.StatusForbidden)
}

// verified is the state of a connection on which Traefik verified a certificate.
func verified(cn string) *tls.ConnectionState {
	leaf := &x509.Certificate{
		Raw:          []byte(cn),
		SerialNumber: big.NewInt(7),
		Subject:      pkix.Name{CommonName: cn},
		NotAfter:     time.Now().Add(time.Hour),
	}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}
}

// silence keeps the plugin's log out of the way, which goes to the process's own output.
func silence(t *testing.T) {
	t.Helper()
	null := check.Must(os.OpenFile(os.DevNull, os.O_WRONLY, 0))(t)
	stdout := os.Stdout
	os.Stdout = null
	t.Cleanup(func() {
		os.Stdout = stdout
		null.Close()
	})
}
