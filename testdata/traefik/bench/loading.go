package main

import (
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mtlsallowlist/mtlsallowlist/testdata/traefik/interpreted"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
)

// measureLoading finds how long Traefik's start takes longer because of the plugin, and why.
func measureLoading(_ context.Context, b *bench) error {
	speak, err := silence()
	if err != nil {
		return err
	}
	defer speak()
	gopath, vendored, err := b.vendoredGopath()
	if err != nil {
		return err
	}
	defer os.RemoveAll(gopath)
	var plugin *interpreted.Plugin
	steps := []struct {
		name string
		run  func() error
	}{
		{"all of it: an interpreter, our files, CreateConfig and New looked up", func() (err error) {
			plugin, err = interpreted.Load(ownModule, b.root)
			return err
		}},
		{"the same for the do-nothing plugin", func() error {
			_, err := interpreted.Load(nothingModule, b.nothingFolder())
			return err
		}},
		{"an interpreter with the standard library's symbols", func() error {
			_, err := newInterpreter(gopath)
			return err
		}},
		{"the same, and importing what is vendored, " + strings.Join(vendored, ", "), func() error {
			i, err := newInterpreter(gopath)
			for _, path := range vendored {
				if err == nil {
					_, err = i.Eval(fmt.Sprintf("import %q", path))
				}
			}
			return err
		}},
		{"only parsing our files", b.parse},
		{"a learner: CreateConfig, decoding, New", func() error {
			_, err := handler(plugin, options{"mode": "learn"})
			return err
		}},
		{"an enforcer: CreateConfig, decoding, New", func() error {
			_, err := handler(plugin, options{"mode": "enforce"})
			return err
		}},
	}
	const all, withVendored = 0, 3
	took := make([][]float64, len(steps))
	for range b.loads {
		for i, step := range steps {
			start := time.Now()
			if err := step.run(); err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			took[i] = append(took[i], float64(time.Since(start)))
		}
	}
	rows := [][]string{{"loading the plugin into Yaegi", "ms", "quartiles"}}
	for i, step := range steps {
		rows = append(rows, loadingRow(step.name, took[i]))
	}
	ours := make([]float64, b.loads)
	for i := range ours {
		ours[i] = took[all][i] - took[withVendored][i]
	}
	rows = append(rows, loadingRow("the difference to all of it: our own files", ours))
	b.table("Loading", rows...)
	return nil
}

func loadingRow(name string, took []float64) []string {
	s := spreadOf(took)
	return []string{name, milliseconds(s.median), milliseconds(s.low) + "–" + milliseconds(s.high)}
}

func newInterpreter(gopath string) (*interp.Interpreter, error) {
	i := interp.New(interp.Options{GoPath: gopath, Stdout: io.Discard, Stderr: os.Stderr})
	return i, i.Use(stdlib.Symbols)
}

// vendoredGopath makes a GOPATH with the packages of our vendor folder, and returns their import paths.
func (b *bench) vendoredGopath() (gopath string, packages []string, err error) {
	vendor := filepath.Join(b.root, "vendor")
	list, err := os.ReadFile(filepath.Join(vendor, "modules.txt"))
	if err != nil && !os.IsNotExist(err) {
		return "", nil, err
	}
	for line := range strings.Lines(string(list)) {
		if !strings.HasPrefix(line, "#") {
			packages = append(packages, strings.TrimSpace(line))
		}
	}
	if gopath, err = os.MkdirTemp("", "bench-"); err != nil {
		return "", nil, err
	}
	if err := os.Symlink(vendor, filepath.Join(gopath, "src")); err != nil {
		os.RemoveAll(gopath)
		return "", nil, err
	}
	return gopath, packages, nil
}

// parse reads our files with Go's parser, as Yaegi does before it compiles them.
func (b *bench) parse() error {
	files, err := b.sources()
	if err != nil {
		return err
	}
	for _, file := range files {
		if _, err := parser.ParseFile(token.NewFileSet(), filepath.Join(b.root, file), nil, parser.DeclarationErrors); err != nil {
			return err
		}
	}
	return nil
}
