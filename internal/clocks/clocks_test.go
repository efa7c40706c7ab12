package clocks

import (
	"testing"
	"time"
)

func TestWithin(t *testing.T) {
	for _, row := range [][3]time.Duration{{-2, 9, 0}, {-1, 9, 0}, {0, 9, 0}, {1, 9, 1}, {9, 9, 9}, {10, 9, 9}, {3, 0, 0}} {
		if got := Within(row[0], row[1]); got != row[2] {
			t.Errorf("%d of at most %d: got %d, want %d", row[0], row[1], got, row[2])
		}
	}
}

func TestMomentsOfTimes(t *testing.T) {
	r := Reading{Wall: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Mono: time.Hour}
	for _, row := range []struct {
		after time.Duration // r
		want  Moment
	}{
		{0, time.Hour},
		{-1, time.Hour - 1},
		{-time.Minute, 59 * time.Minute},
		{-3 * time.Hour, -2 * time.Hour}, // before the process began
		{time.Minute, 61 * time.Minute},
	} {
		at := r.Wall.Add(row.after)
		if got := r.MomentOf(at); got != row.want {
			t.Errorf("%v later: got the moment %v, want %v", row.after, got, row.want)
		}
		if got := r.TimeOf(r.MomentOf(at)); !got.Equal(at) {
			t.Errorf("%v later: got the time %v, want %v", row.after, got, at)
		}
	}
	if far := r.MomentOf(r.Wall.AddDate(200, 0, 0)); far <= r.Mono || far != r.MomentOf(r.Wall.AddDate(220, 0, 0)) {
		t.Errorf("two hundred years later: got %v", far)
	}
}

func TestATimelineRoundsAgainstTheGrant(t *testing.T) {
	l := Timeline{Ahead: 1000}
	for _, row := range []struct {
		moment    Moment
		at, until int64
	}{
		{0, 1000, 1000},
		{time.Millisecond, 1001, 1001},
		{1, 1001, 1000},
		{time.Millisecond - 1, 1001, 1000},
		{-1, 1000, 999},
		{-time.Millisecond, 999, 999},
		{-time.Millisecond - 1, 999, 998},
	} {
		if at, until := l.At(row.moment), l.Until(row.moment); at != row.at || until != row.until {
			t.Errorf("%v: got %d and %d, want %d and %d", row.moment, at, until, row.at, row.until)
		}
	}
	if got := l.Moment(1007); got != 7*time.Millisecond || l.At(got) != 1007 {
		t.Errorf("got %v", got)
	}
	if now := NewTimeline(); now.At(0) != Epoch.UnixMilli() || now.Shared {
		t.Errorf("a new one begins at %d, want %d", now.At(0), Epoch.UnixMilli())
	}
}

func TestSteps(t *testing.T) {
	wall := Wall{}
	reading := func(wall, mono time.Duration) Reading { return Reading{Wall: EpochTime.Add(wall), Mono: mono} }
	for _, row := range []struct {
		name    string
		now     Reading
		later   time.Duration // a time that was in the past already
		forward time.Duration
		stepped bool
	}{
		{"the first look", reading(5*time.Second, 5*time.Second), 0, 0, false},
		{"both go on", reading(9*time.Second, 9*time.Second), 0, 0, false},
		{"a second apart", reading(10*time.Second, 9*time.Second), 0, 0, false},
		{"a second apart the other way", reading(9*time.Second, 10*time.Second), 0, 0, false},
		{"more", reading(10*time.Second+1, 9*time.Second), 0, time.Second + 1, true},
		{"the wall clock is set back", reading(-time.Hour, 10*time.Second), 0, 0, true},
		{"and on again", reading(11*time.Second, 11*time.Second), 0, time.Hour + 10*time.Second, true},
		{"by what it was known to be behind", reading(time.Hour+12*time.Second, 12*time.Second), time.Hour, 0, true},
		{"and by more", reading(3*time.Hour+13*time.Second, 13*time.Second), 30 * time.Minute, 90 * time.Minute, true},
	} {
		if row.later > 0 {
			wall.NotBefore(EpochTime.Add(row.later), reading(0, row.now.Mono))
		}
		forward, stepped := wall.Step(row.now)
		if stepped != row.stepped || forward != row.forward {
			t.Errorf("%s: got %v and %t, want %v and %t", row.name, forward, stepped, row.forward, row.stepped)
		}
	}
}

func TestHowFarTheWallClockIsBehindIsTheMostThatIsKnown(t *testing.T) {
	wall := Wall{}
	now := Reading{Wall: EpochTime}
	_, _ = wall.Step(now)
	for _, later := range []time.Duration{time.Hour, time.Minute, -time.Hour} {
		wall.NotBefore(EpochTime.Add(later), now)
	}
	if forward, stepped := wall.Step(Reading{Wall: EpochTime.Add(3 * time.Hour)}); forward != 2*time.Hour || !stepped {
		t.Errorf("got %v and %t, want 2h", forward, stepped)
	}
}

func TestTimesOfWholeMilliseconds(t *testing.T) {
	if got := wholeMillisecond(time.Unix(1, 123_456_789)); !got.Equal(time.Unix(1, 123_000_000)) {
		t.Errorf("got %v", got)
	}
}
