package main

import (
	"go/ast"
	"go/token"
)

// A finder walks through a file, and collects the changes that can be made to it.
type finder struct {
	*source
	function string
	within   *ast.FuncDecl
	results  []*ast.FieldList // of the functions around, the innermost last
	forced   map[ast.Expr]bool
	found    []*mutant
}

// find returns all mutants of a file, in its order.
func find(file *source) []*mutant {
	f := &finder{source: file, forced: map[ast.Expr]bool{}}
	for _, decl := range file.tree.Decls {
		if function, ok := decl.(*ast.FuncDecl); ok {
			f.function, f.within = nameOf(function), function
			f.body(function.Type, function.Body)
		} else {
			f.function, f.within = "package", nil
			f.walk(decl)
		}
	}
	number(f.found)
	return f.found
}

func nameOf(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return function.Name.Name
	}
	receiver := function.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	if name, ok := receiver.(*ast.Ident); ok {
		return name.Name + "." + function.Name.Name
	}
	return function.Name.Name
}

// body walks through a function's body.
func (f *finder) body(of *ast.FuncType, body *ast.BlockStmt) {
	f.results = append(f.results, of.Results)
	f.walk(body)
	f.results = f.results[:len(f.results)-1]
}

func (f *finder) walk(root ast.Node) {
	parents := []ast.Node{nil}
	ast.Inspect(root, func(node ast.Node) bool {
		switch n := node.(type) {
		case nil:
			parents = parents[:len(parents)-1]
			return true
		case *ast.FuncLit:
			f.body(n.Type, n.Body)
			return false
		case *ast.ImportSpec, *ast.Field:
			return false // nothing there runs
		case ast.Expr:
			f.expression(n, parents[len(parents)-1])
		case ast.Stmt:
			f.statement(n)
		}
		parents = append(parents, node)
		return true
	})
}

// change adds a mutant: what stands from one position to another becomes text. It is told as from -> to, or as what says
// if that isn't empty.
func (f *finder) change(from, to token.Pos, text, what string) {
	if what == "" {
		what = brief(f.code(from, to)) + " -> " + brief(text)
	}
	f.found = append(f.found, &mutant{
		place:  place{file: f.name, function: f.function, change: what},
		code:   f.lineAt(from),
		line:   f.set.Position(from).Line,
		source: f.source,
		within: f.within,
		offset: f.offset(from),
		length: f.offset(to) - f.offset(from),
		text:   text,
	})
}

func (f *finder) replace(n ast.Node, text string) {
	f.change(n.Pos(), n.End(), text, "")
}

// replaceIn replaces a word that may occur often in a function, so it also tells what it is part of.
func (f *finder) replaceIn(parent, n ast.Node, text string) {
	around := f.node(parent)
	if clause, ok := parent.(*ast.CaseClause); ok {
		around = f.code(clause.Pos(), clause.Colon)
	}
	f.change(n.Pos(), n.End(), text, brief(around)+": "+f.node(n)+" -> "+text)
}

func (f *finder) drop(n ast.Node) {
	f.change(n.Pos(), n.End(), "", "drop "+brief(f.node(n)))
}

// force makes a condition true or false. It still stands there, so that what it uses is used.
func (f *finder) force(condition ast.Expr, to bool) {
	text, what := "true || ", "true"
	if !to {
		text, what = "false && ", "false"
	}
	f.forced[condition] = true
	code := f.node(condition)
	f.change(condition.Pos(), condition.End(), text+"("+code+")", brief(code)+" -> "+what)
}
