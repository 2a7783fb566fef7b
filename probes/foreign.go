package probes

import (
	"debug/elf"
	"slices"

	"github.com/gotrace/gotrace/probes/binary"
)

// openTraced opens a binary whose code this machine can execute.
func openTraced(e *Env, kind, path string) (*binary.File, error) {
	x, err := openTarget(e, kind, path)
	if err == nil && !slices.Contains(executed[e.Kernel.Arch()], x.Arch()) {
		return nil, usage("%s target file '%s' is for another architecture, %s: this machine does not execute its code", kind, path, x.Arch())
	}
	return x, err
}

// executed lists the architectures of the programs that the kernel of an architecture runs.
var executed = map[string][]string{"amd64": {"amd64", elf.EM_386.String()}, "arm64": {"arm64", elf.EM_ARM.String()}}
