package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"
)

// A workbench builds a package's tests with changes. The folder of the package isn't touched.
type workbench struct {
	folder string // of the package, absolute
	own    string // a folder for what is built
	built  atomic.Int64

	slow     []string      // names of tests that are left out
	patience time.Duration // how much longer a mutant may take than ten times what the tests take
}

// faultAt finds the file and the line that the compiler finds fault with.
var faultAt = regexp.MustCompile(`(?m)([^/\s]+\.go):(\d+):\d+: `)

// buildBatch returns the tests of all mutants of a batch, and the mutants that don't compile.
func (w *workbench) buildBatch(ctx context.Context, b *batch) (*tests, map[*mutant]bool, error) {
	wrong := map[*mutant]bool{}
	added := filepath.Join(w.folder, "mutant_chosen.go")
	for {
		text, owners := b.text(wrong)
		path, faults, err := w.build(ctx, map[string]string{
			b.source.path: text,
			added:         fmt.Sprintf(chooser, b.source.tree.Name.Name),
		})
		if err != nil {
			return nil, nil, err
		}
		if len(faults) == 0 {
			return &tests{path: path, slow: w.slow, timeout: w.patience}, wrong, nil
		}
		before := len(wrong)
		for _, fault := range faults {
			line, err := strconv.Atoi(fault[2])
			if m := owners[line]; err == nil && m != nil && fault[1] == b.source.name {
				wrong[m] = true
			}
		}
		if len(wrong) == before {
			return nil, nil, fmt.Errorf("%s: the copies don't compile: %q", b.source.name, faults)
		}
	}
}

// buildOne returns the tests of a mutant alone; nil if it doesn't compile.
func (w *workbench) buildOne(ctx context.Context, m *mutant) (*tests, error) {
	path, faults, err := w.build(ctx, map[string]string{m.source.path: m.whole()})
	if err != nil || len(faults) > 0 {
		return nil, err
	}
	return &tests{path: path, slow: w.slow}, nil
}

// build builds the tests with other texts in the place of files, and returns where they are, or what the compiler says.
// It is safe for concurrent use.
func (w *workbench) build(ctx context.Context, replaced map[string]string) (path string, faults [][]string, err error) {
	own := filepath.Join(w.own, fmt.Sprint(w.built.Add(1)))
	if err := os.Mkdir(own, 0o700); err != nil {
		return "", nil, err
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range replaced {
		overlay.Replace[path] = filepath.Join(own, filepath.Base(path)) // the compiler names it so
		if err := os.WriteFile(overlay.Replace[path], []byte(text), 0o600); err != nil {
			return "", nil, err
		}
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		return "", nil, err
	}
	overlayPath := filepath.Join(own, "overlay.json")
	if err := os.WriteFile(overlayPath, data, 0o600); err != nil {
		return "", nil, err
	}
	path = filepath.Join(own, "tests")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-gcflags=-e", "-ldflags=-s -w", "-overlay", overlayPath, "-o", path, ".")
	cmd.Dir = w.folder
	output, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		return path, nil, ctx.Err()
	}
	if faults = faultAt.FindAllStringSubmatch(string(output), -1); len(faults) == 0 {
		return "", nil, fmt.Errorf("go test -c: %w\n%s", err, output)
	}
	return "", faults, nil
}
