package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
)

// question returns a function with a boolean result that is known at compile time.
//
//go:noinline
func question(name, summary, example string, params []Param, answer func(c Checker, call *Call) (yes, ok bool)) *Def {
	return &Def{
		Name:   name,
		Kind:   Function,
		Params: params,
		Doc:    Doc{Summary: summary, Examples: []string{example}},
		Check: func(c Checker, call *Call) *types.Type {
			yes, ok := answer(c, call)
			if !ok {
				return types.TInvalid
			}
			call.Lit = boolLit(yes)
			return types.TBool
		},
		Emit: emitLit,
	}
}

// typeQuestions returns is_str, is_ptr and the other builtins that test the kind of a
// type.
func typeQuestions() []*Def {
	ask := func(name, what string, is func(a *Arg) bool) *Def {
		return question(name, "Whether the argument is "+what+"; known at compile time.",
			`begin { if comptime (`+name+`(comm)) { printf("yes\n"); } }`,
			[]Param{{Name: "value"}},
			func(c Checker, call *Call) (bool, bool) {
				return call.known(0) && is(&call.Args[0]), true
			})
	}
	return []*Def{
		ask("is_str", "a string", func(a *Arg) bool { return a.Type.Kind == types.String }),
		ask("is_ptr", "a pointer", func(a *Arg) bool { return a.Type.Kind == types.Pointer }),
		ask("is_array", "an array", func(a *Arg) bool { return a.Type.Kind == types.Array }),
		ask("is_integer", "an integer", func(a *Arg) bool { return a.Type.Kind == types.Int }),
		ask("is_unsigned_integer", "an unsigned integer", func(a *Arg) bool { return a.Type.Kind == types.Int && !a.Type.Signed }),
		ask("is_literal", "a literal", func(a *Arg) bool { return a.Lit != nil }),
	}
}
