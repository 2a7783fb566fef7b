package builtins

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// ksymType is the type of a kernel address that is printed as a name.
var ksymType = &types.Type{Kind: types.Opaque, Name: "ksym_t", Size: 8}

func ksym() *Def {
	return &Def{
		Name: "ksym",
		Kind: Function,
		TypeDef: TypeDef{
			TypeName:      ksymType.Name,
			KernelSymbols: true,
			Format: func(env Env, _ *types.Type, data []byte) value.Value {
				return value.Str{S: env.Symbols().Kernel(binary.NativeEndian.Uint64(data))}
			},
		},
		Params: []Param{{Name: "addr"}},
		Doc: Doc{
			Summary:  "A kernel address that is printed as the name of the function or variable there.",
			Examples: []string{`tracepoint:timer:hrtimer_start { @[ksym(args.function)] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type { return checkSymbol(c, call, ksymType) },
		Emit:  func(g Gen, call *Call) *ir.Value { return g.Value(&call.Args[0]) },
	}
}

func checkSymbol(c Checker, call *Call, t *types.Type) *types.Type {
	if !wantAddress(c, call, 0) {
		return types.TInvalid
	}
	return t
}
