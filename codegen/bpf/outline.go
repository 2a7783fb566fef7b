package bpf

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
)

// The kernel replaces a call of some helpers by the helper's code. For each such call it
// moves the rest of the program, so with thousands of calls this takes far longer than to
// verify the program. A program with at least manyReplaced calls has a function for each
// helper and map instead, which does nothing but call the helper. The kernel then replaces
// only the calls in these functions. Such a call takes about a nanosecond longer.
const manyReplaced = 300

// replaced identifies calls that the kernel replaces by the same code.
type replaced struct {
	help *ir.Helper
	m    *ir.Map // of a lookup
}

// replacedCall returns the identity of v if it is a call that the kernel replaces.
func replacedCall(v *ir.Value) (replaced, bool) {
	if v.Help == nil {
		return replaced{}, false
	}
	switch v.Help {
	case ir.MapLookup:
		if m := v.Args[0]; m.Op == ir.OpMapPtr {
			return replaced{v.Help, m.Map}, true
		}
	case ir.SmpProcessorID, ir.CurrentTask, ir.CurrentTaskBTF, ir.Jiffies64:
		return replaced{help: v.Help}, true
	}
	return replaced{}, false
}

// outline is the functions of a program for helpers. The zero value is that of a program
// that calls all helpers itself.
type outline struct {
	names map[replaced]string
	order []replaced
	in    map[*ir.Func]bool // the functions that call them
}

// outlineOf decides which helpers p calls through functions. level is the length of the
// chain of calls to each of its functions.
func outlineOf(p *ir.Prog, level map[*ir.Func]int) outline {
	o := outline{names: map[replaced]string{}, in: map[*ir.Func]bool{}}
	n := 0
	for _, f := range p.Funcs() {
		if at, ok := level[f]; !ok || at+1 >= maxFrames/2 { // leave its stack to the functions of the script
			continue
		}
		for _, b := range f.Blocks {
			for _, v := range b.Values {
				r, ok := replacedCall(v)
				if !ok {
					continue
				}
				n++
				o.in[f] = true
				if o.names[r] == "" {
					o.order = append(o.order, r)
					o.names[r] = helperFuncName(p, r)
				}
			}
		}
	}
	if n < manyReplaced || len(p.Funcs())+len(o.order) > maxFuncs {
		return outline{}
	}
	return o
}

// helperFuncName returns a name for the function that calls a helper.
func helperFuncName(p *ir.Prog, r replaced) string {
	name := r.help.Name
	if r.m != nil {
		name = fmt.Sprintf("lookup_%s", r.m.Name)
	}
	for slices.ContainsFunc(p.Funcs(), func(f *ir.Func) bool { return f.Name == name }) {
		name += "_"
	}
	return name
}

// helperStack is the stack that the kernel counts for a function without a frame.
const helperStack = 32

// below returns the stack that f must leave for functions that call helpers.
func (o *outline) below(f *ir.Func) int64 {
	if o.in[f] {
		return helperStack
	}
	return 0
}

// call returns the instruction for a call of a helper in f.
func (o *outline) call(v *ir.Value) asm.Instruction {
	if r, ok := replacedCall(v); ok && o.names[r] != "" {
		return asm.Call.Label(o.names[r])
	}
	return asm.BuiltinFunc(v.Help.ID).Call()
}

// add appends the functions to a program.
func (o *outline) add(out *object.Program) {
	for _, r := range o.order {
		name := o.names[r]
		out.Funcs = append(out.Funcs, object.Func{Name: name, First: len(out.Insns), Params: r.help.Args})
		out.Insns = append(out.Insns, asm.BuiltinFunc(r.help.ID).Call().WithSymbol(name), asm.Return())
		out.Lines = append(out.Lines, source.Span{}, source.Span{})
		out.Rare = append(out.Rare, false, false)
	}
}
