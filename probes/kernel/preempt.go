package kernel

import (
	"bytes"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// preemptible reports whether the running kernel may preempt a task that runs in the
// kernel. A kernel with PREEMPT_DYNAMIC selects the mode at boot, and shows it in
// debugfs and in its log. If the mode is not known, preemptible returns true.
func preemptible() bool {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return true
	}
	build := unix.ByteSliceToString(u.Version[:])
	switch {
	case !strings.Contains(build, "PREEMPT"):
		return false
	case !strings.Contains(build, "PREEMPT_DYNAMIC"):
		return true
	}
	mode, err := preemptMode()
	if err != nil {
		mode = loggedPreemptMode()
	}
	return !strings.Contains(mode, "(none)") && !strings.Contains(mode, "(voluntary)")
}

// loggedPreemptMode returns the mode that the kernel logged at boot, in the format of
// preemptMode. It returns "" if the log no longer contains it.
func loggedPreemptMode() string {
	const readAll, size = 3, 10
	n, err := unix.Klogctl(size, nil)
	if err != nil || n <= 0 {
		return ""
	}
	buf := make([]byte, n)
	if n, err = unix.Klogctl(readAll, buf); err != nil {
		return ""
	}
	_, mode, found := bytes.Cut(buf[:n], []byte("Dynamic Preempt: "))
	if !found {
		return ""
	}
	mode, _, _ = bytes.Cut(mode, []byte("\n"))
	return "(" + string(mode) + ")"
}

// preemptMode reads sched/preempt of debugfs: all modes, with the current one in
// parentheses. If debugfs is not mounted, preemptMode opens it without mounting it.
func preemptMode() (string, error) {
	data, err := os.ReadFile("/sys/kernel/debug/sched/preempt")
	if err == nil {
		return string(data), nil
	}
	fs, err := unix.Fsopen("debugfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return "", err
	}
	root, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(root)
	fd, err := unix.Openat(root, "sched/preempt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), "sched/preempt")
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, 4096))
	return string(data), err
}
