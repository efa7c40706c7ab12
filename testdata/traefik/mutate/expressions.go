package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"strconv"
)

// opposites are comparisons' own. A condition that is made true and made false needs none: a test that notices either
// would notice its opposite.
var opposites = map[token.Token]token.Token{
	token.EQL: token.NEQ,
	token.NEQ: token.EQL,
	token.LSS: token.GEQ,
	token.LEQ: token.GTR,
	token.GTR: token.LEQ,
	token.GEQ: token.LSS,
}

// swaps are what an operator becomes; a comparison becomes the one that differs in the case of equality.
var swaps = map[token.Token]token.Token{
	token.LSS:  token.LEQ,
	token.LEQ:  token.LSS,
	token.GTR:  token.GEQ,
	token.GEQ:  token.GTR,
	token.LAND: token.LOR,
	token.LOR:  token.LAND,
	token.ADD:  token.SUB,
	token.SUB:  token.ADD,
	token.MUL:  token.QUO,
	token.QUO:  token.MUL,
	token.REM:  token.MUL,
	token.SHL:  token.SHR,

	token.ADD_ASSIGN: token.SUB_ASSIGN,
	token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.INC:        token.DEC,
	token.DEC:        token.INC,
}

func (f *finder) expression(e ast.Expr, parent ast.Node) {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		f.binary(e)
	case *ast.UnaryExpr:
		if e.Op == token.NOT && !f.forced[e] {
			f.replace(e, f.node(e.X))
		}
	case *ast.BasicLit:
		f.literal(e, parent)
	case *ast.Ident:
		switch e.Name {
		case "true":
			f.replaceIn(parent, e, "false")
		case "false":
			f.replaceIn(parent, e, "true")
		}
	}
}

func (f *finder) binary(e *ast.BinaryExpr) {
	if e.Op == token.ADD && (isText(e.X) || isText(e.Y)) {
		return
	}
	x, y := f.node(e.X), f.node(e.Y)
	f.operator(e.Op, e.OpPos, e, swaps)
	if !f.forced[e] {
		f.operator(e.Op, e.OpPos, e, opposites)
	}
	if e.Op == token.LAND || e.Op == token.LOR {
		f.replace(e, "("+x+")")
		f.replace(e, "("+y+")")
	}
}

// operator changes the operator of a node.
func (f *finder) operator(was token.Token, at token.Pos, of ast.Node, to map[token.Token]token.Token) {
	if other, ok := to[was]; ok {
		f.change(at, at+token.Pos(len(was.String())), other.String(), brief(f.node(of))+" -> "+other.String())
	}
}

// isText reports whether there is a text among what + joins.
func isText(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.BinaryExpr:
		return isText(e.X) || isText(e.Y)
	}
	return false
}

// literal makes whole numbers one more and one less.
func (f *finder) literal(e *ast.BasicLit, parent ast.Node) {
	if e.Kind != token.INT {
		return
	}
	n, err := strconv.ParseInt(e.Value, 0, 64)
	if err != nil {
		return
	}
	f.replaceIn(parent, e, fmt.Sprint(n+1))
	f.replaceIn(parent, e, fmt.Sprint(n-1))
}
