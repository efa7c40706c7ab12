// Command bench measures what the plugin costs, and prints it as Markdown: interpreted by Yaegi in this process, and
// in the real Traefik next to ipAllowList and to a plugin that does nothing.
//
// Machines are noisy: what counts are ratios, each the median over rounds that take turns. A limit that is over is
// printed and no failure; a request with the wrong answer is one, and then the exit status is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/lab"
)

func main() {
	quick := flag.Bool("quick", false, "measure little and fast, to see that everything works")
	only := flag.String("only", "", "comma-separated `parts` of "+strings.Join(partNames(), ", ")+"; default all")
	into := flag.String("into", "", "also write the table of limits into this `file`, between its bench marks")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	scale := whole
	if *quick {
		scale = quickly
	}
	err := run(ctx, os.Stdout, os.Stderr, scale, *only, *into)
	interrupted := ctx.Err() != nil
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	if interrupted {
		os.Exit(130)
	}
	os.Exit(1)
}

// A part is one of the program's measurements.
type part struct {
	name    string
	measure func(context.Context, *bench) error
}

// The parts in the order in which they run: those that want a small heap in this process first.
var parts = []part{
	{"memory", measureMemory},
	{"loading", measureLoading},
	{"requests", withFactory(measureRequests)},
	{"persistence", withFactory(measurePersistence)},
	{"reading", withFactory(measureReading)},
	{"traefik", measureTraefik},
	{"latency", measureLatency},
	{"endurance", measureEndurance},
}

func partNames() []string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// A bench is one run of the program.
type bench struct {
	*report
	scale
	root   string // of the repository
	binary string // Traefik's
}

// run measures the parts that only names, or all, and prints them to out, and to log what goes on.
func run(ctx context.Context, out, log io.Writer, s scale, only, into string) error {
	if into != "" && (only != "" || s.name != whole.name) {
		return errors.New("-into wants a whole run, without -quick and -only")
	}
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	b := &bench{report: &report{out: out, log: log, started: time.Now()}, scale: s}
	if b.root, err = lab.Root(); err != nil {
		return err
	}
	if b.binary, err = lab.Build(ctx, log); err != nil {
		return err
	}
	machine := describeMachine(b.binary)
	b.line("%s", machine)
	for _, p := range chosen {
		b.progress("%s ...", p.name)
		if err := p.measure(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	b.conclude()
	if into != "" {
		return writeTable(into, machine, b.judged)
	}
	return nil
}

func choose(only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(only, ",") {
		known := false
		for _, p := range parts {
			if p.name == name {
				chosen, known = append(chosen, p), true
			}
		}
		if !known {
			return nil, fmt.Errorf("no part %q: want some of %s", name, strings.Join(partNames(), ","))
		}
	}
	return chosen, nil
}
