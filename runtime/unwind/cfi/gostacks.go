package cfi

import (
	"debug/elf"
	"io"
	"slices"
	"strings"
)

// switching are the functions of Go's runtime that call a function on another stack. They
// do not change the frame pointer, which is that of their caller or, in cgocallback, that
// of their frame on the old stack.
var switching = []string{"runtime.asmcgocall", "runtime.asmcgocall_no_g", "runtime.cgocallback", "runtime.systemstack"}

// leaving are the functions of Go's runtime that continue on another stack, on which they
// have no caller: the stack of the thread or of the goroutine that runs next, or a new
// stack.
var leaving = []string{"runtime.mcall", "runtime.morestack", "runtime.clone", "gogo"}

// switchAdd is the Add of a Switch rule. As for a PLT rule, from that byte of an entry of the
// procedure linkage table on, the CFA is 8 more. No entry has that byte.
const switchAdd = 16

// GoFunction is the description of a function by the runtime of a Go program.
type GoFunction struct {
	Name       string
	Start, End uint64
	Outermost  bool // it has no caller
	// Depths calls f with the distances of the stack pointer from the return address, each
	// with the address at which its range ends, until f returns false.
	Depths func(f func(end uint64, depth int32) bool)
}

// GoFunctions calls f for each function of a Go program, in the order of their addresses.
type GoFunctions func(r io.ReaderAt, e *elf.File, f func(GoFunction))

// fillGo adds rows for the functions of a Go program. For those that switch stacks, which
// Go's linker describes as if they used only one, the rows follow the frame pointer back
// to the old stack. This leaves out the caller of a function that does not set the frame
// pointer. For the other functions of a stripped program, the rows come from the table of
// Go's runtime.
func (f *File) fillGo(r io.ReaderAt, e *elf.File, arch *Arch, functions GoFunctions) {
	stripped := e.Section(".debug_frame") == nil && e.Section(".zdebug_frame") == nil
	var rows Rows
	sp := uint8(arch.SP)
	functions(r, e, func(fn GoFunction) {
		if n := len(rows.List); fn.End <= fn.Start || n > 0 && fn.Start < rows.List[n-1].PC {
			return
		}
		left := fn.End
		switch name := strings.TrimSuffix(fn.Name, ".abi0"); {
		case slices.Contains(switching, name):
			rows.add(fn.Start, rows.rule(arch.OtherStack))
		case stripped || slices.Contains(leaving, name):
			if slices.Contains(leaving, name) {
				left = leaves(e, &fn, arch)
			}
			if !stripped {
				break
			}
			at := fn.Start
			fn.Depths(func(end uint64, depth int32) bool {
				rule := Rule{Kind: Register, Reg: sp, CFA: depth + 8, RA: -8}
				if depth < 0 || depth > maxDepth || end <= at || end > fn.End || at >= left {
					return false
				} else if fn.Outermost {
					rule = Rule{Kind: End}
				}
				rows.add(at, rows.rule(rule))
				at = end
				return true
			})
			rows.add(min(at, left), rows.rule(Rule{}))
		default:
			return
		}
		if left < fn.End {
			rows.add(left, rows.rule(Rule{Kind: End}))
		}
		rows.add(fn.End, rows.rule(Rule{}))
	})
	rows.saveGoFP(arch)
	f.Fill(&rows)
}

// leaves returns the address at which a function has left its stack, or its end.
func leaves(e *elf.File, fn *GoFunction, arch *Arch) uint64 {
	for _, c := range codeParts(e) {
		if fn.Start < c.addr || fn.End > c.addr+c.size || fn.End-fn.Start > maxLeaving {
			continue
		}
		code := make([]byte, fn.End-fn.Start)
		if _, err := c.ReadAt(code, int64(fn.Start-c.addr)); err == nil {
			return fn.Start + uint64(arch.Leaves(code))
		}
	}
	return fn.End
}

// maxLeaving is the maximum size in bytes of the functions in leaving.
const maxLeaving = 1024

// maxDepth is the size of the largest frame of a Go function, in bytes.
const maxDepth = 1 << 30

// saveGoFP adds the place of the saved frame pointer to the rules of Go's linker, which
// describe only the stack pointer. In all functions that have a frame, it is next to the
// return address.
func (t *Rows) saveGoFP(arch *Arch) {
	for i, r := range t.Rules {
		if r.Kind == Register && uint64(r.Reg) == arch.SP && r.CFA >= -int32(arch.OtherStack.FPOff) && r.FP == Same {
			t.Rules[i].FP, t.Rules[i].FPOff = AtCFA, arch.OtherStack.FPOff
		}
	}
}
