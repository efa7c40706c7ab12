package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// A source is a file of the package.
type source struct {
	name string
	path string // absolute
	text []byte
	tree *ast.File
	set  *token.FileSet
}

// readPackage reads the Go files of a folder: those to change, and those that hold the tests.
func readPackage(folder string) (code, tests []*source, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		file, err := readSource(path)
		if err != nil {
			return nil, nil, err
		}
		if strings.HasSuffix(path, "_test.go") {
			tests = append(tests, file)
		} else {
			code = append(code, file)
		}
	}
	if len(code) == 0 || len(tests) == 0 {
		return nil, nil, fmt.Errorf("%s: want Go files and tests of them, got %d and %d", folder, len(code), len(tests))
	}
	return code, tests, nil
}

func readSource(path string) (*source, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &source{name: filepath.Base(path), path: path, text: text, tree: tree, set: set}, nil
}

func (s *source) offset(pos token.Pos) int {
	return s.set.Position(pos).Offset
}

// code returns what stands between two positions.
func (s *source) code(from, to token.Pos) string {
	return string(s.text[s.offset(from):s.offset(to)])
}

func (s *source) node(n ast.Node) string {
	return s.code(n.Pos(), n.End())
}

// lineAt returns the line of a position, without the space around it.
func (s *source) lineAt(pos token.Pos) string {
	lines := bytes.Split(s.text, []byte("\n"))
	return string(bytes.TrimSpace(lines[s.set.Position(pos).Line-1]))
}

// testsThatCall returns the names of the tests that call a function themselves; none if it has no name.
func testsThatCall(function string, tests []*source) (names []string) {
	if function == "" {
		return nil
	}
	for _, file := range tests {
		for _, decl := range file.tree.Decls {
			test, ok := decl.(*ast.FuncDecl)
			if ok && test.Recv == nil && strings.HasPrefix(test.Name.Name, "Test") && strings.Contains(file.node(test), function+"(") {
				names = append(names, test.Name.Name)
			}
		}
	}
	return names
}
