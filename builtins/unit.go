package builtins

func unit() *Def {
	return ownerDef(ownerKind{
		name: "unit",
		doc: Doc{
			Summary:  "Innermost systemd service or scope of the current task; \"-\" if there is none. It can be compared with a literal: the name of a running unit.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @[unit] = count(); }`},
		},
		text: Names.Unit,
		find: Containers.FindUnit,
	})
}
