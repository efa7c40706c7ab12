// Command mutate checks the plugin's tests: it changes the plugin in one place at a time, and expects a test to fail. A
// change that no test notices has to be explained in survivors.yml, and every explanation has to belong to one. It fails
// otherwise.
//
// All mutants of a file are built together, and most are tried within a second. What can't have changed since the last run
// isn't tried again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	folder := flag.String("package", "../..", "folder of the package to change")
	explained := flag.String("explained", "mutate/survivors.yml", "file with the explanations")
	record := flag.String("record", "../../.cache/mutate.json", "file that keeps the results for the next run; empty for none")
	files := flag.String("files", "", "names of the files to change, with commas between them; empty for all")
	change := flag.String("change", "", "regular expression of the changes to make, as they are printed; empty for all")
	again := flag.Bool("again", false, "also try what has been tried before")
	slow := flag.String("slow", "startRedis", "name of the function whose callers among the tests take too long, and are left out")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := mutate(ctx, *folder, *explained, *record, *files, *change, *slow, *again)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func mutate(ctx context.Context, folder, explained, record, files, change, slow string, again bool) (ok bool, err error) {
	chosen, err := newChoice(files, change)
	if err != nil {
		return false, err
	}
	known, err := readExplanations(explained)
	if err != nil {
		return false, err
	}
	folder, err = filepath.Abs(folder)
	if err != nil {
		return false, err
	}
	code, tests, err := readPackage(folder)
	if err != nil {
		return false, err
	}
	if err := chosen.check(code); err != nil {
		return false, err
	}
	results, err := openRecord(record, code, tests)
	if err != nil {
		return false, err
	}
	own, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(own)
	s := &series{bench: &workbench{folder: folder, own: own, slow: testsThatCall(slow, tests), patience: 5 * time.Second}, results: results, again: again, progress: os.Stderr}
	for _, file := range code {
		for _, m := range find(file) {
			if chosen.has(m.place) {
				s.mutants = append(s.mutants, m)
			}
		}
	}
	if err := s.run(ctx); err != nil {
		return false, err
	}
	if files == "" && change == "" {
		results.forget()
		if err := results.save(); err != nil {
			return false, err
		}
	}
	return s.report(os.Stdout, known, chosen.has), nil
}

// A choice is of mutants to try.
type choice struct {
	files  []string // empty for all
	change *regexp.Regexp
}

func newChoice(files, change string) (choice, error) {
	c := choice{}
	for _, name := range strings.Split(files, ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.files = append(c.files, name)
		}
	}
	var err error
	c.change, err = regexp.Compile(change)
	return c, err
}

// check fails if a name is that of no file.
func (c choice) check(code []*source) error {
	known := map[string]bool{}
	for _, file := range code {
		known[file.name] = true
	}
	for _, name := range c.files {
		if !known[name] {
			return errors.New(name + ": no such file in the package")
		}
	}
	return nil
}

func (c choice) has(p place) bool {
	for _, name := range c.files {
		if name == p.file {
			return c.change.MatchString(p.String())
		}
	}
	return len(c.files) == 0 && c.change.MatchString(p.String())
}
