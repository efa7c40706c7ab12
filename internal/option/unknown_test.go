package option

import "testing"

func TestEditDistance(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ttl", 3}, {"ttl", "", 3}, {"ttl", "ttl", 0}, {"tttl", "ttl", 1}, {"dept", "depth", 1}, {"sourcernage", "sourcerange", 2}, {"abc", "xyz", 3},
		{"a", "ab", 1}, {"ab", "a", 1}, {"a", "abc", 2}, {"abc", "a", 2}, {"depth", "dpth", 1}, {"abcd", "bcda", 2}} {
		if got := editDistance(row.a, row.b); got != row.want {
			t.Errorf("%q and %q: got %d, want %d", row.a, row.b, got, row.want)
		}
	}
}
