package ast

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// Precedence returns the precedence of a binary operator, from 1 for "||" to 10 for
// "*". It returns 0 if op is not a binary operator. All of them associate to the left.
//
//go:noinline
func Precedence(op string) int {
	switch op {
	case "||":
		return 1
	case "&&":
		return 2
	case "|":
		return 3
	case "^":
		return 4
	case "&":
		return 5
	case "==", "!=":
		return 6
	case "<", "<=", ">", ">=":
		return 7
	case "<<", ">>":
		return 8
	case "+", "-":
		return 9
	case "*", "/", "%":
		return 10
	}
	return 0
}

// WordPrecedence is the precedence of operators that stand for functions.
const WordPrecedence = 7

// Precedences of other expressions, on the scale of Precedence.
const (
	bindBlock   = -1 // in parentheses if it is an operand
	bindTernary = 0
	bindBinary  = 1
	bindUnary   = 11
	bindPostfix = 12
)

func binding(x Expr) int {
	switch x := x.(type) {
	case *Block, *If, *Range:
		return bindBlock
	case *Ternary:
		return bindTernary
	case *Binary:
		return Precedence(x.Op)
	case *Call:
		if x.Op != "" {
			return WordPrecedence
		}
	case *Unary:
		if x.Postfix {
			return bindPostfix
		}
		if negated(x) != nil {
			return WordPrecedence
		}
		return bindUnary
	case *Cast, *Comptime:
		return bindUnary
	}
	return bindPostfix
}

// operand writes x. It adds parentheses if the precedence of x is lower than least.
func (p *printer) operand(x Expr, least int) {
	if binding(x) >= least {
		p.expr(x)
		return
	}
	p.write("(")
	p.expr(x)
	p.write(")")
}

// isParam reports whether t is the name of a parameter of the current macro:
// "(t)-x" would be parsed as a subtraction.
func (p *printer) isParam(t *Type) bool {
	if p.macro == nil || t.Keyword != "" {
		return false
	}
	return slices.ContainsFunc(p.macro.Params, func(a Expr) bool {
		id, ok := a.(*Ident)
		return ok && id.Name == t.Name
	})
}

func isUnary(x Expr) bool {
	u, ok := x.(*Unary)
	return ok && !u.Postfix
}

// binaryOperand writes an operand of op. It adds parentheses that the grammar
// does not need if the precedence of the operators is not widely known.
func (p *printer) binaryOperand(op string, x Expr, least int) {
	if in, ok := x.(*Binary); ok && in.Op != op && unclear(op) {
		least = bindUnary
	}
	p.operand(x, least)
}

func unclear(op string) bool {
	switch op {
	case "|", "^", "&", "<<", ">>":
		return true
	}
	return false
}

func (p *printer) exprs(list []Expr) {
	for i, x := range list {
		if i > 0 {
			p.write(", ")
		}
		p.expr(x)
	}
}

// expr writes an expression in the form in which a script can contain it.
func (p *printer) expr(x Expr) {
	switch x := x.(type) {
	case *Ident:
		p.write(x.Name)
	case *IntLit:
		if x.Text != "" {
			p.write(x.Text)
		} else {
			p.write(strconv.FormatUint(x.Value, 10))
		}
	case *StrLit:
		if x.Bare {
			p.write(x.Value)
		} else {
			p.write(source.Quote(x.Value))
		}
	case *BoolLit:
		p.write(strconv.FormatBool(x.Value))
	case *Positional:
		if x.N == 0 {
			p.write("$#")
		} else {
			p.write("$", strconv.Itoa(x.N))
		}
	case *Var:
		p.write("$", x.Name)
	case *Map:
		p.write("@", x.Name)
	case *Discard:
		p.write("_")
	case *Index:
		p.operand(x.X, bindPostfix)
		p.write("[")
		p.exprs(x.Args)
		p.write("]")
	case *Field:
		p.field(x)
	case *Unary:
		p.unary(x)
	case *Binary:
		b := Precedence(x.Op)
		p.binaryOperand(x.Op, x.X, b)
		p.write(" ", x.Op, " ")
		p.binaryOperand(x.Op, x.Y, b+1)
	case *Ternary:
		p.ternary(x)
	case *Call:
		if x.Op != "" {
			p.worded(x, p.exprs)
			return
		}
		args := x.Args
		if strings.HasPrefix(x.Fn.Text, MethodPrefix) {
			p.operand(args[0], bindPostfix)
			args = args[1:]
		}
		p.write(x.Fn.Text, "(")
		p.exprs(args)
		p.write(")")
	case *Cast:
		p.cast(x)
	case *TypeArg:
		p.typ(x.Type)
	case *Sizeof:
		p.write("sizeof(")
		p.typeOrExpr(x.Type, x.X)
		p.write(")")
	case *Offsetof:
		p.offsetof(x)
	case *Typeinfo:
		p.write("typeinfo(")
		p.typeOrExpr(x.Type, x.X)
		p.write(")")
	case *Tuple:
		p.write("(")
		p.exprs(x.Elems)
		if len(x.Elems) == 1 {
			p.write(",")
		}
		p.write(")")
	case *Record:
		p.record(x)
	case *Block, *If:
		p.braced(x, value)
	case *Comptime:
		p.write("comptime ")
		p.operand(x.X, bindUnary)
	case *Range:
		p.operand(x.From, bindPostfix)
		p.write("..")
		p.operand(x.To, bindPostfix)
	}
}

func (p *printer) field(x *Field) {
	if _, ok := x.X.(*IntLit); ok {
		p.write("(")
		p.expr(x.X)
		p.write(")")
	} else {
		p.operand(x.X, bindPostfix)
	}
	if x.Arrow {
		p.write("->", x.Name.Text)
	} else {
		p.write(".", x.Name.Text)
	}
}

// negated returns the call of an operator that is negated by its sign, as in x !~ y, or
// nil.
func negated(x *Unary) *Call {
	if c, ok := x.X.(*Call); ok && x.Op == "!" && c.Op != "" && c.Op[0] == '!' {
		return c
	}
	return nil
}

// worded writes x op y, the form of a call with an operator. If the right side is in
// parentheses, list writes it.
func (p *printer) worded(x *Call, list func([]Expr)) {
	p.operand(x.Args[0], WordPrecedence)
	p.write(" ", x.Op, " ")
	if _, isRange := x.Args[len(x.Args)-1].(*Range); len(x.Args) == 2 && !isRange {
		p.operand(x.Args[1], WordPrecedence+1)
		return
	}
	p.write("(")
	list(x.Args[1:])
	p.write(")")
}

func (p *printer) unary(x *Unary) {
	if c := negated(x); c != nil {
		p.worded(c, p.exprs)
		return
	}
	if x.Postfix {
		p.operand(x.X, bindPostfix)
		p.write(x.Op)
		return
	}
	p.write(x.Op)
	if in, ok := x.X.(*Unary); ok && !in.Postfix && in.Op[0] == x.Op[0] && strings.Contains("+-&", x.Op[:1]) {
		p.write(" ") // "- -x", not "--x"
	}
	p.operand(x.X, bindUnary)
}

func (p *printer) ternary(x *Ternary) {
	p.operand(x.Cond, bindBinary)
	if x.X == nil {
		p.write(" ?: ")
	} else {
		p.write(" ? ")
		p.operand(x.X, bindTernary)
		p.write(" : ")
	}
	p.operand(x.Y, bindTernary)
}

func (p *printer) cast(x *Cast) {
	p.write("(")
	p.typ(x.Type)
	p.write(")")
	least := bindUnary
	if p.isParam(x.Type) && isUnary(x.X) {
		least = bindPostfix
	}
	p.operand(x.X, least)
}

func (p *printer) offsetof(x *Offsetof) {
	p.write("offsetof(")
	p.typeOrExpr(x.Type, x.X)
	p.write(", ")
	for i, f := range x.Path {
		if i > 0 {
			p.write(".")
		}
		p.write(f.Text)
	}
	p.write(")")
}

func (p *printer) record(x *Record) {
	p.write("(")
	for i, e := range x.Elems {
		if i > 0 {
			p.write(", ")
		}
		p.write(x.Names[i].Text, "=")
		p.expr(e)
	}
	p.write(")")
}

func (p *printer) typeOrExpr(t *Type, x Expr) {
	switch {
	case t != nil:
		p.typ(t)
	case readsAsType(x):
		p.write("(")
		p.expr(x)
		p.write(")")
	default:
		p.expr(x)
	}
}

// readsAsType reports whether x would be parsed as a type: name, name[1], name[1][2].
func readsAsType(x Expr) bool {
	switch x := x.(type) {
	case *Ident:
		return true
	case *Index:
		if len(x.Args) != 1 || !readsAsType(x.X) {
			return false
		}
		switch x.Args[0].(type) {
		case *IntLit, *Positional:
			return true
		}
	}
	return false
}

func (p *printer) typ(t *Type) {
	switch {
	case t.Typeof != nil || t.TypeofT != nil:
		p.write("typeof(")
		p.typeOrExpr(t.TypeofT, t.Typeof)
		p.write(")")
	case t.Keyword != "":
		p.write(t.Keyword, " ", t.Name)
	default:
		p.write(t.Name)
	}
	for _, s := range t.Suffixes {
		if s.Pointer {
			p.write("*")
			continue
		}
		p.write("[")
		if s.Len != nil {
			p.expr(s.Len)
		}
		p.write("]")
	}
}
