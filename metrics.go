package mtlsallowlist

import (
	"fmt"
	"io"
	"sort"
	"strings"
)

// labelEscapes are those of the Prometheus text format.
var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// A metric has one sample for each store or, by reason, several.
type metric struct {
	name, kind, help string
	value            func(c *census) int
	byReason         bool
	shared           bool // only of stores that are
}

var metrics = []metric{
	{name: "grants", kind: "gauge", help: "Grants that hold now.", value: func(c *census) int { return c.grants }},
	{name: "ips", kind: "gauge", help: "IPs on the allowlist now.", value: func(c *census) int { return c.ips }},
	{name: "ips_limit", kind: "gauge", help: "IPs that the store holds at most (maxIPs); 0 without a learner.", value: func(c *census) int { return c.maxIPs }},
	{name: "learned_total", kind: "counter", help: "Grants learned.", value: func(c *census) int { return c.learned }},
	{name: "renewed_total", kind: "counter", help: "Grants renewed by another proof.", value: func(c *census) int { return c.renewed }},
	{name: "evicted_total", kind: "counter", help: "Grants evicted by a limit.", value: func(c *census) int { return c.evicted }},
	{name: "revoked_total", kind: "counter", help: "Grants revoked on the status page.", value: func(c *census) int { return c.revoked }},
	{name: "admitted_total", kind: "counter", help: "Requests let in by enforcers; of several stores, the first counts.", value: func(c *census) int { return c.admitted }},
	{name: "rejected_total", kind: "counter", help: "Requests rejected; of several stores, the first counts.", byReason: true},
	{name: "state_file_failures_total", kind: "counter", help: "Times that the state file could not be written.", value: func(c *census) int { return c.unsaved }},
	{name: "redis_in_step", kind: "gauge", help: "Whether the store is in step with the other replicas (1) or not (0).", value: inStep, shared: true},
	{name: "redis_failures_total", kind: "counter", help: "Times that Redis could not be reached, or refused.", value: func(c *census) int { return c.shared.failures }, shared: true},
	{name: "redis_skipped_total", kind: "counter", help: "Entries from Redis that made no sense, each time they were read.", value: func(c *census) int { return c.shared.skipped }, shared: true},
}

func inStep(c *census) int {
	if c.shared.inStep {
		return 1
	}
	return 0
}

// writeMetrics writes what stores count in the Prometheus text format.
func writeMetrics(w io.Writer, stores []*store, now reading) {
	censuses := []*census{}
	for _, store := range stores {
		c := store.census(now.mono)
		c.shared = sharedState(store)
		censuses = append(censuses, c)
	}
	for _, m := range metrics {
		fmt.Fprintf(w, "# HELP mtlsallowlist_%s %s\n# TYPE mtlsallowlist_%s %s\n", m.name, m.help, m.name, m.kind)
		for i, c := range censuses {
			if m.shared && c.shared == nil {
				continue
			}
			labels := `store="` + labelEscapes.Replace(strings.ToValidUTF8(stores[i].name, "?")) + `"`
			if !m.byReason {
				fmt.Fprintf(w, "mtlsallowlist_%s{%s} %d\n", m.name, labels, m.value(c))
				continue
			}
			for _, why := range sortedKeys(c.rejected) {
				fmt.Fprintf(w, "mtlsallowlist_%s{%s,reason=\"%s\"} %d\n", m.name, labels, labelEscapes.Replace(why), *c.rejected[why])
			}
		}
	}
}

func sortedKeys(counts map[string]*int) []string {
	keys := []string{}
	for key := range counts {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
