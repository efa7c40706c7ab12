package main

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// measureReading compares how long an enforcer takes while the status page, its JSON and the metrics of many grants are read in
// a loop, and while they aren't. To read another store's takes the processor likewise, but not the enforcer's lock.
func measureReading(b *bench, f *factory) error {
	f.teach("read", b.saved)
	f.teach("elsewhere", b.saved)
	enforcer := f.enforcer(options{"store": "read"})
	own := f.handler(f.plugin, options{"mode": "status", "store": "read", "proof": "request"})
	others := f.handler(f.plugin, options{"mode": "status", "store": "elsewhere", "proof": "request"})
	if f.fault != nil {
		return f.fault
	}
	from := connections(b.open, b.saved, ipv4)
	var quiet, elsewhere, busy []float64
	for range b.rounds {
		for _, row := range []struct {
			page  http.Handler
			worst *[]float64
		}{{nil, &quiet}, {others, &elsewhere}, {own, &busy}} {
			waited, err := latenciesBeside(row.page, enforcer, from, b.window)
			if err != nil {
				return err
			}
			*row.worst = append(*row.worst, percentile(waited, 99))
		}
	}
	what := "99th percentile of an enforcer while the page, JSON and metrics of " + count(b.saved) + " grants are read / "
	rows := [][]string{{"an enforcer, " + count(b.saved) + " grants", "p99 µs", "× nobody", "× another's", "limit", ""}, {"nobody reads", micros(quiet), "1.00"}}
	times := ratio(elsewhere, quiet)
	rows = append(rows, []string{"page, JSON and metrics of another store are read in a loop", micros(elsewhere), times.String()})
	times, against := ratio(busy, quiet), ratio(busy, elsewhere)
	row := []string{"those of the enforcer's store", micros(busy), times.String(), against.String()}
	row = append(row, b.judge(what+"while those of another store are", against.String(), against.median, limit{bound: 1.5})...)
	rows = append(rows, row)
	b.judge(what+"while they aren't", times.String(), times.median, limit{bound: 2})
	b.table("Reading many grants, in the interpreter", rows...)
	return nil
}

// latenciesBeside asks while somebody reads a page; nil: nobody does.
func latenciesBeside(page, h http.Handler, from []string, window time.Duration) ([]time.Duration, error) {
	stop := make(chan bool)
	var reading sync.WaitGroup
	if page != nil {
		reading.Go(func() { readAll(page, stop) })
	}
	waited, err := latencies(h, from, window)
	close(stop)
	reading.Wait()
	return waited, err
}

func micros(nanoseconds []float64) string {
	return fmt.Sprintf("%.1f", spreadOf(nanoseconds).median/1000)
}

// latencies asks for ten windows, and returns how long each answer took.
func latencies(h http.Handler, from []string, window time.Duration) ([]time.Duration, error) {
	rw, req := &sink{header: http.Header{}}, request(nil)
	waited := []time.Duration{}
	for end := time.Now().Add(10 * window); time.Now().Before(end); {
		req.RemoteAddr = from[len(waited)%len(from)]
		start := time.Now()
		if err := serve(h, rw, req, ok); err != nil {
			return nil, err
		}
		waited = append(waited, time.Since(start))
	}
	return slices.Clip(waited), nil
}

// readAll reads the page, its JSON and the metrics in turn.
func readAll(page http.Handler, stop chan bool) {
	for {
		for _, path := range []string{"/", "/grants", "/metrics"} {
			select {
			case <-stop:
				return
			default:
			}
			req := request(nil)
			req.Method = http.MethodGet
			req.URL.Path = path
			page.ServeHTTP(&sink{header: http.Header{}}, req)
		}
	}
}
