package kernel

import "golang.org/x/sys/unix"

// uprobeCall returns the error of the system call uprobe, which only the kernel's own code
// for optimised uprobes may make. Linux 6.18 to 7.1 return ENXIO: they replace a five-byte
// nop under a uprobe by a call, which overwrites the red zone, the 128 bytes below the
// stack pointer in which functions keep data. Later releases return EPROTO: they replace
// ten-byte nops instead, and keep the red zone. Kernels without optimised uprobes return
// ENOSYS.
func uprobeCall() error {
	const uprobe = 336 // on amd64
	_, _, errno := unix.RawSyscall(uprobe, 0, 0, 0)
	return errno
}
