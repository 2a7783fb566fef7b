package binary

import (
	"debug/dwarf"
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/outline"
)

// DWARF numbers of the languages with their own calling conventions.
const (
	langGo   = 0x16
	langRust = 0x1c
)

// Function is a function with its debug info.
type Function struct {
	g           *DebugInfo
	unit, entry *dwarf.Entry
	addr        uint64 // its first instruction
	inlined     bool   // it is a copy that was inlined into another function
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
	unit, entry := g.units.Entry(dwarf.Offset(u.Root())), g.units.Entry(dwarf.Offset(off))
	if unit == nil || entry == nil {
		return Function{}, false
	}
	return Function{g, unit, entry, addr, false}, true
}

// convention returns the function's calling convention. symbol is the name of its
// symbol.
func (fn Function) convention(symbol string, abi ABI) callConv {
	switch lang, _ := attribute(fn.unit, dwarf.AttrLanguage).(int64); {
	case lang == langGo && abi != ABIC && abi != ABIGoStack:
		return convGo
	case lang == langGo:
		return convGo0
	case lang == langRust && (strings.HasPrefix(symbol, "_ZN") || strings.HasPrefix(symbol, "_R")):
		return convRust
	}
	return convC
}

// Args returns a struct of the function's parameters, each with its location at the
// function's first instruction. It returns nil if the function has no parameters.
// symbol is the name of the function's symbol, and shown the one in errors. The caller may
// rename the struct.
func (fn Function) Args(a *Arch, symbol, shown string, abi ABI) *types.Type {
	g, conv := fn.g, fn.convention(symbol, abi)
	pass := newPassing(a, conv)
	pass.result(g.typeOf(fn.entry, 0))
	var list fieldList
	params := slices.DeleteFunc(g.params(fn.entry), g.isResult)
	sizes := make([]int, len(params))
	for i, e := range params {
		sizes[i] = g.typeOf(e, 0).t.Size
	}
	places, found, sound := make([]*types.Loc, len(params)), make([]located, len(params)), true
	if conv == convC || conv == convRust || fn.inlined {
		places, found, sound = g.entryPlaces(a, fn, params, sizes)
	}
	// Copies that the optimizer specialized receive only parameters whose location is
	// in the debug info.
	// So do inlined ones.
	if strings.Contains(symbol, ".isra.") || strings.Contains(symbol, ".constprop.") || fn.inlined {
		sound = false
	}
	for i, e := range params {
		pass.dictionary(i, abi)
		dt := g.typeOf(e, 0)
		f := types.Field{Name: g.name(e), Type: dt.t}
		if f.Name == "" {
			f.Name = fmt.Sprintf("arg%d", i)
		}
		f.Loc = pass.next(f.Name, dt)
		switch {
		case sizes[i] == 0:
		case sound && conv == convC && dt.t.Kind == types.Array:
			// GCC gives the registers to which the function moves an __int128 as its place.
		case found[i] == atPlace:
			f.Loc = places[i]
		case found[i] == leftOut, !sound:
			f.Loc = &types.Loc{Err: errLeftOut(shown)}
		}
		if dt.t.Name == floatName {
			f.Loc = &types.Loc{Err: errFloatNumber}
		}
		list.add(f, dt)
	}
	return list.strct("args of " + symbol)
}

// fieldList collects the members of a struct whose parts are scattered over a context.
type fieldList struct {
	fields      []types.Field
	size, align int
}

// add adds a member with its location. Its offset is the one in a copy of the struct.
func (l *fieldList) add(f types.Field, of *dwarfType) {
	if readable(&f); f.Loc.Err != "" {
		of = &dwarfType{align: 1}
	}
	al := max(min(of.alignment(), 8), 1)
	l.align = max(l.align, al)
	f.Off = types.RoundUp(l.size, al)
	l.size = f.Off + f.Type.Size
	l.fields = append(l.fields, f)
}

// strct returns the struct with the members, or nil if there are none.
func (l *fieldList) strct(name string) *types.Type {
	if len(l.fields) == 0 {
		return nil
	}
	t := &types.Type{Kind: types.Struct, Name: name, Space: types.Ctx, Size: types.RoundUp(l.size, l.align)}
	t.Comp = types.NewComposite(false, func() []types.Field { return l.fields })
	t.Comp.Align = l.align
	return t
}

// Results returns the result of a Go function at an instruction that returns: its type
// if it is one scalar in one integer register. For anything else, it returns a struct
// in the context: the only result if that is a struct, or all results by name. Results
// without names are r0, r1 and so on. It returns nil if there is no result, or if it is
// not known.
func (fn Function) Results(a *Arch, symbol string, abi ABI) *types.Type {
	g := fn.g
	pass := newPassing(a, fn.convention(symbol, abi))
	var results []*dwarf.Entry
	for i, e := range g.params(fn.entry) {
		if g.isResult(e) {
			// A result that escapes is listed twice.
			if n := g.name(e); n == "" || n == "_" || !slices.ContainsFunc(results, func(r *dwarf.Entry) bool { return g.name(r) == n }) {
				results = append(results, e)
			}
			continue
		}
		pass.dictionary(i, abi)
		pass.next(g.name(e), g.typeOf(e, 0))
	}
	pass.results()
	var list fieldList
	for i, e := range results {
		dt := g.typeOf(e, 0)
		f := types.Field{Name: resultName(g.name(e), i), Type: dt.t}
		f.Loc = pass.next(f.Name, dt)
		if dt.t.Name == floatName {
			f.Loc = &types.Loc{Err: errFloatNumber}
		}
		if len(results) == 1 && f.Loc.Err == "" {
			if dt.class == classWord && dt.t.IsScalar() && !f.Loc.Memory {
				return dt.t
			}
			if dt.class == classStruct {
				return flatten(dt.t, f.Loc)
			}
		}
		list.add(f, dt)
	}
	return list.strct("results of " + symbol)
}

// flatten returns a struct in the context that is the object at l. If the object has
// parts that cannot be read, the members in them have the error of l.
func flatten(t *types.Type, l *types.Loc) *types.Type {
	fields := slices.Clone(t.Members())
	for i := range fields {
		f := &fields[i]
		f.Loc = memberLoc(f, l)
		readable(f)
	}
	u := *t
	u.Space = types.Ctx
	u.Comp = types.NewComposite(false, func() []types.Field { return fields })
	u.Comp.Counted = t.Comp.Counted
	u.Comp.Dynamic = t.Comp.Dynamic
	return &u
}

// memberLoc returns the location of a member of the object at l. If a part of the member
// cannot be read, it has the error of l.
func memberLoc(f *types.Field, l *types.Loc) *types.Loc {
	first, end := f.Off, f.Off+f.Type.Size // the bytes that f needs
	if f.BitSize > 0 {
		first, end = f.Off+f.BitOff/8, f.Off+(f.BitOff+f.BitSize+7)/8
	}
	missing := end - first
	part := &types.Loc{Memory: l.Memory, Base: l.Base, Disp: l.Disp + int64(f.Off)}
	for _, p := range l.Parts {
		if lo, hi := max(p.Off, f.Off), min(p.Off+p.Size, f.Off+f.Type.Size); lo < hi {
			part.Parts = append(part.Parts, types.Part{From: p.From + lo - p.Off, Off: lo - f.Off, Size: hi - lo})
			missing -= max(0, min(hi, end)-max(lo, first))
		}
	}
	if missing > 0 {
		part.Err = l.Err
	}
	return part
}

// readable changes the type of a field of which parts cannot be read. It removes the error
// if f is a struct that has other parts: then members of the struct have it.
func readable(f *types.Field) {
	switch {
	case f.Loc.Err == "":
	case f.Type.Kind == types.Struct && len(f.Loc.Parts) > 0:
		fields := slices.Clone(f.Type.Members())
		for i := range fields {
			m := &fields[i]
			m.Loc = memberLoc(m, f.Loc)
			if readable(m); m.Loc.Err == "" {
				m.Loc = nil // it is at its offset in the copy of the struct
			}
		}
		t := *f.Type
		t.Comp = types.NewComposite(t.Comp.Union, func() []types.Field { return fields })
		t.Comp.Counted, t.Comp.Dynamic, t.Comp.Align = f.Type.Comp.Counted, f.Type.Comp.Dynamic, f.Type.Comp.Align
		f.Type, f.Loc = &t, &types.Loc{Parts: f.Loc.Parts}
	default:
		f.Type, f.Loc = types.NewArray(types.TUint8, 0), &types.Loc{Err: f.Loc.Err}
	}
}

// isResult reports whether a parameter entry is a result of a Go function.
func (g *DebugInfo) isResult(e *dwarf.Entry) bool {
	is, _ := g.value(e, dwarf.AttrVarParam).(bool)
	return is
}

// Result returns the type of the function's result if that is returned in one integer
// register. Otherwise, or if it is not known, Result returns nil. It returns an error if
// the result is a number in a floating-point register.
func (fn Function) Result() (*types.Type, error) {
	if lang, _ := attribute(fn.unit, dwarf.AttrLanguage).(int64); lang == langGo {
		return nil, nil
	}
	t := fn.g.typeOf(fn.entry, 0)
	switch {
	case t.class == classFloat || t.class == classX87:
		return nil, outline.Errorf("it is a %s, which is in a floating-point register that cannot be read", t.decl)
	case t.class != classWord || !t.t.IsScalar():
		return nil, nil
	}
	return t.t, nil
}

// ResultStruct returns the struct or union that the function returns, with the locations
// of its members when the function returns. It returns nil if the function returns
// anything else, or if that is not known.
func (fn Function) ResultStruct(a *Arch, symbol string, abi ABI) *types.Type {
	conv, t := fn.convention(symbol, abi), fn.g.typeOf(fn.entry, 0)
	if conv != convC && conv != convRust || t.class != classStruct && t.class != classUnion || t.t.Kind != types.Struct || t.t.Size == 0 {
		return nil
	}
	return flatten(t.t, newPassing(a, conv).returned(t))
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

// ResultDecls returns the declarations of a Go function's results.
func (fn Function) ResultDecls() []string {
	var lines []string
	for _, e := range fn.g.params(fn.entry) {
		if fn.g.isResult(e) {
			lines = append(lines, fn.g.typeOf(e, 0).decl+" "+resultName(fn.g.name(e), len(lines)))
		}
	}
	return lines
}

// resultName returns the name of result i for scripts. Go writes unnamed results as
// ~r0, ~r1 and so on.
func resultName(name string, i int) string {
	if name == "" || name == "_" || strings.HasPrefix(name, "~") {
		return fmt.Sprintf("r%d", i)
	}
	return name
}

// ResultDecl returns the type of the function's result in C syntax, or "" if the
// function has none.
func (fn Function) ResultDecl() string {
	if t := fn.g.typeOf(fn.entry, 0); t.t.Kind != types.Void {
		return t.decl
	}
	return ""
}
