package main

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime"
	"time"
)

// A subject is one kind of request.
type subject struct {
	name string
	// prepare gets ready for some calls, untimed, and returns what makes one of them.
	prepare func(calls int) (call func(i int) error, err error)
	most    int // calls in a round; 0: as many as fit into the window

	base  *subject // also compared with; nil: only with the do-nothing plugin
	limit limit    // of the ratio to base or, without one, to the do-nothing plugin; zero: none

	nanoseconds, allocations []float64 // per call, by round
}

// round measures the subject for about a window. The first rounds, of one call and then of few, teach how many fit.
func (s *subject) round(calls int) error {
	call, err := s.prepare(calls)
	if err != nil {
		return err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	for i := range calls {
		if err := call(i); err != nil {
			return err
		}
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	s.nanoseconds = append(s.nanoseconds, float64(took)/float64(calls))
	s.allocations = append(s.allocations, float64(after.Mallocs-before.Mallocs)/float64(calls))
	return nil
}

// takeTurns measures all subjects, round by round, in random order. What the first two rounds say is forgotten.
func (b *bench) takeTurns(subjects []*subject) error {
	for round := range 2 + b.rounds {
		for _, i := range rand.Perm(len(subjects)) {
			s, calls := subjects[i], 16
			if round > 0 {
				calls = max(1, int(float64(b.window)/s.nanoseconds[len(s.nanoseconds)-1]))
			}
			if s.most > 0 {
				calls = min(calls, s.most)
			}
			if err := s.round(calls); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		if round == 1 {
			for _, s := range subjects {
				s.nanoseconds, s.allocations = s.nanoseconds[1:], s.allocations[1:]
			}
		}
	}
	for _, s := range subjects {
		s.nanoseconds, s.allocations = s.nanoseconds[1:], s.allocations[1:]
	}
	return nil
}

// compare measures the subjects, the first of which is the do-nothing plugin, and prints them as a table.
func (b *bench) compare(title string, subjects []*subject) error {
	if err := b.takeTurns(subjects); err != nil {
		return err
	}
	rows := [][]string{{"request", "ns", "allocations", "× do-nothing", "× base", "limit", ""}}
	for _, s := range subjects {
		times, against := ratio(s.nanoseconds, subjects[0].nanoseconds), "do-nothing plugin"
		row := []string{
			s.name,
			fmt.Sprintf("%.0f", spreadOf(s.nanoseconds).median), fmt.Sprintf("%.0f", spreadOf(s.allocations).median),
			times.String(), "",
		}
		if s.base != nil {
			times, against = ratio(s.nanoseconds, s.base.nanoseconds), s.base.name
			row[4] = times.String()
		}
		if s.limit != (limit{}) {
			row = append(row, b.judge(fmt.Sprintf("Time of a request: %s / %s", s.name, against), times.String(), times.median, s.limit)...)
		}
		rows = append(rows, row)
	}
	b.table(title, rows...)
	return nil
}

// open is the subject of requests to one handler on these open connections in turn.
func open(name string, h http.Handler, from []string, want int) *subject {
	req := request(nil)
	return always(name, h, req, want, len(from), func(i int) { req.RemoteAddr = from[i] })
}

// openProving is the same with the proof on every connection.
func openProving(name string, h http.Handler, proof *tls.ConnectionState, from []string, want int) *subject {
	req, proofs := request(nil), make([]tls.ConnectionState, len(from))
	for i := range proofs {
		proofs[i] = *proof
	}
	return always(name, h, req, want, len(from), func(i int) { req.RemoteAddr, req.TLS = from[i], &proofs[i] })
}

// openForwarded is the same behind a proxy, which tells the clients.
func openForwarded(name string, h http.Handler, from []string, want int) *subject {
	req := request(nil)
	values := make([][]string, len(from))
	for i := range values {
		values[i] = []string{netip.MustParseAddrPort(from[i]).Addr().String()}
	}
	return always(name, h, req, want, len(from), func(i int) { req.Header["X-Forwarded-For"] = values[i] })
}

// always serves each connection once before anything is measured.
func always(name string, h http.Handler, req *http.Request, want, connections int, place func(connection int)) *subject {
	rw, next, met := &sink{header: http.Header{}}, 0, false
	call := func(int) error {
		place(next)
		if next++; next == connections {
			next = 0
		}
		return serve(h, rw, req, want)
	}
	return &subject{name: name, prepare: func(int) (func(int) error, error) {
		for i := 0; i < connections && !met; i++ {
			if err := call(i); err != nil {
				return nil, err
			}
		}
		met = true
		return call, nil
	}}
}

// first is the subject of the first requests of connections, from any of n addresses. Each round has a handler of its
// own, which knows none of them. Proof may be nil.
func first(name string, open func() http.Handler, proof *tls.ConnectionState, n int, address func(int) netip.Addr, want int) *subject {
	random := rand.New(rand.NewPCG(2, uint64(n)))
	return &subject{name: name + ", new connection", most: 1 << 16, prepare: func(calls int) (func(int) error, error) {
		h := open()
		from, proofs := make([]string, calls), make([]tls.ConnectionState, calls)
		for i := range from {
			from[i] = netip.AddrPortFrom(address(random.IntN(n)), uint16(i)).String()
			if proof != nil {
				proofs[i] = *proof
			}
		}
		rw, req := &sink{header: http.Header{}}, request(nil)
		return func(i int) error {
			req.RemoteAddr = from[i]
			if proof != nil {
				req.TLS = &proofs[i]
			}
			return serve(h, rw, req, want)
		}, nil
	}}
}

// comparedWith sets what else the ratio is to.
func (s *subject) comparedWith(base *subject) *subject {
	s.base = base
	return s
}

// atMost sets the limit, and what it is a ratio to.
func (s *subject) atMost(l limit, base *subject) *subject {
	s.limit, s.base = l, base
	return s
}

func measureRequests(b *bench, f *factory) error {
	for _, measure := range []func(*bench, *factory) error{measureCases, measureSizes, measureLearning} {
		if err := measure(b, f); err != nil {
			return err
		}
	}
	return nil
}
