package main

import (
	"fmt"
	"go/ast"
	"strings"
)

// A mutant is one change at one place of a file.
type mutant struct {
	place
	line   int
	code   string // the line, without the space around it
	source *source
	within *ast.FuncDecl // nil: it is outside of functions
	offset int           // where in the file, in bytes
	length int           // how many bytes go
	text   string        // what comes there
}

// A place is the key of a mutant. It stays the same when comments change or lines move.
type place struct {
	file     string // as seen from the root
	function string // with its receiver's type, as in "store.find"; of what stands outside of functions, "package"
	change   string // as in "a < b -> a <= b"; the second one alike in a function ends in " #2"
}

func (p place) String() string {
	return p.function + ": " + p.change
}

// mutated returns what stands between two offsets of the file, with the change.
func (m *mutant) mutated(from, to int) string {
	text := m.source.text
	return string(text[from:m.offset]) + m.text + string(text[m.offset+m.length:to])
}

// whole returns the file with the change.
func (m *mutant) whole() string {
	return m.mutated(0, len(m.source.text))
}

// number tells the mutants of the same place apart.
func number(mutants []*mutant) {
	seen := map[place]int{}
	for _, m := range mutants {
		p := m.place
		seen[p]++
		if n := seen[p]; n > 1 {
			m.change += fmt.Sprintf(" #%d", n)
		}
	}
}

// brief puts code onto one line, and leaves out the middle of what is long.
func brief(code string) string {
	const most = 90
	runes := []rune(strings.Join(strings.Fields(code), " "))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:most-15]) + " … " + string(runes[len(runes)-12:])
}
