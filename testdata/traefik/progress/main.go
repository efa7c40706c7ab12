// Command progress is go test, with a line now and then that says how far it is: by itself, go test says nothing about a
// package before the last of its tests has ended. Arguments, exit status and what is printed in the end are go test's.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// interval is how many tests end between two lines.
const interval = 20

func main() {
	err := run(os.Stdout, os.Args[1:])
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run runs go test with args.
func run(out io.Writer, args []string) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r := report{out: out, written: map[source]string{}}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadString('\n')
		r.line(line)
		if err != nil {
			return cmd.Wait()
		}
	}
}

// An event is what go test -json writes, as "go doc test2json" has it.
type event struct{ Action, Package, ImportPath, Test, Output string }

// A source is a test with its subtests, or, without a test, a package.
type source struct{ pkg, test string }

// A report prints what go test would have, without -json.
type report struct {
	out     io.Writer
	written map[source]string // until it is known whether it is to be printed
	ended   int               // tests
}

func (r *report) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(r.out, line)
		return
	}
	test, _, sub := strings.Cut(e.Test, "/")
	from := source{e.Package + e.ImportPath, test} // one of them is empty
	switch e.Action {
	case "output", "build-output":
		r.written[from] += e.Output
	case "build-fail":
		r.print(from)
	case "pass", "skip", "fail":
		if !sub {
			r.end(from, e.Action == "fail")
		}
	}
}

func (r *report) end(from source, failed bool) {
	switch {
	case from.test != "":
		if failed {
			r.print(from)
		}
		if r.ended++; r.ended%interval == 0 {
			fmt.Fprintf(r.out, "... %d tests have ended\n", r.ended)
		}
	case failed:
		for _, unfinished := range r.tests(from.pkg) { // as after a panic
			r.print(unfinished)
		}
		r.print(from)
	default: // all but the last line is what passing tests print
		lines := strings.SplitAfter(strings.TrimSuffix(r.written[from], "\n"), "\n")
		fmt.Fprintln(r.out, lines[len(lines)-1])
	}
	delete(r.written, from)
}

// tests returns the tests of a package that have written, and not ended.
func (r *report) tests(pkg string) []source {
	var tests []source
	for from := range r.written {
		if from.pkg == pkg && from.test != "" {
			tests = append(tests, from)
		}
	}
	slices.SortFunc(tests, func(a, b source) int { return strings.Compare(a.test, b.test) })
	return tests
}

func (r *report) print(from source) {
	fmt.Fprint(r.out, r.written[from])
	delete(r.written, from)
}
