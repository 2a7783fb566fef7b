package builtins

func pod() *Def {
	return ownerDef(ownerKind{
		name: "pod",
		doc: Doc{
			Summary:  "Kubernetes pod of the current task as NAMESPACE/NAME, or its UID where the files of its runtime do not tell the name; \"-\" if there is none. Compared with a literal: NAMESPACE/NAME, NAME or UID of a running pod.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @[pod] = count(); }`},
		},
		text: Names.Pod,
		find: Containers.FindPod,
	})
}
