package builtins

func pod() *Def {
	return ownerDef(ownerKind{
		name: "pod",
		doc: Doc{
			Summary:  "Kubernetes pod of the current task as NAMESPACE/NAME, or its UID if the files of its runtime do not contain the name; \"-\" if there is none. It can be compared with a literal: the NAMESPACE/NAME, NAME or UID of a running pod.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @[pod] = count(); }`},
		},
		text: Names.Pod,
		find: Containers.FindPod,
	})
}
