package interpreted

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/redis"
)

const (
	replicas        = 3
	sharersAtOnce   = 8
	roundsOfSharing = 4
	// soonEverywhere is how long what one replica does may take to hold in another here, with the race detector.
	soonEverywhere = 20 * time.Second
)

// A replica is a plugin as in a Traefik of its own.
type replica struct {
	t       *testing.T
	plugin  *Plugin
	address string // of Redis
	current atomic.Pointer[sharingGeneration]
	cancel  context.CancelFunc // of current
}

type sharingGeneration struct {
	learner, enforcer, page http.Handler
}

// reload replaces the handlers, as Traefik does.
func (r *replica) reload() {
	ctx, cancel := context.WithCancel(context.Background())
	shared := map[string]any{"endpoints": r.address}
	handler := func(options map[string]any) http.Handler {
		h, err := r.plugin.HandlerIn(ctx, service, options, "sharing")
		if err != nil {
			r.t.Error(err)
		}
		return h
	}
	before := r.cancel
	r.cancel = cancel
	r.current.Store(&sharingGeneration{
		learner:  handler(map[string]any{"mode": "learn", "maxIPs": 10_000, "redis": shared}),
		enforcer: handler(map[string]any{"mode": "enforce", "redis": shared}),
		page:     handler(map[string]any{"mode": "status"}),
	})
	if before != nil {
		before()
	}
}

func (r *replica) ask(h http.Handler, method, url, address, cn string) int {
	req := httptest.NewRequest(method, url, nil)
	req.RemoteAddr = address
	if cn != "" {
		req.TLS = verified(cn)
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, req)
	return recorder.Code
}

// eventually asks the enforcer until it answers so.
func (r *replica) eventually(what, address string, want int) {
	for end := time.Now().Add(soonEverywhere); ; time.Sleep(5 * time.Millisecond) {
		got := r.ask(r.current.Load().enforcer, http.MethodGet, "/", address, "")
		if got == want {
			return
		}
		if time.Now().After(end) {
			r.t.Errorf("%s: %s: got %d for %v, want %d", what, address, got, soonEverywhere, want)
			return
		}
	}
}

// TestReplicasShareAtOnce has replicas that have served nobody before learn, enforce, revoke and reload at once, while the
// links between them come up: with -race it shows that Yaegi's own caches are filled before.
func TestReplicasShareAtOnce(t *testing.T) {
	silence(t)
	server := redis.Start(t)
	all := []*replica{}
	for range replicas {
		plugin := check.Must(Load("github.com/mtlsallowlist/mtlsallowlist", "../../.."))(t)
		all = append(all, &replica{t: t, plugin: plugin, address: server.Address})
	}
	done := make(chan struct{})
	var clients, reloads sync.WaitGroup
	for _, r := range all {
		r.reload()
		defer func() { r.cancel() }()
		reloads.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Millisecond):
					r.reload()
				}
			}
		})
	}
	for client := range sharersAtOnce {
		clients.Go(func() {
			cn := fmt.Sprint("client", client)
			for round := range roundsOfSharing {
				address := fmt.Sprintf("203.0.%d.%d:1", client, round)
				here, there, elsewhere := all[(client+round)%replicas], all[(client+round+1)%replicas], all[(client+round+2)%replicas]
				for range 2 { // the second renews it
					if got := here.ask(here.current.Load().learner, http.MethodGet, "/", address, cn); got != http.StatusOK {
						t.Errorf("a proof from %s: got %d", address, got)
					}
				}
				there.eventually("learned elsewhere", address, http.StatusOK)
				elsewhere.eventually("learned elsewhere", address, http.StatusOK)
				for _, path := range []string{"/", "/grants", "/metrics"} {
					if got := there.ask(there.current.Load().page, http.MethodGet, path, address, cn); got != http.StatusOK {
						t.Errorf("GET %s: got %d", path, got)
					}
				}
				host := fmt.Sprintf("203.0.%d.%d", client, round)
				query := url.Values{"ip": {host}}.Encode()
				if got := elsewhere.ask(elsewhere.current.Load().page, http.MethodDelete, "/grants?"+query, address, cn); got != http.StatusOK {
					t.Errorf("revoking %s: got %d", host, got)
				}
				here.eventually("revoked elsewhere", address, http.StatusForbidden)
				there.eventually("revoked elsewhere", address, http.StatusForbidden)
			}
		})
	}
	clients.Wait()
	close(done)
	reloads.Wait()
}
