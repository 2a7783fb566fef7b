package builtins

import "github.com/gotrace/gotrace/lang/types"

func hasMember() *Def {
	return question("has_member", "Whether a struct, or the struct that a pointer points to, has a member of that name on this kernel; known at compile time.",
		`rawtracepoint:kfree_skb { if comptime (has_member(args, "reason")) { @[args.reason] = count(); } }`,
		[]Param{{Name: "object"}, {Name: "name"}},
		func(c Checker, call *Call) (bool, bool) {
			name, ok := wantString(c, call, 1)
			t := call.typeOf(0)
			if t.Kind == types.Pointer {
				t = t.Elem
			}
			if !ok || t.Kind == types.Invalid {
				return false, !c.Final()
			}
			_, found := t.Field(name)
			return found, true
		})
}
