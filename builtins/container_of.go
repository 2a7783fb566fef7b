package builtins

import (
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/members"
	"github.com/gotrace/gotrace/lang/types"
)

func containerOf() *Def {
	return &Def{
		Name:   "container_of",
		Kind:   Function,
		Params: []Param{{Name: "ptr"}, {Name: "type", Kind: TypeParam}, {Name: "member", Kind: NameArg}},
		Doc: Doc{
			Summary:  "The object of a type that contains the member a pointer points to.",
			Examples: []string{`begin { $t = curtask.group_leader; print(container_of($t, struct task_struct, thread_info)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if len(call.Args) < 3 || !call.known(0) || !call.known(1) {
				return types.TInvalid
			}
			ptr, t := call.typeOf(0), call.typeOf(1)
			if ptr.Kind != types.Pointer && ptr.Kind != types.Int {
				c.Errorf(call.Args[0].Span, "container_of() expects a pointer (%s provided)", className(ptr))
				return types.TInvalid
			}
			if t.Kind != types.Struct {
				c.Errorf(call.Args[1].Span, "container_of() expects a struct or union, not %s", t)
				return types.TInvalid
			}
			off, ok := memberOffset(c, t, &call.Args[2])
			if !ok {
				return types.TInvalid
			}
			call.Data = off
			space := ptr.Space
			if space != types.User { // the verifier does not let a program go back from a BTF pointer
				space = types.Kernel
			}
			return types.NewPointer(t.InSpace(space), space)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			b := g.B()
			// The verifier does not allow access to memory before a kernel object of
			// known type.
			return b.Op(ir.OpSub, b.AsInt(g.Value(&call.Args[0])), b.Const(int64(call.Data.(int))))
		},
	}
}

// memberOffset returns the offset from t of the member at a path of names, such as
// "a.b".
func memberOffset(c Checker, t *types.Type, a *Arg) (int, bool) {
	off := 0
	for _, name := range strings.Split(a.Word, ".") {
		f, ok := t.Field(name)
		if !ok {
			c.ErrorHint(a.Span, members.Hint(t, name), "%s has no member '%s'", t, name)
			return 0, false
		}
		off += f.Off
		t = f.Type
	}
	return off, true
}
