package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// roomy is the maxIPs of stores that aren't to evict.
const roomy = 100_000

// measurePersistence compares learning into a state file with many grants and into one with few, and how long a learner takes
// to start with them.
func measurePersistence(b *bench, f *factory) error {
	folder, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	few := f.kept(folder, 10, b.fresh)
	many := f.kept(folder, b.saved, b.fresh)
	if f.fault != nil {
		return f.fault
	}
	from := connections(b.open, 10, ipv4)
	nothing := f.nothingSubject(from)
	if f.fault != nil {
		return f.fault
	}
	if err := b.compare("Learning with a state file, in the interpreter", []*subject{nothing, few, many.atMost(limit{bound: 1.5}, few)}); err != nil {
		return err
	}
	return b.measureStart(f, folder)
}

// kept is the subject of new addresses in a store of n grants with a state file.
func (f *factory) kept(folder string, n, most int) *subject {
	name := fmt.Sprint("kept ", n)
	f.teach(name, n)
	path := filepath.Join(folder, fmt.Sprint(n))
	learner := f.handler(f.plugin, options{"mode": "learn", "store": name, "maxIPs": roomy, "stateFile": path})
	learned := n
	rw := &sink{header: http.Header{}}
	return &subject{name: "new address, " + count(n) + " grants in the state file", most: most, prepare: func(calls int) (func(int) error, error) {
		requests := make([]*http.Request, calls)
		for i := range requests {
			proof := *f.proof
			requests[i] = request(&proof)
			requests[i].RemoteAddr = netip.AddrPortFrom(ipv4(learned), 50000).String()
			learned++
		}
		return func(i int) error { return serve(learner, rw, requests[i], ok) }, f.fault
	}}
}

// teach makes a store that has room for more than n grants.
func (f *factory) teach(name string, n int) {
	learner := f.learner(name, roomy)
	if f.fault == nil {
		f.fault = teach(learner, f.proof, n, ipv4)
	}
}

// shuffled returns lines in an order that they may have after many renewals. Those of ten stay together: so many were learned in a
// millisecond here, and nowhere else.
func shuffled(lines [][]byte) [][]byte {
	tens := slices.Collect(slices.Chunk(lines, 10))
	rand.Shuffle(len(tens), func(i, j int) { tens[i], tens[j] = tens[j], tens[i] })
	return slices.Concat(tens...)
}

// measureStart has learners start with the state file of many grants, and without any, in turn.
func (b *bench) measureStart(f *factory, folder string) error {
	data, err := os.ReadFile(filepath.Join(folder, fmt.Sprint(b.saved)))
	if err != nil {
		return err
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	data = bytes.Join(append(lines[:1:1], shuffled(lines[1:1+b.saved])...), nil)
	took := [2][]float64{}
	for round := range b.loads {
		for i, saved := range [][]byte{nil, data} {
			name := fmt.Sprintf("start %d %d", round, i)
			path := filepath.Join(folder, name)
			if saved != nil {
				first, rest, _ := bytes.Cut(saved, []byte("\n"))
				first = bytes.Replace(first, []byte(fmt.Sprint("kept ", b.saved)), []byte(name), 1)
				if err := os.WriteFile(path, append(append(first, '\n'), rest...), 0o600); err != nil {
					return err
				}
			}
			runtime.GC() // of what was measured before: there is none when Traefik starts
			start := time.Now()
			f.handler(f.plugin, options{"mode": "learn", "store": name, "maxIPs": roomy, "stateFile": path})
			took[i] = append(took[i], float64(time.Since(start)))
			if f.fault != nil {
				return f.fault
			}
		}
	}
	longer := spreadOf(took[1]).median - spreadOf(took[0]).median
	name := "of " + count(b.saved) + " grants"
	rows := [][]string{{"a learner starts with a state file", "ms", "quartiles", "limit", ""}, loadingRow("empty", took[0])}
	rows = append(rows, append(loadingRow(name, took[1]), b.judge("Start of a learner with a state file "+name+", longer by", milliseconds(longer)+" ms", longer/float64(time.Millisecond), limit{bound: 1000, unit: " ms"})...))
	b.table("Start with a state file, in the interpreter", rows...)
	return nil
}
