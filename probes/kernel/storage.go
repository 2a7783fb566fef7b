package kernel

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// iteratesStorage reports whether the running kernel accepts programs that visit the values
// in the memory of sockets. Some that are locked down refuse them.
func iteratesStorage() bool {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "sockets", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "bpf_sk_storage_map",
		License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return false
	}
	p.Close()
	return true
}
