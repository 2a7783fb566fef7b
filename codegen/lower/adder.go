package lower

import (
	"bytes"
	"fmt"
	"math"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/store"
)

// An addition to a map with keys (an aggregation, ++, +=) is long, since it finds or
// creates the entry. A program that changes one map in many places calls a function for
// it. The function takes the key and the addends as integers, so that the kernel's
// verifier checks it once and not at each call. Assignments of words are shorter, and
// share a function if there are more changes.

// A program with at least manyAdditions changes of a map calls a function for its
// additions, which takes at most maxGlobalArgs integers. From manyAssignments changes on,
// it calls one for its assignments too.
const (
	manyAdditions   = 16
	manyAssignments = 64
	maxGlobalArgs   = 5
	maxAdders       = 235 // with the program's other functions: the kernel accepts 256
)

// often has the counts of operations that a program performs in many places.
type often struct {
	updates map[*builtins.MapInfo]int // number of changes of each map in the program
	adders  map[string]*ir.Func       // functions by the operations that they perform: see change
	others  int                       // about how many other functions the program will have
}

// count counts the places in a program that change each map.
func (u *shared) count(p *check.Prog) often {
	n := often{others: len(p.Funcs), updates: map[*builtins.MapInfo]int{}, adders: map[string]*ir.Func{}}
	note := func(e ast.Expr) {
		if x, ok := e.(*ast.Index); ok {
			if m, ok := x.X.(*ast.Map); ok {
				n.updates[u.info.Maps[m]]++
			}
		}
	}
	ast.Inspect(p.Body, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.Assign:
			note(x.Target)
		case *ast.Unary:
			if x.Op == "++" || x.Op == "--" {
				note(x.X)
			}
		case *ast.For:
			n.others++
		}
		return true
	})
	for _, fun := range p.Funcs {
		ast.Inspect(fun.Body, func(x ast.Node) bool {
			if _, ok := x.(*ast.For); ok {
				n.others++
			}
			return true
		})
	}
	return n
}

// addend is an integer operand of an addition: the value of an argument, or a computed
// value.
type addend struct {
	arg  ast.Expr // nil: not an argument of a builtin
	x    *ir.Value
	typ  *types.Type
	desc string
}

// add runs use with the entry of key, or a part of it, which it creates if necessary.
// It does not run use if the map is full. from holds the integers that use takes. what
// identifies the rest of use: additions with equal texts can share a function. If the
// program has many additions to the map, a function finds the entry and runs use.
func (f *fn) add(st *plan.Map, key store.Key, what string, from []addend, use func(f *fn, p *ir.Value, from []*ir.Value)) {
	f.change(manyAdditions, st, key, what, from, func(g *fn, key store.Key, xs []*ir.Value) {
		g.ifMade(st.Store.Share(g, key), func(p *ir.Value) { use(g, p, xs) })
	})
}

// assignWord stores x, a word of the type of the map's values, as the value of key.
func (f *fn) assignWord(st *plan.Map, key store.Key, x *ir.Value) {
	most := manyAssignments
	if st.Info.Value.Kind == types.Pointer && f.maybePointer(operand{x, st.Info.Value}) {
		most = math.MaxInt
	}
	f.change(most, st, key, "=", []addend{{x: x}}, func(g *fn, key store.Key, xs []*ir.Value) {
		st.Store.AssignWord(g, key, xs[0], st.Info.Value.Size)
	})
}

// change runs do, which changes the entry of key, with the integers of from. If the
// program has at least most changes of the map, do becomes the body of a function, which
// all changes with the same name, what and types of integers call.
func (f *fn) change(most int, st *plan.Map, key store.Key, what string, from []addend, do func(g *fn, key store.Key, from []*ir.Value)) {
	var words []*ir.Value
	if f.updates[st.Info] >= most && len(f.adders) < maxAdders-f.others {
		words = store.Words(st.Store, st.Key, maxGlobalArgs, f.b, key)
	}
	if len(words) == 0 || len(words)+len(from) > maxGlobalArgs {
		xs := make([]*ir.Value, len(from))
		for i, a := range from {
			xs[i] = a.x
		}
		do(f, key, xs)
		return
	}
	name := st.Info.Name + " " + what
	args := words
	for _, a := range from {
		name += " " + a.desc
		args = append(args, f.word(operand{a.x, a.typ}))
	}
	fun := f.adders[name]
	if fun == nil {
		fun = f.changer(st, len(words), from, do)
		f.adders[name] = fun
	}
	f.b.CallFn(fun, args...)
}

// changer creates the function that change calls.
func (f *fn) changer(st *plan.Map, words int, from []addend, do func(g *fn, key store.Key, from []*ir.Value)) *ir.Func {
	params := make([]ir.Type, words+len(from))
	for i := range params {
		params[i] = ir.Int
	}
	g := newFn(f.shared, f.irp, f.prog, fmt.Sprintf("add%d", len(f.irp.Subs)+1), params...)
	f.irp.Subs = append(f.irp.Subs, g.b.Fn)
	g.b.Fn.Global = true
	g.adders, g.ready = f.adders, map[ast.Expr]place{}
	g.at(f.b.Pos)
	in := make([]*ir.Value, len(params))
	for i := range in {
		in[i] = g.b.Param(i)
	}
	g.start()
	key := st.Store.Key(g, store.WordsKey{G: g, Words: in[:words]})
	for i, a := range from {
		if a.arg != nil {
			g.ready[a.arg] = place{t: a.typ, ptr: in[words+i]}
		}
	}
	do(g, key, in[words:])
	g.b.Ret(g.b.Const(0))
	g.end()
	return g.b.Fn
}

// aggregate adds the arguments of c to the aggregation of key.
func (f *fn) aggregate(st *plan.Map, key store.Key, c *builtins.Call) {
	var from []addend
	var what bytes.Buffer
	what.WriteString(c.Def.Name)
	fits := f.updates[st.Info] >= manyAdditions
	for i := range c.Args {
		a := &c.Args[i]
		switch {
		case a.Expr == nil || i > 0 && a.Lit != nil:
			fmt.Fprintf(&what, " %v", a.Lit)
			if a.Lit != nil {
				fmt.Fprintf(&what, "%+v", *a.Lit)
			}
		case a.Type != nil && a.Type.IsScalar() && (a.Lit == nil || !a.Lit.IsStr):
			if fits {
				from = append(from, addend{arg: check.ExprOf(a.Expr), x: f.Value(a), typ: a.Type, desc: fmt.Sprint(a.Type, a.Type.Size, a.Type.Signed)})
			}
		default:
			fits = false
		}
	}
	if !fits {
		f.ifMade(st.Store.Share(f, key), func(p *ir.Value) { c.Def.Update(f, c, p) })
		return
	}
	f.add(st, key, what.String(), from, func(g *fn, p *ir.Value, _ []*ir.Value) { c.Def.Update(g, c, p) })
}
