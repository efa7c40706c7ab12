package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestReloadsUnderLoadForgetNobody(t *testing.T) {
	const clients, rounds, reloads = 32, 15, 30
	h := plain(options{"maxIPs": 100}, nil)
	h.live(t)
	var wg sync.WaitGroup
	for i := range clients {
		from, stranger := fmt.Sprint("203.0.113.", i), fmt.Sprint("198.51.100.", i)
		if i%2 == 1 {
			from, stranger = fmt.Sprintf("2001:db8:%d::7", i), fmt.Sprintf("2001:db8:ff%02d::7", i)
		}
		wg.Go(func() {
			for range rounds {
				for _, s := range []step{{from, &home.Phone, "ha", "200"}, {from, nil, "photos", "200"}, {from, nil, "files", "200"}, {stranger, nil, "photos", "403"}} {
					if got := status(client(t, s.from, s.certificate), s.host); got != s.want {
						t.Errorf("%s from %s: got %s, want %s", s.host, s.from, got, s.want)
					}
				}
			}
		})
	}
	for reload := range reloads {
		// Traefik makes new handlers only if something has changed.
		h.Plugins["learn"]["maxIPs"] = 101 + reload
		h.Plugins["enforce"]["sourceRange"] = fmt.Sprint("192.0.2.", reload)
		h.live(t)
	}
	wg.Wait()
	if got := logged(t, "msg=learned", storeOf(t, "default")); got != clients {
		t.Errorf("got %d learned lines, want %d", got, clients)
	}
	noPanic(t)
}

func TestAFaultyConfigurationClosesItsRouterAndSaysWhy(t *testing.T) {
	for _, row := range []struct {
		name     string
		enforcer options
		want     []string
	}{
		{"a misspelt option", options{"sourceRnage": "0.0.0.0/0"}, []string{`sourceRnage: unknown option`, `did you mean`, `sourceRange`}},
		{"several faults", options{"mode": "enforce ", "rejectStatusCode": "teapot", "ipStrategy": options{"dept": 1}}, []string{`rejectStatusCode`, `teapot`, `ipStrategy.dept`, `ipStrategy.depth`}},
		{"a number that is none", options{"rejectStatusCode": 403.7}, []string{`rejectStatusCode`, `403.7`}},
		{"an option of a learner", options{"ttl": 60}, []string{`ttl`, `has no meaning in mode`}},
		{"a map for a list", options{"sourceRange": options{"a": "b"}}, []string{"SourceRange"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			plain(nil, row.enforcer).live(t)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", nil, "photos", "404"})
			said := false // in the log by now: the reload is live, which Traefik says after it
			for _, line := range home.traefik.Log().Lines() {
				all := strings.Contains(line, "photos")
				for _, want := range row.want {
					all = all && strings.Contains(line, want)
				}
				said = said || all
			}
			if !said {
				t.Errorf("no line of Traefik's log has all of %q", row.want)
			}
		})
	}
}
