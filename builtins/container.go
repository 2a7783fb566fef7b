package builtins

func container() *Def {
	return ownerDef(ownerKind{
		name: "container",
		doc: Doc{
			Summary:  "Container of the current task: its name or, if the files of its runtime do not contain the name, the first 12 digits of its ID; \"-\" if there is none. It can be compared with a literal: the ID, NAME or POD/NAME of a running container.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @[container] = count(); }`},
		},
		text: Names.Container,
		find: Containers.FindContainer,
	})
}
