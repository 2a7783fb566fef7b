package opt

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
)

// threader redirects edges past blocks that consist of phis and a branch: if a
// predecessor decides the branch, it jumps directly to the successor. Such blocks come
// from && and ||, and from pointers that one path has already checked for null.
//
// It processes a function once, with the dominators from before. An edge that is
// redirected past block b removes b from some paths and adds nothing to others. So
// dominance remains valid, except for the blocks in passed.
type threader struct {
	dom    *ir.Dom
	passed map[*ir.Block]bool // blocks past which an edge was redirected
	users  [][]user           // by value ID: users of the phis of candidate blocks
}

// user is a value, or the terminator of a block, that uses a phi.
type user struct {
	v   *ir.Value
	blk *ir.Block
}

// maxClimb is the maximum number of dominators that are searched for a test of one
// value.
const maxClimb = 256

// thread redirects edges of f and reports whether there were any. It may leave edges
// that become redirectable to the next call.
func thread(f *ir.Func) bool {
	var blocks []*ir.Block
	for _, b := range f.Blocks {
		if forwards(b) {
			blocks = append(blocks, b)
		}
	}
	if len(blocks) == 0 {
		return false
	}
	t := &threader{dom: ir.NewDom(f), passed: map[*ir.Block]bool{}, users: make([][]user, f.NumValues())}
	tracked := make([]bool, f.NumValues())
	for _, b := range blocks {
		for _, v := range b.Phis() {
			tracked[v.ID] = true
		}
	}
	for _, b := range t.dom.RPO {
		for _, v := range b.Values {
			for _, x := range v.Args {
				if tracked[x.ID] {
					t.use(x, user{v: v})
				}
			}
		}
		if b.Cond != nil && tracked[b.Cond.ID] {
			t.use(b.Cond, user{blk: b})
		}
	}
	changed := false
	for _, b := range blocks {
		changed = t.block(b) || changed
	}
	return changed
}

// forwards reports whether b consists of phis, and a branch on one of them.
//
//go:noinline
func forwards(b *ir.Block) bool {
	return b.Term == ir.TermBr && b.Succs[0] != b.Succs[1] && len(b.Values) > 0 &&
		b.Cond.Block == b && b.Values[len(b.Values)-1].Op == ir.OpPhi
}

// use records that u uses x.
//
//go:noinline
func (t *threader) use(x *ir.Value, u user) {
	for x.ID >= len(t.users) {
		t.users = append(t.users, nil)
	}
	if l := t.users[x.ID]; len(l) == 0 || l[len(l)-1] != u {
		t.users[x.ID] = append(l, u)
	}
}

// dominates reports whether a is still known to dominate b.
func (t *threader) dominates(a, b *ir.Block) bool { return !t.passed[a] && t.dom.Dominates(a, b) }

// block redirects the edges that need not pass through b.
func (t *threader) block(b *ir.Block) bool {
	if !t.dom.Reachable(b) || !forwards(b) {
		return false
	}
	changed := false
	for i := 0; i < len(b.Preds); {
		p := b.Preds[i]
		taken := t.truth(b.Cond.Args[i], p, b)
		if taken < 0 || t.dom.Dominates(b, p) || len(p.Succs) == 2 && p.Succs[0] == p.Succs[1] {
			i++
			continue
		}
		to := b.Succs[taken]
		if to == b || t.passed[to] || to.PredIndex(p) >= 0 || !t.localPhis(b) {
			i++
			continue
		}
		t.edge(b, i, to)
		changed = true
		if !forwards(b) {
			break
		}
	}
	return changed
}

// truth returns the index of the successor that a branch on x takes when it comes
// from p to b, or -1 if that is not known.
func (t *threader) truth(x *ir.Value, p, b *ir.Block) int {
	switch {
	case notNull(x), x.Op == ir.OpConst && x.Imm != 0:
		return 0
	case x.Op == ir.OpConst:
		return 1
	}
	at := func(p, s *ir.Block) int {
		if p.Term != ir.TermBr || p.Cond != x || p.Succs[0] == p.Succs[1] {
			return -1
		}
		if p.Succs[0] == s {
			return 0
		}
		return 1
	}
	if n := at(p, b); n >= 0 {
		return n
	}
	// No block above that of x tests it.
	for d, n := p, 0; d != nil && d != x.Block && n < maxClimb; d, n = t.dom.IDom(d), n+1 {
		if len(d.Preds) == 1 && !t.passed[d] {
			if n := at(d.Preds[0], d); n >= 0 {
				return n
			}
		}
	}
	return -1
}

// localPhis reports whether the phis of b are used only by its branch, by phis of its
// successors for the edge from b, and in blocks dominated by a successor whose only
// predecessor is b.
func (t *threader) localPhis(b *ir.Block) bool {
	ok := func(at *ir.Block) bool {
		for _, s := range b.Succs {
			if len(s.Preds) == 1 && t.dominates(s, at) {
				return true
			}
		}
		return false
	}
	for _, phi := range b.Phis() {
		for _, u := range t.users[phi.ID] {
			if u.v == nil {
				if u.blk != b && u.blk.Cond == phi && !ok(u.blk) {
					return false
				}
				continue
			}
			in := u.v.Block
			for i, x := range u.v.Args {
				if x != phi {
					continue
				}
				switch {
				case u.v.Op != ir.OpPhi && !ok(in):
					return false
				case u.v.Op == ir.OpPhi && in.Preds[i] != b && !ok(in.Preds[i]):
					return false
				case u.v.Op == ir.OpPhi && in == b:
					return false
				}
			}
		}
	}
	return true
}

// edge changes the i-th predecessor of b to jump to b's successor to.
func (t *threader) edge(b *ir.Block, i int, to *ir.Block) {
	p, k := b.Preds[i], to.PredIndex(b)
	mine := map[*ir.Value]*ir.Value{} // phi of b → what it is on the new edge
	for _, phi := range b.Phis() {
		mine[phi] = phi.Args[i]
	}
	if len(to.Preds) == 1 {
		// Beyond this successor the phis of b now have two sources.
		var fresh []*ir.Value
		for _, phi := range b.Phis() {
			typ := phi.Type
			if phi == b.Cond && b.Succs[0] == to {
				typ = typ.NonNil()
			}
			n := b.Func.NewValue(to, ir.OpPhi, typ, phi)
			n.Pos = phi.Pos
			t.replaceAfter(to, phi, n)
			fresh = append(fresh, n)
		}
		to.Values = append(fresh, to.Values...)
	}
	redirect(p, b, to)
	for _, v := range to.Phis() {
		x := v.Args[k]
		if y := mine[x]; y != nil {
			x = y
		}
		v.Args = append(v.Args, x)
		if x.ID < len(t.users) {
			t.use(x, user{v: v})
		}
	}
	to.Preds = append(to.Preds, p)
	b.DropPred(i)
	t.passed[b] = true
}

// replaceAfter replaces phi by n in the blocks that to dominates.
func (t *threader) replaceAfter(to *ir.Block, phi, n *ir.Value) {
	var left []user
	for _, u := range t.users[phi.ID] {
		if u.v == nil {
			if u.blk.Cond == phi && t.dom.Dominates(to, u.blk) {
				u.blk.Cond = n
				t.use(n, u)
			} else {
				left = append(left, u)
			}
			continue
		}
		for a, x := range u.v.Args {
			at := u.v.Block
			if u.v.Op == ir.OpPhi {
				at = at.Preds[a]
			}
			if x == phi && t.dom.Dominates(to, at) {
				u.v.Args[a] = n
				t.use(n, u)
			}
		}
		if slices.Contains(u.v.Args, phi) {
			left = append(left, u)
		}
	}
	t.users[phi.ID] = left
	t.use(phi, user{v: n})
}
