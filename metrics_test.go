package mtlsallowlist

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestMetricsCount(t *testing.T) {
	h := newHouse(t, map[string]Config{
		"learn":   {Mode: "learn", TTL: "1h", MaxIPs: "2"},
		"enforce": {Mode: "enforce"},
		"both":    {Mode: "enforce", Store: []string{"default", "other"}},
		"proxied": {Mode: "enforce", SourceRange: []string{"203.0.113.66"}, IPStrategy: IPStrategy{Depth: "1"}},
		"status":  {Mode: "status", Proof: "request"},
	})
	h.walk("a day", strings.Join([]string{
		"learn 203.0.113.1 cn:a=200", "learn 203.0.113.1 cn:a=200", "wait 1s", "learn 203.0.113.2 cn:b=200", "wait 1s", "learn 203.0.113.3 cn:c=200", // evicts .1
		"enforce 203.0.113.3=200", "enforce 203.0.113.3=200", "both 203.0.113.3=200", "enforce 203.0.113.1=403", "enforce 203.0.113.1=403", "both 203.0.113.1=403",
		"learn 203.0.113.3=403", "proxied 203.0.113.3=403", "wait 59m58s", "wait 1s", "learn 203.0.113.4 cn:d=200",
	}, "; "))
	state := verified(certificate("cn:d"))
	h.answer("learn", "203.0.113.4:9", state)
	h.answer("learn", "203.0.113.4:9", state) // on the same connection
	h.fetch("status", "DELETE", "/grants?identity=cn:d", "203.0.113.4", nil)
	got := h.get("status", "/metrics", "").Body.String()
	for _, want := range []string{
		`grants{store="STORE"} 1`, `ips{store="STORE"} 1`, `ips_limit{store="STORE"} 2`, `learned_total{store="STORE"} 4`, `renewed_total{store="STORE"} 3`,
		`evicted_total{store="STORE"} 1`, `revoked_total{store="STORE"} 1`, `admitted_total{store="STORE"} 3`, `state_file_failures_total{store="STORE"} 0`,
		`rejected_total{store="STORE",reason="not on the allowlist"} 3`, `rejected_total{store="STORE",reason="no TLS"} 1`, `rejected_total{store="STORE",reason="no usable client address"} 1`,
	} {
		if want = "\nmtlsallowlist_" + strings.ReplaceAll(want, "STORE", h.store("default")) + "\n"; !strings.Contains(got, want) {
			t.Errorf("the metrics lack %q: %s", want, got)
		}
	}
	h.now = h.now.Add(time.Hour)
	if got := h.get("status", "/metrics", "").Body.String(); !strings.Contains(got, `mtlsallowlist_grants{store="`+h.store("default")+`"} 0`) {
		t.Errorf("after an hour: %s", got)
	}
}

// TestLookingAtTheMetricsChangesNone since an enforcer counts by a pointer that it holds.
func TestLookingAtTheMetricsChangesNone(t *testing.T) {
	h := newHouse(t, map[string]Config{"enforce": {Mode: "enforce"}, "status": {Mode: "status", Proof: "request"}})
	for _, want := range []string{"1", "2", "3"} {
		h.walk("a stranger", "enforce 203.0.113.7=403")
		got := h.get("status", "/metrics", "").Body.String()
		if want := `mtlsallowlist_rejected_total{store="` + h.store("default") + `",reason="not on the allowlist"} ` + want + "\n"; !strings.Contains(got, want) {
			t.Errorf("the metrics lack %q: %s", want, got)
		}
		if strings.Count(got, "reason=") != 1 {
			t.Errorf("want one sample with a reason: %s", got)
		}
	}
}

func TestReasonsComeInOrder(t *testing.T) {
	counts := map[string]*int{}
	for _, why := range strings.Split("hgfedcba", "") {
		counts[why] = new(int)
	}
	if got := strings.Join(sortedKeys(counts), ""); got != "abcdefgh" {
		t.Errorf("got %s", got)
	}
}

func TestAnIdentityOfOneNameIsTold(t *testing.T) {
	h := newHouse(t, map[string]Config{"status": {Mode: "status", Proof: "request", IdentityHeader: "X-User", Identities: []string{"header:alice"}}})
	h.fetch("status", "GET", "/", "203.0.113.7", http.Header{"X-User": {"bob"}})
	if want := `ip=203.0.113.7 identity=header:bob remote=203.0.113.7:4711 reason="identity not among identities"`; !strings.Contains(h.log.String(), want) {
		t.Errorf("the log lacks %s: %s", want, h.log.String())
	}
}

func TestLabelsAreEscaped(t *testing.T) {
	s := newStore("a\"b\\c\nd\xff")
	text := &strings.Builder{}
	writeMetrics(text, []*store{s}, atTime(t0))
	if want := `mtlsallowlist_grants{store="a\"b\\c\nd?"} 0` + "\n"; !strings.Contains(text.String(), want) {
		t.Errorf("got %s, want %s", text, want)
	}
}

func TestTheJournalKeepsTheLastEvents(t *testing.T) {
	s := newStore("journal")
	for i := 0; i < maxEvents+7; i++ {
		s.record(event{at: t0.Add(time.Duration(i))})
	}
	events := s.lastEvents()
	if len(events) != maxEvents || events[0].at != t0.Add(7) || events[maxEvents-1].at != t0.Add(maxEvents+6) {
		t.Errorf("got %d events from %v to %v", len(events), events[0].at, events[len(events)-1].at)
	}
}
