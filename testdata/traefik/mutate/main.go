// Command mutate checks the plugin's tests: it changes the plugin in one place at a time, and expects a test to fail. A
// change that no test notices has to be explained in survivors.yml, and every explanation has to belong to one. It fails
// otherwise.
//
// It takes all packages of the plugin. A mutant runs the tests of its own package first, then, if it survives them, those of
// the root. All mutants of a file are built together, and most run within a second. Outcomes that can't have changed since
// the last run are taken from a cache.
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
	root := flag.String("root", "../..", "folder of the module whose packages to change")
	explained := flag.String("explained", "mutate/survivors.yml", "file with the explanations")
	cached := flag.String("cache", "../../.cache/mutate.json", "file that keeps the outcomes for the next run; empty for none")
	files := flag.String("files", "", "files to change, as seen from the root, with commas between them; empty for all")
	change := flag.String("change", "", "regular expression of the changes to make, as they are printed; empty for all")
	again := flag.Bool("again", false, "also run what has been run before")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := mutate(ctx, *root, *explained, *cached, *files, *change, *again)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func mutate(ctx context.Context, root, explained, cached, files, change string, again bool) (ok bool, err error) {
	chosen, err := newChoice(files, change)
	if err != nil {
		return false, err
	}
	known, err := readExplanations(explained)
	if err != nil {
		return false, err
	}
	root, err = filepath.Abs(root)
	if err != nil {
		return false, err
	}
	packages, err := readModule(ctx, root)
	if err != nil {
		return false, err
	}
	if err := chosen.check(packages); err != nil {
		return false, err
	}
	cache, err := openCache(cached, packages)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	r := &runner{root: packages[0], builder: &builder{dir: dir, extra: 5 * time.Second}, cache: cache, again: again, progress: os.Stderr}
	for _, p := range packages {
		for _, file := range p.code {
			for _, m := range find(file) {
				if chosen.has(m.place) {
					r.mutants = append(r.mutants, m)
				}
			}
		}
	}
	if err := r.run(ctx); err != nil {
		return false, err
	}
	if files == "" && change == "" {
		cache.forget()
		if err := cache.save(); err != nil {
			return false, err
		}
	}
	return r.report(os.Stdout, known, chosen.has), nil
}

// A choice is of mutants to run.
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
func (c choice) check(packages []*pkg) error {
	known := map[string]bool{}
	for _, p := range packages {
		for _, file := range p.code {
			known[file.name] = true
		}
	}
	for _, name := range c.files {
		if !known[name] {
			return errors.New(name + ": no such file in the plugin")
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
