package builtins

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// usymType is the type of an address (u64) and its process (u64). An address has
// different meanings in different processes.
var usymType = &types.Type{Kind: types.Opaque, Name: "usym_t", Size: 16}

func usym() *Def {
	return &Def{
		Name: "usym",
		Kind: Function,
		TypeDef: TypeDef{
			TypeName:    usymType.Name,
			TypeSize:    usymType.Size,
			UserSymbols: true,
			Format: func(env Env, _ *types.Type, data []byte) value.Value {
				addr, pid := binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint64(data[8:])
				return value.Str{S: env.Symbols().User(int(pid), addr)}
			},
		},
		Params: []Param{{Name: "addr"}},
		Doc: Doc{
			Summary:  "An address of the current process that is printed as the name of the function there.",
			Examples: []string{`uprobe:/bin/bash:readline { printf("%s\n", usym(reg("ip"))); }`},
		},
		Check: func(c Checker, call *Call) *types.Type { return checkSymbol(c, call, usymType) },
		Store: func(g Gen, call *Call, dst Dest) { storeUserAddr(g, g.Value(&call.Args[0]), dst) },
	}
}

// storeUserAddr writes an address of the current process as a usym_t.
func storeUserAddr(g Gen, addr *ir.Value, dst Dest) {
	b := g.B()
	b.Store(dst.Ptr, dst.Off, 8, addr)
	b.Store(dst.Ptr, dst.Off+8, 8, currentIDs(g, nil).pid())
}
