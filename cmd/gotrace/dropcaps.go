package main

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Capabilities that gotrace serve keeps once all probes are attached. It needs them to
// read maps before Linux 5.19, to name the functions of processes and of the kernel, to
// attach to libraries and cgroups that appear later, and to detach from the network.
var keptCaps = []int{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_SYSLOG}

// reloadCaps are those that it also needs to load scripts.
var reloadCaps = []int{unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE, unix.CAP_SYS_RESOURCE}

// dropCapabilities gives up the capabilities that are no longer needed, for all threads
// and for programs that this one starts. If once is set, no further scripts are loaded.
func dropCapabilities(once bool) error {
	keep := keptCaps
	if !once {
		keep = append(append([]int{}, keptCaps...), reloadCaps...)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	var mask [2]uint32
	for _, c := range keep {
		mask[c/32] |= 1 << (c % 32)
	}
	for i := range data {
		data[i].Effective &= mask[i]
		data[i].Permitted &= mask[i]
		data[i].Inheritable = 0
	}
	if _, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return threadsError(errno)
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	return threadsError(errno)
}

// threadsError returns the error of a system call in all threads.
func threadsError(errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return errors.New("this binary was built with cgo")
	}
	return errno
}
