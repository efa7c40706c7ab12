package replica

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/internal/change"
	"github.com/mtlsallowlist/mtlsallowlist/internal/identity"
	"github.com/mtlsallowlist/mtlsallowlist/internal/redis/redistest"
)

// TestWhatAStoreTakesInRedis is about the figures in docs/replicas.md.
func TestWhatAStoreTakesInRedis(t *testing.T) {
	s := redistest.Start(t)
	r := newNode(t, "sized", optionsFor(s.Address))
	attempt, _ := r.current()
	conn, err := r.dial(attempt)
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := identity.ByFingerprint + strings.Repeat("9f0c", 16)
	changes := func(n int, stamp int64) []change.Change {
		list := []change.Change{}
		for i := 0; i < n; i++ {
			ip := netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 32)
			id := identity.Identity{Names: []string{fmt.Sprint("cn:phone", i), fingerprint}, Serial: strings.Repeat("3a", 20)}
			list = append(list, change.Change{Kind: change.Granted, IP: ip, Identity: id, Learned: stamp, Stamp: stamp, Expires: stamp + int64(24*time.Hour/time.Millisecond)})
		}
		return list
	}
	usage := func(keys ...string) (bytes int) {
		for _, key := range keys {
			n, err := strconv.Atoi(s.CLI("MEMORY", "USAGE", key, "SAMPLES", "0"))
			if err != nil {
				t.Fatal(err)
			}
			bytes += n
		}
		return bytes
	}
	now := time.Now().UnixNano() / int64(time.Millisecond)
	if err := r.push(conn, changes(2_000, now)); err != nil {
		t.Fatal(err)
	}
	if got := usage(r.keys[0], r.keys[1]) / 2_000; got < 350 || got > 500 {
		t.Errorf("a grant takes %d bytes, want some 450", got)
	}
	before := usage(r.keys[2])
	for i := 1; i <= 10; i++ { // full batches
		if err := r.push(conn, changes(batchSize, now+int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	kept, _ := strconv.Atoi(keptChanges)
	if got := (usage(r.keys[2]) - before) / 10 * kept; got < 5_000_000 || got > 15_000_000 {
		t.Errorf("of nothing but full batches, the changes take %d bytes, want some 10 MB", got)
	}
	for i := 1; i <= 400; i++ { // one by one
		if err := r.push(conn, changes(1, now+1000+int64(i))); err != nil {
			t.Fatal(err)
		}
	}
	if got := usage(r.keys[2]); got < 50_000 || got > 150_000 {
		t.Errorf("the changes take %d bytes, want some 0.1 MB", got)
	}
}
