package option

import (
	"fmt"
	"strings"
	"testing"
)

func TestHowMuchIsQuoted(t *testing.T) {
	for _, row := range []struct {
		length int
		want   string
	}{{99, strings.Repeat("x", 99)}, {100, strings.Repeat("x", 100)}, {101, strings.Repeat("x", 100) + "…"}, {1000, strings.Repeat("x", 100) + "…"}} {
		if got := Shortened(strings.Repeat("x", row.length)); got != row.want {
			t.Errorf("%d bytes: got %q, want %q", row.length, got, row.want)
		}
	}
}

func TestHowManyFaultsAreReported(t *testing.T) {
	for _, row := range []struct {
		faults, lines int
		last          string
	}{{1, 1, "key0: no"}, {50, 50, "key49: no"}, {51, 51, "and more faults"}, {1000, 51, "and more faults"}} {
		r := New(nil)
		for i := 0; i < row.faults; i++ {
			r.Refuse(fmt.Sprint("key", i), "no")
		}
		lines := strings.Split(r.Err().Error(), "\n")
		if last := lines[len(lines)-1]; len(lines) != row.lines || last != row.last {
			t.Errorf("of %d: got %d lines, the last %q, want %d and %q", row.faults, len(lines), last, row.lines, row.last)
		}
	}
}
