package lower

import (
	"fmt"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// The kernel's verifier follows a program from its start to its end before it follows
// the other direction of any branch, and allows at most 8192 branches on such a path. A
// program with more is cut into parts, functions that the verifier checks separately. A
// part takes the program's context and returns whether the program ends in it.
// Variables of several parts are in the map that calm describes. Statements that share
// other variables stay together.

// A program whose weight is at least tooManyBranches is cut into about maxParts parts
// (a program has at most 256 functions), each with a weight of at least leastPart.
const (
	tooManyBranches = 2000
	maxParts        = 120
	leastPart       = 200
)

// cutting is the state of a program that is cut into parts.
type cutting struct {
	root    *fn
	size    int                // weight of a part
	uses    map[*check.Var]int // number of uses of each variable
	weights map[ast.Stmt]int
}

// cutProgram prepares f to be cut into parts if p has enough branches.
func (f *fn) cutProgram(p *check.Prog) {
	if !object.PassesContext(p.Ctx.Load.Type, p.Ctx.Load.AttachType) {
		return
	}
	c := &cutting{root: f, uses: map[*check.Var]int{}, weights: map[ast.Stmt]int{}}
	f.cut = c
	total := f.blockWeight(p.Body)
	if total < tooManyBranches || !f.k.Has(probes.FeatContextArg) {
		f.cut = nil
		return
	}
	c.size = max(leastPart, total/maxParts)
	f.others += total / c.size
	countUses(f.info, c.uses, p.Body)
	if p.Pred != nil {
		countUses(f.info, c.uses, p.Pred)
	}
}

// blockWeight returns the sum of the weights of a block's statements and its value.
func (f *fn) blockWeight(b *ast.Block) (n int) {
	for _, s := range b.Stmts {
		n += f.weight(s)
	}
	if b.Value != nil {
		n += f.nodeWeight(b.Value)
	}
	return n
}

// weight returns an estimate of the number of branches that the verifier follows in s.
func (f *fn) weight(s ast.Stmt) int {
	n, ok := f.cut.weights[s]
	if !ok {
		n = f.nodeWeight(s)
		f.cut.weights[s] = n
	}
	return n
}

//go:noinline
func (f *fn) nodeWeight(n ast.Node) (sum int) {
	ast.Inspect(n, func(c ast.Node) bool {
		switch c := c.(type) {
		case *ast.Block:
			sum += f.blockWeight(c)
			return false
		case *ast.For:
			turns := int64(1)
			if r, ok := c.Iter.(*ast.Range); ok {
				if from, to, ok := constRange(f.info, r); ok && !f.callsBack(c) {
					turns = max(to-from, 1)
				}
			}
			sum += int(turns) * (1 + f.blockWeight(c.Body))
			return false
		case *ast.Unroll:
			turns := 1
			if lit := f.info.LitOf(c.Count); lit != nil {
				turns = int(lit.Int)
			}
			sum += turns * f.blockWeight(c.Body)
			return false
		case *ast.While:
			const turns = 4 // a guess
			sum += turns * (1 + f.nodeWeight(c.Cond) + f.blockWeight(c.Body))
			return false
		case *ast.Index:
			sum += 2
		case *ast.If, *ast.Ternary, *ast.Call:
			sum++
		case *ast.Binary:
			switch c.Op {
			case "&&", "||", "==", "!=", "/", "%":
				sum++
			}
		}
		return true
	})
	return sum
}

// isPart reports whether f is a part of its program, not the program itself.
func (f *fn) isPart() bool { return f.cut != nil && f != f.cut.root }

// cuts reports whether the statements of b become parts.
func (f *fn) cuts(b *ast.Block) bool {
	return f.cut != nil && f == f.cut.root && len(f.loops) == 0 && f.blockWeight(b) > f.cut.size
}

// cutStmts lowers the statements of b, as parts if possible.
func (f *fn) cutStmts(b *ast.Block) {
	reach, fixed := f.bonds(b)
	var part []ast.Stmt
	weight := 0
	flush := func() {
		if weight < f.cut.size/4 {
			for _, s := range part {
				f.stmt(s)
			}
		} else {
			f.part(part)
		}
		part, weight = nil, 0
	}
	for i := 0; i < len(b.Stmts); {
		end, n, stays := i, 0, false // end of the statements that stay together
		for j := i; j <= end; j++ {
			end = max(end, reach[j])
			n += f.weight(b.Stmts[j])
			stays = stays || fixed[j]
		}
		together := b.Stmts[i : end+1]
		i = end + 1
		if stays || n > 2*f.cut.size {
			flush()
			for _, s := range together {
				f.stmt(s)
			}
			continue
		}
		if weight+n > f.cut.size {
			flush()
		}
		part, weight = append(part, together...), weight+n
	}
	flush()
}

// bonds returns, for each statement of b, the last statement with which it shares
// variables that only one function can have, and whether it has to be in this function.
func (f *fn) bonds(b *ast.Block) (reach []int, fixed []bool) {
	reach, fixed = make([]int, len(b.Stmts)), make([]bool, len(b.Stmts))
	type use struct {
		first int // since the variable was last set as a whole
		n     int
	}
	uses := map[*check.Var]*use{}
	var order []*check.Var
	for i, s := range b.Stmts {
		reach[i] = i
		if v := sets(f.info, s); v != nil && uses[v] != nil {
			uses[v].first = i
		}
		ast.Inspect(s, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Jump:
				fixed[i] = fixed[i] || n.Value != nil
			case *ast.Var:
				v := f.info.Vars[n]
				if v == nil || v.Type == nil || isContext(v.Type) || f.mapOffset(v) >= 0 {
					break
				}
				u := uses[v]
				if u == nil {
					u = &use{first: i}
					uses[v] = u
					order = append(order, v)
				}
				u.n++
				reach[u.first] = i
			}
			return true
		})
	}
	for i, s := range b.Stmts { // variables that are also used outside of b
		ast.Inspect(s, func(n ast.Node) bool {
			if v, ok := n.(*ast.Var); ok {
				u := uses[f.info.Vars[v]]
				fixed[i] = fixed[i] || u != nil && u.n < f.cut.uses[f.info.Vars[v]]
			}
			return true
		})
	}
	return reach, fixed
}

// part lowers statements as a separate function and calls it.
func (f *fn) part(list []ast.Stmt) {
	g := newFn(f.shared, f.irp, f.prog, fmt.Sprintf("part%d", len(f.irp.Subs)+1), ir.PtrCtx)
	f.irp.Subs = append(f.irp.Subs, g.b.Fn)
	g.b.Fn.Global, g.b.Fn.Forgets = true, true
	g.ctx = g.b.Param(0)
	g.subs, g.captured, g.cut = f.subs, f.captured, f.cut
	g.often = f.often
	g.inMap, g.mapVars = f.inMap, f.mapVars
	g.result = programEnds
	g.at(list[0].Span())
	g.start()
	for _, s := range list {
		g.stmt(s)
	}
	if g.b.Cur != nil {
		g.b.Ret(g.b.Const(0))
	}
	g.end()
	r := f.b.CallFn(g.b.Fn, f.ctxValue())
	f.b.If(r, func() {
		if f.isPart() {
			f.b.Ret(r)
			return
		}
		if !f.returnsValue() {
			f.Return(nil)
			return
		}
		given := f.b.Op(ir.OpAnd, r, f.b.Const(resultGiven))
		f.b.If(given, func() { f.Return(f.b.Op(ir.OpSar, r, f.b.Const(resultShift))) })
		f.Return(nil)
	})
}

// A part's result is 0 if the program continues, else programEnds is set. If the part
// determines the program's result, resultGiven is set and the result is in the upper
// bits.
const (
	programEnds = 1
	resultGiven = 2
	resultShift = 2
)

// partResult returns the result of a part in which the program ends with the result x, or
// with its default result if x is nil.
func (f *fn) partResult(x *ir.Value) *ir.Value {
	if x == nil || !f.returnsValue() {
		return f.b.Const(programEnds)
	}
	return f.b.Op(ir.OpOr, f.b.Op(ir.OpShl, x, f.b.Const(resultShift)), f.b.Const(programEnds|resultGiven))
}

// returnsValue reports whether the script can choose the program's result.
func (f *fn) returnsValue() bool { return !f.prog.Ctx.FixedResult }
