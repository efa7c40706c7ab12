package interpreted

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/check"
)

// TestStateAndStatusAtOnce has the first requests of all kinds come at once, with a state file: with -race it shows
// that Yaegi's own caches are filled before.
func TestStateAndStatusAtOnce(t *testing.T) {
	silence(t)
	for range 3 {
		plugin := check.Must(Load("github.com/mtlsallowlist/mtlsallowlist", "../../.."))(t)
		handler := func(options map[string]any) http.Handler {
			h := check.Must(plugin.Handler(service, options, "household"))(t)
			return h
		}
		path := filepath.Join(t.TempDir(), "state.json")
		learner := handler(map[string]any{"mode": "learn", "maxIPs": 1000, "stateFile": path})
		page := handler(map[string]any{"mode": "status"})
		ask := func(h http.Handler, method, url, address, cn string) {
			req := httptest.NewRequest(method, url, nil)
			req.RemoteAddr, req.TLS = address, verified(cn)
			recorder := httptest.NewRecorder()
			h.ServeHTTP(recorder, req)
			if recorder.Code != http.StatusOK {
				t.Errorf("%s %s from %s: got %d: %s", method, url, address, recorder.Code, recorder.Body)
			}
		}
		start := make(chan struct{})
		var clients sync.WaitGroup
		for client := range 8 {
			clients.Go(func() {
				<-start
				address := fmt.Sprintf("203.0.113.%d:1", client)
				for range 3 {
					ask(learner, http.MethodGet, "/", address, fmt.Sprint("client", client))
					ask(page, http.MethodGet, "/", address, "owner")
					ask(page, http.MethodGet, "/grants", address, "owner")
					ask(page, http.MethodGet, "/metrics", address, "owner")
					ask(page, http.MethodDelete, fmt.Sprint("/grants?identity=cn:client", client), address, "owner")
				}
			})
		}
		close(start)
		clients.Wait()
	}
}
