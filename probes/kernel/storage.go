package kernel

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// iteratesStorage reports whether the running kernel accepts programs that visit the
// values in the memory of sockets. Some kernels that are locked down refuse them.
func iteratesStorage() bool { return loads(ebpf.AttachTraceIter, "bpf_sk_storage_map") }

// LoadsFentry reports whether the running kernel accepts fentry programs from this process.
func LoadsFentry() bool { return loads(ebpf.AttachTraceFEntry, "schedule") }

// loads reports whether the running kernel accepts an empty program for a function.
func loads(at ebpf.AttachType, to string) bool {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "empty", Type: ebpf.Tracing, AttachType: at, AttachTo: to,
		License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return false
	}
	p.Close()
	return true
}
