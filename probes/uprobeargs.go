package probes

import (
	"strings"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
)

// uprobeArgs returns the struct behind args: the parameters of the probed
// function, each with the place where it is when the function starts.
func uprobeArgs(a *binary.Arch, p *Point) (*types.Type, error) {
	fn, err := probedFunction(p, "args")
	if err != nil {
		return nil, err
	}
	if strings.Contains(p.Func, ".part.") {
		return nil, usage("args can not be used here: %s is a part of a function, and takes its parameters in its own way", p.Func)
	}
	t := fn.Args(a, p.Func, p.Aux.(*uprobePlace).goABI)
	if t == nil {
		return nil, usage("args can not be used here: %s has no parameters", p.Func)
	}
	t.Name = "args of " + p.Name
	return t, nil
}

// uprobeArg returns the type of the parameter that argN is all of; nil if there
// is none, or it is not known. regs are the registers that argN counts.
func uprobeArg(a *binary.Arch, p *Point, regs []string, n int) *types.Type {
	t, err := uprobeArgs(a, p)
	if err != nil {
		return nil
	}
	for _, f := range t.Members() {
		if f.Type.IsScalar() && a.IsArg(regs, n, f.Loc) {
			return f.Type
		}
	}
	return nil
}

// probedFunction returns the debug info of the function that starts where p is.
// what names the word of the language that needs it.
func probedFunction(p *Point, what string) (binary.Function, error) {
	at := p.Aux.(*uprobePlace)
	if !at.starts {
		return binary.Function{}, usage("%s can only be used where a function starts", what)
	}
	g, err := at.exe.DebugInfo()
	if err != nil {
		return binary.Function{}, usage("%s can not be used here: %s: %w", what, at.exe.Label, err)
	}
	fn, ok := g.Function(at.entry)
	if !ok {
		return fn, usage("%s can not be used here: the debug info of %s does not describe %s", what, at.exe.Label, p.Func)
	}
	return fn, nil
}

// uprobeRet returns the type of the probed function's result if retval can hold
// it; nil if not, or if it is not known.
func uprobeRet(p *Point) *types.Type {
	fn, err := probedFunction(p, "retval")
	if err != nil {
		return nil
	}
	return fn.Result()
}

// uprobeLines returns the declarations of a function's parameters, or that of
// its result, as C writes them.
func uprobeLines(p *Point, ret bool) []string {
	fn, err := probedFunction(p, "args")
	if err != nil {
		return nil
	}
	if !ret {
		return fn.ParamDecls()
	}
	if decl := fn.ResultDecl(); decl != "" {
		return []string{decl + " retval"}
	}
	return nil
}

// programType returns a function that finds a type in a program's debug info by
// its C name.
func programType(x *binary.File) func(string) *types.Type {
	return func(name string) *types.Type {
		g, err := x.DebugInfo()
		if err != nil {
			return nil
		}
		return g.Type(name)
	}
}
