package builtins

func syscallName() *Def {
	return numberName("syscall_name", "The name of a system call number.",
		`tracepoint:raw_syscalls:sys_enter { @[syscall_name(args.id)] = count(); }`,
		func(c Checker) []string {
			const unknown = "Unknown syscall"
			var rows []string
			last := 0
			for n := range maxSyscall {
				s := c.Kernel().SyscallName(n)
				if s == "" {
					s = unknown
				} else {
					last = n
				}
				rows = append(rows, s)
			}
			return append(rows[:last+1], unknown)
		}, identity)
}

// maxSyscall is larger than any architecture's highest system call number.
const maxSyscall = 1024
