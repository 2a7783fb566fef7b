package probes

import (
	"fmt"

	"github.com/gotrace/gotrace/probes/binary"
)

// checkBoundary returns an error if an address is not the start of an instruction. The
// kernel would overwrite the middle of an instruction there.
func checkBoundary(e *Env, x *binary.File, s binary.Symbol, addr uint64, path string) error {
	if e.Unsafe {
		return nil
	}
	if why := misplaced(e, x, s, addr, path); why != "" {
		return usage("%s. Use --unsafe to probe it anyway, which may damage the traced program", why)
	}
	return nil
}

// doubtUprobe returns a warning if a uprobe may miss calls, or if --unsafe allows a
// probe that may crash the program.
func doubtUprobe(e *Env, p *Point) string {
	if text := doubtIndirect(e, p); text != "" {
		return text
	}
	if text := doubtInlined(e, p); text != "" {
		return text
	}
	if !e.Unsafe || !p.HasAddr && p.Offset == 0 {
		return ""
	}
	paths, err := resolveBinaries(e, p.Kind.Name, p.Target)
	if err != nil || len(paths) != 1 {
		return ""
	}
	x, err := openTarget(e, p.Kind.Name, paths[0])
	if err != nil {
		x = binary.Raw(paths[0], paths[0])
	}
	var s binary.Symbol
	addr := p.Addr
	if p.HasAddr {
		s, _ = x.Covering(addr)
	} else if all := x.Named(p.Func); len(all) > 0 {
		s, addr = all[0], all[0].Addr+p.Offset
	} else {
		return ""
	}
	if why := misplaced(e, x, s, addr, paths[0]); why != "" {
		return why + ". Misaligned probes can lead to tracee crashes!"
	}
	return ""
}

// misplaced returns the reason why an address is not, or may not be, the start of an
// instruction, or "".
func misplaced(e *Env, x *binary.File, s binary.Symbol, addr uint64, path string) string {
	if s.Name == "" {
		return fmt.Sprintf("Could not determine instruction boundary for %s (binary appears stripped)", uprobeAt(path, fmt.Sprint(addr)))
	}
	if s.Size == 0 && addr != s.Addr {
		return fmt.Sprintf("Could not determine boundary for %s (symbol has size 0)", s.Name)
	}
	if !x.AtInstruction(e.Kernel.Arch(), s, addr) {
		return fmt.Sprintf("Could not add uprobe into middle of instruction: %s:%s+%d", path, s.Name, addr-s.Addr)
	}
	return ""
}

// doubtIndirect returns a warning about an indirect function whose implementation may be
// outside of its file.
func doubtIndirect(e *Env, p *Point) string {
	return wholeFunction(e, p, func(path string, x *binary.File) string {
		for _, s := range x.Named(p.Func) {
			if _, elsewhere := x.Targets(s); elsewhere {
				return fmt.Sprintf("%s of %s may be code that was not found, such as the kernel's own in the vDSO: no probe sees its calls there", p.Func, path)
			}
		}
		return ""
	})
}

// wholeFunction calls f for the files of a point at the start of functions until f
// returns a text other than "", and returns that text. For other points it returns "".
func wholeFunction(e *Env, p *Point, f func(path string, x *binary.File) string) string {
	if p.Func == "" || p.Offset != 0 || p.Mode != "" || p.Anywhere {
		return ""
	}
	paths, _ := resolveBinaries(e, p.Kind.Name, p.Target)
	for _, path := range paths {
		if x, err := openTarget(e, p.Kind.Name, path); err == nil {
			if text := f(path, x); text != "" {
				return text
			}
		}
	}
	return ""
}
