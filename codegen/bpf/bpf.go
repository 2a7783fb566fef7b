// Package bpf turns IR programs into BPF instructions.
//
// A program goes through these steps, one file each:
//
//	frame.go     slots get a place: the 512-byte stack, overlapping where they
//	             are not in use together, or per-CPU scratch memory
//	scratch.go   the lookup of scratch memory, and addresses in it
//	legal.go     operations that BPF has no instruction for are rewritten in IR
//	distrust.go  the current task is cast, so that the verifier reads no names of types
//	blocks.go    the order of blocks: likely paths fall through
//	isel.go      values become machine instructions over virtual registers (mach.go),
//	ops.go       from the last to the first, so that a value folded into its
//	             user as an immediate, an address or a condition costs nothing
//	live.go      live ranges, over a linear order of the blocks
//	regalloc.go  linear scan over r0–r9 with holes
//	spill.go     values that do not fit are spilled around their uses, and the scan
//	             is repeated. Spilled values are on the stack or, if that is full, in
//	             scratch memory
//	tracked.go   the values that the verifier must be able to follow on the stack
//	outline.go   helpers of which a program has too many calls
//	emit.go      final instructions and jumps
//	moves.go     the moves of phis and arguments, which take effect in parallel
//	islands.go   jumps that are longer than the CPU's offset allows
//
// join.go makes one program of two for the entry and the return of a function.
//
// The verifier reads the result as well as the CPU. It must see a bounds or null check
// on the register that is used afterwards. So only constants and addresses of slots and
// maps are computed again where they are used. Pointers are spilled only to aligned
// stack words, loads from the context have constant offsets, and unreachable code is
// not emitted.
package bpf

import (
	"fmt"
	"slices"
	"sort"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// stackBytes is the kernel's limit for all frames of a call chain together.
const stackBytes = 512

// sharedFrame is the size of a frame in bytes above which the kernel may place it in
// memory that all tasks of a CPU use (from Linux 6.13 on). The kernel's limit is 64, and
// it rounds sizes up to a multiple of 16.
const sharedFrame = 48

// maxFrames is the kernel's limit for the depth of calls, including main. leastStack is
// the stack size in bytes that each of that many functions can have.
const (
	maxFrames  = 8
	maxFuncs   = 256 // the kernel's limit for the functions of a program, main included
	leastStack = stackBytes / maxFrames
)

// scratchElem is the size in bytes of an element of scratch memory that functions share.
// A function that needs more has its own element. Per-CPU values must be smaller than 32
// KiB.
const (
	scratchElem = 4096
	scratchMax  = 32 << 10
)

// maxSpills is the number of bytes that instructions can address from one register.
const maxSpills = 32 << 10

// Target describes the kernel for which code is generated.
type Target struct {
	V4       bool // instructions of Linux 6.6: sign-extending moves and loads, signed division
	VarStack bool // Linux 5.12: stack access at variable offsets

	// CPUs is the number of possible CPUs. If it is 0, scratch memory is limited to
	// that of a per-CPU map.
	CPUs int

	// OnStackLimit is the maximum size in bytes of a slot on the stack. If it is 0,
	// only the stack's size limits it.
	OnStackLimit int

	// Cast returns the numbers of the kernel function bpf_rdonly_cast and of struct
	// task_struct, or zeros if programs cannot use them. It may be nil.
	Cast func() (cast, task int64)
}

// Output is the result of Emit: the maps by name, and the programs with only their code.
// The caller adds the properties with which they are loaded.
type Output struct {
	Maps  []object.KernelMap
	Progs []*object.Program
}

// ScratchMap is the name of the map that holds slots that are not on the stack.
const ScratchMap = "scratch"

// WideMap is the name of the map for programs that need more scratch memory than a
// per-CPU map provides: an array with an element for each CPU.
const WideMap = "wide"

// A LimitError is the error for a program that exceeds one of the machine's limits.
type LimitError struct {
	Prog, Func string
	Pos        source.Span
	What, Hint string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("bpf: %s: %s: %s", e.Prog, e.Func, e.What)
}

// limitError returns an error about f as a whole, which points at the beginning of its
// code.
//
//go:noinline
func limitError(p *ir.Prog, f *ir.Func, what string) error {
	e := &LimitError{Prog: p.Name, Func: f.Name, What: what}
	for _, b := range f.Blocks {
		for _, v := range b.Values {
			if v.Pos.IsValid() && !e.Pos.IsValid() {
				e.Pos = v.Pos
			}
		}
	}
	return e
}

// Emit compiles m, which it does not change.
func Emit(m *ir.Module, opts Target) (*Output, error) {
	out := &Output{}
	e := &emission{
		opts:    &opts,
		scratch: &ir.Map{Name: ScratchMap, Type: ir.PerCPUArray, KeySize: 4},
		wide:    &ir.Map{Name: WideMap, Type: ir.Array, KeySize: 4, MaxEntries: opts.CPUs},
	}
	names := map[string]bool{}
	for _, p := range m.Progs {
		prog, err := e.program(p)
		if err != nil {
			return nil, err
		}
		if names[p.Name] {
			return nil, fmt.Errorf("bpf: two programs are named %q", p.Name)
		}
		names[p.Name] = true
		out.Progs = append(out.Progs, prog)
	}
	maps := slices.Clone(m.Maps)
	if e.wide.ValueSize > 0 {
		maps = append(maps, e.wide)
	}
	if e.scratch.ValueSize > 0 {
		e.scratch.MaxEntries = e.elem + 1
		maps = append(maps, e.scratch)
	}
	for _, m := range maps {
		out.Maps = append(out.Maps, object.KernelMap{
			Name: m.Name, Type: ebpf.MapType(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize,
			MaxEntries: m.MaxEntries, Flags: m.Flags, Inner: m.Inner, Contents: m.Contents, Frozen: m.Frozen,
		})
	}
	sort.Slice(out.Maps, func(i, j int) bool { return out.Maps[i].Name < out.Maps[j].Name })
	for i := 1; i < len(out.Maps); i++ {
		if out.Maps[i].Name == out.Maps[i-1].Name {
			return nil, fmt.Errorf("bpf: two maps are named %q", out.Maps[i].Name)
		}
	}
	return out, nil
}

// emission is the state that the programs of one module share: the scratch map.
type emission struct {
	opts    *Target
	scratch *ir.Map
	wide    *ir.Map
	elem    int     // current element
	fill    int64   // bytes of it in use
	outline outline // of the current program
}

// program compiles p.
func (e *emission) program(p *ir.Prog) (*object.Program, error) {
	p = p.Clone()
	if n := len(p.Funcs()); n > maxFuncs {
		return nil, limitError(p, p.Subs[maxFuncs-1], fmt.Sprintf("it has %d functions (itself, those that it calls, and the bodies of loops), and may have %d", n, maxFuncs))
	}
	calls, level, err := callGraph(p)
	if err != nil {
		return nil, err
	}
	e.outline = outlineOf(p, level)
	before := *e
	done, err := e.functions(p, calls, level)
	if err != nil && len(e.outline.order) > 0 {
		*e = before
		e.outline = outline{} // this leaves more stack
		done, err = e.functions(p, calls, level)
	}
	if err != nil {
		return nil, err
	}
	out := &object.Program{Name: p.Name, Stack: int(done[p.Main].stack)}
	for _, f := range p.Funcs() {
		c := done[f]
		if c == nil {
			continue // no function calls it
		}
		first := len(out.Insns)
		out.Funcs = append(out.Funcs, object.Func{
			Name: f.Name, First: first, Params: len(f.Params), Global: f.Global,
			Context: f.Global && len(f.Params) > 0 && f.Params[0] == ir.PtrCtx,
		})
		out.Insns = append(out.Insns, c.insns...)
		out.Lines = append(out.Lines, c.spans...)
		out.Rare = append(out.Rare, c.rare...)
		out.Insns[first] = out.Insns[first].WithSymbol(f.Name)
	}
	e.outline.add(out)
	return out, checkSize(out, maxInsns)
}

// functions compiles the functions of p. It compiles callees first, since main uses the
// stack that their frames leave.
func (e *emission) functions(p *ir.Prog, calls map[*ir.Func][]*ir.Func, level map[*ir.Func]int) (map[*ir.Func]*code, error) {
	depth := map[*ir.Func]int64{} // stack of a function and its callees
	done := map[*ir.Func]*code{}
	deepest := int64(0) // stack of one function
	var visit func(f *ir.Func) error
	visit = func(f *ir.Func) error {
		if done[f] != nil {
			return nil
		}
		below := int64(0)
		for _, g := range calls[f] {
			if err := visit(g); err != nil {
				return err
			}
			below = max(below, depth[g])
		}
		helpers := e.outline.below(f)
		budget := stackBytes - max(below, helpers)
		if n := level[f]; n > 0 {
			// Each gets half of the stack, or what its callees leave if all its callers
			// have the minimum.
			budget = max(stackBytes/2>>(n-1)-below, min(2*leastStack, budget-int64(n)*leastStack))
		}
		if budget < leastStack {
			return limitError(p, f, "functions call each other too deeply for the stack")
		}
		c, err := e.function(p, f, budget)
		if err != nil {
			return err
		}
		deepest = max(deepest, c.stack)
		if f.OwnFrame && deepest > sharedFrame {
			c.keepFrame() // its callees have been compiled
		}
		done[f] = c
		depth[f] = (max(c.stack, 1)+31)&^31 + max(below, helpers) // as the kernel rounds
		return nil
	}
	return done, visit(p.Main)
}

// maxInsns is the number of instructions of eight bytes that the kernel accepts in one
// program (BPF_COMPLEXITY_LIMIT_INSNS).
const maxInsns = 1_000_000

// checkSize returns an error if a program has more than most instructions. The error points at
// the first one that is too many.
func checkSize(p *object.Program, most int) error {
	n, at := 0, -1
	for i := range p.Insns {
		if n += int(p.Insns[i].Size()) / asm.InstructionSize; n > most && at < 0 {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	return &LimitError{Prog: p.Name, Func: p.Name, Pos: p.LineAt(at),
		What: fmt.Sprintf("it has %d instructions, and may have %d", n, most),
		Hint: "divide the block among several probes of the same attach point"}
}

// callGraph finds the functions that each function calls or passes as a callback, and
// the longest chain of calls from main to each.
func callGraph(p *ir.Prog) (calls map[*ir.Func][]*ir.Func, level map[*ir.Func]int, err error) {
	calls, level = map[*ir.Func][]*ir.Func{}, map[*ir.Func]int{}
	for _, f := range p.Funcs() {
		f.RemoveUnreachable()
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				if v.Fn != nil && !slices.Contains(calls[f], v.Fn) {
					calls[f] = append(calls[f], v.Fn)
				}
			}
		}
	}
	var deepen func(f *ir.Func, n int) bool
	deepen = func(f *ir.Func, n int) bool {
		if n >= maxFrames {
			err = limitError(p, f, fmt.Sprintf("functions and loops go deeper than %d levels, the program included", maxFrames))
			return false
		}
		if old, ok := level[f]; ok && old >= n {
			return true
		}
		level[f] = n
		for _, g := range calls[f] {
			if !deepen(g, n+1) {
				return false
			}
		}
		return true
	}
	deepen(p.Main, 0)
	return calls, level, err
}

// function compiles f for a stack of budget bytes. How much of that is available for
// slots is known only after register allocation, so function first tries with all of
// it. If the spilled values alone need more, those that need not be on the stack are
// placed in scratch memory.
func (e *emission) function(p *ir.Prog, f *ir.Func, budget int64) (*code, error) {
	limit, wide, spills := budget, false, int64(0)
	for range 12 {
		fn := f.Clone()
		ref := scratchRef{m: e.scratch, key: int64(e.elem), off: e.fill, spills: spills}
		if wide {
			ref = scratchRef{m: e.wide, off: int64(e.wide.ValueSize), byCPU: true, spills: spills}
		}
		lay, err := layoutSlots(fn, limit, e.opts, ref)
		if err != nil {
			return nil, limitError(p, f, err.Error())
		}
		need := lay.scratch
		if need > scratchMax && !wide && e.opts.CPUs > 0 {
			wide = true
			continue
		}
		if !wide && ref.off > 0 && ref.off+need > scratchElem {
			// The element is full: place the slots in the next one.
			e.elem, e.fill = e.elem+1, 0
			continue
		}
		if need > scratchMax && !wide {
			return nil, limitError(p, f, fmt.Sprintf("needs %d bytes of scratch memory, the kernel gives %d", need, scratchMax))
		}
		legalize(fn, lay.frame, e.opts.V4)
		distrust(fn, e.opts)
		mf := selectInstructions(fn, lay, e.opts)
		if e.outline.in[f] {
			mf.outline = e.outline
		}
		if err := allocate(mf); err != nil {
			return nil, limitError(p, f, err.Error())
		}
		if far := 8 * int64(mf.farSpills); far > spills {
			spills = far
			continue
		}
		if spills > maxSpills {
			return nil, limitError(p, f, fmt.Sprintf("has %d values in use at the same time", spills/8))
		}
		c, err := emit(mf)
		if err != nil {
			return nil, limitError(p, f, err.Error())
		}
		if c.stack > budget {
			over := c.stack - budget
			switch slots := min(limit, lay.stack); {
			case slots-over >= 8:
				limit = slots - over
			case spills == 0:
				spills, limit = 8*int64(mf.spills), budget/2
			default:
				return nil, limitError(p, f, fmt.Sprintf("does not fit %d bytes of stack", budget))
			}
			continue
		}
		switch {
		case wide:
			e.wide.ValueSize += int(types.RoundUp(need, 8))
		case need > 0:
			e.fill += need
			e.scratch.ValueSize = max(e.scratch.ValueSize, int(e.fill))
		}
		return c, nil
	}
	return nil, limitError(p, f, fmt.Sprintf("does not fit %d bytes of stack", budget))
}
