package probes

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Each tracepoint of a system call has its own perf event, which takes the kernel about
// 30 ms to remove. If a script has several such tracepoints, its programs are instead
// attached to the raw tracepoint at the start, or at the end, of all system calls.
// There a small program, the dispatcher, looks up the program for the number of the
// call in an array and jumps to it. So the number of tracepoints affects neither the
// time to attach them nor the cost of an event.
//
// A program reads the arguments from the saved registers, as the kernel's own code for
// these tracepoints does. Like that code, the dispatcher ignores the system calls of
// 32-bit programs, whose numbers have another meaning.

// manySyscalls is the minimum number of tracepoints for which the dispatcher is used.
// It is an additional program in each system call, but a single perf event already
// makes the kernel use the slow path in all of them.
const manySyscalls = 4

// FeatRawSyscalls is the name by which users disable the dispatcher.
const FeatRawSyscalls Feature = "raw_syscalls"

// tracedAs maps names of system calls to those in the names of tracepoints, if they
// differ. The latter are those of the kernel's functions.
var tracedAs = map[string]string{
	"stat": "newstat", "fstat": "newfstat", "lstat": "newlstat", "uname": "newuname",
	"sendfile": "sendfile64", "umount2": "umount", "_sysctl": "sysctl",
}

// syscallEvent is one side of a system call.
type syscallEvent struct {
	prefix string // of the names of its tracepoints
	raw    string // its raw tracepoint
}

var syscallEvents = []syscallEvent{{"sys_enter_", "sys_enter"}, {"sys_exit_", "sys_exit"}}

// sideOf returns the side of a tracepoint of a system call, and the name of the system
// call.
//
//go:noinline
func sideOf(event string) (syscallEvent, string, bool) {
	for _, s := range syscallEvents {
		if name, ok := strings.CutPrefix(event, s.prefix); ok {
			return s, name, true
		}
	}
	return syscallEvent{}, "", false
}

// gatherSyscalls marks the tracepoints of system calls among ps that will share a
// dispatcher, and sets the numbers of their calls.
func gatherSyscalls(e *Env, ps []*Point) {
	if e.NoFeature[string(FeatRawSyscalls)] || e.Kernel.Arch() != "amd64" {
		return
	}
	bySide := map[syscallEvent][]*Point{}
	for _, p := range ps {
		if p.Target != "syscalls" {
			continue
		}
		if s, _, ok := sideOf(p.Func); ok {
			bySide[s] = append(bySide[s], p)
		}
	}
	var numbers map[string]int
	for s, ps := range bySide {
		events := map[string]bool{}
		for _, p := range ps {
			events[p.Func] = true
		}
		if len(events) < manySyscalls {
			continue
		}
		if _, err := e.Kernel.TracepointProto("", s.raw); err != nil {
			continue // the kernel has no BTF
		}
		if _, err := compatFlag(e); err != nil {
			continue
		}
		if numbers == nil {
			numbers = syscallNumbers(e.Kernel)
		}
		for _, p := range ps {
			_, name, _ := sideOf(p.Func)
			if nr, ok := numbers[name]; ok && !copiesMemory(e, p) {
				p.Multi, p.Event = true, uint64(nr)
			}
		}
	}
}

// copiesMemory reports whether a tracepoint also has a copy of the memory that an
// argument points to, as some have from Linux 6.19 on. The raw tracepoint has no copy.
func copiesMemory(e *Env, p *Point) bool {
	f, err := e.Kernel.Tracepoint(p.Target, p.Func)
	return err == nil && slices.ContainsFunc(f.Fields, func(fld types.Field) bool {
		return strings.HasPrefix(fld.Name, "__") && fld.Name != "__syscall_nr"
	})
}

// maxSyscalls is larger than the number of any system call.
const maxSyscalls = 1024

// syscallNumbers returns the numbers of the system calls by their names in tracepoints.
func syscallNumbers(k Kernel) map[string]int {
	numbers := map[string]int{}
	for nr := range maxSyscalls {
		if name := k.SyscallName(nr); name != "" {
			numbers[cmp.Or(tracedAs[name], name)] = nr
		}
	}
	return numbers
}

// compatFlag returns the offset in the task of the word that contains tsCompat.
func compatFlag(e *Env) (int, error) {
	task, err := e.Kernel.Type("struct task_struct")
	if err != nil {
		return 0, err
	}
	info, ok := task.Field("thread_info")
	if !ok {
		return 0, outline.Errorf("struct task_struct has no thread_info: %w", ErrNotFound)
	}
	status, ok := info.Type.Field("status")
	if !ok || status.Type.Size != 4 || info.Off+status.Off > math.MaxInt16 {
		return 0, outline.Errorf("struct thread_info has no status at a small offset: %w", ErrNotFound)
	}
	return info.Off + status.Off, nil
}

// tsCompat is TS_COMPAT of arch/x86: the task is in a system call of a 32-bit program.
const tsCompat = 2

// syscallContext returns the context of programs that a dispatcher runs. The kernel's
// context starts with the address of the saved registers.
func syscallContext(e *Env, p *Point, f *TraceFormat) (*Context, error) {
	side, _, _ := sideOf(p.Func)
	status, err := compatFlag(e)
	if err != nil {
		return nil, err
	}
	p.Mode, p.Offset = side.raw, uint64(status)
	saved := func(b *ir.Builder, ctx *ir.Value) *ir.Value {
		regs := b.Load(ctx, 0, 8, false)
		regs.Type = ir.PtrBTF
		return regs
	}
	a := binary.AMD64
	fields := make([]types.Field, 0, len(f.Fields))
	for _, fld := range f.Fields {
		if fld.Off = a.SyscallOffset(fld.Off, side.raw == "sys_exit"); fld.Off < 0 {
			continue // a copy of the memory that an argument points to, which programs never receive
		}
		fields = append(fields, fld)
	}
	shape := "tracepoint " + side.raw
	c := &Context{
		Kind: p.Kind,
		Load: Load{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: side.raw, Shape: shape + " " + layoutOf(fields), BareShape: shape},
		Args: Args{
			Type: argsStruct("struct "+p.Name+"_args", a.RegsSize, fields), Base: saved,
			Space: userSpace, Lines: func() []string { return f.Decls },
		},
		Syscall:     saved,
		InTask:      true,
		Stacks:      true,
		Preemptible: e.Kernel.Has(FeatPreemptSyscall),
		Event: func(b *ir.Builder, ctx *ir.Value) *ir.Value {
			return b.Load(saved(b, ctx), int64(a.SyscallNumber()), 4, false)
		},
	}
	return c, nil
}

// syscallDispatchers returns the dispatchers for the programs of a script at points of kind
// k, with an array of programs each. A dispatcher runs one program per number. If several programs
// have the same number, their dispatchers are in the order of the programs.
func syscallDispatchers(e *Env, k *Kind, progs []*object.Program) []object.Dispatcher {
	var list []object.Dispatcher
	type slot struct {
		side string
		nr   uint64
	}
	used := map[slot]int{} // number of dispatchers up to the last one that has the slot
	for i, p := range progs {
		for j := range p.Points {
			at := &p.Points[j]
			if !at.Multi || at.Kind != k.Name {
				continue
			}
			n := used[slot{at.Mode, at.Event}]
			for n < len(list) && list[n].Program.AttachTo != at.Mode {
				n++
			}
			if n == len(list) {
				list = append(list, dispatcherOn(e, at, p, n))
			}
			used[slot{at.Mode, at.Event}] = n + 1
			list[n].Entries = append(list[n].Entries, object.Entry{Number: at.Event, Program: i, Point: j})
		}
	}
	return list
}

// attachSyscalls is the AttachDispatcher of tracepoints.
func attachSyscalls(d *object.Dispatcher, prog *ebpf.Program) (io.Closer, string, error) {
	l, err := link.AttachTracing(link.TracingOptions{Program: prog})
	return l, "tracepoints of system calls by the raw tracepoint " + d.Program.AttachTo, err
}

// dispatcherOn returns the nth dispatcher of a script, for a point of a program. It has
// no entries.
func dispatcherOn(e *Env, at *object.Point, p *object.Program, n int) object.Dispatcher {
	array := fmt.Sprintf("syscalls_%d", n)
	insns := dispatch(array, at.Offset, e.Kernel.Has(FeatTaskBTF))
	prog := &object.Program{
		Name: fmt.Sprintf("dispatch_%s_%d", at.Mode, n), Span: p.Span, License: "GPL",
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: at.Mode,
		Insns: insns, Lines: slices.Repeat([]source.Span{p.Span}, int(insns.Size())/asm.InstructionSize),
	}
	return object.Dispatcher{Program: prog, Array: array}
}

// dispatch returns the instructions of a dispatcher. status is the offset in the task
// of the word that contains tsCompat. typed is set if the kernel has a helper that
// returns the task in a form that plain loads may read.
func dispatch(array string, status uint64, typed bool) asm.Instructions {
	flags := asm.Instructions{
		asm.FnGetCurrentTask.Call(),
		asm.Mov.Reg(asm.R3, asm.R0),
		asm.Add.Imm(asm.R3, int32(status)),
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, -8),
		asm.Mov.Imm(asm.R2, 4),
		asm.FnProbeReadKernel.Call(),
		asm.LoadMem(asm.R0, asm.RFP, -8, asm.Word),
	}
	if typed {
		flags = asm.Instructions{
			asm.FnGetCurrentTaskBtf.Call(),
			asm.LoadMem(asm.R0, asm.R0, int16(status), asm.Word),
		}
	}
	insns := append(asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}, flags...)
	return append(insns,
		asm.And.Imm(asm.R0, tsCompat),
		asm.JNE.Imm(asm.R0, 0, "out"),
		asm.LoadMem(asm.R3, asm.R6, 0, asm.DWord),
		asm.LoadMem(asm.R3, asm.R3, int16(binary.AMD64.SyscallNumber()), asm.Word),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, 0).WithReference(array),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	)
}
