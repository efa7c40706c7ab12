package mtlsallowlist

import (
	"testing"
	"time"
)

func TestProofsAreDatedByRedissClock(t *testing.T) {
	one := limits{ttl: time.Hour, maxIPs: 1}
	for _, row := range []struct {
		name   string
		limits limits
		before string // what is known at 10 s
		at     moment
		want   int64 // milliseconds by Redis's clock
	}{
		{"at once", hour, "", 10 * time.Second, 10_000},
		{"a part of a millisecond later", hour, "", 10*time.Second + 1, 10_001},
		{"a renewal", hour, "9s g 203.0.113.7/32 cn:a", 10 * time.Second, 10_000},
		{"a renewal in the same millisecond", hour, "10s g 203.0.113.7/32 cn:a", 10 * time.Second, 10_001},
		{"a renewal of what another clock has dated later", hour, "15s g 203.0.113.7/32 cn:a", 10 * time.Second, 15_001},
		{"after a revocation", hour, "9s r 203.0.113.7/32 cn:a", 10 * time.Second, 10_000},
		{"after a revocation in the same millisecond", hour, "10s r 203.0.113.7/32 cn:a", 10 * time.Second, 10_001},
		{"after a revocation that another clock has dated later", hour, "15s r 203.0.113.7/32 cn:a", 10 * time.Second, 15_001},
		{"after the revocation of somebody else", hour, "15s r 203.0.113.7/32 cn:b", 10 * time.Second, 10_000},
		{"with room made by one of the same millisecond", one, "10s g 203.0.113.8/32 cn:a", 10 * time.Second, 10_001},
		{"with room made by what another clock has dated later", one, "15s g 203.0.113.8/32 cn:a", 10 * time.Second, 15_001},
	} {
		s := newShared(terms{learner: true, limits: row.limits})
		if row.before != "" {
			s.adopt(told(t, row.before), 10*time.Second)
		}
		g, _, _ := s.learn(home, cnA, row.limits, when(row.at))
		if g.stamp != clockAt0+row.want || g.proved != row.at || g.expires != row.at+time.Hour {
			t.Errorf("%s: got %d ms, proved at %v, expires at %v, want %d ms", row.name, g.stamp-clockAt0, g.proved, g.expires, row.want)
		}
	}
}

func TestWithoutSharingNothingIsDated(t *testing.T) {
	s := newStore("alone")
	s.timeBy(clockAt0, 0, near)
	if g, _, _ := s.learn(home, cnA, hour, when(time.Second+1)); g.stamp != 0 || g.proved != time.Second+1 {
		t.Errorf("got the stamp %d, proved at %v", g.stamp, g.proved)
	}
}

func TestARevocationIsDatedWhenRedisAnswers(t *testing.T) {
	s := newStore("shared")
	s.share()
	s.learn(home, cnA, hour, when(time.Second))
	s.revoke(home, "", when(2*time.Second))
	s.timeBy(clockAt0, 0, near)
	entries := s.entries(3 * time.Second)
	if len(entries) != 1 || entries[0].learned != clockAt0+1000 || entries[0].stamp != clockAt0+2000 {
		t.Errorf("Redis is told %+v", entries)
	}
}

func TestAnEvictionIsToldToWhoAsksForAll(t *testing.T) {
	one := limits{ttl: time.Hour, maxIPs: 1}
	s := newShared(terms{learner: true, limits: one})
	s.collect(1)
	g, _, _ := s.learn(home, cnA, one, when(time.Second))
	s.learn(ipOf("A"), cnA, one, when(2*time.Second))
	if got := tells(s, 3*time.Second); got != "e 203.0.113.7, g 203.0.113.65" {
		t.Errorf("got %q", got)
	}
	if held := s.held([]*grant{g}); len(held) != 0 {
		t.Errorf("what was evicted is told as held: %v", held)
	}
}
