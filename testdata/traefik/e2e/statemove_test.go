package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// killed kills Traefik and starts it again.
func killed(t *testing.T) {
	t.Helper()
	if err := errors.Join(home.traefik.Kill(), home.traefik.Restart(context.Background())); err != nil {
		t.Fatal(err)
	}
}

func TestAReloadMovesTheFile(t *testing.T) {
	path, store := stateFile(t), storeOf(t, "default")
	at := func(name string) { watched(options{"stateFile": path + name}, nil, nil).live(t) }
	has := func(name, want string) {
		t.Helper()
		if got := readState(t, path+name, store).ips(); got != want {
			t.Errorf("the file %s has %s, want %s", name, got, want)
		}
	}
	check := func() {
		t.Helper()
		walk(t,
			step{"203.0.113.1", nil, "photos", "403"},
			step{"203.0.113.2", nil, "photos", "200"},
			step{"203.0.113.3", nil, "photos", "200"},
		)
	}
	at("1")
	walk(t, step{"203.0.113.1", &home.Phone, "ha", "200"}, step{"203.0.113.2", &home.Phone, "ha", "200"})
	has("1", "203.0.113.2/32 203.0.113.1/32")
	at("2")
	has("2", "203.0.113.2/32 203.0.113.1/32")
	walk(t, step{"203.0.113.3", &home.Phone, "ha", "200"}, step{"203.0.113.1", nil, "photos", "200"})
	send(t, owner(t, false), http.MethodDelete, "/grants?ip=203.0.113.1", "")
	has("2", "203.0.113.3/32 203.0.113.2/32")
	has("1", "203.0.113.2/32 203.0.113.1/32") // let alone
	killed(t)
	check()
	at("3")
	at("2")
	has("2", "203.0.113.3/32 203.0.113.2/32")
	killed(t)
	check()
}

func TestAFileThatTheOptionNamesAgainHasWhatWasLearnedMeanwhile(t *testing.T) {
	path, store := stateFile(t), storeOf(t, "default")
	for _, file := range []options{{"stateFile": path}, nil, {"stateFile": path}} {
		watched(file, nil, nil).live(t)
		walk(t, step{fmt.Sprint("203.0.113.", home.traefik.Log().Count("msg=learned", store)), &home.Phone, "ha", "200"})
	}
	killed(t)
	if got, want := listed(t, owner(t, false), "/grants").in(store), "203.0.113.2/32 203.0.113.1/32 203.0.113.0/32"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestNobodyIsLostWhileAReloadMovesTheFile makes reloads long by many routers: the learner is made anew at some time,
// and serves only after all of them.
func TestNobodyIsLostWhileAReloadMovesTheFile(t *testing.T) {
	path, store := stateFile(t), storeOf(t, "default")
	h := watched(options{"maxIPs": 10_000}, nil, nil)
	for i := range 300 {
		h.Routes = append(h.Routes, route{Host: "photos", Path: fmt.Sprint("/", i), Middleware: "enforce"})
	}
	h.live(t)
	for reload := range 5 {
		file := fmt.Sprint(path, reload)
		h.Plugins["learn"] = options{"mode": "learn", "maxIPs": 10_000, "stateFile": file}
		done, learned := make(chan struct{}), make(chan []string)
		go func() {
			prefixes := []string{}
			for n := 0; ; n++ {
				select {
				case <-done:
					learned <- prefixes
					return
				default:
				}
				from := fmt.Sprintf("5.%d.%d.%d", reload, n/250, n%250)
				if got := status(client(t, from, &home.Phone), "ha"); got != "200" {
					t.Errorf("%s got %s", from, got)
				}
				prefixes = append(prefixes, from+"/32")
			}
		}()
		h.live(t)
		close(done)
		answered := <-learned
		held := strings.Fields(readState(t, file, store).ips())
		lost := slices.DeleteFunc(answered, func(prefix string) bool { return slices.Contains(held, prefix) })
		if len(answered) < 5 || len(lost) > 0 {
			t.Errorf("reload %d: of %d that were learned, the new file lacks %s", reload, len(answered), lost)
		}
	}
}

func TestReloadsUnderLoadLoseNobody(t *testing.T) {
	const devices, turns, reloads = 8, 15, 20
	path, store := stateFile(t), storeOf(t, "default")
	h := watched(options{"stateFile": path, "maxIPs": 1000}, nil, nil)
	h.live(t)
	var wg sync.WaitGroup
	for device := range devices {
		wg.Go(func() {
			for turn := range turns {
				from := fmt.Sprintf("203.0.%d.%d", 10+device, turn)
				if got := status(client(t, from, &home.Phone), "ha"); got != "200" {
					t.Errorf("%s got %s", from, got)
				}
			}
		})
	}
	for reload := range reloads {
		h.Plugins["learn"]["maxIPs"] = 1001 + reload
		h.live(t)
	}
	wg.Wait()
	killed(t)
	if got := len(readState(t, path, store).Grants); got != devices*turns {
		t.Errorf("the file has %d grants, want %d", got, devices*turns)
	}
	if got := len(strings.Fields(listed(t, owner(t, false), "/grants").in(store))); got != devices*turns {
		t.Errorf("the store has %d grants, want %d", got, devices*turns)
	}
	noPanic(t)
}
