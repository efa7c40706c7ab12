package main

import (
	"go/ast"
	"go/token"
	"strings"
)

func (f *finder) statement(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.BlockStmt:
		f.drops(s.List)
	case *ast.CaseClause:
		f.drops(s.Body)
	case *ast.IfStmt:
		f.force(s.Cond, true)
		f.force(s.Cond, false) // drops the guard
	case *ast.ForStmt:
		if s.Cond != nil {
			f.force(s.Cond, false)
		}
	case *ast.RangeStmt:
		header := f.code(s.Pos(), s.Body.Lbrace)
		f.change(s.Pos(), s.Body.Lbrace+1, header+"{ break;", "no round of "+brief(header))
	case *ast.SwitchStmt:
		f.cases(s.Body, s.Tag == nil)
	case *ast.TypeSwitchStmt:
		f.cases(s.Body, false)
	case *ast.IncDecStmt:
		f.operator(s.Tok, s.TokPos, s, swaps)
	case *ast.AssignStmt:
		f.operator(s.Tok, s.TokPos, s, swaps)
	case *ast.ReturnStmt:
		f.returned(s)
	}
}

// drops leaves out each of the statements that can be left out.
func (f *finder) drops(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt, *ast.BranchStmt:
			f.drop(s)
		case *ast.AssignStmt:
			f.dropAssignment(s)
		}
	}
}

// dropAssignment drops an assignment, with and without the call that it is of.
func (f *finder) dropAssignment(s *ast.AssignStmt) {
	if s.Tok == token.DEFINE {
		return // without it nothing compiles
	}
	blanks := strings.TrimSuffix(strings.Repeat("_, ", len(s.Lhs)), ", ") + " "
	if s.Tok != token.ASSIGN || f.node(s.Rhs[0]) == "nil" || f.code(s.Pos(), s.TokPos) == blanks {
		f.drop(s)
		return
	}
	// What is computed still is, so that what it uses is used.
	f.change(s.Pos(), s.TokPos, blanks, "not assigned: "+brief(f.node(s)))
	if _, ok := s.Rhs[0].(*ast.CallExpr); ok {
		f.drop(s)
	}
}

// cases drops each clause of a switch and each of several values of a clause. In a switch without a tag, the clauses are
// conditions.
func (f *finder) cases(body *ast.BlockStmt, conditions bool) {
	for _, s := range body.List {
		clause := s.(*ast.CaseClause)
		f.change(clause.Pos(), clause.End(), "", "drop "+brief(f.code(clause.Pos(), clause.Colon)))
		if conditions && len(clause.List) == 1 {
			f.force(clause.List[0], true)
		}
		for i, value := range clause.List {
			from, to := value.Pos(), value.End()
			switch {
			case len(clause.List) == 1:
				continue
			case i == 0:
				to = clause.List[1].Pos()
			default:
				from = clause.List[i-1].End()
			}
			f.change(from, to, "", "drop case "+brief(f.node(value)))
		}
	}
}

// returned makes a function return nothing in place of something: no error, no pointer, 0, the opposite.
func (f *finder) returned(s *ast.ReturnStmt) {
	types := []ast.Expr{}
	if results := f.results[len(f.results)-1]; results != nil {
		for _, field := range results.List {
			types = append(types, field.Type)
			for i := 1; i < len(field.Names); i++ {
				types = append(types, field.Type)
			}
		}
	}
	if len(types) != len(s.Results) {
		return // a call that returns them all
	}
	for i, result := range s.Results {
		code, none := f.node(result), f.none(types[i], f.node(result))
		if none != "" && none != code {
			f.change(result.Pos(), result.End(), none, "return "+brief(code)+" -> "+brief(none))
		}
	}
}

// none is what stands for nothing in a type; empty where that can't be told.
func (f *finder) none(of ast.Expr, code string) string {
	switch t := of.(type) {
	case *ast.StarExpr, *ast.ArrayType, *ast.MapType, *ast.FuncType:
		return "nil"
	case *ast.Ident:
		switch t.Name {
		case "error":
			return "nil"
		case "int", "moment":
			return "0"
		case "string":
			return `""`
		case "bool":
			if code != "true" && code != "false" { // which are changed as they stand
				return "!(" + code + ")"
			}
		}
	}
	return ""
}
