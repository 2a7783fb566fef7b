package live

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// printer loads a program that prints to the kernel's trace buffer after n idle
// instructions.
func printer(t *testing.T, name string, n int) *ebpf.Program {
	t.Helper()
	var insns asm.Instructions
	for range n {
		insns = append(insns, asm.Mov.Imm(asm.R0, 0))
	}
	insns = append(insns,
		asm.Mov.Imm(asm.R1, 'x'), asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -8),
		asm.Mov.Imm(asm.R2, 2),
		asm.FnTracePrintk.Call(),
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.SocketFilter, License: "GPL", Instructions: insns})
	if errors.Is(err, ebpf.ErrNotSupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestNamesOfUnloadedPrograms loads BPF programs before and during the session. Their
// names must be in the stacks, printed at once or after they were unloaded.
func TestNamesOfUnloadedPrograms(t *testing.T) {
	if *peer {
		t.Skip("it does not print them")
	}
	needRoot(t)
	if release().less(version{5, 11}) {
		t.Skip("it has no tracepoint of bpf_trace_printk")
	}
	for again := 0; ; again++ {
		final, unnamed, loaded := namesOfUnloaded(t)
		switch {
		case len(unnamed) == 0:
			return
		case loaded == 0 || again == 20:
			t.Fatalf("%v have no names at the end:\n%s", unnamed, final)
		}
		// The kernel may have reused the addresses for these programs, which then have
		// the names.
		t.Logf("again, as others have loaded %d programs meanwhile", loaded)
	}
}

// namesOfUnloaded does so once. It returns the final output, the names that are missing
// in it, and the number of programs that other processes have loaded since these programs
// were unloaded.
func namesOfUnloaded(t *testing.T) (final string, unnamed []string, others int) {
	before := printer(t, "gt_before", 400)
	s := start(t, "-e", `tracepoint:bpf_trace:bpf_trace_printk { print(kstack); @[kstack] = count(); }`)
	s.attached()
	var loaded []*ebpf.Program // until the last has run, so that each has its own addresses
	run := func(p *ebpf.Program, name string) {
		if _, _, err := p.Test(make([]byte, 64)); err != nil {
			t.Fatal(err)
		}
		s.waitFor("_" + name + "+")
		loaded = append(loaded, p)
	}
	run(before, "gt_before")
	names := []string{"gt_one", "gt_two", "gt_three"}
	for i, name := range names {
		run(printer(t, name, 1+100*i), name)
	}
	last := programID(t, loaded[len(loaded)-1])
	for _, p := range loaded {
		p.Close()
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	_, final, _ = strings.Cut(r.stdout, "@[")
	for _, name := range append(names, "gt_before") {
		if !strings.Contains(final, "_"+name+"+") {
			unnamed = append(unnamed, name)
		}
	}
	later := printer(t, "gt_later", 1)
	defer later.Close()
	return final + r.stderr, unnamed, programID(t, later) - last - 1
}

// programID returns the number of a program. The kernel numbers programs in the order of
// loading.
func programID(t *testing.T, p *ebpf.Program) int {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, ok := info.ID()
	if !ok {
		t.Skip("programs have no numbers")
	}
	return int(id)
}
