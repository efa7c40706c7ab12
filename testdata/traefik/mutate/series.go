package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
)

// A series tries mutants, on all cores.
type series struct {
	bench    *workbench
	results  *record
	mutants  []*mutant
	again    bool // try also what the record knows
	progress io.Writer

	mu     sync.Mutex
	trials map[*mutant]trial
}

// run tries them all, file by file. What it has learned is in the record, even if it is stopped.
func (s *series) run(ctx context.Context) error {
	s.trials = map[*mutant]trial{}
	waiting := []*mutant{}
	for _, m := range s.mutants {
		if known, ok := s.results.find(m); ok && !s.again {
			s.trials[m] = known
		} else {
			waiting = append(waiting, m)
		}
	}
	fmt.Fprintf(s.progress, "%d changes, %d of them to try\n", len(s.mutants), len(waiting))
	for len(waiting) > 0 {
		source := waiting[0].source
		same := 0
		for same < len(waiting) && waiting[same].source == source {
			same++
		}
		err := s.tryFile(ctx, source, waiting[:same])
		if saving := s.results.save(); err == nil {
			err = saving
		}
		if err != nil {
			return err
		}
		waiting = waiting[same:]
		fmt.Fprintf(s.progress, "%s: %d tried, %d left\n", source.name, same, len(waiting))
	}
	return nil
}

func (s *series) tryFile(ctx context.Context, source *source, mutants []*mutant) error {
	b, alone := &batch{source: source}, []*mutant{}
	for _, m := range mutants {
		if m.within == nil {
			alone = append(alone, m)
		} else {
			b.mutants = append(b.mutants, m)
		}
	}
	together, wrong, err := s.bench.buildBatch(ctx, b)
	if err != nil {
		return err
	}
	defer os.Remove(together.path)
	if err := together.measure(ctx); err != nil {
		return err
	}
	return parallel(ctx, len(mutants), func(i int) error {
		if i >= len(b.mutants) {
			return s.tryAlone(ctx, alone[i-len(b.mutants)], together)
		}
		if wrong[b.mutants[i]] {
			s.take(b.mutants[i], trial{Verdict: unbuilt})
			return nil
		}
		return s.try(ctx, b.mutants[i], together, i+1)
	})
}

// tryAlone tries a mutant that can't be in a batch.
func (s *series) tryAlone(ctx context.Context, m *mutant, like *tests) error {
	own, err := s.bench.buildOne(ctx, m)
	if err != nil {
		return err
	}
	if own == nil {
		s.take(m, trial{Verdict: unbuilt})
		return nil
	}
	defer os.Remove(own.path)
	own.timeout = like.timeout
	return s.try(ctx, m, own, 0)
}

func (s *series) try(ctx context.Context, m *mutant, of *tests, number int) error {
	got, _, err := of.run(ctx, number)
	if err != nil {
		return err
	}
	s.take(m, got)
	if got.Verdict == survived {
		fmt.Fprintf(s.progress, "survived: %s:%d: %s\n", m.file, m.line, m.place)
	}
	return nil
}

func (s *series) take(m *mutant, got trial) {
	s.results.add(m, got)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trials[m] = got
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
