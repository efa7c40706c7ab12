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

func TestEveryFigureIsASample(t *testing.T) {
	text := &strings.Builder{}
	WriteMetrics(text, []Figures{
		{
			Store: "a", Grants: 1, IPs: 2, MaxIPs: 3, Learned: 4, Renewed: 5, Evicted: 6, Revoked: 7, Admitted: 8,
			Rejected: map[string]int{"no TLS": 9, "no user": 10}, Unsaved: 11, Replication: &Replication{Synced: true, Failures: 12, Invalid: 13},
		},
		{Store: "away", Replication: &Replication{}},
		{Store: "alone"},
	})
	for _, row := range []struct{ store, want string }{
		{"a", `grants{} 1, ips{} 2, ips_limit{} 3, learned_total{} 4, renewed_total{} 5, evicted_total{} 6, revoked_total{} 7, admitted_total{} 8, ` +
			`rejected_total{,reason="no TLS"} 9, rejected_total{,reason="no user"} 10, state_file_failures_total{} 11, redis_in_step{} 1, redis_failures_total{} 12, redis_skipped_total{} 13`},
		{"away", `grants{} 0, ips{} 0, ips_limit{} 0, learned_total{} 0, renewed_total{} 0, evicted_total{} 0, revoked_total{} 0, admitted_total{} 0, ` +
			`state_file_failures_total{} 0, redis_in_step{} 0, redis_failures_total{} 0, redis_skipped_total{} 0`},
		{"alone", `grants{} 0, ips{} 0, ips_limit{} 0, learned_total{} 0, renewed_total{} 0, evicted_total{} 0, revoked_total{} 0, admitted_total{} 0, state_file_failures_total{} 0`},
	} {
		got := []string{}
		for _, line := range strings.Split(text.String(), "\n") {
			if label := `store="` + row.store + `"`; strings.Contains(line, label) {
				got = append(got, strings.TrimPrefix(strings.Replace(line, label, "", 1), "mtlsallowlist_"))
			}
		}
		if strings.Join(got, ", ") != row.want {
			t.Errorf("%s: got %s, want %s", row.store, strings.Join(got, ", "), row.want)
		}
	}
}
