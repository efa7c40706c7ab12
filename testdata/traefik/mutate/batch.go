package main

import (
	"fmt"
	"go/ast"
	"strings"
)

// A batch is of mutants of one file that are built together, since building is what takes the time: each gets a copy of
// its function, and the function calls the copy that the environment chooses, by the mutant's number from 1.
type batch struct {
	source  *source
	mutants []*mutant // all within functions
}

// chooser is a file that is added to the package.
const chooser = `package %s

import (
	"os"
	"strconv"
)

var mutantChosen = func() int {
	number, _ := strconv.Atoi(os.Getenv("MUTANT"))
	return number
}()
`

// text returns the file with all of the copies, and which mutant's copy each of its lines belongs to. It leaves out the
// mutants in without.
func (b *batch) text(without map[*mutant]bool) (text string, owners map[int]*mutant) {
	numbers := map[*ast.FuncDecl][]int{}
	for i, m := range b.mutants {
		if !without[m] {
			numbers[m.within] = append(numbers[m.within], i+1)
		}
	}
	changed, copies := string(b.source.text), &strings.Builder{}
	decls := b.source.tree.Decls
	for i := len(decls) - 1; i >= 0; i-- { // backwards, so that the offsets stay true
		function, ok := decls[i].(*ast.FuncDecl)
		if !ok || len(numbers[function]) == 0 {
			continue
		}
		end := b.source.offset(function.Name.End())
		changed = changed[:end] + "_m0" + changed[end:]
		copies.WriteString("\n" + b.dispatcher(function, numbers[function]))
	}
	changed += copies.String()
	owners = map[int]*mutant{}
	for i, m := range b.mutants {
		if without[m] {
			continue
		}
		first := strings.Count(changed, "\n") + 1
		changed += b.copyOf(m, i+1) + "\n"
		for line := first; line <= strings.Count(changed, "\n"); line++ {
			owners[line] = m
		}
	}
	return changed, owners
}

// copyOf returns the mutant's function under a name of its own.
func (b *batch) copyOf(m *mutant, number int) string {
	s := b.source
	name := m.within.Name
	return s.code(m.within.Pos(), name.End()) + fmt.Sprintf("_m%d", number) +
		m.mutated(s.offset(name.End()), s.offset(m.within.End()))
}

// dispatcher returns a function in the place of the one given, which calls a copy.
func (b *batch) dispatcher(function *ast.FuncDecl, numbers []int) string {
	receiver, called := "", function.Name.Name
	if function.Recv != nil {
		receiver, called = "(receiver "+b.source.node(function.Recv.List[0].Type)+") ", "receiver."+called
	}
	parameters, arguments := b.parameters(function.Type.Params)
	results, back := "", ""
	if function.Type.Results != nil {
		results, back = b.source.node(function.Type.Results), "return "
	}
	text := &strings.Builder{}
	fmt.Fprintf(text, "func %s%s(%s) %s {\n\tswitch mutantChosen {\n", receiver, function.Name.Name, parameters, results)
	for _, number := range numbers {
		fmt.Fprintf(text, "\tcase %d:\n\t\t%s%s_m%d(%s)\n", number, back, called, number, arguments)
	}
	fmt.Fprintf(text, "\tdefault:\n\t\t%s%s_m0(%s)\n\t}\n}\n", back, called, arguments)
	return text.String()
}

// parameters returns them with names of their own, and as arguments.
func (b *batch) parameters(fields *ast.FieldList) (parameters, arguments string) {
	declared, passed := []string{}, []string{}
	for _, field := range fields.List {
		for range max(1, len(field.Names)) {
			name := fmt.Sprint("argument", len(declared))
			declared = append(declared, name+" "+b.source.node(field.Type))
			if _, variadic := field.Type.(*ast.Ellipsis); variadic {
				name += "..."
			}
			passed = append(passed, name)
		}
	}
	return strings.Join(declared, ", "), strings.Join(passed, ", ")
}
