package runtime

import (
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// onCPU is the flag of BPF_PROG_TEST_RUN that runs a raw tracepoint program on
// the CPU that is named.
const onCPU = 1

// zeroCPUSlot zeroes a per-CPU slot. User space can only write an element as a
// whole, and would undo what programs add to other slots meanwhile; so a small
// program does it on each CPU, where no other runs at that time.
func (s *Session) zeroCPUSlot(m *object.Map, unset bool) error {
	k := s.maps[m.Kernel]
	stores := func(off, size int) (insns asm.Instructions) {
		for size > 0 {
			n, sz := 1, asm.Byte
			if size >= 8 && off%8 == 0 {
				n, sz = 8, asm.DWord
			}
			insns = append(insns, asm.StoreMem(asm.R0, int16(off), asm.R1, sz))
			off, size = off+n, size-n
		}
		return insns
	}
	insns := asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, k.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Imm(asm.R1, 0),
	}
	insns = append(insns, stores(m.Off, m.Value.Size)...)
	if unset {
		insns = append(insns, stores(m.Set, 1)...)
	}
	insns = append(insns, asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return())
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "zero", Type: ebpf.RawTracepoint, License: "GPL", Instructions: insns,
	})
	if err != nil {
		return err
	}
	defer prog.Close()
	for cpu := range s.ncpu {
		_, err := prog.Run(&ebpf.RunOptions{Flags: onCPU, CPU: uint32(cpu)})
		if err != nil && !errors.Is(err, unix.ENXIO) { // ENXIO: a CPU that is not there
			return err
		}
	}
	return nil
}
