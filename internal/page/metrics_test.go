package page

import (
	"strings"
	"testing"
)

func TestReasonsComeInOrder(t *testing.T) {
	counts := map[string]int{}
	for _, why := range strings.Split("hgfedcba", "") {
		counts[why] = 0
	}
	if got := strings.Join(sortedKeys(counts), ""); got != "abcdefgh" {
		t.Errorf("got %s", got)
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	text := &strings.Builder{}
	WriteMetrics(text, []Figures{{Store: "a\"b\\c\nd\xff"}})
	if want := `mtlsallowlist_grants{store="a\"b\\c\nd?"} 0` + "\n"; !strings.Contains(text.String(), want) {
		t.Errorf("got %s, want %s", text, want)
	}
}
