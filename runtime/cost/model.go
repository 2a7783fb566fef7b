package cost

import (
	"cmp"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Model has the costs of instructions and helpers in nanoseconds. It measures each cost
// at its first use.
type Model struct {
	costs map[key]float64
	clock float64 // time for reading the clock twice; 0: not measured yet
	// Refused is the reason why costs could not be measured on this machine, or nil. If
	// it is set, they are the costs of a 3 GHz machine.
	Refused error
}

// NewModel returns a model that has not measured anything yet. If measure is false, it
// never measures.
func NewModel(measure bool, why error) *Model {
	m := &Model{costs: map[key]float64{}}
	if !measure {
		m.Refused = why
	}
	return m
}

// key is an instruction or a helper that is called for a kind of map.
type key struct {
	helper asm.BuiltinFunc
	kind   ebpf.MapType
}

// Keys of operations that are not helpers. No helper has these numbers.
var (
	Insn   = key{helper: 1 << 30}   // an instruction that is not one of the others
	Atomic = key{helper: 1<<30 + 1} // an atomic operation
)

// row is the cost of an operation on a 3 GHz machine, and the way to measure it.
type row struct {
	ns float64
	// before sets up registers r6 to r8 and the stack. op is the measured code. It may
	// change r0 to r5.
	before, op asm.Instructions
	share      float64 // share of the time of op that belongs to the row; 0: all
	m          *ebpf.MapSpec
}

// turnNs is the cost of an iteration of a loop for which the kernel calls a function.
const turnNs = 7

// unknownNs is the assumed cost of a helper that is not in the model.
const unknownNs = 50

func (m *Model) guess() float64 { return unknownNs }

// cost returns the cost of an operation in the model.
func (m *Model) cost(k key) float64 {
	ns, _ := m.lookup(k)
	return ns
}

// helper returns the cost of a helper that is called for a map of a kind. known is false if
// the cost is a guess.
func (m *Model) helper(id asm.BuiltinFunc, kind ebpf.MapType) (ns float64, known bool) {
	switch id {
	case asm.FnMapLookupElem, asm.FnMapUpdateElem, asm.FnMapDeleteElem:
		kind = cmp.Or(kind, ebpf.Hash)
	default:
		kind = 0
	}
	return m.lookup(key{id, kind})
}

func (m *Model) lookup(k key) (ns float64, known bool) {
	if ns, ok := m.costs[k]; ok {
		return ns, ns != unknownNs
	}
	r, ok := rowOf(k)
	if !ok {
		m.costs[k] = unknownNs
		return unknownNs, false
	}
	ns = r.ns
	if m.Refused == nil && r.op != nil {
		if got, err := m.measure(r); err == nil {
			ns = got
		} else if k == Insn {
			m.Refused = err // the simplest program of all
		}
	}
	m.costs[k] = ns
	return ns, true
}

// Registers of the measured programs.
const (
	ra, rb, rc = asm.R6, asm.R7, asm.R8
	rfp        = asm.RFP
)

// onStack returns the instruction that puts the address at an offset in the stack into a
// register, followed by others.
//
//go:noinline
func onStack(r asm.Register, off int32, then ...asm.Instruction) asm.Instructions {
	return append(asm.Instructions{asm.Mov.Reg(r, rfp), asm.Add.Imm(r, off)}, then...)
}

// set returns the instruction that puts a number into a register.
//
//go:noinline
func set(r asm.Register, n int32) asm.Instruction { return asm.Mov.Imm(r, n) }

// rowOf returns the row of k. It is a function and not a table, because most rows are not
// needed.
func rowOf(k key) (r row, ok bool) {
	call := k.helper.Call()
	// fill makes 64 bytes of the stack readable, and puts the address of the task in
	// r6.
	fill := asm.Instructions{asm.FnGetCurrentTask.Call(), asm.Mov.Reg(ra, asm.R0), set(asm.R0, 0)}
	for off := int16(-64); off < 0; off += 8 {
		fill = append(fill, asm.StoreMem(rfp, off, asm.R0, asm.DWord))
	}
	switch k.helper {
	case Insn.helper:
		r.ns, r.share, r.before = 0.4, 1./6, append(fill, set(rb, 3), set(rc, 5))
		r.op = asm.Instructions{
			// Some wait for the previous one, as most instructions do.
			asm.Add.Reg(rb, rc), asm.Xor.Reg(rb, rc), asm.LoadMem(ra, rfp, -8, asm.DWord),
			asm.LSh.Imm(rb, 1), asm.Add.Imm(rb, 7), asm.JEq.Imm(ra, -1, ""),
		}
		r.op[len(r.op)-1].Offset = 0
	case Atomic.helper:
		r.ns, r.before, r.op = 6, fill, asm.Instructions{set(asm.R1, 1), atomicAdd()}
	case asm.FnGetCurrentComm:
		r.ns, r.before, r.op = 40, fill, onStack(asm.R1, -64, set(asm.R2, 16), call)
	case asm.FnProbeReadKernel, asm.FnProbeRead, asm.FnProbeReadKernelStr, asm.FnProbeReadStr:
		r.ns, r.before, r.op = 20, fill, onStack(asm.R1, -64, set(asm.R2, 8), asm.Mov.Reg(asm.R3, ra), call)
	case asm.FnProbeReadUser, asm.FnProbeReadUserStr:
		r.ns, r.before = 30, append(fill, asm.LoadImm(ra, userText(), asm.DWord))
		r.op = onStack(asm.R1, -64, set(asm.R2, int32(len(sampleText)+1)), asm.Mov.Reg(asm.R3, ra), call)
	case asm.FnMapLookupElem, asm.FnMapUpdateElem, asm.FnMapDeleteElem:
		return mapRow(k, fill), true
	case asm.FnRingbufReserve, asm.FnRingbufSubmit, asm.FnRingbufDiscard:
		// A reservation and its end are measured together.
		const bytes, quiet = 32, 1 // without waking a reader
		r.ns, r.share, r.m = 90, 2./3, &ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 1 << 20}
		r.op = asm.Instructions{
			asm.LoadMapPtr(asm.R1, 0).WithReference(measuredMap), set(asm.R2, bytes), set(asm.R3, 0), asm.FnRingbufReserve.Call(),
			asm.JEq.Imm(asm.R0, 0, ""), asm.Mov.Reg(asm.R1, asm.R0), set(asm.R2, quiet), asm.FnRingbufSubmit.Call(),
		}
		r.op[4].Offset = 3
		if k.helper != asm.FnRingbufReserve {
			r.ns, r.share = r.ns/2, 1./3
		}
	case asm.FnGetStackid, asm.FnGetStack, asm.FnGetTaskStack:
		r.ns = 600 // depends on the depth
	case asm.FnDPath:
		r.ns = 200
	case asm.FnLoop, asm.FnForEachMapElem:
		r.ns = 20 // for the call; its iterations are counted separately
	case asm.FnStrncmp, asm.FnPerCpuPtr, asm.FnThisCpuPtr, asm.FnGetFuncIp, asm.FnGetAttachCookie, asm.FnTaskPtRegs,
		asm.FnGetFuncArg, asm.FnGetFuncRet, asm.FnMapLookupPercpuElem:
		r.ns = 5
	case asm.FnPerfProgReadValue, asm.FnSkbLoadBytes:
		r.ns = 15
	case asm.FnRingbufOutput, asm.FnSkbOutput:
		r.ns = 120
	case asm.FnGetNsCurrentPidTgid:
		r.ns = 40
	case asm.FnGetCurrentPidTgid, asm.FnGetCurrentUidGid, asm.FnGetCurrentTask, asm.FnGetCurrentTaskBtf,
		asm.FnGetSmpProcessorId, asm.FnGetNumaNodeId, asm.FnGetCurrentCgroupId:
		r.ns, r.op = 4, asm.Instructions{call}
	case asm.FnKtimeGetNs, asm.FnKtimeGetBootNs, asm.FnKtimeGetTaiNs, asm.FnKtimeGetCoarseNs, asm.FnJiffies64, asm.FnGetPrandomU32:
		r.ns, r.op = 20, asm.Instructions{call}
	default:
		return r, false
	}
	return r, true
}

// mapRow returns the row of an operation on a map of a kind.
func mapRow(k key, fill asm.Instructions) row {
	size := uint32(8)
	if !hashed(k.kind) {
		size = 4
	}
	r := row{ns: 40, before: fill, m: &ebpf.MapSpec{Type: k.kind, KeySize: size, ValueSize: 8, MaxEntries: 1024}}
	if !hashed(k.kind) {
		r.ns = 8
		if k.kind != ebpf.Array && k.kind != ebpf.PerCPUArray {
			return row{ns: 30}
		}
	}
	one := func(id asm.BuiltinFunc) asm.Instructions {
		list := onStack(asm.R2, -64, asm.LoadMapPtr(asm.R1, 0).WithReference(measuredMap))
		if id == asm.FnMapUpdateElem {
			list = append(list, onStack(asm.R3, -32, set(asm.R4, 0))...)
		}
		return append(list, id.Call())
	}
	put := one(asm.FnMapUpdateElem)
	switch k.helper {
	case asm.FnMapLookupElem:
		r.before, r.op = append(r.before, put...), one(k.helper)
	case asm.FnMapUpdateElem:
		r.op, r.ns = put, 2*r.ns
	case asm.FnMapDeleteElem:
		// A deletion costs about what the addition of the entry does.
		r.op, r.share, r.ns = append(put, one(k.helper)...), 1./2, 2*r.ns
	}
	return r
}

// hashed reports whether maps of a kind are hash tables.
func hashed(k ebpf.MapType) bool {
	switch k {
	case ebpf.Hash, ebpf.LRUHash, ebpf.PerCPUHash, ebpf.LRUCPUHash:
		return true
	}
	return false
}

// atomicAdd returns an atomic addition to the last word of the stack.
func atomicAdd() asm.Instruction {
	in := asm.StoreXAdd(rfp, asm.R1, asm.DWord)
	in.Offset = -8
	return in
}
