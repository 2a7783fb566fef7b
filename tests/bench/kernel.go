package main

import (
	"fmt"
	"math"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// kernelStacks prints the cost of kernel stacks in gotrace, in bpftrace, and in a program
// that only calls bpf_get_stack.
func (b *bench) kernelStacks() {
	const probe = "tracepoint:syscalls:sys_enter_getpgid"
	own := []string{b.gotrace}
	work := b.start(b.plain, "getpgid")
	defer work.stop()
	cost := func(tool []string, body string) float64 { return b.cost(tool, probe+" { "+body+" }", work) }
	empty := cost(own, "")
	bare := b.bare(work)
	fmt.Printf("kernel stacks, ns:\n%-28s %8.0f\n", "bpf_get_stack", bare-empty)
	show := func(name string, tool []string, body string) {
		ns := cost(tool, body) - empty
		fmt.Printf("%-28s %8.0f %8.2fx\n", name, ns, ns/(bare-empty))
	}
	show("@ = kstack", own, "@ = kstack;")
	show("@[kstack] = count()", own, "@[kstack] = count();")
	show("@[0] = count()", own, "@[0] = count();")
	if len(b.peer) > 0 {
		show("peer @[kstack] = count()", b.peer, "@[kstack] = count();")
	}
}

// bare returns the nanoseconds of a run of a program that calls bpf_get_stack.
func (b *bench) bare(l *load) float64 {
	const size = 127 * 8
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: size, MaxEntries: 1})
	if err != nil {
		b.errs = append(b.errs, err)
		return 0
	}
	defer m.Close()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.TracePoint, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Reg(asm.R2, asm.R0),
		asm.Mov.Imm(asm.R3, size),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnGetStack.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	}})
	if err != nil {
		b.errs = append(b.errs, err)
		return 0
	}
	defer p.Close()
	lnk, err := link.Tracepoint("syscalls", "sys_enter_getpgid", p, nil)
	if err != nil {
		b.errs = append(b.errs, err)
		return 0
	}
	defer lnk.Close()
	best := math.Inf(1)
	for range b.rounds {
		ns, err := l.measure([]*ebpf.Program{p})
		if err != nil {
			b.errs = append(b.errs, err)
			return 0
		}
		best = min(best, ns)
	}
	return best
}
