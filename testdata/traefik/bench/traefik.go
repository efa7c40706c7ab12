package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/config"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
)

// The routers that are compared, by host.
const (
	bare        = "none"
	listing     = "ipallowlist"
	nothing     = "nothing"
	enforcing   = "enforcer"
	longListing = "ipallowlist-long"
	longRange   = "enforcer-long"
	learning    = "learner"
)

// A variant is a router over HTTP or TLS.
type variant struct {
	host, name, scheme string
	base               string // host of the router it is compared with, over the same scheme
	limit              limit
	address            address

	load     loadGenerator
	perSec   []float64     // requests, by round
	p50, p99 []float64     // by round
	requests int           // of all rounds
	busy     time.Duration // Traefik's processor time for them
}

// measureTraefik finds how many requests a second Traefik serves through different middlewares.
func measureTraefik(ctx context.Context, b *bench) (err error) {
	short := append(sourceRanges(3), friendRange)
	long := append(sourceRanges(b.listed-1), friendRange)
	t, err := b.openTestbed(ctx, nil, map[string]*dynamic.Middleware{
		bare:        nil,
		listing:     allowing(short),
		nothing:     config.Plugin("nothing", options{}),
		enforcing:   own(options{"mode": "enforce"}),
		longListing: allowing(long),
		longRange:   own(options{"mode": "enforce", "store": "other", "sourceRange": long}),
		learning:    own(options{"mode": "learn"}),
	})
	if err != nil {
		return err
	}
	defer func() {
		if closing := t.close(); err == nil {
			err = closing
		}
	}()
	variants := b.variants(t)
	// A stranger is refused where the friend will be let in.
	for _, v := range variants {
		if v.host == bare || v.host == nothing {
			continue
		}
		refused := v.address
		refused.from, refused.want = stranger, forbidden
		if err := askOnce(ctx, refused); err != nil {
			return err
		}
	}
	if err := askOnce(ctx, t.proving(friend)); err != nil {
		return err
	}
	for _, v := range variants {
		if v.load, err = connectAll(ctx, b.connections, v.address); err != nil {
			return err
		}
		defer v.load.close()
	}
	for round := range 1 + b.trafficRounds {
		if round%5 == 0 {
			b.progress("traefik: round %d of %d", round, b.trafficRounds)
		}
		for _, scheme := range [][]*variant{variants[:len(variants)/2], variants[len(variants)/2:]} {
			if err := b.trafficRound(ctx, t, scheme, round > 0); err != nil {
				return err
			}
		}
	}
	b.reportVariants(variants)
	return nil
}

// variants are those over HTTP, then those over TLS.
func (b *bench) variants(t *testbed) []*variant {
	var variants []*variant
	for _, scheme := range []string{"HTTP", "TLS"} {
		to := t.plain
		if scheme == "TLS" {
			to = t.secure
		}
		for _, v := range []variant{
			{host: bare, name: "no middleware", base: listing},
			{host: listing, name: "ipAllowList, match in the last of 4"},
			{host: nothing, name: "do-nothing plugin", base: listing},
			{host: enforcing, name: "enforcer, hit", base: listing, limit: limit{bound: 0.93, aim: 0.95, atLeast: true}},
			{host: longListing, name: "ipAllowList, match in the last of " + count(b.listed)},
			{host: longRange, name: "enforcer, source range of the same " + count(b.listed), base: longListing, limit: limit{bound: 1, atLeast: true}},
		} {
			v.scheme, v.address = scheme, to(v.host, friend, ok)
			variants = append(variants, &v)
		}
	}
	return variants
}

// trafficRound gives each variant, in random order, its window. Unless it counts it only warms up.
func (b *bench) trafficRound(ctx context.Context, t *testbed, variants []*variant, counts bool) error {
	for _, i := range rand.Perm(len(variants)) {
		v := variants[i]
		before := processorTime(t.traefik.Pid())
		perSec, took, err := v.load.runFor(ctx, b.trafficWindow)
		if err != nil {
			return fmt.Errorf("%s over %s: %w", v.name, v.scheme, err)
		}
		if counts {
			v.busy += processorTime(t.traefik.Pid()) - before
			v.requests += len(took)
			v.perSec = append(v.perSec, perSec)
			v.p50 = append(v.p50, percentile(took, 50))
			v.p99 = append(v.p99, percentile(took, 99))
		}
	}
	return nil
}

func (b *bench) reportVariants(variants []*variant) {
	rows := [][]string{{"router", "", "requests/s", "p50 ms", "p99 ms", "CPU µs", "÷ ipAllowList", "limit", ""}}
	for _, v := range variants {
		row := []string{
			v.name, v.scheme, count(int(spreadOf(v.perSec).median)),
			milliseconds(spreadOf(v.p50).median), milliseconds(spreadOf(v.p99).median),
			fmt.Sprintf("%.1f", v.busy.Seconds()*1e6/float64(v.requests)), "",
		}
		for _, base := range variants {
			if base.host != v.base || base.scheme != v.scheme {
				continue
			}
			share := ratio(v.perSec, base.perSec)
			row[6] = share.String()
			if v.limit != (limit{}) {
				what := fmt.Sprintf("Requests a second over %s: %s / %s", v.scheme, v.name, base.name)
				row = append(row, b.judge(what, share.String(), share.median, v.limit)...)
			}
		}
		rows = append(rows, row)
	}
	b.table(fmt.Sprintf("Requests through Traefik, %d connections", b.connections), rows...)
	b.line("CPU µs is the processor time that Traefik takes for a request. The do-nothing plugin is what any plugin can reach.")
}

// measureLatency finds how long after a proof was answered a new client, at the same address, has its first answer of
// a hidden router.
func measureLatency(ctx context.Context, b *bench) (err error) {
	t, err := b.openTestbed(ctx, nil, map[string]*dynamic.Middleware{
		bare:      nil,
		enforcing: own(options{"mode": "enforce"}),
		learning:  own(options{"mode": "learn", "maxIPs": b.openings}),
	})
	if err != nil {
		return err
	}
	defer func() {
		if closing := t.close(); err == nil {
			err = closing
		}
	}()
	var opened, unguarded []time.Duration
	for i := range b.openings {
		from := ipv4(i).String()
		if err := askOnce(ctx, t.secure(enforcing, from, forbidden)); err != nil {
			return err
		}
		if err := askOnce(ctx, t.proving(from)); err != nil {
			return err
		}
		start := time.Now()
		if err := askOnce(ctx, t.secure(enforcing, from, ok)); err != nil {
			return err
		}
		opened = append(opened, time.Since(start))
		start = time.Now()
		if err := askOnce(ctx, t.secure(bare, from, ok)); err != nil {
			return err
		}
		unguarded = append(unguarded, time.Since(start))
	}
	rows := [][]string{{fmt.Sprintf("new connection, TLS handshake, first answer; %d times", b.openings), "median ms", "p99 ms"}}
	rows = append(rows, []string{"hidden router, from the answer to the proof on", milliseconds(percentile(opened, 50)), milliseconds(percentile(opened, 99))})
	rows = append(rows, []string{"router without middleware", milliseconds(percentile(unguarded, 50)), milliseconds(percentile(unguarded, 99))})
	b.table("From the proof to the first hidden answer", rows...)
	return nil
}
