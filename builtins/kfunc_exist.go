package builtins

// kfuncQuestions returns the builtins that test for kernel functions that programs can
// call.
func kfuncQuestions() []*Def {
	ask := func(name, summary string, here bool) *Def {
		return question(name, summary,
			`begin { if comptime (`+name+`("bpf_strstr")) { printf("yes\n"); } }`,
			[]Param{{Name: "function"}},
			func(c Checker, call *Call) (bool, bool) {
				f, ok := wantString(c, call, 0)
				if !ok {
					return false, !c.Final()
				}
				_, found := c.Kernel().Kfunc(f)
				if ctx := c.Context(); here && found && ctx != nil {
					_, found = ctx.Kfuncs(c.Kernel())
				}
				return found, true
			})
	}
	return []*Def{
		ask("kfunc_exist", "Whether the kernel has a function of that name that programs can call; known at compile time.", false),
		ask("kfunc_allowed", "Whether this probe may call the kernel's function of that name; known at compile time.", true),
	}
}
