package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// counting is a line of the plugin's fast paths that counts a request.
var counting = regexp.MustCompile(`(?m)^\t\t\t*(counts\.\w+|\*strangers)\+\+\n`)

// withoutCounters copies the plugin into folder, without counting on its fast paths.
func (b *bench) withoutCounters(folder string) error {
	sources, err := b.sources()
	if err != nil {
		return err
	}
	dropped := 0
	for _, source := range sources {
		text, err := os.ReadFile(filepath.Join(b.root, source))
		if err != nil {
			return err
		}
		dropped += len(counting.FindAll(text, -1))
		target := filepath.Join(folder, source)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(target, counting.ReplaceAll(text, nil), 0o600); err != nil {
			return err
		}
	}
	if dropped != 5 {
		return fmt.Errorf("found %d lines that count on the fast paths, want those of a renewal, and twice those of a hit and a miss", dropped)
	}
	return os.Symlink(filepath.Join(b.root, "vendor"), filepath.Join(folder, "vendor"))
}

// sources returns our files without tests, those of the packages below internal included, relative to the root.
func (b *bench) sources() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(b.root, "*.go"))
	if err != nil {
		return nil, err
	}
	below, err := filepath.Glob(filepath.Join(b.root, "internal", "*", "*.go"))
	if err != nil {
		return nil, err
	}
	var sources []string
	for _, file := range append(files, below...) {
		if name, err := filepath.Rel(b.root, file); err == nil && !strings.HasSuffix(name, "_test.go") {
			sources = append(sources, name)
		}
	}
	return sources, nil
}
