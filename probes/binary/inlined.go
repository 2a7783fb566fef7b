package binary

import (
	"debug/dwarf"

	"github.com/gotrace/gotrace/probes/binary/internal/units"
)

// Inlined is a copy of a function that the compiler inlined into another function.
type Inlined = units.Copy

// Inlined returns the copies of the functions with names that wanted reports true for.
func (g *DebugInfo) Inlined(wanted func(name string, mangled bool) bool) []Inlined {
	return g.units.Inlined(wanted)
}

// InlinedNear returns the copies of the function of a symbol in its own compilation unit.
// It reads only debug info that the file itself contains, and that is not of Go.
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
	unit, entry := g.entry(dwarf.Offset(u.Root())), g.entry(dwarf.Offset(c.Entry))
	if unit == nil || entry == nil {
		return Function{}, false
	}
	return Function{g, unit, entry, c.Addr, true}, true
}
