package opt

import "github.com/gotrace/gotrace/codegen/ir"

// expr identifies the result of a pure value.
type expr struct {
	op         ir.Op
	typ        ir.Type
	imm, imm2  int64
	a, b, c, d int // argument IDs + 1
	m          *ir.Map
	help       *ir.Helper
	fn         *ir.Func
}

// pure reports whether v has the same result whenever its operands are the same.
func pure(v *ir.Value) bool {
	return v.Op != ir.OpPhi && v.Op != ir.OpSlot && v.Effect() == 0 && len(v.Args) <= 4
}

// cse replaces values, including calls of pure helpers, by equal values of a dominating
// block.
func cse(f *ir.Func) bool {
	dom := ir.NewDom(f)
	sub := make(ir.Subst, f.NumValues())
	have := map[expr][]*ir.Value{} // innermost last; those of finished subtrees do not dominate
	changed := false
	var visit []*ir.Block // preorder of the dominator tree: a block's dominators come before it
	stack := []*ir.Block{f.Blocks[0]}
	for len(stack) > 0 {
		b := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		visit = append(visit, b)
		c := dom.Children(b)
		for i := len(c) - 1; i >= 0; i-- {
			stack = append(stack, c[i])
		}
	}
	for _, b := range visit {
		kept := b.Values[:0:0]
		for _, v := range b.Values {
			for i, x := range v.Args {
				if x = sub.Find(x); x != v.Args[i] {
					v.Args[i] = x
				}
			}
			if !pure(v) {
				kept = append(kept, v)
				continue
			}
			k := expr{op: v.Op, typ: v.Type, imm: v.Imm, imm2: v.Imm2, m: v.Map, help: v.Help, fn: v.Fn}
			for i, to := range []*int{&k.a, &k.b, &k.c, &k.d}[:len(v.Args)] {
				*to = v.Args[i].ID + 1
			}
			if v.Op.Info().Commutes && v.Args[0].Type == ir.Int && v.Args[1].Type == ir.Int && k.a > k.b && v.Args[1].Op != ir.OpConst {
				k.a, k.b = k.b, k.a
			}
			list := have[k]
			for len(list) > 0 && !dom.Dominates(list[len(list)-1].Block, b) {
				list = list[:len(list)-1]
			}
			if len(list) > 0 {
				sub[v.ID] = list[len(list)-1]
				changed = true
			} else {
				kept = append(kept, v)
				list = append(list, v)
			}
			have[k] = list
		}
		b.Values = kept
	}
	if changed {
		f.Substitute(sub)
	}
	return changed
}
