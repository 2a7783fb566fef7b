package probes

import (
	"bytes"
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

// endbr64 begins most functions of current compilers; the decoder does not know it.
var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// atInstruction reports whether offset is the start of an instruction of a
// function with that code. Where the decoder meets an instruction that it does
// not know, it is taken on trust: the kernel looks at it again.
func atInstruction(arch string, code []byte, offset uint64) bool {
	if arch == "arm64" {
		return offset%4 == 0
	}
	for pos := uint64(0); pos < uint64(len(code)); {
		if pos == offset {
			return true
		}
		if pos > offset {
			return false
		}
		if bytes.HasPrefix(code[pos:], endbr64) {
			pos += uint64(len(endbr64))
			continue
		}
		insn, err := x86asm.Decode(code[pos:], 64)
		if err != nil || insn.Len <= 0 {
			return true
		}
		pos += uint64(insn.Len)
	}
	return false
}

// checkBoundary refuses an address that is not the start of an instruction:
// there the kernel would overwrite the middle of one.
func checkBoundary(e *Env, x *executable, s elfSymbol, addr uint64, path string) error {
	if e.Unsafe {
		return nil
	}
	if why := misplaced(e, x, s, addr, path); why != "" {
		return usage("%s. Use --unsafe to probe it anyway, which may damage the traced program", why)
	}
	return nil
}

// doubtBoundary warns of what --unsafe allows.
func doubtBoundary(e *Env, p *Point) string {
	if !e.Unsafe || !p.HasAddr && p.Offset == 0 {
		return ""
	}
	paths, err := resolveBinaries(e, p.Kind.Name, p.Target)
	if err != nil || len(paths) != 1 {
		return ""
	}
	x, err := openTarget(e, p.Kind.Name, paths[0])
	if err != nil {
		x = rawFile(paths[0], paths[0])
	}
	var s elfSymbol
	addr := p.Addr
	if p.HasAddr {
		s, _ = x.covering(addr)
	} else if all := x.named(p.Func); len(all) > 0 {
		s, addr = all[0], all[0].addr+p.Offset
	} else {
		return ""
	}
	if why := misplaced(e, x, s, addr, paths[0]); why != "" {
		return why + ". Misaligned probes can lead to tracee crashes!"
	}
	return ""
}

// misplaced says why an address is, or may be, not that of an instruction.
func misplaced(e *Env, x *executable, s elfSymbol, addr uint64, path string) string {
	if s.name == "" {
		return fmt.Sprintf("Could not determine instruction boundary for uprobe:%s:%d (binary appears stripped)", path, addr)
	}
	off, ok := x.executableOffset(s.addr)
	if addr == s.addr || !ok || off+s.size > uint64(len(x.data)) {
		return ""
	}
	if !atInstruction(e.Kernel.Arch(), x.data[off:off+s.size], addr-s.addr) {
		return fmt.Sprintf("Could not add uprobe into middle of instruction: %s:%s+%d", path, s.name, addr-s.addr)
	}
	return ""
}
