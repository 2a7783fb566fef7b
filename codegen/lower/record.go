package lower

import (
	"fmt"
	"math/bits"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// With --recorder, events that only show something are written to the memory that
// object.Recorder describes, instead of the ring buffer. The probes that gotrace itself runs
// at the beginning and at the end print as usual.

// recording is the recorder of a script. It is nil without --recorder.
type recording struct {
	*object.Recorder
	heads, ring *ir.Map // nil: no program uses it yet
	largest     int     // bytes of the largest record
	span        source.Span
}

// startRecorder creates the recorder, if the script has one.
func (u *shared) startRecorder() {
	inv := u.p.Invocation
	if inv.Recorder == 0 {
		return
	}
	r := object.NewRecorder(inv.Recorder, u.k.NumCPU(), inv.Until != "" || stops(u.info))
	if r == nil {
		u.diags.Add(source.Diag{Msg: fmt.Sprintf("--recorder: %d bytes are too few: that is less than an event for each of %d CPUs", inv.Recorder, u.k.NumCPU()), Hint: "--recorder 64M is usual"})
		return
	}
	r.Dated = inv.Dated || r.CPUs > maxCounting || !u.k.Has(probes.FeatAtomicFetch)
	u.recorder = &recording{Recorder: r}
}

// finishRecorder completes the maps of the recorder, as the size of the largest record is
// known.
func (u *shared) finishRecorder() {
	r := u.recorder
	if r == nil {
		return
	}
	u.res.Recorder = r.Recorder
	if r.ring == nil {
		return
	}
	r.ring.ValueSize = types.RoundUp(r.Chunk+r.largest, 8)
	switch need := uint64(r.largest); {
	case need > object.MaxRecordSize:
		u.diags.Errorf(r.span, "An event of %d bytes is too large for --recorder, where %d is the most", need, object.MaxRecordSize)
	case need > r.RingSize():
		need = 1 << bits.Len64(need-1)
		u.diags.ErrorHint(r.span, fmt.Sprintf("--recorder %d is the least for this script", need*uint64(r.CPUs)),
			"--recorder: an event has up to %d bytes, and each of %d CPUs has room for %d", r.largest, r.CPUs, r.RingSize())
	}
}

// records reports whether f writes the events of a builtin to the recorder.
func (f *fn) records(def *builtins.Def) bool { return def.Shows && f.recordsAll() }

// recordsAll reports whether f writes events that only show something to the recorder.
func (f *fn) recordsAll() bool {
	return f.recorder != nil && f.prog.Ctx.Kind.Runs != probes.AtBegin && f.prog.Ctx.Kind.Runs != probes.AtEnd
}

func (u *shared) recorderHeads() *ir.Map {
	m := u.array(&u.recorder.heads, object.RecorderHeads)
	m.ValueSize = object.HeadSize * (object.SharedHeads + u.recorder.CPUs)
	m.Flags = mmapable
	return m
}

const mmapable = 1 << 10 // BPF_F_MMAPABLE

func (u *shared) recorderRing() *ir.Map {
	r := u.recorder
	if r.ring == nil {
		r.ring = u.newMap(ir.Map{Name: object.RecorderMap, Type: ir.Array, KeySize: 4, ValueSize: r.Chunk, MaxEntries: r.CPUs * r.Chunks, Flags: mmapable})
	}
	return r.ring
}

// submit sends a record of size bytes, which write fills. If there is no room for it, lost
// runs.
func (f *fn) submit(size int, write func(p *ir.Value), lost func()) {
	rec := f.b.Call(ir.RingReserve, f.b.MapPtr(f.ringMap()), f.b.Const(int64(size)), f.b.Const(0))
	f.b.IfElse(rec, func() *ir.Value {
		p := f.b.NonNil(rec)
		write(p)
		f.b.Call(ir.RingSubmit, p, f.b.Const(0))
		return nil
	}, func() *ir.Value {
		lost()
		return nil
	})
}

// stopFirst ends the recording and runs send, unless the recording has ended before. If two
// CPUs end it at the same time, both run send.
func (f *fn) stopFirst(send func()) {
	stop := f.b.MapValue(f.recorderHeads(), object.RecorderStop)
	f.b.Unless(f.b.Load(stop, 0, 8, false), func() {
		f.b.Cur.Unlikely = true
		f.b.Store(stop, 0, 8, f.b.Const(1))
		send()
	})
}

// record writes a record to the recorder, unless the recording has ended. It has size bytes,
// at most limit. write fills it. at is the call whose event it is.
func (f *fn) record(at source.Span, size *ir.Value, limit int, write func(p *ir.Value), lost func()) {
	r, b := f.recorder, f.b
	limit = types.RoundUp(limit, 8) + object.RecordHeader
	if limit > r.largest {
		r.largest, r.span = limit, at
	}
	if size.Op == ir.OpConst {
		size = b.Const(int64(types.RoundUp(int(size.Imm), 8) + object.RecordHeader))
	} else {
		size = b.Op(ir.OpAnd, b.Op(ir.OpAdd, size, b.Const(object.RecordHeader+7)), b.Const(-8))
	}
	heads := f.recorderHeads()
	b.Section(func(out *ir.Block) {
		b.Section(func(fail *ir.Block) {
			b.Leave(b.Load(b.MapValue(heads, object.RecorderStop), 0, 8, false), out)
			cpu := b.Call(ir.SmpProcessorID)
			b.Need(b.Op(ir.OpULt, cpu, b.Const(int64(r.CPUs))), fail) // it may have been added later
			head := b.Op(ir.OpAdd, b.MapValue(heads, object.SharedHeads*object.HeadSize), b.Op(ir.OpMul, cpu, b.Const(object.HeadSize)))
			pos := f.reserve(head, size, fail)

			chunk := b.Op(ir.OpAnd, b.Op(ir.OpShr, pos, b.Const(int64(bits.TrailingZeros(uint(r.Chunk))))), b.Const(int64(r.Chunks-1)))
			key := f.temp(8)
			b.Store(key, 0, 4, b.Op(ir.OpAdd, b.Op(ir.OpMul, cpu, b.Const(int64(r.Chunks))), chunk))
			element := b.Call(ir.MapLookup, b.MapPtr(f.recorderRing()), key)
			b.Need(element, fail)
			p := b.Op(ir.OpAdd, b.NonNil(element), b.Op(ir.OpAnd, pos, b.Const(int64(r.Chunk-8))))
			b.Store(p, object.RecordOrder, 8, f.recordOrder())
			write(b.AddImm(p, object.RecordHeader))
			mark := b.Op(ir.OpOr, b.Op(ir.OpShl, pos, b.Const(object.MarkShift)), b.Op(ir.OpShr, size, b.Const(3)))
			b.Store(p, 0, 8, mark)
			b.AtomicAdd(head, object.HeadRecords, 8, b.Const(1))

			late := b.Op(ir.OpULt, b.Const(int64(r.RingSize())), b.Op(ir.OpSub, b.Load(b.Opaque(head), object.HeadNext, 8, false), pos))
			b.If(late, func() {
				b.Cur.Unlikely = true
				// A count that is too low because another program counts at the same time matters
				// less than that old kernels have no instruction that adds and returns the sum.
				n := b.Op(ir.OpAnd, b.Load(head, object.HeadLate, 8, false), b.Const(object.LateMarks-1))
				b.AtomicAdd(head, object.HeadLate, 8, b.Const(1))
				b.Store(b.Op(ir.OpAdd, head, b.Op(ir.OpMul, n, b.Const(8))), object.HeadMarks, 8, mark)
			})
			b.Jump(out)
		})
		b.Cur.Unlikely = true
		lost()
	})
}

// maxCounting is the maximum number of CPUs that count records together. On a machine with
// more, waiting for the counter could take longer than reading the clock.
const maxCounting = 4

// recordOrder returns the number that orders a record among those of all CPUs.
func (f *fn) recordOrder() *ir.Value {
	if f.recorder.Dated {
		return f.b.Call(ir.KtimeBootNs)
	}
	return f.b.FetchAdd(f.b.MapValue(f.recorderHeads(), object.RecorderCount), 0, f.b.Const(1))
}

// maxTries is the number of attempts to reserve memory without an instruction that adds and
// returns the old value.
const maxTries = 4

// reserve adds size to the position at head and returns the position before. Programs on the
// same CPU may do so at the same time, one interrupting or preempting the other.
//
// Without an instruction for it, the position is known only if no other program has added to
// it between the loads before and after the addition. Otherwise the memory stays unused, and
// it tries again.
func (f *fn) reserve(head, size *ir.Value, fail *ir.Block) *ir.Value {
	b := f.b
	if f.k.Has(probes.FeatAtomicFetch) {
		return b.FetchAdd(head, object.HeadNext, size)
	}
	pos := &ir.Var{Name: "pos", Type: ir.Int}
	b.Section(func(got *ir.Block) {
		for range maxTries {
			old := b.Load(b.Opaque(head), object.HeadNext, 8, false)
			b.AtomicAdd(head, object.HeadNext, 8, size)
			sum := b.Load(b.Opaque(head), object.HeadNext, 8, false)
			b.Write(pos, old)
			b.Leave(b.Op(ir.OpEq, b.Op(ir.OpSub, sum, old), size), got)
			b.Cur.Unlikely = true
		}
		b.Jump(fail)
	})
	return b.Read(pos)
}
