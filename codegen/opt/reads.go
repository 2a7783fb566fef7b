package opt

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// Limits for reading members in one helper call: the size of a member in bytes, the
// bytes from the first member to the end of the last, and the number of members. Larger
// members are read directly to their destination, and bytes between members cost time.
const (
	maxMember  = 16
	maxSpan    = 128
	maxMembers = 16
)

// member is a read at a constant offset from an address in memory that programs can
// read only by a helper.
type member struct {
	call *ir.Value
	base *ir.Value
	off  int64
	size int64
}

// reads combines helper calls that read members of one object. The first read copies
// the bytes of all members to a slot. The later reads, which it dominates, use the
// slot. If the large read fails, for example because an object's second page is not
// mapped, each member is read separately, so that the values and results are the same
// as without the pass.
//
// The pass assumes that the memory is the same at all of these reads. So it does not
// combine a member that may be read again without the first (a loop that waits for a
// change). It does nothing in functions that write such memory or call others. It does
// not change reads of the programs' own memory, which may change at any time. leaks is
// set if addresses of that memory may have become numbers (leaksAddresses).
func reads(f *ir.Func, leaks bool) bool {
	var found []member
	for _, b := range ir.RPO(f) {
		for _, v := range b.Values {
			switch {
			case v.Op == ir.OpCallFn || v.Op == ir.OpFuncAddr || v.Op == ir.OpKfunc || v.Help == ir.ProbeWriteUser:
				return false
			case !b.Unlikely: // reads after a failed one must remain separate
				if m, ok := memberRead(v); ok && (v.Help == ir.ReadUser || !maybeOwn(m.base, leaks)) {
					found = append(found, m)
				}
			}
		}
	}
	if len(found) < 2 {
		return false
	}
	d := ir.NewDom(f)
	sub := make([]*ir.Value, f.NumValues())
	var groups [][]member
	for len(found) > 0 {
		lead := found[0]
		group, rest := []member{lead}, found[:0:0]
		lo, hi := lead.off, lead.off+lead.size
		for _, m := range found[1:] {
			from, to := min(lo, m.off), max(hi, m.off+m.size)
			if m.call.Help != lead.call.Help || m.base != lead.base || to-from > maxSpan || len(group) == maxMembers || !follows(d, lead.call, m.call) {
				rest = append(rest, m)
				continue
			}
			lo, hi = from, to
			group = append(group, m)
		}
		if len(group) > 1 {
			groups = append(groups, group)
		}
		found = rest
	}
	for _, g := range groups {
		readTogether(f, g, sub)
	}
	f.Substitute(sub)
	return len(groups) > 0
}

// memberRead returns v as a member if v is a read that may be combined with others.
func memberRead(v *ir.Value) (m member, ok bool) {
	if v.Help != ir.ReadUser && v.Help != ir.ReadKernel {
		return m, false
	}
	size, src := v.Args[1], v.Args[2]
	if size.Op != ir.OpConst || size.Imm < 1 || size.Imm > maxMember || v.Args[0].Type == ir.Int {
		return m, false
	}
	m = member{call: v, base: src, size: size.Imm}
	if src.Op == ir.OpAdd && src.Args[1].Op == ir.OpConst {
		m.base, m.off = src.Args[0], src.Args[1].Imm
	}
	return m, m.base.Op != ir.OpConst
}

// ownMemory reports whether pointers of type t point to the programs' own memory:
// slots, values of maps, records.
//
//go:noinline
func ownMemory(t ir.Type) bool {
	return t == ir.PtrSlot || t.NonNil() == ir.PtrMap || t.NonNil() == ir.PtrRec
}

// maybeOwn reports whether base may be an address of the programs' own memory.
func maybeOwn(base *ir.Value, leaks bool) bool {
	r := root(base)
	if ownMemory(r.Type) {
		return true
	}
	if !leaks || r.Type != ir.Int {
		return false
	}
	switch {
	case r.Help != nil: // of a helper that cannot return its address
		return false
	case r.Loads(8):
		t := root(r.Args[0]).Type
		return t != ir.PtrCtx && t != ir.PtrBTF
	}
	return true
}

// leaksAddresses reports whether a program of m converts an address of its own memory
// to a number and does more with it than compare it or read from it.
func leaksAddresses(m *ir.Module) bool {
	for _, p := range m.Progs {
		for _, f := range p.Funcs() {
			if funcLeaks(f) {
				return true
			}
		}
	}
	return false
}

func funcLeaks(f *ir.Func) bool {
	number := func(x *ir.Value) bool { return x.Type == ir.Int && ownMemory(root(x).Type) }
	held := map[location]bool{} // words of slots in which pointers are stored
	holds := map[*ir.Value]bool{}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Op != ir.StoreOp(8) || !ownMemory(v.Args[1].Type) {
				continue
			}
			at := locate(v.Args[0], v.Imm)
			if at.base == nil || at.base.Op != ir.OpSlot {
				return true
			}
			held[at], holds[at.base] = true, true
		}
	}
	for _, b := range f.Blocks {
		if b.Term == ir.TermRet && (number(b.Cond) || ownMemory(b.Cond.Type)) {
			return true
		}
		for _, v := range b.Values {
			switch {
			case v.Derives(), v.Op.IsCompare():
				continue // number looks through these
			case v.Loads(8) && v.Type == ir.Int:
				if held[locate(v.Args[0], v.Imm)] {
					return true
				}
			case v.Help.Context() >= 0:
				continue // the callback receives pointers as pointers
			case v.Calls(), v.Op.Info().Access == ir.Moves:
				if slices.ContainsFunc(v.Args, func(x *ir.Value) bool { return holds[root(x)] }) {
					return true
				}
			}
			if v.Help == nil && slices.ContainsFunc(v.Args, number) {
				return true
			}
		}
	}
	return false
}

// follows reports whether lead runs before every run of v, and again between two runs.
func follows(d *ir.Dom, lead, v *ir.Value) bool {
	a, b := lead.Block, v.Block
	if a == b {
		return true // reads are listed in order
	}
	if !d.Dominates(a, b) {
		return false
	}
	seen := map[*ir.Block]bool{a: true}
	work := append([]*ir.Block(nil), b.Succs...)
	for len(work) > 0 {
		x := work[len(work)-1]
		work = work[:len(work)-1]
		if x == b {
			return false
		}
		if !seen[x] {
			seen[x] = true
			work = append(work, x.Succs...)
		}
	}
	return true
}

// readTogether combines the reads of a group in the first.
func readTogether(f *ir.Func, group []member, sub []*ir.Value) {
	lead := group[0].call
	lo, hi := group[0].off, int64(0)
	for _, m := range group {
		lo, hi = min(lo, m.off), max(hi, m.off+m.size)
	}
	b := lead.Block
	i := 0
	for b.Values[i] != lead {
		i++
	}
	join := b.SplitAt(i) // begins with lead
	apart := f.AddBlock()
	apart.Unlikely = true

	at := adder{f: f, blk: b, pos: lead.Pos}
	slot := at.add(ir.OpSlot, ir.PtrSlot)
	slot.Imm, slot.Imm2 = types.RoundUp(hi-lo, 8), 8
	all := at.read(lead.Help, slot, 0, group[0].base, lo, hi-lo)
	zero := at.constant(0)
	failed := at.add(ir.OpSLt, ir.Int, all, zero)
	b.BranchTo(failed, apart, join)

	at.blk = apart
	phis := make([]*ir.Value, len(group))
	for k, m := range group {
		at.pos = m.call.Pos
		one := at.read(lead.Help, slot, m.off-lo, m.base, m.off, m.size)
		phis[k] = f.NewValue(join, ir.OpPhi, ir.Int, zero, one) // 0 is success
		phis[k].Pos = m.call.Pos
		sub[m.call.ID] = phis[k]
	}
	apart.JumpTo(join)
	join.Values = append(phis, join.Values...)

	for _, m := range group {
		blk := m.call.Block
		i := 0
		for blk.Values[i] != m.call {
			i++
		}
		rest := append([]*ir.Value(nil), blk.Values[i+1:]...)
		blk.Values = blk.Values[:i]
		at := adder{f: f, blk: blk, pos: m.call.Pos}
		at.copyTo(m.call.Args[0], slot, m.off-lo, m.size)
		blk.Values = append(blk.Values, rest...)
	}
}

// adder appends values to a block.
type adder struct {
	f   *ir.Func
	blk *ir.Block
	pos source.Span
}

func (a *adder) add(op ir.Op, t ir.Type, args ...*ir.Value) *ir.Value {
	v := a.f.NewValue(a.blk, op, t, args...)
	v.Pos = a.pos
	a.blk.Values = append(a.blk.Values, v)
	return v
}

func (a *adder) constant(n int64) *ir.Value {
	v := a.add(ir.OpConst, ir.Int)
	v.Imm = n
	return v
}

func (a *adder) offset(p *ir.Value, off int64) *ir.Value {
	if off == 0 {
		return p
	}
	return a.add(ir.OpAdd, p.Type, p, a.constant(off))
}

// read adds a call of h that copies size bytes at base+from to dst+to.
func (a *adder) read(h *ir.Helper, dst *ir.Value, to int64, base *ir.Value, from, size int64) *ir.Value {
	p, n, src := a.offset(dst, to), a.constant(size), a.offset(base, from)
	v := a.add(ir.OpCall, ir.Int, p, n, src)
	v.Help = h
	return v
}

// copyTo copies size bytes at src+off to dst.
func (a *adder) copyTo(dst, src *ir.Value, off, size int64) {
	if size&(size-1) != 0 || size > 8 {
		v := a.add(ir.OpCopy, ir.Void, dst, a.offset(src, off))
		v.Imm2 = size
		return
	}
	x := a.add(ir.LoadOp(int(size)), ir.Int, src)
	x.Imm = off
	a.add(ir.StoreOp(int(size)), ir.Void, dst, x)
}
