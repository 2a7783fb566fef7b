package opt

import (
	"math"

	"github.com/gotrace/gotrace/codegen/ir"
)

// folder simplifies values one by one, in an order in which operands come
// before their users. A rule either names a value to use instead, or rewrites
// the value in place, in which case the rules are tried again.
type folder struct {
	f       *ir.Func
	rs      ranges
	uses    []int
	sub     ir.Subst
	out     []*ir.Value // of the current block
	blk     *ir.Block
	pos     *ir.Value
	changed bool
}

// fold does constant folding and algebraic simplification.
func fold(f *ir.Func) bool {
	d := &folder{f: f, uses: f.Uses(), sub: make(ir.Subst, f.NumValues())}
	for _, b := range ir.RPO(f) {
		d.blk, d.out = b, nil
		for _, v := range b.Values {
			for i, x := range v.Args {
				v.Args[i] = d.sub.Find(x)
			}
			d.pos = v
			if x := d.value(v); x != nil {
				d.replace(v, x)
				continue
			}
			d.out = append(d.out, v)
			d.rs.set(v)
		}
		b.Values = phisFirst(d.out)
		if b.Cond != nil {
			b.Cond = d.sub.Find(b.Cond)
		}
	}
	if d.changed {
		f.Substitute(d.sub)
	}
	return d.changed
}

// phisFirst moves phis to the front again, after some have become other ops.
func phisFirst(list []*ir.Value) []*ir.Value {
	seen, ok := false, true
	for _, v := range list {
		if v.Op != ir.OpPhi {
			seen = true
		} else if seen {
			ok = false
		}
	}
	if ok {
		return list
	}
	out := make([]*ir.Value, 0, len(list))
	for _, phi := range []bool{true, false} {
		for _, v := range list {
			if (v.Op == ir.OpPhi) == phi {
				out = append(out, v)
			}
		}
	}
	return out
}

func (d *folder) replace(v, x *ir.Value) {
	d.sub[v.ID] = x
	d.changed = true
}

// make adds a value before the current one.
func (d *folder) make(op ir.Op, args ...*ir.Value) *ir.Value {
	v := d.f.NewValue(d.blk, op, ir.Int, args...)
	v.Pos = d.pos.Pos
	d.out = append(d.out, v)
	d.rs.set(v)
	return v
}

//go:noinline
func (d *folder) constant(n uint64) *ir.Value {
	v := d.make(ir.OpConst)
	v.Imm = int64(n)
	return v
}

// become rewrites v in place.
//
//go:noinline
func (d *folder) become(v *ir.Value, op ir.Op, args ...*ir.Value) {
	v.Op, v.Args = op, args
	d.changed = true
}

func (d *folder) value(v *ir.Value) *ir.Value {
	if v.Op == ir.OpPhi {
		return d.phi(v)
	}
	for range 16 { // rules shrink or canonicalise; the bound is a precaution
		op, args := v.Op, v.Args
		x := d.rule(v)
		if x != nil {
			return x
		}
		if v.Op == op && len(v.Args) == len(args) && same(v.Args, args) {
			return nil
		}
		if v.Op == ir.OpConst {
			return nil
		}
	}
	return nil
}

func same(a, b []*ir.Value) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// phi replaces a phi whose arguments are all the same value, or itself.
func (d *folder) phi(v *ir.Value) *ir.Value {
	var x *ir.Value
	for _, a := range v.Args {
		switch {
		case a == v || a == x:
		case x == nil:
			x = a
		case x.Op == ir.OpConst && a.Op == ir.OpConst && x.Imm == a.Imm:
		default:
			return nil
		}
	}
	if x == nil || x.Type != v.Type && x.Op != ir.OpConst {
		return nil
	}
	if x.Op == ir.OpConst {
		if v.Type != ir.Int {
			return nil
		}
		d.become(v, ir.OpConst) // the arguments need not dominate the phi
		v.Imm = x.Imm
		return nil
	}
	return x
}

func isConst(v *ir.Value) (uint64, bool) { return uint64(v.Imm), v.Op == ir.OpConst }

// extBits returns the number of bits an extension keeps, 0 for other ops.
func extBits(op ir.Op) (n int, sign bool) {
	switch op {
	case ir.OpSext8:
		return 8, true
	case ir.OpSext16:
		return 16, true
	case ir.OpSext32:
		return 32, true
	case ir.OpZext8:
		return 8, false
	case ir.OpZext16:
		return 16, false
	case ir.OpZext32:
		return 32, false
	}
	return 0, false
}

func zextOf(n int) ir.Op {
	return map[int]ir.Op{8: ir.OpZext8, 16: ir.OpZext16, 32: ir.OpZext32}[n]
}

func sextOf(n int) ir.Op {
	return map[int]ir.Op{8: ir.OpSext8, 16: ir.OpSext16, 32: ir.OpSext32}[n]
}

// low returns x without operations that do not change its low n bits.
func low(x *ir.Value, n int) *ir.Value {
	for {
		if m, _ := extBits(x.Op); m >= n && m > 0 {
			x = x.Args[0]
			continue
		}
		if c, ok := uint64(0), x.Op == ir.OpAnd; ok {
			if c, ok = isConst(x.Args[1]); ok && n < 64 && c&(1<<n-1) == 1<<n-1 {
				x = x.Args[0]
				continue
			}
		}
		return x
	}
}

// rule applies one simplification to v.
func (d *folder) rule(v *ir.Value) *ir.Value {
	switch v.Op {
	case ir.OpStore8, ir.OpStore16, ir.OpStore32:
		if x := low(v.Args[1], 8*v.Op.Info().Size); x != v.Args[1] && x.Type == ir.Int {
			v.Args = []*ir.Value{v.Args[0], x}
			d.changed = true
		}
		return nil
	}
	if v.Hides() && v.Args[0].Op == ir.OpConst {
		return v.Args[0] // no bounds check is needed for a constant
	}
	d.address(v)
	if v.Op.Info().Class == ir.NoClass {
		return nil
	}
	x := v.Args[0]
	if len(v.Args) == 1 {
		if c, ok := isConst(x); ok {
			return d.constant(ir.Eval(v.Op, c, 0))
		}
		return d.unary(v, x)
	}
	y := v.Args[1]
	c, xConst := isConst(x)
	k, yConst := isConst(y)
	if xConst && yConst && v.Type == ir.Int {
		return d.constant(ir.Eval(v.Op, c, k))
	}
	if v.Op.Info().Commutes && xConst && !yConst && y.Type == ir.Int {
		d.become(v, v.Op, y, x)
		return nil
	}
	if r, ok := d.rs.compute(v).constant(); ok && v.Type == ir.Int {
		return d.constant(r)
	}
	if v.Op.IsCompare() {
		return d.compare(v, x, y, k, yConst)
	}
	if yConst {
		return d.withConst(v, x, k)
	}
	return d.binary(v, x, y)
}

// address folds constant sums into the offset of a memory access.
func (d *folder) address(v *ir.Value) {
	if v.Op.Info().Access == ir.NoAccess {
		return
	}
	p := v.Args[0]
	if p.Op != ir.OpAdd || p.Args[0].Type == ir.Int {
		return
	}
	if c, ok := isConst(p.Args[1]); ok {
		if off := v.Imm + int64(c); off == int64(int16(off)) {
			v.Imm = off
			v.Args = append([]*ir.Value{p.Args[0]}, v.Args[1:]...)
			d.changed = true
		}
	}
}

func (d *folder) unary(v, x *ir.Value) *ir.Value {
	n, sign := extBits(v.Op)
	switch {
	case v.Op == ir.OpNeg:
		if x.Op == ir.OpNeg {
			return x.Args[0]
		}
	case v.Op == ir.OpBswap16 || v.Op == ir.OpBswap32 || v.Op == ir.OpBswap64:
		if x.Op == v.Op {
			switch v.Op {
			case ir.OpBswap64:
				return x.Args[0]
			case ir.OpBswap32:
				d.become(v, ir.OpZext32, x.Args[0])
			default:
				d.become(v, ir.OpZext16, x.Args[0])
			}
		}
	case n > 0:
		r := d.rs.get(x)
		if !sign && r.umax <= 1<<n-1 {
			return x
		}
		if sign && r.smin >= -1<<(n-1) && r.smax <= 1<<(n-1)-1 {
			return x
		}
		if y := low(x, n); y != x {
			d.become(v, v.Op, y)
			return nil
		}
		if sign && r.umax <= math.MaxInt64 && r.umax <= 1<<(n-1)-1 {
			return x
		}
		// Only the low bits of a sum matter: its operands need no extension.
		switch x.Op {
		case ir.OpAdd, ir.OpSub, ir.OpMul, ir.OpAnd, ir.OpOr, ir.OpXor:
			if d.uses[min(x.ID, len(d.uses)-1)] > 1 || x.ID >= len(d.uses) || x.Type != ir.Int || x.Args[0].Type != ir.Int || x.Args[1].Type != ir.Int {
				break
			}
			a, b := low(x.Args[0], n), low(x.Args[1], n)
			if a != x.Args[0] || b != x.Args[1] {
				d.become(v, v.Op, d.make(x.Op, a, b))
			}
		}
	}
	return nil
}
