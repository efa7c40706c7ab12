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
	source *source
	within *ast.FuncDecl // nil: it is outside of functions
	offset int           // where in the file, in bytes
	length int           // how many bytes go
	text   string        // what comes there
}

// A place is what a mutant is known by, whatever the lines before it do.
type place struct {
	file     string // its name
	function string // with its receiver's type, as in "store.find"; of what stands outside of functions, "package"
	code     string // the line, without the space around it
	change   string // as in "a < b -> a <= b"; the second of the same place ends in " #2"
}

func (p place) String() string {
	return fmt.Sprintf("%s: %s: %s", p.function, p.code, p.change)
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
