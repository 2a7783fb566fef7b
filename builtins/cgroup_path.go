package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// cgroupPath defines cgroup_path. The parameters of its type are the bytes of the
// filter, packed into words.
func cgroupPath() *Def {
	const name = "cgroup_path_t"
	return &Def{
		Name: "cgroup_path",
		Kind: Function,
		TypeDef: TypeDef{
			TypeName:   name,
			AcceptType: func(t *types.Type) bool { return len(t.Params) == 0 || isText(t.Params) },
			Format: func(env Env, t *types.Type, data []byte) value.Value {
				filter := ""
				if len(t.Params) > 0 {
					filter = unpackText(t.Params)
				}
				return value.Str{S: env.Names().Cgroup(word(data, 0), filter)}
			},
		},
		Params: []Param{{Name: "id"}, {Name: "filter", Optional: true}},
		Doc: Doc{
			Summary:  "The path of the cgroup with an ID. A filter limits the hierarchies by name.",
			Examples: []string{`tracepoint:syscalls:sys_enter_execve { printf("%s\n", cgroup_path(cgroup)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !wantInt(c, call, 0) {
				return types.TInvalid
			}
			filter := ""
			if call.arg(1) != nil {
				s, ok := wantString(c, call, 1)
				if !ok {
					return types.TInvalid
				}
				filter = s
			}
			return &types.Type{Kind: types.Opaque, Name: name, Size: 8, Params: packText(filter)}
		},
		Emit: func(g Gen, call *Call) *ir.Value { return g.Value(&call.Args[0]) },
	}
}
