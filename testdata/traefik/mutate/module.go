package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
)

// A pkg is a package of the plugin.
type pkg struct {
	name  string // its folder, as seen from the root; "." is the root
	dir   string // its folder, absolute
	code  []*source
	tests []*source
}

// readModule reads all packages of the module in a folder. The first one is the root, which must have tests.
func readModule(ctx context.Context, root string) ([]*pkg, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-json=Dir,Imports,GoFiles,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = root
	var faults bytes.Buffer
	cmd.Stderr = &faults
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, faults.Bytes())
	}
	packages := []*pkg{}
	for list := json.NewDecoder(bytes.NewReader(output)); ; {
		var listed struct {
			Dir                                         string
			Imports, GoFiles, TestGoFiles, XTestGoFiles []string
		}
		if err := list.Decode(&listed); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if slices.Contains(listed.Imports, "testing") { // it is for tests, and nothing of the plugin
			continue
		}
		name, err := filepath.Rel(root, listed.Dir)
		if err != nil {
			return nil, err
		}
		p := &pkg{name: filepath.ToSlash(name), dir: listed.Dir}
		if p.code, err = p.read(listed.GoFiles); err != nil {
			return nil, err
		}
		if p.tests, err = p.read(append(listed.TestGoFiles, listed.XTestGoFiles...)); err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 || packages[0].name != "." || len(packages[0].tests) == 0 {
		return nil, fmt.Errorf("%s: want a module whose root has tests", root)
	}
	return packages, nil
}

func (p *pkg) read(names []string) ([]*source, error) {
	files := []*source{}
	for _, name := range names {
		file, err := readSource(filepath.Join(p.dir, name))
		if err != nil {
			return nil, err
		}
		file.pkg, file.name = p, path.Join(p.name, name)
		files = append(files, file)
	}
	return files, nil
}

// qualified returns the name of one of the package's tests, which other packages may also have.
func (p *pkg) qualified(test string) string {
	if p.name == "." {
		return test
	}
	return p.name + "." + test
}
