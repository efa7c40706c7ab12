package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

// A crowd comes from ever new addresses, of which it revokes some, and remembers what was answered.
type crowd struct {
	made atomic.Int64 // addresses

	mu               sync.Mutex
	fate             map[string]bool // whether a prefix has to be admitted
	asked            map[string]bool // the prefixes of requests without an answer yet
	learned, revoked int             // how many requests were answered
	broken           int             // how many reached Traefik and were not
}

func newCrowd() *crowd {
	return &crowd{fate: map[string]bool{}, asked: map[string]bool{}}
}

// A life is what a crowd does in one process of Traefik.
type life struct {
	crowd    *crowd
	answered chan struct{} // gets a value with each answer
	dying    atomic.Bool   // no answer is no fault any more
	broken   atomic.Int32  // how many requests reached Traefik and had no answer
	faults   chan string
	devices  sync.WaitGroup
}

// live has some devices learn and revoke, until Traefik dies.
func (c *crowd) live(devices int) *life {
	l := &life{crowd: c, answered: make(chan struct{}, 1000), faults: make(chan string, devices)}
	for range devices {
		l.devices.Go(l.roam)
	}
	return l
}

func (l *life) roam() {
	for turn := 1; ; turn++ {
		from, prefix := addressOf(int(l.crowd.made.Add(1)))
		if !l.ask(from, prefix, true) || turn%3 == 2 && !l.ask(from, prefix, false) {
			return
		}
	}
}

// ask has prefix learned or revoked, and reports whether that was answered.
func (l *life) ask(from, prefix string, learn bool) bool {
	method, address, certificate := http.MethodGet, "https://ha.home.example/", &home.phone
	if !learn {
		method, address, certificate = http.MethodDelete, pageURL+"/grants?ip="+url.QueryEscape(prefix), &home.owner
	}
	c := lab.NewClient(lab.ClientOptions{From: from, Target: home.traefik.Addr("websecure"), TLS: tlsConfig(certificate)})
	defer c.Close()
	request, err := http.NewRequest(method, address, nil)
	if err != nil {
		l.faults <- err.Error()
		return false
	}
	l.crowd.ask(prefix)
	response, err := c.Do(request)
	switch {
	case response.Status == http.StatusOK: // even if the rest is lost
		l.crowd.answered(prefix, learn)
		select {
		case l.answered <- struct{}{}:
		default:
		}
		return true
	case err == nil:
		l.faults <- http.StatusText(response.Status) + " for " + from
	case !l.dying.Load():
		l.faults <- err.Error()
	case !errors.Is(err, syscall.ECONNREFUSED):
		l.broken.Add(1)
	}
	return false
}

func (l *life) awaitAnswer(t *testing.T) {
	t.Helper()
	select {
	case <-l.answered:
	case fault := <-l.faults:
		t.Fatal(fault)
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was answered")
	}
}

// end waits for the devices, and returns how many requests were in flight.
func (l *life) end(t *testing.T) int {
	t.Helper()
	l.devices.Wait()
	close(l.faults)
	for fault := range l.faults {
		t.Error(fault)
	}
	broken := int(l.broken.Load())
	l.crowd.broken += broken
	return broken
}

func (c *crowd) ask(prefix string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[prefix] = true
	delete(c.fate, prefix)
}

func (c *crowd) answered(prefix string, learned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fate[prefix] = learned
	delete(c.asked, prefix)
	if learned {
		c.learned++
	} else {
		c.revoked++
	}
}

func (c *crowd) revokedAll() {
	for prefix := range c.fate {
		c.fate[prefix] = false
	}
}

// judge compares a state with what was answered. It decides what wasn't.
func (c *crowd) judge(t *testing.T, saved savedState) {
	t.Helper()
	held := map[string]bool{}
	for _, g := range saved.Grants {
		if held[g.IP] {
			t.Errorf("%s is in the file twice", g.IP)
		}
		held[g.IP] = true
	}
	for prefix, admitted := range c.fate {
		if held[prefix] != admitted {
			t.Errorf("%s is in the file: %t, after the answer that it was admitted: %t", prefix, held[prefix], admitted)
		}
	}
	for prefix := range c.asked {
		c.fate[prefix] = held[prefix]
	}
	c.asked = map[string]bool{}
	for prefix := range held {
		if _, known := c.fate[prefix]; !known {
			t.Errorf("%s is in the file, but never asked", prefix)
		}
	}
}

// some returns up to n prefixes of that fate, in no order.
func (c *crowd) some(n int, admitted bool) []string {
	prefixes := []string{}
	for prefix, fate := range c.fate {
		if fate == admitted && len(prefixes) < n {
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes
}

func (c *crowd) String() string {
	return fmt.Sprintf("%d grants learned and %d revoked with an answer, %d requests without one", c.learned, c.revoked, c.broken)
}
