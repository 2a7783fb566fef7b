package binary

import (
	"debug/dwarf"
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
)

// DWARF numbers of the languages that have their own calling conventions.
const (
	langGo   = 0x16
	langRust = 0x1c
)

// Function is a function with its debug info.
type Function struct {
	g           *DebugInfo
	unit, entry *dwarf.Entry
	addr        uint64 // its first instruction
}

// Function returns the function that starts at an address.
func (g *DebugInfo) Function(addr uint64) (Function, bool) {
	u := g.units.At(addr)
	if u == nil {
		return Function{}, false
	}
	g, u = g.split(u)
	if g == nil {
		return Function{}, false
	}
	off, ok := u.Function(addr)
	if !ok {
		return Function{}, false
	}
	unit, entry := g.entry(dwarf.Offset(u.Root())), g.entry(dwarf.Offset(off))
	if unit == nil || entry == nil {
		return Function{}, false
	}
	return Function{g, unit, entry, addr}, true
}

// convention returns the function's calling convention. symbol is the name of its
// symbol, goABI says that Go's register ABI applies.
func (fn Function) convention(symbol string, goABI bool) callConv {
	switch lang, _ := fn.unit.Val(dwarf.AttrLanguage).(int64); {
	case lang == langGo && goABI:
		return convGo
	case lang == langGo:
		return convGo0
	case lang == langRust && (strings.HasPrefix(symbol, "_ZN") || strings.HasPrefix(symbol, "_R")):
		return convRust
	}
	return convC
}

// Args returns a struct of the function's parameters, each with its location at
// the function's first instruction. It returns nil if the function has none. symbol
// is the name of the function's symbol, goABI says that Go's register ABI applies.
// The caller may rename the struct.
func (fn Function) Args(a *Arch, symbol string, goABI bool) *types.Type {
	g, conv := fn.g, fn.convention(symbol, goABI)
	pass := newPassing(a, conv)
	pass.result(g.typeOf(fn.entry, 0))
	t := &types.Type{Kind: types.Struct, Name: "args of " + symbol, Space: types.Ctx}
	var fields []types.Field
	align := 1
	params := slices.DeleteFunc(g.params(fn.entry), g.isResult)
	sizes := make([]int, len(params))
	for i, e := range params {
		sizes[i] = g.typeOf(e, 0).t.Size
	}
	places, found, sound := make([]*types.Loc, len(params)), make([]located, len(params)), true
	if conv == convC || conv == convRust {
		places, found, sound = g.entryPlaces(a, fn, params, sizes)
	}
	// Copies that the optimiser specialised take only parameters that have a location
	// in the debug info.
	if strings.Contains(symbol, ".isra.") || strings.Contains(symbol, ".constprop.") {
		sound = false
	}
	for i, e := range params {
		dt := g.typeOf(e, 0)
		f := types.Field{Name: g.name(e), Type: dt.t}
		if f.Name == "" {
			f.Name = fmt.Sprintf("arg%d", i)
		}
		f.Loc = pass.next(f.Name, dt)
		switch {
		case sizes[i] == 0:
		case found[i] == atPlace:
			f.Loc = places[i]
		case found[i] == leftOut, !sound:
			f.Loc = &types.Loc{Err: errLeftOut(symbol)}
		}
		if dt.t.Name == floatName {
			f.Loc = &types.Loc{Err: "it is a floating-point number, which scripts do not have"}
		}
		if f.Loc.Err != "" { // it cannot be read
			f.Type, dt = types.NewArray(types.TUint8, 0), &dwarfType{align: 1}
		}
		al := min(dt.alignment(), 8)
		align = max(align, al)
		f.Off = (t.Size + al - 1) / al * al
		t.Size = f.Off + f.Type.Size
		fields = append(fields, f)
	}
	if len(fields) == 0 {
		return nil
	}
	t.Size = (t.Size + align - 1) / align * align
	t.Comp = types.NewComposite(false, func() []types.Field { return fields })
	t.Comp.Align = align
	return t
}

// isResult reports whether a parameter entry is a result of a Go function.
func (g *DebugInfo) isResult(e *dwarf.Entry) bool {
	is, _ := g.value(e, dwarf.AttrVarParam).(bool)
	return is
}

// Result returns the type of the function's result if it is returned in one
// integer register. Otherwise, or if that is not known, it returns nil.
func (fn Function) Result() *types.Type {
	if lang, _ := fn.unit.Val(dwarf.AttrLanguage).(int64); lang == langGo {
		return nil
	}
	t := fn.g.typeOf(fn.entry, 0)
	if t.class != classWord || !t.t.IsScalar() {
		return nil
	}
	return t.t
}

// ParamDecls returns the C declarations of the function's parameters.
func (fn Function) ParamDecls() []string {
	var lines []string
	for _, e := range fn.g.params(fn.entry) {
		if !fn.g.isResult(e) {
			lines = append(lines, fn.g.typeOf(e, 0).decl+" "+fn.g.name(e))
		}
	}
	return lines
}

// ResultDecl returns the type of the function's result in C syntax, or "" if the
// function has none.
func (fn Function) ResultDecl() string {
	if t := fn.g.typeOf(fn.entry, 0); t.t.Kind != types.Void {
		return t.decl
	}
	return ""
}
