package lower

import (
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
)

// A loop that stays in its function may follow pointers from one kernel object to the
// next. The kernel's verifier follows each iteration separately. At each plain load
// from an object it follows two paths, for a valid pointer and for null, which it does
// not merge as long as a variable holds the pointer. With two such variables, a few
// iterations exceed its limit. So the objects are read by the helper, which accepts any
// integer as an address.

// manyWalked is the minimum number of such variables.
const manyWalked = 2

// walk runs emit, which emits a loop. If body advances many pointers, they are marked
// meanwhile.
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

// isWalked reports whether the object that contains e is reached through a pointer that
// a loop advances.
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
