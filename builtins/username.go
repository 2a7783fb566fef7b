package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

func username() *Def {
	t := &types.Type{Kind: types.Opaque, Name: "username_t", Size: 8}
	return &Def{
		Name: "username",
		TypeDef: TypeDef{
			TypeName: t.Name,
			Format: func(env Env, _ *types.Type, data []byte) value.Value {
				return value.Str{S: env.Names().User(uint32(word(data, 0)))}
			},
		},
		Doc: Doc{
			Summary: "Name of the current task's user. A predicate can compare it if the block only sends events.",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_execve { @[username] = count(); }`,
				`tracepoint:syscalls:sys_enter_execve /username in ("daemon", "www-data")/ { print(comm); }`,
			},
		},
		Check: fixed(t),
		Emit: func(g Gen, _ *Call) *ir.Value {
			b := g.B()
			return b.Extend(b.Call(ir.CurrentUIDGID), 4, false)
		},
	}
}
