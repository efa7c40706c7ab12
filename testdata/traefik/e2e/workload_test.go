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

// A workload comes from ever new addresses, of which it revokes some, and remembers what was answered.
type workload struct {
	made atomic.Int64 // addresses

	mu               sync.Mutex
	expected         map[string]bool // whether a prefix has to be admitted
	asked            map[string]bool // the prefixes of requests without an answer yet
	learned, revoked int             // how many requests were answered
	broken           int             // how many reached Traefik and were not
}

func newWorkload() *workload {
	return &workload{expected: map[string]bool{}, asked: map[string]bool{}}
}

// A workloadRun is what a workload does in one process of Traefik.
type workloadRun struct {
	load     *workload
	answered chan struct{} // gets a value with each answer
	dying    atomic.Bool   // no answer is no fault any more
	broken   atomic.Int32  // how many requests reached Traefik and had no answer
	faults   chan string
	devices  sync.WaitGroup
}

// start has some devices learn and revoke, until Traefik dies.
func (w *workload) start(devices int) *workloadRun {
	r := &workloadRun{load: w, answered: make(chan struct{}, 1000), faults: make(chan string, devices)}
	for range devices {
		r.devices.Go(r.work)
	}
	return r
}

func (r *workloadRun) work() {
	for turn := 1; ; turn++ {
		from, prefix := lab.Address(int(r.load.made.Add(1)))
		if !r.ask(from, prefix, true) || turn%3 == 2 && !r.ask(from, prefix, false) {
			return
		}
	}
}

// ask has prefix learned or revoked, and reports whether that was answered.
func (r *workloadRun) ask(from, prefix string, learn bool) bool {
	method, address, certificate := http.MethodGet, "https://ha.home.example/", &home.Phone
	if !learn {
		method, address, certificate = http.MethodDelete, pageURL+"/grants?ip="+url.QueryEscape(prefix), &home.Owner
	}
	c := lab.NewClient(lab.ClientOptions{From: from, Target: home.traefik.Addr("websecure"), TLS: tlsConfig(certificate)})
	defer c.Close()
	request, err := http.NewRequest(method, address, nil)
	if err != nil {
		r.faults <- err.Error()
		return false
	}
	r.load.ask(prefix)
	response, err := c.Do(request)
	switch {
	case response.Status == http.StatusOK: // even if the rest is lost
		r.load.answered(prefix, learn)
		select {
		case r.answered <- struct{}{}:
		default:
		}
		return true
	case err == nil:
		r.faults <- http.StatusText(response.Status) + " for " + from
	case !r.dying.Load():
		r.faults <- err.Error()
	case !errors.Is(err, syscall.ECONNREFUSED):
		r.broken.Add(1)
	}
	return false
}

func (r *workloadRun) awaitAnswer(t *testing.T) {
	t.Helper()
	select {
	case <-r.answered:
	case fault := <-r.faults:
		t.Fatal(fault)
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was answered")
	}
}

// end waits for the devices, and returns how many requests were in flight.
func (r *workloadRun) end(t *testing.T) int {
	t.Helper()
	r.devices.Wait()
	close(r.faults)
	for fault := range r.faults {
		t.Error(fault)
	}
	broken := int(r.broken.Load())
	r.load.broken += broken
	return broken
}

func (w *workload) ask(prefix string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[prefix] = true
	delete(w.expected, prefix)
}

func (w *workload) answered(prefix string, learned bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected[prefix] = learned
	delete(w.asked, prefix)
	if learned {
		w.learned++
	} else {
		w.revoked++
	}
}

func (w *workload) revokedAll() {
	for prefix := range w.expected {
		w.expected[prefix] = false
	}
}

// verify compares a state with what was answered. It decides what wasn't.
func (w *workload) verify(t *testing.T, saved savedState) {
	t.Helper()
	held := map[string]bool{}
	for _, g := range saved.Grants {
		if held[g.IP] {
			t.Errorf("%s is in the file twice", g.IP)
		}
		held[g.IP] = true
	}
	for prefix, admitted := range w.expected {
		if held[prefix] != admitted {
			t.Errorf("%s is in the file: %t, after the answer that it was admitted: %t", prefix, held[prefix], admitted)
		}
	}
	for prefix := range w.asked {
		w.expected[prefix] = held[prefix]
	}
	w.asked = map[string]bool{}
	for prefix := range held {
		if _, known := w.expected[prefix]; !known {
			t.Errorf("%s is in the file, but never asked", prefix)
		}
	}
}

// some returns up to n prefixes of that expected, in no order.
func (w *workload) some(n int, admitted bool) []string {
	prefixes := []string{}
	for prefix, expected := range w.expected {
		if expected == admitted && len(prefixes) < n {
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes
}

func (w *workload) String() string {
	return fmt.Sprintf("%d grants learned and %d revoked with an answer, %d requests without one", w.learned, w.revoked, w.broken)
}
