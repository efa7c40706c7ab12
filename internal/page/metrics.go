package page

import (
	"fmt"
	"io"
	"sort"
	"strings"
)

// labelEscapes are those of the Prometheus text format.
var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// Figures are what a store holds, and has counted since Traefik was started.
type Figures struct {
	Store       string
	Grants      int
	IPs         int
	MaxIPs      int // 0: the store has no learner
	Learned     int
	Renewed     int
	Evicted     int
	Revoked     int
	Admitted    int            // requests that an enforcer let in
	Rejected    map[string]int // requests, by the reason
	Unsaved     int            // times that the state file could not be written
	Replication *Replication
}

// A metric has one sample for each store or, by reason, several.
type metric struct {
	name, kind, help string
	value            func(f Figures) int
	byReason         bool
	replicated       bool // only of stores that are
}

var metrics = []metric{
	{name: "grants", kind: "gauge", help: "Grants that hold now.", value: func(f Figures) int { return f.Grants }},
	{name: "ips", kind: "gauge", help: "IPs on the allowlist now.", value: func(f Figures) int { return f.IPs }},
	{name: "ips_limit", kind: "gauge", help: "IPs that the store holds at most (maxIPs); 0 without a learner.", value: func(f Figures) int { return f.MaxIPs }},
	{name: "learned_total", kind: "counter", help: "Grants learned.", value: func(f Figures) int { return f.Learned }},
	{name: "renewed_total", kind: "counter", help: "Grants renewed by another proof.", value: func(f Figures) int { return f.Renewed }},
	{name: "evicted_total", kind: "counter", help: "Grants evicted by a limit.", value: func(f Figures) int { return f.Evicted }},
	{name: "revoked_total", kind: "counter", help: "Grants revoked on the status page.", value: func(f Figures) int { return f.Revoked }},
	{name: "admitted_total", kind: "counter", help: "Requests let in by enforcers; of several stores, the first counts.", value: func(f Figures) int { return f.Admitted }},
	{name: "rejected_total", kind: "counter", help: "Requests rejected; of several stores, the first counts.", byReason: true},
	{name: "state_file_failures_total", kind: "counter", help: "Times that the state file could not be written.", value: func(f Figures) int { return f.Unsaved }},
	{name: "redis_in_step", kind: "gauge", help: "Whether the store is in step with the other replicas (1) or not (0).", value: inStep, replicated: true},
	{name: "redis_failures_total", kind: "counter", help: "Times that Redis could not be reached, or refused.", value: func(f Figures) int { return f.Replication.Failures }, replicated: true},
	{name: "redis_skipped_total", kind: "counter", help: "Entries from Redis that made no sense, each time they were read.", value: func(f Figures) int { return f.Replication.Invalid }, replicated: true},
}

func inStep(f Figures) int {
	if f.Replication.Synced {
		return 1
	}
	return 0
}

// WriteMetrics writes what stores count in the Prometheus text format.
func WriteMetrics(w io.Writer, all []Figures) {
	for _, m := range metrics {
		fmt.Fprintf(w, "# HELP mtlsallowlist_%s %s\n# TYPE mtlsallowlist_%s %s\n", m.name, m.help, m.name, m.kind)
		for _, f := range all {
			if m.replicated && f.Replication == nil {
				continue
			}
			labels := `store="` + labelEscapes.Replace(strings.ToValidUTF8(f.Store, "?")) + `"`
			if !m.byReason {
				fmt.Fprintf(w, "mtlsallowlist_%s{%s} %d\n", m.name, labels, m.value(f))
				continue
			}
			for _, why := range sortedKeys(f.Rejected) {
				fmt.Fprintf(w, "mtlsallowlist_%s{%s,reason=\"%s\"} %d\n", m.name, labels, labelEscapes.Replace(why), f.Rejected[why])
			}
		}
	}
}

func sortedKeys(counts map[string]int) []string {
	keys := []string{}
	for key := range counts {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
