package binary

import (
	"debug/dwarf"

	"github.com/gotrace/gotrace/probes/binary/internal/units"
)

// Inlined is a copy of a function that the compiler inlined into another function.
type Inlined = units.Copy

// Inlined returns the copies of the functions for whose names wanted returns true.
func (g *DebugInfo) Inlined(wanted func(name string, mangled bool) bool) []Inlined {
	return g.units.Inlined(wanted)
}

// InlinedNear returns the copies of the function of a symbol in its own compilation unit.
// It reads only debug info in the file itself, and not that of Go.
func (x *File) InlinedNear(s Symbol) []Inlined {
	if !x.hasDWARF() || x.IsGo(s) {
		return nil
	}
	g, err := x.DebugInfo()
	if err != nil {
		return nil
	}
	u := g.units.At(s.Addr)
	if u == nil {
		return nil
	}
	return u.Inlined(func(name string, _ bool) bool { return name == s.Name })
}

// Copy returns an inlined copy as a function that starts where the code of the copy does.
func (g *DebugInfo) Copy(c Inlined) (Function, bool) {
	g, u := g.split(c.Unit)
	if g == nil {
		return Function{}, false
	}
	unit, entry := g.units.Entry(dwarf.Offset(u.Root())), g.units.Entry(dwarf.Offset(c.Entry))
	if unit == nil || entry == nil {
		return Function{}, false
	}
	return Function{g, unit, entry, c.Addr, true}, true
}

// Start returns the address in s at which a breakpoint is hit once by each run of a copy.
// It is the address of the copy's first instruction. If the copy jumps back to that
// instruction, or the kernel refuses a breakpoint there, it is the address of the
// instruction before, provided that all runs come from there.
func (x *File) Start(s Symbol, c *Inlined) uint64 {
	loops, others, known := false, false, true
	before := c.Addr
	look := func(at uint64, in insn) {
		switch {
		case in.flow == flowAway:
			known = false // the target may be any
		case in.flow == flowNext && at+uint64(in.size) == c.Addr && !c.Covers(at):
			before = at
		case in.flow != flowBranch && in.flow != flowJump || in.target != c.Addr:
		case c.Covers(at):
			loops = true
		default:
			others = true
		}
	}
	for _, part := range append(x.Named(s.Name+".cold"), s) {
		code := x.codeAt(part.Addr, int(min(part.Size, 1<<20)))
		for pos := 0; pos < len(code); {
			at := part.Addr + uint64(pos)
			in, ok := decode(x.Arch(), code[pos:], at)
			if !ok {
				return c.Addr
			}
			look(at, in)
			pos += in.size
		}
	}
	if others || !known || !loops && !x.Refused(c.Addr) || x.Refused(before) {
		return c.Addr
	}
	return before
}
