package builtins

func isScalar() *Def {
	return question("is_scalar", "Whether a map has no keys; known at compile time.",
		`begin { @x = 1; if comptime (is_scalar(@x)) { printf("no keys\n"); } }`,
		[]Param{{Name: "map", Kind: MapArg}},
		func(_ Checker, call *Call) (bool, bool) {
			return call.Args[0].Map != nil && !call.Args[0].Map.Keyed, true
		})
}
