package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func kptr() *Def {
	return spaceCast("kptr", types.Kernel, "kernel", `kprobe:vfs_read { print(str(kptr(arg1))); }`)
}

func uptr() *Def {
	return spaceCast("uptr", types.User, "user", `kprobe:do_sys_openat2 { print(str(uptr(arg1))); }`)
}

// spaceCast returns a function that sets the address space of an address.
//
//go:noinline
func spaceCast(name string, space types.Space, what, example string) *Def {
	return &Def{
		Name:   name,
		Kind:   Function,
		Params: []Param{{Name: "ptr"}},
		Doc: Doc{
			Summary:  "The same address, in " + what + " memory.",
			Examples: []string{example},
		},
		Check: func(c Checker, call *Call) *types.Type {
			switch t := call.typeOf(0); t.Kind {
			case types.Pointer:
				return types.NewPointer(t.Elem.InSpace(space), space)
			case types.Int:
				return types.TUint64.InSpace(space)
			case types.Invalid:
			default:
				c.Errorf(call.Span, "%s() only supports integer or pointer arguments (%s provided)", name, className(t))
			}
			return types.TInvalid
		},
		Emit: func(g Gen, call *Call) *ir.Value { return g.Value(&call.Args[0]) },
	}
}
