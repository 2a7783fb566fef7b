package lower

import (
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
)

// A loop that stays in its function may follow pointers from one kernel object to
// the next. The kernel's verifier takes each turn of it by itself, and at each
// plain load from an object it goes on in two ways, with an object and with null,
// which do not become one again while a variable holds the pointer. With two such
// variables that is more than it can do in a few turns. So these are read by the
// helper, to which a pointer is a number like any other.

// manyWalked is from how many variables on.
const manyWalked = 2

// walk runs emit, which emits a loop, with the pointers that body moves along
// marked, where there are many.
func (f *fn) walk(body *ast.Block, emit func()) {
	old := f.walked
	moved := map[*check.Var]bool{}
	for v := range old {
		moved[v] = true
	}
	ast.Inspect(body, func(n ast.Node) bool {
		if a, ok := n.(*ast.Assign); ok {
			if x, ok := a.Target.(*ast.Var); ok {
				if v := f.info.Vars[x]; v.Type.Kind == types.Pointer && v.Type.Space != types.User {
					moved[v] = true
				}
			}
		}
		return true
	})
	if len(moved) >= manyWalked {
		f.walked = moved
	}
	emit()
	f.walked = old
}

// isWalked reports whether the object that e belongs to is found from a pointer
// that a loop moves along.
func (f *fn) isWalked(e ast.Expr) bool {
	for len(f.walked) > 0 {
		switch x := e.(type) {
		case *ast.Var:
			return f.walked[f.info.Vars[x]]
		case *ast.Field:
			e = x.X
		case *ast.Index:
			e = x.X
		case *ast.Unary:
			e = x.X
		case *ast.Cast:
			e = x.X
		default:
			return false
		}
	}
	return false
}
