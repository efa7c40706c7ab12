package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"strings"
)

// A source is a file of a package.
type source struct {
	pkg  *pkg
	name string // as seen from the root: internal/page/page.go
	path string // absolute
	text []byte // without comments
	tree *ast.File
	set  *token.FileSet
}

func readSource(path string) (*source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text = withoutComments(text)
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &source{path: path, text: text, tree: tree, set: set}, nil
}

// withoutComments removes the comments, so that rewording one changes no mutant. All lines keep their numbers.
func withoutComments(text []byte) []byte {
	set := token.NewFileSet()
	file := set.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, scanner.ScanComments)
	kept, done := []byte{}, 0
	for {
		pos, tok, comment := s.Scan()
		if tok == token.EOF {
			return append(kept, text[done:]...)
		}
		if tok != token.COMMENT {
			continue
		}
		start := file.Offset(pos)
		kept = append(bytes.TrimRight(append(kept, text[done:start]...), " \t"), ' ')
		kept = append(kept, strings.Repeat("\n", strings.Count(comment, "\n"))...)
		done = start + len(comment)
	}
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
