package live

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The tests below make each system call that gotrace needs to load and attach fail
// once, with a seccomp filter that passes the calls to the test. After each failure
// gotrace must either print the exact result, because it found another way, or report
// the error, with exit status 1 and nothing traced. It must close everything that it
// has loaded and attached before it exits.

// faultScripts lists the scripts that run with failing system calls, and the
// output of each when it traces the workload with the given arguments. The
// scripts for guests run on a native kernel too.
var faultScripts = []struct {
	name, script, work, want string
	guest                    bool
	how                      func(t *testing.T, script, work string) []string // the command; nil: commandOf
}{
	{"tracepoint", `tracepoint:syscalls:sys_enter_read /pid == cpid && args.count == 8/ { @ = count(); }`, "read 3 8", "@: 3\n", false, nil},
	{"raw tracepoint", `rawtracepoint:sys_enter /pid == cpid && args.id == 0/ { @[1] = count(); } end { printf("%d\n", len(@)); }`, "read 3 8", "1\n@[1]: 3\n", false, nil},
	{"timers", `interval:s:1000 { @ = 1; } profile:hz:1 { @ = 1; } begin { printf("begin\n"); exit(); }`, "read 3 8", "begin\n", false, nil},
	{"software", `software:page-faults:1 /pid == cpid/ { @ = 1; }`, "read 3 8", "@: 1\n", false, nil},
	{"uprobe", `uprobe:WORK:gt_square /pid == cpid/ { @[arg0] = count(); } uretprobe:WORK:gt_square /pid == cpid/ { @r = count(); }`, "call square 2", "@[0]: 1\n@[1]: 1\n@r: 2\n", false, nil},
	{"uprobes", `uprobe:WORK:gt_s* /pid == cpid/ { @ = count(); }`, "call square 3", "@: 3\n", false, nil},
	{"iter", `iter:task { @ = 1; }`, "read 3 8", "@: 1\n", false, nil},
	{"kprobe", `kprobe:vfs_read /pid == cpid && arg2 == 8/ { @ = count(); } kretprobe:vfs_read /pid == cpid && retval == 8/ { @r = count(); }`, "read 3 8", "@: 3\n@r: 3\n", true, nil},
	{"fentry", `fentry:vfs_read /pid == cpid && args.count == 8/ { @ = count(); }`, "read 3 8", "@: 3\n", true, nil},
	{"stacks", `tracepoint:syscalls:sys_enter_read /pid == cpid && args.count == 8/ { @u[ustack(2)] = count(); @k[kstack(2)] = count(); } end { printf("%d %d\n", len(@u) > 0, len(@k)); clear(@u); clear(@k); }`, "read 3 8", "1 1\n", false, nil},
	{"maps", `begin { @h[1] = hist(3); @s[2] = stats(4); @l = lhist(1, 0, 10, 5); @k[kstack] = avg(2); clear(@h); clear(@s); clear(@l); clear(@k); @p[1, "a"] = 7; }`, "read 3 8", "@p[1, a]: 7\n", false, nil},
	{"process", `uprobe:WORK:gt_square { @ = count(); } tracepoint:syscalls:sys_enter_getpgid { @t = count(); } begin { printf("begin\n"); exit(); }`, "", "begin\n", false, processOf},
	{"built tool", `tracepoint:syscalls:sys_enter_read /pid == cpid && args.count == 8/ { @ = count(); }`, "read 3 8", "@: 3\n", false, toolOf},
}

// commandOf returns the command that traces the workload.
func commandOf(_ *testing.T, script, args string) []string {
	return []string{*gotrace, "-q", "-e", script, "-c", *work + " " + args}
}

// processOf returns the command that traces a running process.
func processOf(t *testing.T, script, _ string) []string {
	pid, _ := sleeper(t)
	return []string{*gotrace, "-q", "-e", script, "-p", pid}
}

// toolOf builds a tool of the script. It returns the command with which the tool
// traces the workload.
func toolOf(t *testing.T, script, args string) []string {
	tool := filepath.Join(t.TempDir(), "tool")
	if r := trace(t, "build", "-o", tool, "-e", script); r.status != 0 {
		t.Fatalf("the tool is not built: %s%s", r.stdout, r.stderr)
	}
	return []string{tool, "-q", "-c", *work + " " + args}
}

// faultErrnos lists the errors of failing calls, in turn.
var faultErrnos = []syscall.Errno{unix.EPERM, unix.ENOMEM, unix.EINVAL, unix.ENOSPC}

func TestFaults(t *testing.T) {
	if *peer {
		t.Skip("it is about our own system calls")
	}
	needRoot(t)
	var earlier [][]string
	for i, s := range faultScripts {
		t.Run(s.name, func(t *testing.T) {
			if testing.Short() && !s.guest {
				t.Skip("it runs on a native kernel")
			}
			script := strings.ReplaceAll(s.script, "WORK", *work)
			how := s.how
			if how == nil {
				how = commandOf
			}
			command := how(t, script, s.work)
			r := faulty(t, command, -1, 0)
			if r.status == 1 && strings.Contains(r.stderr, "ERROR: ") && !strings.Contains(r.stderr, "No matches") {
				t.Skipf("this kernel cannot run it: %s", r.stderr)
			}
			if r.status != 0 || withoutBlank(r.stdout) != s.want {
				t.Fatalf("without a fault: status %d, stdout %q, stderr %q", r.status, r.stdout, r.stderr)
			}
			step := 4 // neighbouring calls fail in other scripts
			switch {
			case testing.Short(): // an emulated kernel takes seconds for each run
				step = 41
			case *thorough:
				step = 1
			}
			if len(r.calls) < 10 {
				t.Errorf("only %d system calls can fail", len(r.calls))
			}
			known := 0 // number of calls that an earlier script also made, where they failed already
			if !*thorough {
				known = sameStart(r.calls, earlier)
			}
			earlier = append(earlier, r.calls)
			for n := known + i%step; ; n += step {
				errno := faultErrnos[(n+i)%len(faultErrnos)]
				r := faulty(t, command, n, errno)
				if r.failed == "" {
					t.Logf("%d system calls, %d as in an earlier script", n, known)
					break
				}
				if what := r.wrong(s.want); what != "" {
					t.Errorf("call %d, %s, fails with %v: %s: status %d, stdout %q, stderr:\n%s", n, r.failed, errno, what, r.status, r.stdout, r.stderr)
				} else if r.status != 0 {
					t.Logf("call %d, %s, fails with %v: %s", n, r.failed, errno, r.stderr)
				}
			}
		})
	}
}

// sameStart returns the length of the longest common prefix of calls and one of the
// earlier lists.
func sameStart(calls []string, earlier [][]string) (longest int) {
	for _, e := range earlier {
		n := 0
		for n < min(len(calls), len(e)) && calls[n] == e[n] {
			n++
		}
		longest = max(longest, n)
	}
	return longest
}

// amongLines reports whether every line of out is one of text.
func amongLines(text, out string) bool {
	for line := range strings.Lines(out) {
		if !strings.Contains("\n"+text, "\n"+line) {
			return false
		}
	}
	return true
}

// wrong returns a description of the fault in a run in which a system call failed, or
// "". want is the output of the script.
func (r *faultResult) wrong(want string) string {
	out := withoutBlank(r.stdout)
	said := strings.Contains(r.stderr, "ERROR: ")
	switch {
	case len(r.leaks) > 0:
		return fmt.Sprintf("left open: %v", r.leaks)
	case strings.Contains(r.stderr, "goroutine ") || strings.Contains(r.stderr, "bug: "):
		return "a bug"
	case r.status == 0 && said:
		return "an error, but status 0"
	case r.status == 0 && out != want && !strings.Contains(r.stderr, "WARNING: "):
		return "a wrong result"
	case r.status == 0:
		return ""
	case r.status != 1 || !said:
		return "no proper end"
	case strings.Contains(r.stderr, "cannot print @") && amongLines(want, out): // the other maps
		return ""
	case out != "" && !strings.HasPrefix(want, out): // output from before the failure
		return "traced, though something failed"
	case strings.Contains(r.stderr, "Unable to attach probe: "): // the message names the possible causes
	case strings.Contains(r.stderr, "missing btf func_info"): // the library's test for this feature failed; the verifier names the reason
	case !slices.ContainsFunc(faultErrnos, func(e syscall.Errno) bool { return strings.Contains(r.stderr, e.Error()) }) && !strings.Contains(r.stderr, "not supported"):
		return "the message has no reason"
	}
	return ""
}

// withoutBlank removes empty lines from what a script printed.
func withoutBlank(stdout string) string {
	lines := slices.DeleteFunc(strings.Split(stdout, "\n"), func(l string) bool { return l == "" })
	return strings.Join(append(lines, ""), "\n")
}

// faultResult is the result of a run of gotrace with a failing call.
type faultResult struct {
	result
	failed string   // the call that failed, or "" if there were fewer calls
	calls  []string // the process's calls of faultCalls, in order
	leaks  []string // kernel objects that were still open when it exited
}

// faulty runs a command and makes its n-th system call of the filter fail.
func faulty(t *testing.T, command []string, n int, errno syscall.Errno) faultResult {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(os.Args[0], command...)
	cmd.Env = append(os.Environ(), faultEnv+"=1", "GOGC=off") // GOGC=off keeps finalizers from closing leaked objects
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	listener, err := receiveFD(pair[0])
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		t.Skipf("no seccomp filter: %v\n%s", err, &stderr)
	}
	defer unix.Close(listener)
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	r := faultResult{}
	r.failed, r.calls, r.leaks = supervise(t, listener, cmd.Process.Pid, n, errno)
	err = cmd.Wait()
	if !timer.Stop() {
		t.Fatalf("call %d, %s: it hangs\nstdout: %s\nstderr: %s", n, r.failed, &stdout, &stderr)
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r.result = result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	return r
}

// faultEnv is set in the environment of the test binary to make it install the
// filter and execute gotrace.
const faultEnv = "GOTRACE_FAULT"

// becomeFaulty installs the filter in this process, sends its listener over
// file descriptor 3, and executes the program named by the arguments.
func becomeFaulty() error {
	runtime.LockOSThread() // the filter applies to this thread, which calls exec
	os.Unsetenv(faultEnv)
	filter := faultFilter()
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(int(fd)), nil, 0); err != nil {
		return err
	}
	unix.Close(int(fd))
	unix.Close(3)
	return unix.Exec(os.Args[1], os.Args[1:], os.Environ())
}

// faultCalls lists the system calls of the filter. Some calls of mmap are those
// of the Go runtime; they have no file.
var faultCalls = map[uint32]string{
	unix.SYS_BPF:             "bpf",
	unix.SYS_PERF_EVENT_OPEN: "perf_event_open",
	unix.SYS_IOCTL:           "ioctl",
	unix.SYS_MMAP:            "mmap",
	unix.SYS_OPENAT:          "openat",
	unix.SYS_PIPE2:           "pipe2",
	unix.SYS_EVENTFD2:        "eventfd2",
	unix.SYS_EPOLL_CTL:       "epoll_ctl",
	unix.SYS_PIDFD_OPEN:      "pidfd_open",
}

// faultFilter returns a filter that passes the calls of faultCalls to the
// listener, mmap only if it maps a file, and also the exit of the process.
func faultFilter() []unix.SockFilter {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
		fdArg = 16 + 4*8 // the lower half of mmap's argument
	)
	f := []unix.SockFilter{{Code: load, K: 0}}
	for nr := range faultCalls {
		if nr == unix.SYS_MMAP {
			f = append(f, unix.SockFilter{Code: equal, K: nr, Jf: 4},
				unix.SockFilter{Code: load, K: fdArg},
				unix.SockFilter{Code: equal, K: 0xffffffff, Jf: 1},
				unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW},
				unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF})
			continue
		}
		f = append(f, unix.SockFilter{Code: equal, K: nr, Jf: 1}, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	return append(f,
		unix.SockFilter{Code: equal, K: unix.SYS_EXIT_GROUP, Jf: 1}, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF},
		unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
}

// receiveFD receives the file descriptor that becomeFaulty sends.
func receiveFD(socket int) (int, error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, b, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("%d control messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

// notification and response are struct seccomp_notif and seccomp_notif_resp.
type notification struct {
	id         uint64
	pid, flags uint32
	nr, arch   uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	val   int64
	err   int32
	flags uint32
}

// supervise answers the calls that the filter passes on, until the process and its
// children have ended. It allows all calls except the n-th call of the process itself.
// It returns that call, all calls of the process itself, and the kernel objects that
// were open at its end.
func supervise(t *testing.T, listener, pid, n int, errno syscall.Errno) (failed string, calls, leaks []string) {
	t.Helper()
	for {
		fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			return failed, calls, leaks // no process has the filter any more
		}
		var call notification
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&call))); e != 0 {
			continue // its thread has been killed in the meantime
		}
		answer := response{id: call.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", pid, call.pid)); err == nil {
			switch {
			case call.nr == unix.SYS_EXIT_GROUP:
				leaks = kernelObjects(pid)
			case beforeMain(pid, &call):
			default:
				calls = append(calls, describe(pid, &call))
				if n == 0 {
					failed = calls[len(calls)-1]
					answer.flags, answer.err = 0, -int32(errno)
				}
				n--
			}
		}
		unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&answer)))
	}
}

// beforeMain reports whether a call comes from the Go runtime, which does not work
// without it.
func beforeMain(pid int, call *notification) bool {
	switch call.nr {
	case unix.SYS_OPENAT:
		return strings.HasPrefix(pathArg(pid, call), "/sys/kernel/mm/")
	case unix.SYS_EPOLL_CTL: // the first adds the runtime's own eventfd
		return true
	case unix.SYS_EVENTFD2:
		return true
	}
	return false
}

// describe returns the name of a call with its most important argument.
func describe(pid int, call *notification) string {
	name := faultCalls[call.nr]
	switch call.nr {
	case unix.SYS_BPF:
		return fmt.Sprintf("bpf(%d)", call.args[0])
	case unix.SYS_IOCTL:
		return fmt.Sprintf("ioctl(%#x)", call.args[1])
	case unix.SYS_OPENAT:
		return fmt.Sprintf("openat(%s)", pathArg(pid, call))
	}
	return name
}

// pathArg returns the path that openat opens.
func pathArg(pid int, call *notification) string {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return ""
	}
	defer mem.Close()
	b := make([]byte, 256)
	n, _ := mem.ReadAt(b, int64(call.args[1]))
	path, _, _ := bytes.Cut(b[:n], []byte{0})
	return string(path)
}

// kernelObjects returns the open BPF objects and perf events of a process.
func kernelObjects(pid int) []string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir)
	var found []string
	for _, e := range entries {
		to, _ := os.Readlink(filepath.Join(dir, e.Name()))
		if strings.HasPrefix(to, "anon_inode:bpf") || strings.HasPrefix(to, "anon_inode:[perf") {
			found = append(found, strings.TrimPrefix(to, "anon_inode:"))
		}
	}
	slices.Sort(found)
	return found
}
