// Package cost estimates how long compiled programs take at each event. It adds up the
// costs of instructions and helpers (model.go), which are measured on this machine if the
// kernel permits it (measure.go). It attaches nothing.
package cost

import (
	"sort"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
)

// Unit is a part of a script with a separate row in the estimate: a statement or a
// condition.
type Unit struct {
	Span source.Span
	Head source.Span // the part to show: a statement without its block
	// Turns is the number of times that the loops around it run it at one event. It is 0
	// if a number of iterations is not constant.
	Turns int
}

// Call is a helper and how many calls of it there are.
type Call struct {
	Helper string
	N      int
}

// Code is a set of instructions.
type Code struct {
	Insns int
	Calls []Call // by name
	Ns    float64
}

// Part is the code of one unit.
type Part struct {
	Unit  Unit
	Usual Code // without failure paths; for one iteration, if it is in a loop
	Rare  Code // code on failure paths, and code that adds an entry to a map
	Loop  bool
	// Always is set if the unit is reached at each event.
	Always bool
	// Called is set if the unit is in a function that the program calls.
	Called  bool
	always  int // instructions that are
	outside int // instructions that are not in the main function
}

// Program is the estimate for one program.
type Program struct {
	Insns       int
	Stack       int // bytes of the stack
	Parts       []Part
	Least, Most float64 // ns of the cheapest and the most expensive path through it, without failures
	// Open is set if the number of iterations of a loop is not known: Most counts one
	// iteration.
	Open bool
	// Unknown are helpers whose cost is a guess.
	Unknown []string
}

// Estimate estimates the costs of p, and attributes its instructions to units. Units may
// contain each other: an instruction belongs to the smallest unit that contains its
// source, or else to the last one, which is for all other code.
func Estimate(p *object.Program, maps []object.KernelMap, units []Unit, m *Model) Program {
	e := &estimate{p: p, m: m, units: units, kinds: map[string]ebpf.MapType{}, unknown: map[string]bool{}, ways: map[int]way{}}
	for _, k := range maps {
		e.kinds[k.Name] = k.Type
	}
	e.number()
	e.attribute()
	w := e.function(0)
	out := Program{Insns: len(p.Lines), Stack: p.Stack, Least: w.least, Most: w.most, Open: e.open}
	for _, part := range e.parts {
		if part.Usual.Insns+part.Rare.Insns > 0 {
			part.Always = part.always > 0
			part.Called = part.outside == part.Usual.Insns+part.Rare.Insns
			out.Parts = append(out.Parts, *part)
		}
	}
	sort.SliceStable(out.Parts, func(i, j int) bool {
		a, b := out.Parts[i].Unit.Span, out.Parts[j].Unit.Span
		return a.File == b.File && a.Start < b.Start
	})
	for name := range e.unknown {
		out.Unknown = append(out.Unknown, name)
	}
	sort.Strings(out.Unknown)
	return out
}

// estimate is the state of Estimate.
type estimate struct {
	p     *object.Program
	m     *Model
	units []Unit
	kinds map[string]ebpf.MapType

	raw   []int       // number of each instruction as the kernel counts
	index map[int]int // the reverse
	ns    []float64   // cost of each instruction, without functions that it calls
	unit  []int       // index in units
	turns []int       // number of times that it runs, if it runs
	parts []*Part     // by unit

	// through is the helper of each instruction of the functions that only call one.
	through map[int]asm.BuiltinFunc

	ways    map[int]way // of functions, by the index of the first instruction
	open    bool
	unknown map[string]bool
}

// way is the cost of the cheapest and the most expensive path through a function.
type way struct{ least, most float64 }

// number numbers the instructions as jumps and lines do.
func (e *estimate) number() {
	e.raw, e.index = make([]int, len(e.p.Insns)), map[int]int{}
	n := 0
	for i, in := range e.p.Insns {
		e.raw[i], e.index[n] = n, i
		n++
		if in.OpCode.IsDWordLoad() {
			n++
		}
	}
}

// attribute adds each instruction to the part that it belongs to.
func (e *estimate) attribute() {
	n := len(e.p.Insns)
	e.ns, e.unit, e.turns = make([]float64, n), make([]int, n), make([]int, n)
	e.through = map[int]asm.BuiltinFunc{}
	for _, f := range e.p.Funcs {
		if i := f.First; i+1 < n && e.p.Insns[i].IsBuiltinCall() && e.p.Insns[i+1].OpCode.JumpOp() == asm.Exit {
			id := asm.BuiltinFunc(e.p.Insns[i].Constant)
			e.through[i], e.through[i+1] = id, id
		}
	}
	e.parts = make([]*Part, len(e.units))
	for i := range e.units {
		e.parts[i] = &Part{Unit: e.units[i]}
	}
	found := map[source.Span]int{}
	for i, in := range e.p.Insns {
		span := e.p.LineAt(e.raw[i])
		u, ok := found[span]
		if !ok {
			u = e.unitOf(span)
			found[span] = u
		}
		e.unit[i], e.turns[i] = u, 1
		helper := ""
		e.ns[i], helper = e.instruction(i, in)
		if e.through[i] != 0 {
			continue // counted where it is called
		}
		code := &e.parts[u].Usual
		if e.rare(i) {
			code = &e.parts[u].Rare
		}
		code.add(helper, e.ns[i])
		if len(e.p.Funcs) > 1 && i >= e.p.Funcs[1].First {
			e.parts[u].outside++
		}
	}
}

// unitOf returns the index of the smallest unit that contains a span.
func (e *estimate) unitOf(span source.Span) int {
	best := len(e.units) - 1
	for i, u := range e.units {
		s := u.Span
		if s.File != span.File || span.Start < s.Start || span.End > s.End {
			continue
		}
		if b := e.units[best].Span; best == len(e.units)-1 || s.End-s.Start < b.End-b.Start {
			best = i
		}
	}
	return best
}

//go:noinline
func (e *estimate) rare(i int) bool { return e.raw[i] < len(e.p.Rare) && e.p.Rare[e.raw[i]] }

// add adds an instruction, which calls a helper unless that is "".
func (c *Code) add(helper string, ns float64) {
	c.Insns++
	c.Ns += ns
	if helper == "" {
		return
	}
	i := sort.Search(len(c.Calls), func(i int) bool { return c.Calls[i].Helper >= helper })
	if i == len(c.Calls) || c.Calls[i].Helper != helper {
		c.Calls = append(c.Calls[:i], append([]Call{{helper, 0}}, c.Calls[i:]...)...)
	}
	c.Calls[i].N++
}

// instruction returns the cost of an instruction and the name of the helper that it calls,
// or "".
func (e *estimate) instruction(i int, in asm.Instruction) (ns float64, helper string) {
	id, more := e.wrappedHelper(in)
	switch {
	case in.IsBuiltinCall() || id != 0:
		if id == 0 {
			id = asm.BuiltinFunc(in.Constant)
		}
		helper = object.HelperName(int64(id))
		ns, known := e.m.helper(id, e.kinds[e.mapOf(i)])
		if !known {
			e.unknown[helper] = true
		}
		return ns + more, helper
	case in.OpCode.JumpOp() == asm.Call && in.Src == asm.PseudoKfuncCall:
		e.unknown["kernel functions"] = true
		return e.m.guess(), "kernel function"
	case in.OpCode.Class() == asm.StXClass && in.OpCode.Mode() == asm.AtomicMode:
		return e.m.cost(Atomic), ""
	}
	return e.m.cost(Insn), ""
}

// wrappedHelper returns the helper that a call reaches if the called function only calls
// that helper, and the cost of the function's instructions. For other instructions the
// helper is 0.
func (e *estimate) wrappedHelper(in asm.Instruction) (asm.BuiltinFunc, float64) {
	if !in.IsFunctionCall() {
		return 0, 0
	}
	first, ok := e.named(in.Reference())
	if !ok || e.through[first] == 0 {
		return 0, 0
	}
	return e.through[first], 2 * e.m.cost(Insn)
}

// argument returns the instruction shortly before i that sets a register, if there is one
// that ok accepts.
func (e *estimate) argument(i int, reg asm.Register, ok func(asm.Instruction) bool) (in asm.Instruction, found bool) {
	const near = 24 // setting the arguments takes fewer instructions
	for j := i - 1; j >= 0 && j >= i-near; j-- {
		if in := e.p.Insns[j]; in.Dst == reg && ok(in) {
			return in, true
		}
	}
	return in, false
}

// mapOf returns the name of the map that is the first argument of the call i, or "".
func (e *estimate) mapOf(i int) string {
	in, _ := e.argument(i, asm.R1, func(in asm.Instruction) bool { return in.IsLoadFromMap() })
	return in.Reference()
}
