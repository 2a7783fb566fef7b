package opt

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
)

// location is the address of a byte as an offset from a base. A base is a slot, a
// record, the value of a single-element array, the context, or any other origin of an
// address.
type location struct {
	base *ir.Value
	m    *ir.Map // of an OpMapValue base; it is compared instead of base
	off  int64
}

// locate returns the location of p+off.
func locate(p *ir.Value, off int64) location {
	for {
		switch {
		case p.Op == ir.OpAdd && p.Args[0].Type != ir.Int && p.Args[1].Op == ir.OpConst:
			off += p.Args[1].Imm
			p = p.Args[0]
		case p.Retypes():
			p = p.Args[0]
		case p.Op == ir.OpMapValue:
			return location{m: p.Map, off: off + p.Imm}
		default:
			return location{base: p, off: off}
		}
	}
}

func (p location) sameBase(q location) bool { return p.base == q.base && p.m == q.m }

// root returns the value from which a pointer is computed.
//
//go:noinline
func root(p *ir.Value) *ir.Value {
	for p.Derives() {
		p = p.Args[0]
	}
	return p
}

// memInfo holds the facts about a function's pointers that the memory passes use.
type memInfo struct {
	escaped []bool // by value ID: slots whose address is stored, merged by a phi, or kept by a callee
	ctxFix  bool   // the context does not change
}

func newMemInfo(f *ir.Func) *memInfo {
	mi := &memInfo{escaped: make([]bool, f.NumValues()), ctxFix: true}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if a := v.Op.Info().Access; a > ir.Loads {
				for _, x := range v.Args[1:] {
					if a != ir.Moves && x.Type.IsPtr() {
						mi.escaped[root(x).ID] = true
					}
				}
				if v.Args[0].Type == ir.PtrCtx {
					mi.ctxFix = false
				}
				continue
			}
			switch v.Op {
			case ir.OpPhi:
				for _, x := range v.Args {
					if x.Type.IsPtr() {
						mi.escaped[root(x).ID] = true
					}
				}
			case ir.OpCallFn, ir.OpKfunc:
				if v.Fn == nil || !v.Fn.Global || slices.Contains(v.Fn.Params, ir.PtrCtx) { // others cannot access the context
					mi.ctxFix = false
				}
			case ir.OpCall:
				if v.Help == ir.OverrideReturn {
					mi.ctxFix = false
				}
			default:
				// A pointer that becomes a number may later become another pointer.
				if v.Type == ir.Int && !v.Op.IsCompare() {
					for _, x := range v.Args {
						if x.Type.IsPtr() && v.Op.Info().Size == 0 {
							mi.escaped[root(x).ID] = true
						}
					}
				}
			}
		}
	}
	return mi
}

// private reports whether the memory at base can be accessed only through pointers that
// are visibly computed from base.
//
//go:noinline
func (mi *memInfo) private(base *ir.Value) bool {
	if base == nil || base.ID < len(mi.escaped) && mi.escaped[base.ID] {
		return false
	}
	return base.Op == ir.OpSlot || base.Help == ir.RingReserve
}

func mapLike(p location) bool {
	return p.m != nil || p.base != nil && (p.base.Type == ir.PtrMap || p.base.Type == ir.PtrMapNil)
}

// mayAlias reports whether a write of size bytes (-1: unknown) at p can change n bytes
// at q.
func (mi *memInfo) mayAlias(p location, size int64, q location, n int64) bool {
	if p.sameBase(q) {
		return size < 0 || p.off < q.off+n && q.off < p.off+size
	}
	if mi.private(p.base) || mi.private(q.base) {
		// The bases differ, and one of them is private. They alias only if the other is
		// computed from it by arithmetic with variable operands.
		return q.base != nil && p.base != nil && root(p.base) == root(q.base)
	}
	if p.m != nil && q.m != nil {
		return p.m == q.m
	}
	if mapLike(p) != mapLike(q) {
		// The value of a map is never a context, record or kernel object. Among the
		// bases, an address that was loaded or is a parameter can only be that of a
		// slot.
		return false
	}
	return true
}
