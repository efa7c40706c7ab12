package e2e

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// TestNoKillLosesWhatWasAnswered kills Traefik at random moments while a workload learns and revokes; every other time it
// also waits until the file is being written. After each kill the file is whole, it has every grant and none of
// the revoked ones whose requests were answered, and the next Traefik knows what is in it.
func TestNoKillLosesWhatWasAnswered(t *testing.T) {
	const kills, most, pause = 200, 20, 20 * time.Millisecond
	path, store := stateFile(t), storeOf(t, "default")
	watched(options{"stateFile": path, "maxIPs": 1_000_000}, nil, nil).live(t)
	load := newWorkload()
	inFlight, midWrite := 0, 0
	for kill := range kills {
		run := load.start(6)
		for range 1 + rand.N(most) {
			run.awaitAnswer(t)
		}
		time.Sleep(rand.N(pause))
		if kill%2 == 1 && awaitWrite(path) {
			midWrite++
		}
		run.dying.Store(true)
		if err := home.traefik.Kill(); err != nil {
			t.Fatal(err)
		}
		if run.end(t) > 0 {
			inFlight++
		}
		saved := readState(t, path, store)
		load.verify(t, saved)
		if err := home.traefik.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
		if left := beside(t, path, ".*"); len(left) > 0 {
			t.Errorf("the next Traefik left %.500q beside the file", left)
		}
		if got, want := listed(t, owner(t, false), "/grants").in(store), saved.ips(); got != want {
			t.Errorf("the next Traefik knows %d grants, the file had %d", len(strings.Fields(got)), len(saved.Grants))
		}
		if kill%20 == 0 { // or each change would take long
			send(t, owner(t, false), http.MethodDelete, "/grants?store="+url.QueryEscape(store), "")
			load.revokedAll()
		}
		if t.Failed() {
			t.Fatalf("after kill %d", kill+1)
		}
	}
	t.Logf("%d kills, %d of them with requests in flight, %d while the file was written; %s", kills, inFlight, midWrite, load)
	if inFlight < kills*9/10 || midWrite < kills/5 || load.learned < 2*kills || load.revoked < kills/10 {
		t.Error("the kills came when there was too little to lose")
	}
	for _, prefix := range append(load.some(40, true), load.some(40, false)...) {
		want := map[bool]string{true: "200", false: "403"}[load.expected[prefix]]
		walk(t, step{netip.MustParsePrefix(prefix).Addr().String(), nil, "photos", want})
	}
	noPanic(t)
}

// awaitWrite waits, but not for long, for the file to change, and reports whether it did. It doesn't pause: that takes
// milliseconds.
func awaitWrite(path string) bool {
	before, err := os.Stat(path)
	for end := time.Now().Add(time.Second); err == nil && time.Now().Before(end); {
		now, gone := os.Stat(path)
		if gone != nil || now.Size() != before.Size() || !os.SameFile(before, now) {
			return true
		}
	}
	return false
}
