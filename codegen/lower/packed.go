package lower

import (
	"math/bits"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// If a record with long strings is built in the ring buffer, most of it stays empty. The
// lengths of the strings are not known yet, so it needs memory for the longest possible ones.
// The next record begins after that memory, on pages that are not cached. So such a record is
// built in scratch memory, with its strings packed one after the other. Then one helper
// copies the used part to the ring buffer.

// minPacked is the maximum size of a value that is not packed, and maxPacked that of
// the memory in which a record is built, both in bytes.
const (
	minPacked = 64
	maxPacked = 16 << 10
)

// packs reports whether values of type t are packed.
func packs(t *types.Type) bool {
	return (t.Kind == types.String || t.Kind == types.Buffer) && t.Size > minPacked
}

// packedSize returns the size of the memory for a record whose packed values begin at
// off, or 0 if it has no packed values or is too large. A mask proves to the kernel's
// verifier that a value begins inside of the memory, so the memory has to extend to the
// maximum value of the mask.
func packedSize(off int, args []*types.Type) int {
	size := 0
	at, most := off, off
	for _, t := range args {
		if packs(t) {
			size = max(size, at+t.Size)
			most += t.Size
			at = mask(most)
		}
	}
	switch {
	case size == 0:
		return 0
	case at > maxPacked:
		return 0
	}
	// This is more than fits on the stack, where older kernels do not support a
	// variable offset.
	return max(size, at, maxStack+8)
}

const maxStack = 512

// mask returns the least number of the form 2^k-1 that is not less than n.
func mask(n int) int { return 1<<bits.Len(uint(n)) - 1 }

// sendPacked sends a record whose long values are packed.
func (f *fn) sendPacked(call *builtins.Call, n int, ev *object.Event, args []*builtins.Arg) {
	ts := make([]*types.Type, len(args))
	for i := range args {
		ts[i] = ev.Args[i].Type
	}
	rec := f.temp(packedSize(ev.Size, ts))
	f.b.Store(rec, 0, 8, f.b.Const(int64(n)))
	f.stamp(rec, ev)
	end := f.b.Const(int64(ev.Size)) // of the record so far
	most := ev.Size
	for i, a := range args {
		at := &ev.Args[i]
		if !at.Packed {
			f.Store(a, at.Type, Dest{Ptr: rec, Off: int64(at.Off), Size: at.Type.Size})
			continue
		}
		used := &ir.Var{Name: "len", Type: ir.Int}
		f.b.Write(used, f.b.Const(int64(at.Type.Size)))
		d := Dest{Ptr: rec, Off: int64(ev.Size), Size: at.Type.Size, Len: used}
		if end.Op != ir.OpConst {
			d.Ptr, d.Off = f.b.Op(ir.OpAdd, rec, end), 0
		}
		f.Store(a, at.Type, d)
		length := f.b.Read(used)
		f.b.Store(rec, int64(at.Off), object.PackedLen, length)
		most += at.Type.Size
		end = f.b.Op(ir.OpAdd, end, length)
		end = f.b.Op(ir.OpAnd, f.b.Opaque(end), f.b.Const(int64(mask(most))))
	}
	lost := func() { f.Count(object.LostEvent, call.Span, call.Def.Name) }
	if f.records(call.Def) {
		f.record(call.Span, end, mask(most), func(p *ir.Value) { f.b.Call(ir.ReadKernel, p, end, f.b.AsInt(rec)) }, lost)
	} else {
		r := f.b.Call(ir.RingOutput, f.b.MapPtr(f.ringMap()), rec, end, f.b.Const(0))
		f.b.If(f.b.Op(ir.OpSLt, r, f.b.Const(0)), lost)
	}
	f.shows(call)
}
