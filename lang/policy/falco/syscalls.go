package falco

import "github.com/gotrace/gotrace/probes"

// maxSyscall is larger than the number of any system call.
const maxSyscall = 1024

// isSyscall reports whether a kernel has a system call of that name.
func isSyscall(k probes.Kernel, name string) bool {
	for n := range maxSyscall {
		if k.SyscallName(n) == name {
			return true
		}
	}
	return false
}
