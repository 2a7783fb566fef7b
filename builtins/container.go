package builtins

func container() *Def {
	return ownerDef(ownerKind{
		name: "container",
		doc: Doc{
			Summary:  "Container of the current task, by name or, where the files of its runtime do not tell it, by the first 12 digits of its ID; \"-\" if there is none. Compared with a literal: ID, NAME or POD/NAME of a running container.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @[container] = count(); }`},
		},
		text: Names.Container,
		find: Containers.FindContainer,
	})
}
