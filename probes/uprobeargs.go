package probes

import (
	"debug/dwarf"
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
)

// DWARF's numbers of languages with calling conventions of their own.
const (
	langGo   = 0x16
	langRust = 0x1c
)

// uprobeArgs is the struct behind args: the parameters of the probed function,
// each with the place where it is when the function starts.
func uprobeArgs(a *arch, p *Point) (*types.Type, error) {
	at := p.Aux.(*uprobePlace)
	fn, g, err := probedFunction(p, "args")
	if err != nil {
		return nil, err
	}
	// Copies that the optimiser specialised take other parameters than written.
	for _, mark := range []string{".isra.", ".constprop.", ".part."} {
		if strings.Contains(p.Func, mark) {
			return nil, usage("args can not be used here: %s is a copy that the compiler specialised, and takes its parameters in its own way", p.Func)
		}
	}
	conv := convC
	switch lang, _ := fn.unit.Val(dwarf.AttrLanguage).(int64); {
	case lang == langGo && at.goABI:
		conv = convGo
	case lang == langGo:
		conv = convGo0
	case lang == langRust && (strings.HasPrefix(p.Func, "_ZN") || strings.HasPrefix(p.Func, "_R")):
		conv = convRust
	}
	pass := newPassing(a, conv)
	pass.result(g.typeOf(fn.entry, 0))
	t := &types.Type{Kind: types.Struct, Name: "args of " + p.Name, Space: types.Ctx}
	var fields []types.Field
	align := 1
	params := slices.DeleteFunc(g.params(fn.entry), func(e *dwarf.Entry) bool {
		isResult, _ := g.value(e, dwarf.AttrVarParam).(bool) // Go
		return isResult
	})
	sizes := make([]int, len(params))
	for i, e := range params {
		sizes[i] = g.typeOf(e, 0).t.Size
	}
	places, found, sound := make([]*types.Loc, len(params)), make([]located, len(params)), true
	if conv == convC || conv == convRust {
		places, found, sound = g.entryPlaces(a, fn, params, sizes)
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
			f.Loc = &types.Loc{Err: errLeftOut(p.Func)}
		}
		if dt.t.Name == floatName {
			f.Loc = &types.Loc{Err: "it is a floating-point number, which scripts do not have"}
		}
		if f.Loc.Err != "" { // nothing of it can be had
			f.Type, dt = types.NewArray(types.TUint8, 0), &dwarfType{align: 1}
		}
		al := min(dt.alignment(), 8)
		align = max(align, al)
		f.Off = (t.Size + al - 1) / al * al
		t.Size = f.Off + f.Type.Size
		fields = append(fields, f)
	}
	if len(fields) == 0 {
		return nil, usage("args can not be used here: %s has no parameters", p.Func)
	}
	t.Size = (t.Size + align - 1) / align * align
	t.Comp = types.NewComposite(false, func() []types.Field { return fields })
	t.Comp.Align = align
	return t, nil
}

// probedFunction is the debug info of the function that p is at the start of.
func probedFunction(p *Point, what string) (subprogram, *debugInfo, error) {
	at := p.Aux.(*uprobePlace)
	if at.entry != at.addr {
		return subprogram{}, nil, usage("%s can only be used where a function starts", what)
	}
	g, err := at.exe.debugInfo()
	if err != nil {
		return subprogram{}, nil, usage("%s can not be used here: %s: %w", what, at.exe.name(), err)
	}
	fn, ok := g.function(at.addr)
	if !ok {
		return subprogram{}, nil, usage("%s can not be used here: the debug info of %s does not describe %s", what, at.exe.name(), p.Func)
	}
	return fn, g, nil
}

// uprobeRet is the type that a function's result has, where it fits retval: a
// word; nil where it does not or is not known.
func uprobeRet(p *Point) *types.Type {
	fn, g, err := probedFunction(p, "retval")
	if err != nil {
		return nil
	}
	if lang, _ := fn.unit.Val(dwarf.AttrLanguage).(int64); lang == langGo {
		return nil
	}
	t := g.typeOf(fn.entry, 0)
	if t.class != classWord || !t.t.IsScalar() {
		return nil
	}
	return t.t
}

// uprobeLines are the declarations of a function's parameters, or of its
// result, as C writes them.
func uprobeLines(p *Point, ret bool) []string {
	fn, g, err := probedFunction(p, "args")
	if err != nil {
		return nil
	}
	if ret {
		if t := g.typeOf(fn.entry, 0); t.t.Kind != types.Void {
			return []string{t.decl + " retval"}
		}
		return nil
	}
	var lines []string
	for _, e := range g.params(fn.entry) {
		if isResult, _ := g.value(e, dwarf.AttrVarParam).(bool); !isResult {
			lines = append(lines, g.typeOf(e, 0).decl+" "+g.name(e))
		}
	}
	return lines
}

// programType finds a type by its C name in a program's debug info.
func programType(x *executable) func(string) *types.Type {
	return func(name string) *types.Type {
		g, err := x.debugInfo()
		if err != nil {
			return nil
		}
		return g.lookup(name)
	}
}
