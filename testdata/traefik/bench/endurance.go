package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

// measureEndurance reloads Traefik's configuration again and again while requests come, a new address is learned with
// each reload, and sees whether memory and goroutines stay where they were.
func measureEndurance(ctx context.Context, b *bench) (err error) {
	// With debug Traefik serves Go's profiles. It then also counts what blocks, which makes it slower: so it has
	// this Traefik for itself.
	static := map[string]any{"api": map[string]any{"debug": true}}
	t, err := b.openTestbed(ctx, static, endured(0))
	if err != nil {
		return err
	}
	defer func() {
		if closing := t.close(); err == nil {
			err = closing
		}
	}()
	if err := askOnce(ctx, t.proving(friend)); err != nil {
		return err
	}
	load, err := b.enduranceLoad(ctx, t)
	if err != nil {
		return err
	}
	defer load.close()
	rows := [][]string{{"reloads", "requests", "heap MiB", "goroutines", "resident MiB"}}
	var first, last lab.Footprint
	requests := 0
	// What is there from the first reloads and requests on, like connections and pools, is no growth.
	warm := b.reloadsPerRow / 2
	for reload := 1 - warm; reload <= b.reloads; reload++ {
		if err := b.reload(ctx, t, load, reload+warm); err != nil {
			return err
		}
		if reload <= 0 {
			requests = 0
		} else {
			requests += len(load) * (b.requestsPerReload / len(load))
		}
		if reload < 0 || reload%b.reloadsPerRow != 0 {
			continue
		}
		if last, err = t.traefik.Footprint(ctx); err != nil {
			return err
		}
		if reload == 0 {
			first = last
		}
		b.progress("endurance: %d of %d reloads", reload, b.reloads)
		resident := "?"
		if last.Resident > 0 {
			resident = mebibytes(float64(last.Resident))
		}
		rows = append(rows, []string{count(reload), count(requests), mebibytes(float64(last.Heap)), count(last.Goroutines), resident})
	}
	b.table("Endurance: Traefik after garbage collection", rows...)
	b.judgeGrowth(requests, first, last)
	return nil
}

// judgeGrowth allows for what a heap varies by: 5 % or 1 MiB.
func (b *bench) judgeGrowth(requests int, first, last lab.Footprint) {
	after := fmt.Sprintf("after %s reloads and %s requests", count(b.reloads), count(requests))
	rows := [][]string{{"growth " + after, "", "limit", ""}}
	grown := float64(last.Heap-first.Heap) / (1 << 20)
	figure := fmt.Sprintf("%+.1f MiB, from %s", grown, mebibytes(float64(first.Heap)))
	most := limit{bound: max(1, 0.05*float64(first.Heap)/(1<<20)), unit: " MiB"}
	rows = append(rows, append([]string{"heap", figure}, b.judge("Growth of Traefik's heap "+after, figure, grown, most)...))
	more := last.Goroutines - first.Goroutines
	figure = fmt.Sprintf("%+d, from %d", more, first.Goroutines)
	rows = append(rows, append([]string{"goroutines", figure}, b.judge("Growth of Traefik's goroutines "+after, figure, float64(more), limit{bound: 5})...))
	fmt.Fprintf(b.out, "%s\n", markdown(rows))
}

// endured is the middlewares of one reload, which differ from those of the one before.
func endured(reload int) map[string]*dynamic.Middleware {
	return map[string]*dynamic.Middleware{
		bare:      nil,
		learning:  own(options{"mode": "learn", "ttl": fmt.Sprintf("%dh", 24+reload%2)}),
		enforcing: own(options{"mode": "enforce", "rejectStatusCode": 403 + reload%2}),
		longRange: own(options{"mode": "enforce", "store": "other", "sourceRange": append(sourceRanges(20+reload%2), friendRange)}),
	}
}

// enduranceLoad is half learners', half enforcers' clients.
func (b *bench) enduranceLoad(ctx context.Context, t *testbed) (loadGenerator, error) {
	var load loadGenerator
	for i := range b.connections {
		to := []address{
			t.proving(friend), t.secure(enforcing, friend, ok),
			t.proving(friend), t.plain(longRange, friend, ok),
		}[i%4]
		c, err := connect(ctx, to)
		if err != nil {
			load.close()
			return nil, err
		}
		load = append(load, c)
	}
	return load, nil
}

// reload has Traefik take a new configuration while clients ask, then has a new one learned and let in, and a stranger refused.
func (b *bench) reload(ctx context.Context, t *testbed, load loadGenerator, number int) error {
	middlewares := endured(number)
	dynamic, err := t.dynamic(middlewares)
	if err != nil {
		return err
	}
	var configuring sync.WaitGroup
	var failed error
	configuring.Go(func() { failed = t.traefik.Configure(dynamic) })
	_, err = load.run(ctx, func(asked int) bool { return asked < b.requestsPerReload/len(load) })
	configuring.Wait()
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("reload %d: %w", number, err)
	}
	newcomer := ipv4(number).String()
	if err := askOnce(ctx, t.proving(newcomer)); err != nil {
		return err
	}
	if err := askOnce(ctx, t.secure(enforcing, newcomer, ok)); err != nil {
		return err
	}
	return askOnce(ctx, t.secure(enforcing, stranger, forbidden+number%2))
}
