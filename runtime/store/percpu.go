package store

import (
	"errors"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
)

// A perCPUSlot keeps an aggregation without keys as bytes of a shared per-CPU array
// map. Each CPU's copy has a byte that is set once a program on that CPU has used it.
type perCPUSlot struct {
	bytesOf
	allCPUs bool // programs can reach the values of other CPUs
}

var perCPUSlotKind = kind{
	name: "per-CPU slot",
	fits: func(_ *layout, s *Spec) bool { return s.Key == nil && s.isAgg() },
	plan: func(l *layout, s *Spec, m *object.Map) Store {
		m.PerCPU = true
		return &perCPUSlot{newBytes(s, m, l.cpuSlot), l.LookupPerCPU}
	},
	extras: []string{"Off"},
	check:  func(c *claims, m *object.Map) error { return c.slot(m, ebpf.PerCPUArray) },
	open:   openPerCPUSlot,
}

// element returns this CPU's element of the shared map. It is never null, but the
// verifier requires a check.
func (s *perCPUSlot) element(g Gen) *ir.Value {
	return g.B().Call(ir.MapLookup, g.B().MapPtr(s.m), g.Zeros(4))
}

func (s *perCPUSlot) Address(g Gen) *ir.Value { return g.B().MapPtr(s.m) }

func (s *perCPUSlot) Find(g Gen, _ Key) *ir.Value {
	p := s.element(g)
	return g.B().WhenNil(p, func(p *ir.Value) *ir.Value { return g.B().AddImm(p, s.off) }, null(g))
}

func (s *perCPUSlot) Present(g Gen, _ Key) *ir.Value {
	p := s.element(g)
	return g.B().WhenNil(p, func(p *ir.Value) *ir.Value {
		return g.B().IfElse(g.B().Load(p, s.set, 1, false), func() *ir.Value { return g.B().AddImm(p, s.off) }, null(g))
	}, null(g))
}

func (s *perCPUSlot) Make(g Gen, _ Key) *ir.Value {
	q := g.Surely(s.element(g))
	g.B().Store(q, s.set, 1, g.B().Const(1))
	return g.B().AddImm(q, s.off)
}

func (s *perCPUSlot) Share(g Gen, k Key) *ir.Value { return s.Make(g, k) }

func (s *perCPUSlot) AssignWord(g Gen, k Key, x *ir.Value, size int) {
	g.B().Store(s.Make(g, k), 0, size, x)
}

func (s *perCPUSlot) Assign(g Gen, k Key, fill func(p *ir.Value, size int)) {
	fill(s.Make(g, k), s.size)
}

// Remove clears the values of all CPUs. If the kernel does not let programs access the
// values of other CPUs, it clears only the value of this CPU.
func (s *perCPUSlot) Remove(g Gen, _ Key) *ir.Value {
	b := g.B()
	was := &ir.Var{Name: "was", Type: ir.Int}
	b.Write(was, b.Const(0))
	clear := func(p *ir.Value) {
		b.IfNonNil(p, func(p *ir.Value) {
			b.Write(was, b.Op(ir.OpOr, b.Read(was), b.Load(p, s.set, 1, false)))
			b.Store(p, s.set, 1, b.Const(0))
			b.Zero(p, s.off, s.size)
		})
	}
	if s.allCPUs {
		g.EachCPU(func(cpu *ir.Value) { clear(s.elementOf(g, cpu)) })
	} else {
		clear(s.element(g))
	}
	return deleted(g, b.Read(was))
}

func (s *perCPUSlot) Traits() Traits {
	return Traits{Programs: []Program{{Name: reset, For: Reset, Load: object.Program{Type: ebpf.RawTracepoint}, Emit: s.reset}}}
}

// reset is the program that zeroes the value of the CPU on which it runs. If its first
// argument is not 0, the map then counts as never assigned.
const reset = "reset"

func (s *perCPUSlot) reset(g Gen, ctx *ir.Value) {
	b := g.B()
	unset := b.Load(ctx, 0, 8, false)
	b.IfNonNil(s.element(g), func(p *ir.Value) {
		b.Zero(p, s.off, s.size)
		b.If(unset, func() { b.Store(p, s.set, 1, b.Const(0)) })
	})
}

func (s *perCPUSlot) elementOf(g Gen, cpu *ir.Value) *ir.Value {
	return g.B().Call(ir.LookupPerCPU, g.B().MapPtr(s.m), g.Zeros(4), cpu)
}

func (s *perCPUSlot) OnCPU(g Gen, _ Key, cpu *ir.Value) *ir.Value {
	p := s.elementOf(g, cpu)
	return g.B().WhenNil(p, func(p *ir.Value) *ir.Value { return g.B().AddImm(p, s.off) }, null(g))
}

// perCPUSlotReader reads a per-CPU slot.
type perCPUSlotReader struct {
	k *Kernel
	e *ebpf.Map
	m *object.Map
}

func openPerCPUSlot(k *Kernel, m *object.Map) (Reader, error) {
	e, err := k.find(m.Kernel)
	return &perCPUSlotReader{k, e, m}, err
}

func (r *perCPUSlotReader) Read(func(entries int) bool) ([]Entry, error) {
	stride := word(int(r.e.ValueSize()))
	all := make([]byte, stride*r.k.CPUs)
	if err := LookupElem(r.e, make([]byte, 4), all); err != nil {
		return nil, err
	}
	set := false
	cpus := make([][]byte, r.k.CPUs)
	for i := range cpus {
		elem := all[i*stride : (i+1)*stride]
		cpus[i] = elem[r.m.Off : r.m.Off+r.m.Value.Size]
		set = set || elem[r.m.Set] != 0
	}
	if !set {
		return nil, nil
	}
	return []Entry{{Value: r.k.merged(r.m.Value, cpus)}}, nil
}

func (r *perCPUSlotReader) Clear() error { return r.zero(1) }
func (r *perCPUSlotReader) Zero() error  { return r.zero(0) }

// onCPU is the flag of BPF_PROG_TEST_RUN that runs a raw tracepoint program on a given
// CPU.
const onCPU = 1

// zero runs the map's reset program on each CPU. User space could only write a whole
// element, and would undo additions that programs make to other slots meanwhile.
func (r *perCPUSlotReader) zero(unset uint64) error {
	prog, err := r.k.program(reset, r.m)
	if err != nil {
		return err
	}
	for cpu := range r.k.CPUs {
		_, err := prog.Run(&ebpf.RunOptions{Context: unset, Flags: onCPU, CPU: uint32(cpu)})
		if err != nil && !errors.Is(err, unix.ENXIO) { // ENXIO: the CPU is offline
			return err
		}
	}
	return nil
}
