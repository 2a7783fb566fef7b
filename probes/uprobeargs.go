package probes

import (
	"strings"

	"github.com/ianlancetaylor/demangle"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
)

// abi returns how the function at u receives its arguments.
//
//go:noinline
func (u *uprobePlace) abi() binary.ABI { return u.exe.ABI(u.symbol) }

// uprobeArgs returns the type of args: a struct of the parameters of the probed
// function, with their locations at the function's first instruction.
func uprobeArgs(a *binary.Arch, p *Point) (*types.Type, error) {
	fn, err := probedFunction(p, "args")
	if err != nil {
		return nil, err
	}
	at, name := p.Aux.(*uprobePlace), p.Func
	if at.copy != nil {
		name = at.copy.Name
	}
	shown := demangle.Filter(name, demangle.NoParams)
	if strings.Contains(name, ".part.") {
		return nil, usage("args cannot be used here: %s is part of a function that the compiler split, and does not receive its parameters", shown)
	}
	t := fn.Args(a, name, shown, at.abi())
	if t == nil {
		return nil, usage("args cannot be used here: %s has no parameters", shown)
	}
	t.Name = "args of " + p.Name
	return t, nil
}

// uprobeArg returns the type of the parameter that argN denotes. It returns nil if
// there is none or if the type is not known.
func uprobeArg(a *binary.Arch, p *Point, n int) *types.Type {
	t, err := uprobeArgs(a, p)
	if err != nil {
		return nil
	}
	abi := p.Aux.(*uprobePlace).abi()
	for _, f := range t.Members() {
		if f.Type.IsScalar() && a.IsArg(abi, n, f.Loc) {
			return f.Type
		}
	}
	return nil
}

// probedFunction returns the function that starts at p, with its debug info. what is
// the builtin that needs it, for errors.
func probedFunction(p *Point, what string) (binary.Function, error) {
	at := p.Aux.(*uprobePlace)
	if !at.starts && !p.AtInsn && at.copy == nil {
		return binary.Function{}, usage("%s can only be used where a function starts", what)
	}
	g, err := at.exe.DebugInfo()
	if err != nil {
		return binary.Function{}, usage("%s cannot be used here: %s: %w", what, at.exe.Label, err)
	}
	if at.before {
		return binary.Function{}, usage("%s cannot be used here: a copy of %s in %s starts with a loop or with an instruction that takes no breakpoint, so the probe is at the instruction before, which does not have the parameters yet", what, at.copy.Name, at.symbol.Name)
	}
	if at.copy != nil {
		fn, _ := g.Copy(*at.copy)
		return fn, nil
	}
	fn, ok := g.Function(at.entry)
	if !ok {
		return fn, usage("%s cannot be used here: the debug info of %s does not describe %s", what, at.exe.Label, p.Func)
	}
	return fn, nil
}

// uprobeRet returns the type of the probed function's result. It returns nil if the
// type is not known or does not fit retval, and an error if the register of results does
// not contain the result.
func uprobeRet(p *Point) (*types.Type, error) {
	fn, err := probedFunction(p, "retval")
	if err != nil {
		return nil, nil
	}
	t, err := fn.Result()
	if err != nil {
		return nil, usage("retval cannot be used here: the result of %s cannot be read: %w", p.Func, err)
	}
	return t, nil
}

// uprobeRetStruct returns the struct that the probed function returns, or nil.
func uprobeRetStruct(a *binary.Arch, p *Point) *types.Type {
	fn, err := probedFunction(p, "retval")
	if err != nil {
		return nil
	}
	return fn.ResultStruct(a, p.Func, p.Aux.(*uprobePlace).abi())
}

// goResults returns the results of a Go function: see binary.Function.Results.
func goResults(a *binary.Arch, p *Point) *types.Type {
	fn, err := probedFunction(p, "retval")
	if err != nil {
		return nil
	}
	t := fn.Results(a, p.Func, p.Aux.(*uprobePlace).abi())
	if t != nil && t.Kind == types.Struct && t.Space == types.Ctx && strings.HasPrefix(t.Name, "results of ") {
		t.Name = "results of " + p.Name
	}
	return t
}

// uprobeLines returns the C declarations of a function's parameters or of its
// result.
func uprobeLines(p *Point, ret bool) []string {
	fn, err := probedFunction(p, "args")
	if err != nil {
		return nil
	}
	if !ret {
		return fn.ParamDecls()
	}
	if p.AtInsn {
		var lines []string
		all := fn.ResultDecls()
		for _, line := range all {
			if len(all) == 1 {
				line = line[:strings.LastIndexByte(line, ' ')] + " retval"
			}
			lines = append(lines, line)
		}
		return lines
	}
	if decl := fn.ResultDecl(); decl != "" {
		return []string{decl + " retval"}
	}
	return nil
}

// programType returns a function that looks up types in a program's debug info by
// their C names.
func programType(x *binary.File) func(string) *types.Type {
	return func(name string) *types.Type {
		g, err := x.DebugInfo()
		if err != nil {
			return nil
		}
		return g.Type(name)
	}
}
