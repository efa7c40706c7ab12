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

// A builder builds tests of mutants. The folders of the packages aren't touched.
type builder struct {
	dir   string // a folder for what is built
	built atomic.Int64

	extra time.Duration // how much longer a mutant may take than ten times what the tests take
}

// faultAt finds the file and the line that the compiler finds fault with.
var faultAt = regexp.MustCompile(`(?m)([^/\s]+\.go):(\d+):\d+: `)

// buildBatch returns a package's tests of all mutants of a batch, and the mutants that don't compile.
func (b *builder) buildBatch(ctx context.Context, suite *pkg, batch *batch) (*testBinary, map[*mutant]bool, error) {
	wrong := map[*mutant]bool{}
	added := filepath.Join(batch.source.pkg.dir, "mutant_chosen.go")
	for {
		text, owners := batch.text(wrong)
		path, faults, err := b.build(ctx, suite, map[string]string{
			batch.source.path: text,
			added:             fmt.Sprintf(chooser, batch.source.tree.Name.Name),
		})
		if err != nil {
			return nil, nil, err
		}
		if len(faults) == 0 {
			return b.binary(suite, path), wrong, nil
		}
		before := len(wrong)
		for _, fault := range faults {
			line, err := strconv.Atoi(fault[2])
			if m := owners[line]; err == nil && m != nil && fault[1] == filepath.Base(batch.source.path) {
				wrong[m] = true
			}
		}
		if len(wrong) == before {
			return nil, nil, fmt.Errorf("%s: the copies don't compile: %q", batch.source.name, faults)
		}
	}
}

// buildOne returns a package's tests of a mutant alone; nil if they don't compile.
func (b *builder) buildOne(ctx context.Context, suite *pkg, m *mutant) (*testBinary, error) {
	path, faults, err := b.build(ctx, suite, map[string]string{m.source.path: m.whole()})
	if err != nil || len(faults) > 0 {
		return nil, err
	}
	return b.binary(suite, path), nil
}

func (b *builder) binary(suite *pkg, path string) *testBinary {
	return &testBinary{suite: suite, path: path, timeout: b.extra}
}

// build builds a package's tests with other texts in the place of files, and returns where they are, or what the compiler says.
// It is safe for concurrent use.
func (b *builder) build(ctx context.Context, suite *pkg, replaced map[string]string) (path string, faults [][]string, err error) {
	own := filepath.Join(b.dir, fmt.Sprint(b.built.Add(1)))
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
	cmd.Dir = suite.dir
	output, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		return path, nil, ctx.Err()
	}
	if faults = faultAt.FindAllStringSubmatch(string(output), -1); len(faults) == 0 {
		return "", nil, fmt.Errorf("go test -c: %w\n%s", err, output)
	}
	return "", faults, nil
}
