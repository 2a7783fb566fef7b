package builtins

func hasChild() *Def {
	d := question("has_cpid", "Whether there is a command that -c started.",
		`begin { if (has_cpid) { print(cpid); } }`, nil,
		func(c Checker, _ *Call) (bool, bool) { return c.Invocation().HasChild, true })
	d.Kind = Variable
	return d
}
