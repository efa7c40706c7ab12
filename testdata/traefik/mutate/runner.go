package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
)

// A runner runs the tests of mutants, on all cores.
type runner struct {
	root     *pkg // its tests also look at the packages below it
	builder  *builder
	cache    *cache
	mutants  []*mutant
	again    bool // also run what the cache knows
	progress io.Writer

	mu       sync.Mutex
	outcomes map[*mutant]outcome
}

// run runs them all, file by file. What it has learned is in the cache, even if it is stopped.
func (r *runner) run(ctx context.Context) error {
	r.outcomes = map[*mutant]outcome{}
	waiting := []*mutant{}
	for _, m := range r.mutants {
		if known, ok := r.cache.find(m); ok && !r.again {
			r.outcomes[m] = known
		} else {
			waiting = append(waiting, m)
		}
	}
	fmt.Fprintf(r.progress, "%d mutants, %d of them to run\n", len(r.mutants), len(waiting))
	for len(waiting) > 0 {
		source := waiting[0].source
		same := 0
		for same < len(waiting) && waiting[same].source == source {
			same++
		}
		err := r.runFile(ctx, source, waiting[:same])
		if saving := r.cache.save(); err == nil {
			err = saving
		}
		if err != nil {
			return err
		}
		waiting = waiting[same:]
		fmt.Fprintf(r.progress, "%s: %d run, %d left\n", source.name, same, len(waiting))
	}
	return nil
}

// runFile runs the tests of the file's own package, and those of the root for the mutants that survive them.
func (r *runner) runFile(ctx context.Context, source *source, mutants []*mutant) error {
	suites := []*pkg{source.pkg}
	if source.pkg != r.root {
		suites = append(suites, r.root)
	}
	for _, suite := range suites {
		if len(suite.tests) == 0 || len(mutants) == 0 {
			continue
		}
		var err error
		if mutants, err = r.runSuite(ctx, suite, source, mutants); err != nil {
			return err
		}
	}
	for _, m := range mutants {
		r.take(m, outcome{Verdict: survived})
		fmt.Fprintf(r.progress, "survived: %s:%d: %s\n", m.file, m.line, m.place)
	}
	return nil
}

// runSuite runs a package's tests on the mutants of a file, and returns those that survive them.
func (r *runner) runSuite(ctx context.Context, suite *pkg, source *source, mutants []*mutant) ([]*mutant, error) {
	b, alone := &batch{source: source}, []*mutant{}
	for _, m := range mutants {
		if m.within == nil {
			alone = append(alone, m)
		} else {
			b.mutants = append(b.mutants, m)
		}
	}
	together, wrong, err := r.builder.buildBatch(ctx, suite, b)
	if err != nil {
		return nil, err
	}
	defer os.Remove(together.path)
	if err := together.measure(ctx); err != nil {
		return nil, err
	}
	err = parallel(ctx, len(mutants), func(i int) error {
		if i >= len(b.mutants) {
			return r.runAlone(ctx, alone[i-len(b.mutants)], together)
		}
		if wrong[b.mutants[i]] {
			r.take(b.mutants[i], outcome{Verdict: unbuilt})
			return nil
		}
		return r.runOne(ctx, b.mutants[i], together, i+1)
	})
	left := []*mutant{}
	for _, m := range mutants {
		if _, done := r.outcomes[m]; !done {
			left = append(left, m)
		}
	}
	return left, err
}

// runAlone runs a mutant that can't be in a batch.
func (r *runner) runAlone(ctx context.Context, m *mutant, like *testBinary) error {
	own, err := r.builder.buildOne(ctx, like.suite, m)
	if err != nil {
		return err
	}
	if own == nil {
		r.take(m, outcome{Verdict: unbuilt})
		return nil
	}
	defer os.Remove(own.path)
	own.timeout = like.timeout
	return r.runOne(ctx, m, own, 0)
}

func (r *runner) runOne(ctx context.Context, m *mutant, binary *testBinary, number int) error {
	got, _, err := binary.run(ctx, number)
	if err == nil && got.Verdict != survived {
		r.take(m, got)
	}
	return err
}

func (r *runner) take(m *mutant, got outcome) {
	r.cache.add(m, got)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outcomes[m] = got
}

// parallel calls do with 0 to n-1 on all cores, and stops with the first error.
func parallel(ctx context.Context, n int, do func(i int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	queue := make(chan int)
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for i := range queue {
				if err := do(i); err != nil {
					stop(err)
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		queue <- i
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}
