package opt

import (
	"math"
	"math/bits"

	"github.com/gotrace/gotrace/codegen/ir"
)

// folder simplifies values one by one, in an order in which operands come
// before their users. A rule either names a value to use instead, or rewrites
// the value in place, in which case the rules are tried again.
type folder struct {
	f       *ir.Func
	rs      ranges
	uses    []int
	sub     []*ir.Value
	out     []*ir.Value // of the current block
	blk     *ir.Block
	pos     *ir.Value
	changed bool
}

// fold does constant folding and algebraic simplification.
func fold(f *ir.Func) bool {
	d := &folder{f: f, uses: f.Uses(), sub: make([]*ir.Value, f.NumValues())}
	for _, b := range ir.RPO(f) {
		d.blk, d.out = b, nil
		for _, v := range b.Values {
			for i, x := range v.Args {
				v.Args[i] = d.find(x)
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
			b.Cond = d.find(b.Cond)
		}
	}
	if d.changed {
		f.Substitute(d.sub)
	}
	return d.changed
}

// phisFirst restores the order after phis became something else.
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

func (d *folder) find(x *ir.Value) *ir.Value {
	for x.ID < len(d.sub) && d.sub[x.ID] != nil {
		x = d.sub[x.ID]
	}
	return x
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

func (d *folder) constant(n uint64) *ir.Value {
	v := d.make(ir.OpConst)
	v.Imm = int64(n)
	return v
}

// become rewrites v in place.
func (d *folder) become(v *ir.Value, op ir.Op, args ...*ir.Value) {
	v.Op, v.Args = op, args
	d.changed = true
}

func (d *folder) value(v *ir.Value) *ir.Value {
	if v.Op == ir.OpPhi {
		return d.phi(v)
	}
	for range 16 { // rules shrink or canonicalise; the bound is a seat belt
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
		d.become(v, ir.OpConst) // the arguments need not dominate
		v.Imm = x.Imm
		return nil
	}
	return x
}

func isConst(v *ir.Value) (uint64, bool) { return uint64(v.Imm), v.Op == ir.OpConst }

func isArith(op ir.Op) bool { return op >= ir.OpAdd && op <= ir.OpSLe }

var inverse = map[ir.Op]ir.Op{ir.OpEq: ir.OpNe, ir.OpNe: ir.OpEq}

// extBits is the number of bits an extension keeps, 0 for other ops.
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

// low is x without operations that leave its low n bits as they are.
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
	d.address(v)
	if !isArith(v.Op) {
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
	if v.Op >= ir.OpEq {
		return d.compare(v, x, y, k, yConst)
	}
	if yConst {
		return d.withConst(v, x, k)
	}
	return d.binary(v, x, y)
}

// address folds constant sums into the offset of a memory access.
func (d *folder) address(v *ir.Value) {
	if v.Op.Info().Size == 0 && v.Op != ir.OpZero && v.Op != ir.OpCopy {
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

func powerOfTwo(k uint64) (int, bool) {
	return bits.TrailingZeros64(k), k != 0 && k&(k-1) == 0
}

// withConst simplifies v, which computes x op k.
func (d *folder) withConst(v, x *ir.Value, k uint64) *ir.Value {
	inner := func(op ir.Op) (*ir.Value, uint64, bool) {
		if x.Op == op {
			if c, ok := isConst(x.Args[1]); ok {
				return x.Args[0], c, true
			}
		}
		return nil, 0, false
	}
	log, pow := powerOfTwo(k)
	switch v.Op {
	case ir.OpAdd:
		if k == 0 && x.Type == v.Type {
			return x
		}
		if a, c, ok := inner(ir.OpAdd); ok && (v.Type == ir.Int || int64(c+k) == int64(int32(c+k))) {
			d.become(v, ir.OpAdd, a, d.constant(c+k))
		}
	case ir.OpSub:
		d.become(v, ir.OpAdd, x, d.constant(-k))
	case ir.OpMul:
		switch {
		case k == 0:
			return d.constant(0)
		case k == 1:
			return x
		case k == math.MaxUint64:
			d.become(v, ir.OpNeg, x)
		case pow:
			d.become(v, ir.OpShl, x, d.constant(uint64(log)))
		default:
			if a, c, ok := inner(ir.OpMul); ok {
				d.become(v, ir.OpMul, a, d.constant(c*k))
			}
		}
	case ir.OpUDiv:
		switch {
		case k == 0:
			return d.constant(0)
		case k == 1:
			return x
		case pow:
			d.become(v, ir.OpShr, x, d.constant(uint64(log)))
		}
	case ir.OpUMod:
		switch {
		case k == 0:
			return x
		case k == 1:
			return d.constant(0)
		case pow:
			d.become(v, ir.OpAnd, x, d.constant(k-1))
		}
	case ir.OpSDiv:
		switch {
		case k == 0:
			return d.constant(0)
		case k == 1:
			return x
		case k == math.MaxUint64:
			d.become(v, ir.OpNeg, x)
		case d.rs.get(x).smin >= 0 && int64(k) > 0:
			d.become(v, ir.OpUDiv, x, v.Args[1])
		case pow && int64(k) > 0:
			// Rounds toward zero: negative dividends need k-1 added first.
			bias := d.make(ir.OpShr, d.make(ir.OpSar, x, d.constant(63)), d.constant(uint64(64-log)))
			d.become(v, ir.OpSar, d.make(ir.OpAdd, x, bias), d.constant(uint64(log)))
		}
	case ir.OpSMod:
		switch {
		case k == 0:
			return x
		case k == 1 || k == math.MaxUint64:
			return d.constant(0)
		case d.rs.get(x).smin >= 0 && int64(k) > 0:
			d.become(v, ir.OpUMod, x, v.Args[1])
		case pow && int64(k) > 0:
			bias := d.make(ir.OpShr, d.make(ir.OpSar, x, d.constant(63)), d.constant(uint64(64-log)))
			d.become(v, ir.OpSub, d.make(ir.OpAnd, d.make(ir.OpAdd, x, bias), d.constant(k-1)), bias)
		}
	case ir.OpAnd:
		switch {
		case k == 0:
			return d.constant(0)
		case k == math.MaxUint64:
			return x
		case k == math.MaxUint8:
			d.become(v, ir.OpZext8, x)
		case k == math.MaxUint16:
			d.become(v, ir.OpZext16, x)
		case k == math.MaxUint32:
			d.become(v, ir.OpZext32, x)
		default:
			if r := d.rs.get(x); k&(k+1) == 0 && r.umax <= k {
				return x
			}
			if a, c, ok := inner(ir.OpAnd); ok {
				d.become(v, ir.OpAnd, a, d.constant(c&k))
			} else if y := low(x, bits.Len64(k)); y != x {
				d.become(v, ir.OpAnd, y, v.Args[1])
			}
		}
	case ir.OpOr:
		switch {
		case k == 0:
			return x
		case k == math.MaxUint64:
			return d.constant(k)
		}
		if a, c, ok := inner(ir.OpOr); ok {
			d.become(v, ir.OpOr, a, d.constant(c|k))
		}
	case ir.OpXor:
		if k == 0 {
			return x
		}
		if k == 1 && x.Op >= ir.OpEq && x.Op <= ir.OpSLe {
			d.invert(v, x)
			return nil
		}
		if a, c, ok := inner(ir.OpXor); ok {
			d.become(v, ir.OpXor, a, d.constant(c^k))
		}
	case ir.OpShl, ir.OpShr, ir.OpSar:
		if k > 63 {
			d.become(v, v.Op, x, d.constant(k&63))
			return nil
		}
		if k == 0 {
			return x
		}
		if a, c, ok := inner(v.Op); ok && c <= 63 {
			switch {
			case c+k <= 63:
				d.become(v, v.Op, a, d.constant(c+k))
			case v.Op == ir.OpSar:
				d.become(v, v.Op, a, d.constant(63))
			default:
				return d.constant(0)
			}
			return nil
		}
		if a, c, ok := inner(ir.OpShl); ok && c == k && (k == 32 || k == 48 || k == 56) {
			if v.Op == ir.OpShr {
				d.become(v, zextOf(64-int(k)), a)
			} else if v.Op == ir.OpSar {
				d.become(v, sextOf(64-int(k)), a)
			}
			return nil
		}
		if v.Op == ir.OpSar && d.rs.get(x).smin >= 0 {
			d.become(v, ir.OpShr, x, v.Args[1])
		}
	}
	return nil
}

func (d *folder) binary(v, x, y *ir.Value) *ir.Value {
	c, xConst := isConst(x)
	switch v.Op {
	case ir.OpSub:
		if x == y {
			return d.constant(0)
		}
		if xConst && c == 0 {
			d.become(v, ir.OpNeg, y)
		}
	case ir.OpAdd:
		if y.Op == ir.OpNeg && v.Type == ir.Int {
			d.become(v, ir.OpSub, x, y.Args[0])
		}
	case ir.OpAnd, ir.OpOr:
		if x == y {
			return x
		}
	case ir.OpXor:
		if x == y {
			return d.constant(0)
		}
	case ir.OpShl, ir.OpShr, ir.OpUDiv:
		if xConst && c == 0 {
			return x
		}
	case ir.OpSDiv, ir.OpSMod:
		if d.rs.get(x).smin >= 0 && d.rs.get(y).smin >= 0 {
			d.become(v, map[ir.Op]ir.Op{ir.OpSDiv: ir.OpUDiv, ir.OpSMod: ir.OpUMod}[v.Op], x, y)
		}
	}
	return nil
}

// invert makes v the opposite of comparison c.
func (d *folder) invert(v, c *ir.Value) {
	switch c.Op {
	case ir.OpEq, ir.OpNe:
		d.become(v, inverse[c.Op], c.Args[0], c.Args[1])
	case ir.OpULt:
		d.become(v, ir.OpULe, c.Args[1], c.Args[0])
	case ir.OpULe:
		d.become(v, ir.OpULt, c.Args[1], c.Args[0])
	case ir.OpSLt:
		d.become(v, ir.OpSLe, c.Args[1], c.Args[0])
	case ir.OpSLe:
		d.become(v, ir.OpSLt, c.Args[1], c.Args[0])
	}
}

func isCompare(v *ir.Value) bool { return v.Op >= ir.OpEq && v.Op <= ir.OpSLe }

// decide is the result of comparing ranges, if they alone give it.
func decide(op ir.Op, x, y interval) (result, ok bool) {
	switch op {
	case ir.OpEq, ir.OpNe:
		if x.umax < y.umin || y.umax < x.umin || x.smax < y.smin || y.smax < x.smin {
			return op == ir.OpNe, true
		}
	case ir.OpULt:
		if x.umax < y.umin {
			return true, true
		}
		return false, x.umin >= y.umax
	case ir.OpULe:
		if x.umax <= y.umin {
			return true, true
		}
		return false, x.umin > y.umax
	case ir.OpSLt:
		if x.smax < y.smin {
			return true, true
		}
		return false, x.smin >= y.smax
	case ir.OpSLe:
		if x.smax <= y.smin {
			return true, true
		}
		return false, x.smin > y.smax
	}
	return false, false
}

func (d *folder) truth(b bool) *ir.Value {
	if b {
		return d.constant(1)
	}
	return d.constant(0)
}

// compare simplifies v, which compares x with y; y is k where yConst.
func (d *folder) compare(v, x, y *ir.Value, k uint64, yConst bool) *ir.Value {
	if x == y {
		return d.truth(v.Op == ir.OpEq || v.Op == ir.OpULe || v.Op == ir.OpSLe)
	}
	if x.Type != ir.Int || y.Type != ir.Int {
		return nil
	}
	if r, ok := decide(v.Op, d.rs.get(x), d.rs.get(y)); ok {
		return d.truth(r)
	}
	if c, ok := isConst(x); ok {
		// Constants go to the right: c < y is not (y < c+1).
		switch {
		case v.Op == ir.OpULt && c == 0:
			d.become(v, ir.OpNe, y, x)
		case v.Op == ir.OpULe && c == 1:
			d.become(v, ir.OpNe, y, d.constant(0))
		}
		return nil
	}
	if !yConst {
		return nil
	}
	switch v.Op {
	case ir.OpULe:
		if k != math.MaxUint64 {
			d.become(v, ir.OpULt, x, d.constant(k+1))
		}
	case ir.OpSLe:
		if int64(k) != math.MaxInt64 {
			d.become(v, ir.OpSLt, x, d.constant(k+1))
		}
	case ir.OpULt:
		if k == 1 {
			d.become(v, ir.OpEq, x, d.constant(0))
		}
	case ir.OpEq, ir.OpNe:
		zero := v.Op == ir.OpEq
		r := d.rs.get(x)
		if isCompare(x) && k <= 1 {
			if zero == (k == 1) {
				return x
			}
			d.invert(v, x)
			return nil
		}
		if r.umax <= 1 && k == 1 { // a truth value: compare with 0
			d.become(v, inverse[v.Op], x, d.constant(0))
			return nil
		}
		if x.Op == ir.OpAnd && k != 0 {
			if c, ok := isConst(x.Args[1]); ok && c == k && k&(k-1) == 0 {
				d.become(v, inverse[v.Op], x, d.constant(0))
			}
			return nil
		}
		if x.Op == ir.OpAdd && x.Type == ir.Int {
			if c, ok := isConst(x.Args[1]); ok {
				d.become(v, v.Op, x.Args[0], d.constant(k-c))
			}
			return nil
		}
		if (x.Op == ir.OpSub || x.Op == ir.OpXor) && k == 0 && x.Args[0].Type == ir.Int && x.Args[1].Type == ir.Int {
			d.become(v, v.Op, x.Args[0], x.Args[1])
			return nil
		}
		if x.Op == ir.OpBswap16 || x.Op == ir.OpBswap32 {
			ext, limit := ir.OpZext16, uint64(math.MaxUint16)
			if x.Op == ir.OpBswap32 {
				ext, limit = ir.OpZext32, math.MaxUint32
			}
			if k > limit { // what is swapped has no more bits
				return d.truth(!zero)
			}
			d.become(v, v.Op, d.make(ext, x.Args[0]), d.constant(ir.Eval(x.Op, k, 0)))
		}
	}
	return nil
}
