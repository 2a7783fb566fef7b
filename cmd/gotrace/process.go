package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/runtime/outline"
)

// checkProcess returns an error if the process of -p does not exist, or if the ID is
// that of a thread other than the process's first.
func (a *app) checkProcess() error {
	pid := a.opt.pid
	if pid == 0 {
		return nil
	}
	if err := unix.Kill(pid, 0); err != nil && err != unix.EPERM {
		return outline.Errorf("Failed to attach to pid: %d: %s", pid, builtins.OSReason(err))
	}
	if f := statusField(pid, "Tgid"); len(f) == 1 && f[0] != strconv.Itoa(pid) {
		return outline.Errorf("cannot trace process %d: it is a thread of process %s (-p %s traces all of its threads; /tid == %d/ selects one)", pid, f[0], f[0], pid)
	}
	return nil
}

// mainEnded reports whether the main thread of a process has ended, but others run.
func mainEnded(pid int) bool {
	state, threads := statusField(pid, "State"), statusField(pid, "Threads")
	return pid != 0 && len(state) > 0 && state[0] == "Z" && len(threads) == 1 && threads[0] != "1"
}

// statusField returns the words of the line with the given name in /proc/PID/status.
func statusField(pid int, name string) []string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), name+":"); ok {
			return strings.Fields(rest)
		}
	}
	return nil
}

// pidNamespace returns the pid namespace of a process, which is "self" or an ID. It
// returns nil if that is the initial namespace.
func pidNamespace(process string) *builtins.PIDNamespace {
	const initial = 0xeffffffc // PROC_PID_INIT_INO
	var st unix.Stat_t
	if unix.Stat("/proc/"+process+"/ns/pid", &st) != nil || st.Ino == initial {
		return nil
	}
	return &builtins.PIDNamespace{Dev: st.Dev, Ino: st.Ino}
}

// innerPID returns the ID of a process in its own pid namespace.
func innerPID(pid int) (inner builtins.InnerPID) {
	ns, ids := pidNamespace(strconv.Itoa(pid)), statusField(pid, "NSpid")
	if ns == nil || len(ids) == 0 {
		return inner
	}
	n, err := strconv.Atoi(ids[len(ids)-1])
	if err != nil {
		return inner
	}
	return builtins.InnerPID{PIDNamespace: *ns, PID: n}
}
