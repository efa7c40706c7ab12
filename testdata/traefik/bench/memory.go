package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/interpreted"
)

// measureMemory finds what the largest number of grants adds to the heap.
func measureMemory(_ context.Context, b *bench) error {
	n := b.grants[len(b.grants)-1]
	most := limit{bound: 60 * float64(n) / 100_000, unit: " MiB"}
	rows := [][]string{{"grants in the interpreter", "MiB", "bytes each", "limit", ""}}
	issuer, err := newIdentities()
	if err != nil {
		return err
	}
	for _, row := range []struct {
		name     string
		identity func(number int) int
	}{
		{"of one identity", func(int) int { return 1 }},
		{"each of its own identity", func(number int) int { return number }},
	} {
		learned, letIn, err := b.heapOf(n, func(number int) (*tls.ConnectionState, error) { return issuer.proof(row.identity(number)) })
		if err != nil {
			return err
		}
		for i, bytes := range []float64{learned, letIn} {
			name := row.name + []string{"", ", each let in since"}[i]
			cells := b.judge("Memory of "+count(n)+" grants, "+name, mebibytes(bytes)+" MiB", bytes/(1<<20), most)
			rows = append(rows, append([]string{count(n) + ", " + name, mebibytes(bytes), fmt.Sprintf("%.0f", bytes/float64(n))}, cells...))
		}
	}
	b.table("Memory", rows...)
	return nil
}

// heapOf is the heap with n grants, each for an IPv4 address, minus the heap with one: when they have been learned,
// and when each of the clients has passed an enforcer, too.
func (b *bench) heapOf(n int, proof func(number int) (*tls.ConnectionState, error)) (learned, letIn float64, err error) {
	speak, err := silence()
	if err != nil {
		return 0, 0, err
	}
	defer speak()
	plugin, err := interpreted.Load(ownModule, b.root)
	if err != nil {
		return 0, 0, err
	}
	learner, err := handler(plugin, options{"mode": "learn", "maxIPs": n})
	if err != nil {
		return 0, 0, err
	}
	enforcer, err := handler(plugin, options{"mode": "enforce"})
	if err != nil {
		return 0, 0, err
	}
	rw := &sink{header: http.Header{}}
	learn := func(number int) error {
		state, err := proof(number)
		if err != nil {
			return err
		}
		req := request(state)
		req.RemoteAddr = netip.AddrPortFrom(ipv4(number), 50000).String()
		return serve(learner, rw, req, ok)
	}
	enter := func(number int) error {
		req := request(nil)
		req.RemoteAddr = netip.AddrPortFrom(ipv4(number), 50001).String()
		return serve(enforcer, rw, req, ok)
	}
	if err := errors.Join(learn(0), enter(0)); err != nil {
		return 0, 0, err
	}
	before := liveHeap()
	for number := 1; number < n; number++ {
		if err := learn(number); err != nil {
			return 0, 0, err
		}
	}
	learned = liveHeap() - before
	for number := range n {
		if err := enter(number); err != nil {
			return 0, 0, err
		}
	}
	letIn = liveHeap() - before
	runtime.KeepAlive([]any{plugin, learner, enforcer})
	return learned, letIn, nil
}

// liveHeap is what is left after garbage collection; the second one also takes what pools have kept.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}
