package mtlsallowlist

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestRevokingDuringAPartitionMissesWhatOnlyTheOtherSideKnows is about a limit that the readme tells: whoever revokes an
// identity while the replicas aren't in step, which the status page shows, has to do it again when they are.
func TestRevokingDuringAPartitionMissesWhatOnlyTheOtherSideKnows(t *testing.T) {
	redis := startRedis(t)
	a, b := startReplica(t, redis.address, Redis{}, 0), startReplica(t, redis.address, Redis{}, 0)
	shown := func(r *replica) string {
		state := r.link.state()
		text, _ := state.text(time.Now())
		return text
	}
	const inStep = "Shared with the other replicas: in step."
	eventually(t, "both are in step", func() bool { return a.inStep() && b.inStep() })
	a.learnAs("203.0.113.7", "cn:stolen", house24)
	eventually(t, "both know the first grant", func() bool { return b.holds("203.0.113.7") })

	redis.kill()
	eventually(t, "the page shows it", func() bool {
		return strings.HasPrefix(shown(a), "Not in step with the other replicas since ") && strings.HasPrefix(shown(b), "Not in step")
	})
	b.learnAs("203.0.113.8", "cn:stolen", house24)
	if got := a.store.revoke(netip.Prefix{}, "cn:stolen", when(a.now())); len(got) != 1 {
		t.Errorf("got %d grants revoked, want the one that is known", len(got))
	}

	redis.start()
	eventually(t, "the page shows that all is well", func() bool { return shown(a) == inStep && shown(b) == inStep })
	eventually(t, "what was revoked is gone, and what wasn't known is there", func() bool {
		return a.held() == "203.0.113.8 cn:stolen" && b.held() == "203.0.113.8 cn:stolen"
	})
	if got := a.store.revoke(netip.Prefix{}, "cn:stolen", when(a.now())); len(got) != 1 {
		t.Errorf("once more: got %d grants revoked, want one", len(got))
	}
	a.link.await()
	eventually(t, "nothing is left", func() bool { return a.held() == "" && b.held() == "" })
}
