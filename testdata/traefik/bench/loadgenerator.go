package main

import (
	"context"
	"sync"
	"time"
)

// A loadGenerator is some connections to one router, on which clients ask at once.
type loadGenerator []*client

// connectAll makes n connections.
func connectAll(ctx context.Context, n int, a address) (loadGenerator, error) {
	var g loadGenerator
	for range n {
		c, err := connect(ctx, a)
		if err != nil {
			g.close()
			return nil, err
		}
		g = append(g, c)
	}
	return g, nil
}

func (g loadGenerator) close() {
	for _, c := range g {
		c.conn.Close()
	}
}

// run has each client ask, one after another, as long as more says so of its number of requests so far. It returns
// how long each request took, and fails with the first error of any.
func (g loadGenerator) run(ctx context.Context, more func(asked int) bool) ([]time.Duration, error) {
	took, errs := make([][]time.Duration, len(g)), make([]error, len(g))
	var busy sync.WaitGroup
	for i, c := range g {
		busy.Go(func() {
			errs[i] = c.conn.SetDeadline(time.Now().Add(patience))
			for asked := 0; errs[i] == nil && ctx.Err() == nil && more(asked); asked++ {
				start := time.Now()
				errs[i] = c.ask()
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	busy.Wait()
	var all []time.Duration
	for i := range g {
		if errs[i] != nil {
			return nil, errs[i]
		}
		all = append(all, took[i]...)
	}
	return all, ctx.Err()
}

// runFor has the clients ask for that long, and returns requests per second and how long each took.
func (g loadGenerator) runFor(ctx context.Context, window time.Duration) (float64, []time.Duration, error) {
	start := time.Now()
	took, err := g.run(ctx, func(int) bool { return time.Since(start) < window })
	return float64(len(took)) / time.Since(start).Seconds(), took, err
}
