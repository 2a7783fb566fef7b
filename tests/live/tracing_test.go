package live

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// tracedHook is a hook of a tracing policy with a workload, and the events that the
// workload causes.
type tracedHook struct {
	name string
	kind string // the list of the policy that has the hook
	hook string // the members of its mapping, with PID for this process and DIR for a directory
	need string // see missing
	from version
	work func(t *testing.T, dir string) []string // events: arguments -> result
}

// rawCall makes a system call with strings and numbers. The strings stay in memory, which
// programs of Linux before 6.12 need.
func rawCall(nr uintptr, args ...any) (int, unix.Errno) {
	var words [6]uintptr
	var keep [][]byte
	for i, a := range args {
		switch a := a.(type) {
		case string:
			keep = append(keep, append([]byte(a), 0))
			words[i] = uintptr(unsafe.Pointer(&keep[len(keep)-1][0]))
		case int:
			words[i] = uintptr(a)
		case uintptr:
			words[i] = a
		case unsafe.Pointer:
			words[i] = uintptr(a)
		}
	}
	r, _, err := unix.Syscall6(nr, words[0], words[1], words[2], words[3], words[4], words[5])
	runtime.KeepAlive(keep)
	return int(r), err
}

// tracedPolicy returns the hooks as one policy, which begins with spec.
func tracedPolicy(hooks []tracedHook, dir, spec string) string {
	lists := map[string]string{}
	for _, h := range hooks {
		lists[h.kind] += fmt.Sprintf("  - {message: %s, %s}\n", h.name, h.hook)
	}
	for kind, list := range lists {
		spec += "  " + kind + ":\n" + list
	}
	return strings.NewReplacer("[PID]", fmt.Sprintf("[%d]", os.Getpid()), "DIR", dir).Replace(spec)
}

// changing matches the hashes of packets, which the kernel chooses, and long sets of
// capabilities, which depend on it.
var changing = regexp.MustCompile(`"(hash|caps)":(\d+|\{[^}]*\})`)

// tracedEvents returns the arguments and results of events, by their messages.
func tracedEvents(t *testing.T, text string) map[string][]string {
	t.Helper()
	got := map[string][]string{}
	for line := range strings.Lines(text) {
		var event map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for _, v := range event {
			var e struct {
				Message            string
				Args, Return, Data json.RawMessage
			}
			if json.Unmarshal(v, &e) != nil || e.Message == "" {
				continue
			}
			shown := string(e.Args)
			if e.Return != nil {
				shown += " -> " + string(e.Return)
			}
			if e.Data != nil {
				shown += " data " + string(e.Data)
			}
			got[e.Message] = append(got[e.Message], changing.ReplaceAllString(shown, `"$1":0`))
		}
	}
	return got
}

// checkHooks runs the workloads of hooks while one policy has all of them.
func checkHooks(t *testing.T, hooks []tracedHook, spec string) {
	t.Helper()
	if *peer {
		t.Skip("bpftrace has no policies")
	}
	needRoot(t)
	if testing.Short() && release().less(version{6, 12}) {
		t.Skip("this kernel takes long to check these programs in an emulated machine")
	}
	var can []tracedHook
	for _, h := range hooks {
		if release().less(h.from) || h.need != "" && missing(h.need) != "" {
			continue
		}
		can = append(can, h)
	}
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // for programs of other users
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := start(t, "policy", tracingPolicy(t, tracedPolicy(can, dir, spec)))
	s.attachedOr("")
	want := map[string][]string{}
	for _, h := range can {
		want[h.name] = h.work(t, dir)
	}
	s.signal(unix.SIGINT)
	r := s.wait()
	got := tracedEvents(t, r.stdout)
	for _, h := range can {
		if diff := cmp.Diff(want[h.name], got[h.name]); diff != "" {
			t.Errorf("%s: %s", h.name, diff)
		}
	}
	if t.Failed() {
		t.Log(r.stderr)
	}
}

// wideNumber is a number all of whose bytes differ.
const wideNumber = 0xfedc_ba98_8765_4321

// bogus is a number that is not an operation of prctl.
const bogus = 0x7a7a_0001

// callHooks are hooks at system calls. Each type of arguments that a system call can have
// is among them.
var callHooks = []tracedHook{
	{name: "signed", kind: "kprobes", hook: `call: sys_prctl, args: [{index: 0, type: int}, {index: 1, type: int8}, {index: 2, type: int16}, {index: 3, type: int32}, {index: 4, type: int64}],
    selectors: [{matchArgs: [{index: 0, operator: Equal, values: ["0x7a7a0001"]}]}]`,
		work: func(*testing.T, string) []string {
			w := uintptr(wideNumber)
			rawCall(unix.SYS_PRCTL, bogus, w>>56, w>>48, w>>32, w)
			return []string{`[{"int_arg":2054815745},{"int_arg":-2},{"int_arg":-292},{"int_arg":-19088744},{"long_arg":"-81985528930155743"}]`}
		}},
	{name: "unsigned", kind: "kprobes", hook: `call: sys_prctl, args: [{index: 0, type: uint32}, {index: 1, type: uint8}, {index: 2, type: uint16}, {index: 3, type: uint32}, {index: 4, type: uint64}],
    selectors: [{matchArgs: [{index: 0, operator: InRange, values: ["0x7a7a0002:0x7a7a0003"]}]}]`,
		work: func(*testing.T, string) []string {
			w := uintptr(wideNumber)
			rawCall(unix.SYS_PRCTL, bogus+1, w, w, w, w)
			rawCall(unix.SYS_PRCTL, bogus+3, w, w, w, w)
			return []string{`[{"uint_arg":2054815746},{"uint_arg":33},{"uint_arg":17185},{"uint_arg":2271560481},{"size_arg":"18364758544779395873"}]`}
		}},
	{name: "sizes", kind: "kprobes", hook: `call: sys_prctl, return: true, returnArg: {index: 0, type: int}, args: [{index: 0, type: sint32}, {index: 1, type: size_t, label: a size}, {index: 2, type: ulong}, {index: 3, type: long}, {index: 4, type: nop}],
    selectors: [{matchArgs: [{index: 0, operator: Equal, values: ["0x7a7a0005"]}, {index: 1, operator: GT, values: [7]}]}]`,
		work: func(*testing.T, string) []string {
			for _, n := range []int{7, 8} {
				rawCall(unix.SYS_PRCTL, bogus+4, n, 9, -10, 11)
			}
			return []string{`[{"int_arg":2054815749},{"size_arg":"8","label":"a size"},{"size_arg":"9"},{"long_arg":"-10"}] -> {"int_arg":-22}`}
		}},
	{name: "written", kind: "kprobes", hook: `call: sys_write, args: [{index: 0, type: fd}, {index: 1, type: char_buf, sizeArgIndex: 3}, {index: 2, type: size_t}],
    selectors: [{matchArgs: [{index: 1, operator: Prefix, values: [written-]}]}]`,
		work: func(t *testing.T, dir string) []string {
			f := fileIn(t, dir, "written")
			for _, text := range []string{"written-1", "other", "written-\x00\xff"} {
				f.WriteString(text)
			}
			file := fmt.Sprintf(`{"file_arg":{"path":"%s/written","permission":"-rw-r-----"}}`, dir)
			return []string{"[" + file + `,{"bytes_arg":"d3JpdHRlbi0x"},{"size_arg":"9"}]`, "[" + file + `,{"bytes_arg":"d3JpdHRlbi0A/w=="},{"size_arg":"10"}]`}
		}},
	{name: "read", kind: "kprobes", hook: `call: sys_pread64, return: true, returnArg: {index: 0, type: size_t}, args: [{index: 0, type: fd}, {index: 1, type: char_buf, returnCopy: true, sizeArgIndex: 3}, {index: 3, type: int64}],
    selectors: [{matchPIDs: [{operator: In, values: [PID]}], matchArgs: [{index: 3, operator: Equal, values: [2]}]}]`,
		work: func(t *testing.T, dir string) []string {
			f := fileIn(t, dir, "read")
			f.WriteString("0123456789")
			buf := make([]byte, 4)
			for _, at := range []int64{1, 2} {
				if _, err := f.ReadAt(buf, at); err != nil {
					t.Fatal(err)
				}
			}
			return []string{fmt.Sprintf(`[{"file_arg":{"path":"%s/read","permission":"-rw-r-----"}},{"bytes_arg":"MjM0NQ=="},{"long_arg":"2"}] -> {"size_arg":"4"}`, dir)}
		}},
	{name: "vector", kind: "kprobes", hook: `call: sys_writev, args: [{index: 1, type: char_iovec, sizeArgIndex: 3}, {index: 2, type: int}], selectors: [{matchPIDs: [{operator: In, values: [PID]}]}]`,
		work: func(t *testing.T, dir string) []string {
			f := fileIn(t, dir, "vector")
			if _, err := unix.Writev(int(f.Fd()), [][]byte{[]byte("ab"), []byte("cde")}); err != nil {
				t.Fatal(err)
			}
			return []string{`[{"bytes_arg":"YWJjZGU="},{"int_arg":2}]`}
		}},
	{name: "address", kind: "kprobes", hook: `call: sys_connect, args: [{index: 0, type: int}, {index: 1, type: sockaddr}],
    selectors: [{matchPIDs: [{operator: In, values: [PID]}], matchArgs: [{index: 1, operator: DAddr, values: [127.0.0.0/24, "::1"]}, {index: 1, operator: DPort, values: ["9:10"]}]}]`,
		work: func(t *testing.T, _ string) (want []string) {
			for _, a := range []string{"127.0.0.1:9", "127.0.1.1:9", "127.0.0.1:11", "[::1]:10"} {
				fd := connectDatagram(t, a)
				switch a {
				case "127.0.0.1:9":
					want = append(want, fmt.Sprintf(`[{"int_arg":%d},{"sockaddr_arg":{"family":"AF_INET","addr":"127.0.0.1","port":9}}]`, fd))
				case "[::1]:10":
					want = append(want, fmt.Sprintf(`[{"int_arg":%d},{"sockaddr_arg":{"family":"AF_INET6","addr":"::1","port":10}}]`, fd))
				}
			}
			return want
		}},
	{name: "local", kind: "kprobes", hook: `call: sys_connect, args: [{index: 1, type: sockaddr_un}], selectors: [{matchArgs: [{index: 1, operator: Prefix, values: [DIR]}]}]`,
		work: func(t *testing.T, dir string) []string {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			unix.Connect(fd, &unix.SockaddrUnix{Name: dir + "/none"})
			return []string{fmt.Sprintf(`[{"sockaddr_un_arg":{"family":"AF_UNIX","path":"%s/none"}}]`, dir)}
		}},
	{name: "number", kind: "tracepoints", hook: `subsystem: raw_syscalls, event: sys_enter, args: [{index: 4, type: syscall64}, {index: 5, type: uint64}],
    selectors: [{matchPIDs: [{operator: In, values: [PID]}], matchArgs: [{index: 4, operator: Equal, values: [sys_getpgid]}]}]`,
		work: func(*testing.T, string) []string {
			unix.Getpgid(0)
			return []string{`[{"syscall_id":{"id":121,"abi":"x64"}},{"size_arg":"0"}]`}
		}},
	{name: "recorded", kind: "tracepoints", hook: `subsystem: sched, event: sched_process_exec, args: [{index: 4, type: data_loc}, {index: 5, type: int32}],
    selectors: [{matchArgs: [{index: 4, operator: Postfix, values: [/recorded-program]}]}]`,
		work: func(t *testing.T, dir string) []string {
			prog := filepath.Join(dir, "recorded-program")
			if err := os.Symlink(*work, prog); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(prog, "count", "1")
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			return []string{fmt.Sprintf(`[{"string_arg":"%s"},{"int_arg":%d}]`, prog, cmd.Process.Pid)}
		}},
	{name: "rawpoint", kind: "tracepoints", hook: `subsystem: sched, event: sched_process_exec, raw: true, args: [{index: 2, type: linux_binprm}, {index: 0, type: string, resolve: comm}, {index: 2, type: int32, resolve: argc}],
    selectors: [{matchArgs: [{index: 0, operator: Equal, values: [raw-program]}]}]`,
		work: func(t *testing.T, dir string) []string {
			prog := filepath.Join(dir, "raw-program")
			if err := os.Symlink(*work, prog); err != nil {
				t.Fatal(err)
			}
			if err := exec.Command(prog, "count", "1").Run(); err != nil {
				t.Fatal(err)
			}
			path, mode := finalPath(t, prog)
			return []string{fmt.Sprintf(`[{"linux_binprm_arg":{"path":"%s","permission":"%s"}},{"string_arg":"raw-program"},{"int_arg":3}]`, path, mode)}
		}},
	{name: "command", kind: "kprobes", hook: `call: sys_bpf, args: [{index: 0, type: bpf_cmd}, {index: 2, type: uint32}], selectors: [{matchPIDs: [{operator: In, values: [PID]}]}]`,
		work: func(*testing.T, string) []string {
			rawCall(unix.SYS_BPF, 3, 0, 0)
			return []string{`[{"bpf_cmd_arg":"BPF_MAP_DELETE_ELEM"},{"uint_arg":0}]`}
		}},
	{name: "task", kind: "kprobes", hook: `call: sys_getsid, args: [{index: 0, type: int}], data: [{type: int32, source: current_task, resolve: tgid}, {type: string, resolve: comm, label: name}],
    tags: [one, two], selectors: [{matchArgs: [{index: 0, operator: Equal, values: [-77]}], matchData: [{index: 0, operator: Equal, values: [PID]}]}]`,
		work: func(t *testing.T, _ string) []string {
			rawCall(unix.SYS_GETSID, -77)
			comm := commOf(t, unix.Gettid())
			return []string{fmt.Sprintf(`[{"int_arg":-77}] data [{"int_arg":%d},{"string_arg":"%s","label":"name"}]`, os.Getpid(), comm)}
		}},
	{name: "moved", kind: "kprobes", hook: `call: sys_getsid, args: [{index: 0, type: int}], selectors: [{matchArgs: [{index: 0, operator: Equal, values: [-81]}], matchNamespaceChanges: [{operator: In, values: [Uts]}]}]`,
		work: func(t *testing.T, _ string) []string {
			return changes(t, -81, func() error { return unix.Unshare(unix.CLONE_NEWUTS) })
		}},
	{name: "dropped", kind: "kprobes", hook: `call: sys_getsid, args: [{index: 0, type: int}], selectors: [{matchArgs: [{index: 0, operator: Equal, values: [-82]}],
    matchCapabilityChanges: [{type: Effective, operator: In, values: [CAP_SYS_PACCT]}]}]`,
		work: func(t *testing.T, _ string) []string {
			return changes(t, -82, func() error {
				head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
				var sets [2]unix.CapUserData
				if err := unix.Capget(&head, &sets[0]); err != nil {
					return err
				}
				sets[0].Effective &^= 1 << unix.CAP_SYS_PACCT
				return unix.Capset(&head, &sets[0])
			})
		}},
}

// changes makes a call before a change of the thread and two after it, and wants an event
// of the first call after the change.
func changes(t *testing.T, arg int, change func() error) []string {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with this function
		rawCall(unix.SYS_GETSID, arg)
		err := change()
		rawCall(unix.SYS_GETSID, arg)
		rawCall(unix.SYS_GETSID, arg)
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return []string{fmt.Sprintf(`[{"int_arg":%d}]`, arg)}
}

// fileIn creates a file in a directory.
func fileIn(t *testing.T, dir, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// finalPath returns the path of a file without links, and its mode as ls shows it.
func finalPath(t *testing.T, path string) (string, string) {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, st.Mode().String()
}

// connectDatagram connects a datagram socket to an address, and returns its descriptor.
func connectDatagram(t *testing.T, addr string) int {
	t.Helper()
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())})
	if ip := a.IP.To4(); ip != nil {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	unix.Connect(fd, to)
	return fd
}

// TestTracedCalls checks the events of hooks at system calls.
func TestTracedCalls(t *testing.T) { checkHooks(t, callHooks, "") }

// child returns a workload that runs a program of the hook's name in DIR, with the given
// attributes, and wants n events.
func child(n int, attr *syscall.SysProcAttr) func(t *testing.T, dir string) []string {
	return func(t *testing.T, dir string) []string {
		t.Helper()
		return program(t, filepath.Join(dir, "program"), n, attr)
	}
}

// program runs a copy of the workload that makes three calls, and wants n events.
func program(t *testing.T, path string, n int, attr *syscall.SysProcAttr) (want []string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		text, err := os.ReadFile(*work)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	cmd := &exec.Cmd{Path: path, Args: []string{path, "count", "3"}, SysProcAttr: attr, Dir: "/"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for range n {
		want = append(want, "")
	}
	return want
}

// processHooks are hooks for conditions on processes. Each has its own copy of a program,
// which makes three calls.
var processHooks = []tracedHook{
	{name: "pid", hook: `matchPIDs: [{operator: In, values: [PID]}]`, work: child(0, nil)},
	{name: "forks", hook: `matchPIDs: [{operator: In, values: [PID], followForks: true}]`, work: child(3, nil)},
	{name: "notforks", hook: `matchPIDs: [{operator: NotIn, values: [PID], followForks: true}]`, work: child(0, nil)},
	{name: "notpid", hook: `matchPIDs: [{operator: NotIn, values: [PID]}]`, work: child(3, nil)},
	{name: "ownpid", hook: `matchPIDs: [{operator: In, values: [1], isNamespacePID: true}]`, work: child(3, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})},
	{name: "ownpids", hook: `matchPIDs: [{operator: In, values: [1], isNamespacePID: true, followForks: true}]`, work: child(3, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})},
	{name: "noownpid", hook: `matchPIDs: [{operator: In, values: [1], isNamespacePID: true}]`, work: child(0, nil)},
	{name: "hostpid", hook: `matchPIDs: [{operator: In, values: [0], isNamespacePID: true}]`, work: child(3, nil)},
	{name: "prefix", hook: `matchBinaries: [{operator: Prefix, values: [DIR/prefix/pro]}]`, work: child(3, nil)},
	{name: "notprefix", hook: `matchBinaries: [{operator: NotPrefix, values: [DIR/prefix/pro]}]`, work: child(3, nil)},
	{name: "postfix", hook: `matchBinaries: [{operator: Postfix, values: [/postfix/program]}]`, work: child(3, nil)},
	{name: "notpostfix", hook: `matchBinaries: [{operator: NotPostfix, values: [/program]}]`, work: child(0, nil)},
	{name: "notin", hook: `matchBinaries: [{operator: NotIn, values: [/bin/none, DIR/notin/program]}]`, work: child(0, nil)},
	{name: "notin2", hook: `matchBinaries: [{operator: NotIn, values: [/bin/none]}]`, work: child(3, nil)},
	{name: "children", hook: `matchBinaries: [{operator: In, values: [SELF], followChildren: true}]`, work: child(3, nil)},
	{name: "nochildren", hook: `matchBinaries: [{operator: In, values: [SELF]}]`, work: child(0, nil)},
	{name: "notchildren", hook: `matchBinaries: [{operator: NotIn, values: [SELF], followChildren: true}]`, work: child(0, nil)},
	{name: "parent", hook: `matchParentBinaries: [{operator: In, values: [SELF]}]`, work: child(3, nil)},
	{name: "notparent", hook: `matchParentBinaries: [{operator: NotPrefix, values: [SELF]}]`, work: child(0, nil)},
	{name: "uts", hook: `matchNamespaces: [{namespace: Uts, operator: NotIn, values: [host_ns]}]`, work: child(3, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUTS})},
	{name: "hostuts", hook: `matchNamespaces: [{namespace: Uts, operator: NotIn, values: [host_ns]}]`, work: child(0, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWIPC})},
	{name: "ipc", hook: `matchNamespaces: [{namespace: Ipc, operator: In, values: [host_ns, "1"]}]`, work: child(0, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWIPC})},
	{name: "mnt", hook: `matchNamespaces: [{namespace: Mnt, operator: In, values: [MNT]}]`, work: child(3, nil)},
	{name: "othermnt", hook: `matchNamespaces: [{namespace: Mnt, operator: In, values: [MNT]}]`, work: child(0, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS})},
	{name: "net", hook: `matchNamespaces: [{namespace: Net, operator: NotIn, values: [host_ns]}]`, work: child(3, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET})},
	{name: "cgroup", hook: `matchNamespaces: [{namespace: Cgroup, operator: NotIn, values: [host_ns]}]`, work: child(3, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWCGROUP})},
	{name: "pidns", hook: `matchNamespaces: [{namespace: Pid, operator: NotIn, values: [host_ns]}, {namespace: PidForChildren, operator: NotIn, values: [host_ns]}]`, work: child(3, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})},
	// A program that starts is compared with itself from then on.
	{name: "changed", hook: `matchNamespaceChanges: [{operator: In, values: [Uts, Net]}]`, work: child(0, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWUTS})},
	{name: "unchanged", hook: `matchNamespaceChanges: [{operator: In, values: [Net]}]`, work: child(0, &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWUTS})},
	{name: "capable", hook: `matchCapabilities: [{type: Effective, operator: In, values: [CAP_CHOWN, CAP_KILL]}]`, work: child(3, nil)},
	{name: "notcapable", hook: `matchCapabilities: [{type: Permitted, operator: NotIn, values: [CAP_CHOWN]}]`, work: child(0, nil)},
	{name: "incapable", hook: `matchCapabilities: [{operator: NotIn, values: [CAP_CHOWN]}]`, work: child(3, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 1}})},
	{name: "inherited", hook: `matchCapabilities: [{type: Inheritable, operator: In, values: [CAP_SYS_NICE]}]`, work: child(3, &syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_SYS_NICE}})},
	{name: "owncapable", hook: `matchCapabilities: [{operator: In, isNamespaceCapability: true, values: [CAP_CHOWN]}]`, work: child(0, nil)},
	{name: "lost", hook: `matchCapabilityChanges: [{type: Effective, operator: In, values: [CAP_CHOWN]}]`, work: child(0, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1, Gid: 1}})},
	{name: "notlost", hook: `matchCapabilityChanges: [{type: Effective, operator: In, values: [CAP_CHOWN]}]`, work: child(0, nil)},
	{name: "limited", hook: `matchActions: [{action: Post, rateLimit: 1m}]`, work: child(1, nil)},
	{name: "unlimited", hook: `matchActions: [{action: Post}]`, work: child(3, nil)},
	{name: "nopost", hook: `matchActions: [{action: NoPost}]`, work: child(0, nil)},
	{name: "macro", hook: `macros: [caps]`, work: child(3, nil)},
	{name: "nomacro", hook: `macros: [nocaps]`, work: child(0, nil)},
}

// TestTracedProcesses checks conditions on processes.
func TestTracedProcesses(t *testing.T) {
	native(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	mnt, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	var hooks []tracedHook
	for _, h := range processHooks {
		run := h.work
		more := strings.NewReplacer("SELF", self, "MNT", strings.Trim(mnt, "mnt:[]")).Replace(h.hook)
		own := fmt.Sprintf("matchBinaries: [{operator: In, values: [DIR/%s/program]}", h.name)
		if before, after, found := strings.Cut(more, "matchBinaries: ["); found {
			more = before + own + ", " + after
		} else {
			more += ", " + own + "]"
		}
		hooks = append(hooks, tracedHook{
			name: h.name, kind: "kprobes",
			hook: fmt.Sprintf("call: sys_getpgid, args: [{index: 0, type: nop}], selectors: [{%s}]", more),
			work: func(t *testing.T, dir string) []string {
				dir = filepath.Join(dir, h.name)
				if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
					t.Fatal(err)
				}
				return run(t, dir)
			},
		})
	}
	checkHooks(t, hooks, `  selectorsMacros:
    caps: {matchCapabilities: [{operator: In, values: [CAP_CHOWN]}]}
    nocaps: {matchCapabilities: [{operator: NotIn, values: [CAP_CHOWN]}]}
`)
}

// kernelHooks are hooks at functions of the kernel, for the types of arguments that system
// calls do not have.
var kernelHooks = []tracedHook{
	{name: "file", hook: `call: security_file_open, syscall: false, return: true, returnArg: {index: 0, type: int},
    args: [{index: 0, type: file}, {index: 0, type: uint32, resolve: f_inode.i_uid.val}, {index: 0, type: dentry, resolve: f_path.dentry}],
    selectors: [{matchArgs: [{index: 0, operator: Equal, values: [DIR/file]}]}]`,
		work: func(t *testing.T, dir string) []string {
			fileIn(t, dir, "file").Close()
			return []string{fmt.Sprintf(`[{"file_arg":{"path":"%s/file","permission":"-rw-r-----"}},{"uint_arg":0},{"path_arg":{"path":"%s/file","permission":"-rw-r-----"}}] -> {"int_arg":0}`, dir, inFileSystemOf(t, dir))}
		}},
	{name: "path", hook: `call: security_path_truncate, syscall: false, args: [{index: 0, type: path}], selectors: [{matchArgs: [{index: 0, operator: Postfix, values: [/truncated]}, {index: 0, operator: FileType, values: [reg]}]}]`,
		work: func(t *testing.T, dir string) []string {
			fileIn(t, dir, "truncated").Close()
			if err := os.Truncate(dir+"/truncated", 3); err != nil {
				t.Fatal(err)
			}
			return []string{fmt.Sprintf(`[{"path_arg":{"path":"%s/truncated","permission":"-rw-r-----"}}]`, dir)}
		}},
	{name: "dentry", hook: `call: security_inode_mkdir, syscall: false, args: [{index: 1, type: dentry}, {index: 2, type: uint16}], selectors: [{matchArgs: [{index: 1, operator: Postfix, values: [/dentry]}]}]`,
		work: func(t *testing.T, dir string) []string {
			if err := unix.Mkdir(dir+"/dentry", 0o1710); err != nil {
				t.Fatal(err)
			}
			return []string{fmt.Sprintf(`[{"path_arg":{"path":"%s/dentry"}},{"uint_arg":%d}]`, inFileSystemOf(t, dir), 0o1710)}
		}},
	{name: "filename", hook: `call: do_filp_open, syscall: false, args: [{index: 0, type: int}, {index: 1, type: filename}], selectors: [{matchArgs: [{index: 1, operator: Equal, values: [DIR/../filename]}]}]`,
		work: func(_ *testing.T, dir string) []string {
			rawCall(unix.SYS_OPENAT, -100, dir+"/../filename", 0)
			return []string{fmt.Sprintf(`[{"int_arg":-100},{"string_arg":"%s/../filename"}]`, dir)}
		}},
	{name: "program", hook: `call: security_bprm_check, syscall: false, args: [{index: 0, type: linux_binprm}], selectors: [{matchArgs: [{index: 0, operator: Prefix, values: [DIR/pro]}]}]`,
		work: func(t *testing.T, dir string) []string {
			program(t, dir+"/program", 0, nil)
			return []string{fmt.Sprintf(`[{"linux_binprm_arg":{"path":"%s/program","permission":"-rwxr-xr-x"}}]`, dir)}
		}},
	{name: "iterator", hook: `call: sock_write_iter, syscall: false, args: [{index: 0, type: kiocb}, {index: 1, type: iov_iter}], selectors: [{matchArgs: [{index: 1, operator: Prefix, values: [iterated-]}]}]`,
		work: func(t *testing.T, _ string) []string {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fds[0])
			defer unix.Close(fds[1])
			name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fds[0]))
			if err != nil {
				t.Fatal(err)
			}
			unix.Write(fds[0], []byte("iterated-1"))
			unix.Writev(fds[0], [][]byte{[]byte("iterated-"), []byte("2")})
			file := fmt.Sprintf(`[{"file_arg":{"path":"%s","permission":"srwxrwxrwx"}}`, name)
			return []string{file + `,{"bytes_arg":"aXRlcmF0ZWQtMQ=="}]`, file + `,{"truncated_bytes_arg":{"bytes_arg":"aXRlcmF0ZWQt","orig_size":"10"}}]`}
		}},
	{name: "cred", hook: `call: security_task_fix_setuid, syscall: false, args: [{index: 0, type: uint32, resolve: uid.val}, {index: 0, type: cred}, {index: 2, type: int}], selectors: [{matchPIDs: [{operator: In, values: [PID], followForks: true}]}]`,
		work: func(t *testing.T, dir string) []string {
			program(t, dir+"/other-program", 0, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 7, Gid: 8}})
			return []string{`[{"uint_arg":7},{"process_credentials_arg":{"uid":7,"gid":8,"euid":7,"egid":8,"suid":7,"sgid":8,"fsuid":7,"fsgid":8,"caps":0,"user_ns":{"level":0,"uid":0,"gid":0,"ns":{"inum":4026531837,"is_host":true}}}},{"int_arg":1}]`}
		}},
	{name: "capability", hook: `call: cap_capable, syscall: false, return: true, returnArg: {index: 0, type: int}, args: [{index: 1, type: user_namespace}, {index: 2, type: capability}],
    selectors: [{matchPIDs: [{operator: In, values: [PID]}], matchArgs: [{index: 2, operator: Equal, values: [CAP_SYS_PACCT]}]}]`,
		work: func(*testing.T, string) []string {
			rawCall(unix.SYS_ACCT, "/none")
			return []string{`[{"user_ns_arg":{"level":0,"uid":0,"gid":0,"ns":{"inum":4026531837,"is_host":true}}},{"capability_arg":{"value":20,"name":"CAP_SYS_PACCT"}}] -> {"int_arg":0}`}
		}},
	{name: "sets", hook: `call: security_capset, syscall: false, args: [{index: 2, type: cap_effective}, {index: 3, type: cap_inheritable}, {index: 4, type: kernel_cap_t}], selectors: [{matchPIDs: [{operator: In, values: [PID]}]}]`,
		work: func(t *testing.T, _ string) []string {
			changes(t, -1, func() error {
				head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
				sets := [2]unix.CapUserData{{Effective: 1 << unix.CAP_CHOWN, Permitted: 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL, Inheritable: 1 << unix.CAP_KILL}}
				return unix.Capset(&head, &sets[0])
			})
			return []string{`[{"cap_effective_arg":"0000000000000001"},{"cap_inheritable_arg":"0000000000000020"},{"kernel_cap_t_arg":"0000000000000021"}]`}
		}},
	{name: "map", hook: `call: security_bpf_map_alloc, syscall: false, args: [{index: 0, type: bpf_map}], selectors: [{matchPIDs: [{operator: In, values: [PID]}]}]`,
		work: func(t *testing.T, _ string) []string {
			attr := struct { // of BPF_MAP_CREATE
				kind, keySize, valueSize, entries, flags, inner, node uint32
				name                                                  [16]byte
			}{kind: 1, keySize: 4, valueSize: 16, entries: 5, name: [16]byte{'t', 'r', 'a', 'c', 'e', 'd'}}
			fd, errno := rawCall(unix.SYS_BPF, unix.BPF_MAP_CREATE, unsafe.Pointer(&attr), int(unsafe.Sizeof(attr)))
			if errno != 0 {
				t.Fatal(errno)
			}
			unix.Close(fd)
			return []string{`[{"bpf_map_arg":{"MapType":"BPF_MAP_TYPE_HASH","KeySize":4,"ValueSize":16,"MaxEntries":5,"MapName":"traced"}}]`}
		}},
	{name: "perf", hook: `call: security_perf_event_alloc, syscall: false, args: [{index: 0, type: perf_event}], selectors: [{matchPIDs: [{operator: In, values: [PID]}]}]`,
		work: func(t *testing.T, _ string) []string {
			fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: unix.PERF_COUNT_SW_DUMMY}, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
			return []string{`[{"perf_event_arg":{"Type":"PERF_TYPE_SOFTWARE","Config":"9","ProbeOffset":"0"}}]`}
		}},
	{name: "socket", hook: `call: security_socket_bind, syscall: false, args: [{index: 0, type: socket}, {index: 1, type: sockaddr}, {index: 2, type: int}], selectors: [{matchPIDs: [{operator: In, values: [PID]}], matchArgs: [{index: 1, operator: SAddr, values: [127.3.0.0/16]}]}]`,
		work: func(t *testing.T, _ string) []string {
			l, err := net.ListenPacket("udp4", "127.3.2.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			return []string{`[{"sock_arg":{"family":"AF_INET","type":"SOCK_DGRAM","protocol":"IPPROTO_UDP","mark":0,"priority":0,"saddr":"0.0.0.0","daddr":"0.0.0.0","sport":0,"dport":0,"cookie":"0","state":"TCP_CLOSE"}},{"sockaddr_arg":{"family":"AF_INET","addr":"127.3.2.1","port":0}},{"int_arg":16}]`}
		}},
	{name: "packet", hook: `call: ip_output, syscall: false, args: [{index: 1, type: sock}, {index: 2, type: skb}],
    selectors: [{matchArgs: [{index: 2, operator: Protocol, values: [IPPROTO_UDP]}, {index: 2, operator: DAddr, values: [127.4.0.1]}, {index: 2, operator: DPort, values: [9]}, {index: 1, operator: Family, values: [AF_INET]}, {index: 1, operator: SPort, values: ["4009"]}]}]`,
		work: func(t *testing.T, _ string) []string {
			c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4009}, &net.UDPAddr{IP: net.IPv4(127, 4, 0, 1), Port: 9})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.Write([]byte("12345"))
			ends := `"saddr":"127.0.0.1","daddr":"127.4.0.1","sport":4009,"dport":9`
			return []string{`[{"sock_arg":{"family":"AF_INET","type":"SOCK_DGRAM","protocol":"IPPROTO_UDP","mark":0,"priority":0,` + ends +
				`,"cookie":"0","state":"TCP_ESTABLISHED"}},{"skb_arg":{"hash":0,"len":33,"priority":0,"mark":0,` + ends + `,"proto":17,"protocol":"IPPROTO_UDP","family":"AF_INET"}}]`}
		}},
	{name: "device", hook: `call: dev_hard_start_xmit, syscall: false, args: [{index: 0, type: skb}, {index: 1, type: net_device}], selectors: [{matchArgs: [{index: 0, operator: DAddr, values: [127.5.0.1]}, {index: 1, operator: Equal, values: [lo]}]}]`,
		work: func(t *testing.T, _ string) []string {
			c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4010}, &net.UDPAddr{IP: net.IPv4(127, 5, 0, 1), Port: 9})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.Write([]byte("1"))
			return []string{`[{"skb_arg":{"hash":0,"len":43,"priority":0,"mark":0,"saddr":"127.0.0.1","daddr":"127.5.0.1","sport":4010,"dport":9,"proto":17,"protocol":"IPPROTO_UDP","family":"AF_INET"}},{"net_dev_arg":{"name":"lo"}}]`}
		}},
	{name: "requested", hook: `call: security_kernel_module_request, syscall: false, args: [{index: 0, type: string}], selectors: [{matchArgs: [{index: 0, operator: Postfix, values: ["-43"]}]}]`,
		work: func(*testing.T, string) []string {
			unix.Socket(43, unix.SOCK_DGRAM, 0)
			return []string{`[{"string_arg":"net-pf-43"}]`}
		}},
	{name: "readfile", hook: `call: security_kernel_read_file, syscall: false, args: [{index: 0, type: file}, {index: 1, type: int32}], selectors: [{matchArgs: [{index: 1, operator: Equal, values: [2]}, {index: 0, operator: NotPostfix, values: [.ko]}]}]`,
		work: func(t *testing.T, dir string) []string {
			f := fileIn(t, dir, "readfile")
			f.WriteString("no module")
			f.Close()
			g, err := os.Open(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			unix.FinitModule(int(g.Fd()), "", 0)
			g.Close()
			return []string{fmt.Sprintf(`[{"file_arg":{"path":"%s/readfile","permission":"-rw-r-----"}},{"int_arg":2}]`, dir)}
		}},
	{name: "entered", kind: "fentries", hook: `call: security_file_open, syscall: false, args: [{index: 0, type: file}], selectors: [{matchArgs: [{index: 0, operator: SubString, values: [/entered]}]}]`,
		work: func(t *testing.T, dir string) []string {
			fileIn(t, dir, "entered").Close()
			return []string{fmt.Sprintf(`[{"file_arg":{"path":"%s/entered","permission":"-rw-r-----"}}]`, dir)}
		}},
}

// inFileSystemOf returns the path of a directory in its file system.
func inFileSystemOf(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return inFileSystem(t, int(f.Fd()), dir)
}

// TestTracedFunctions checks the events of hooks at functions of the kernel.
func TestTracedFunctions(t *testing.T) {
	if why := missing("kprobe"); why != "" {
		t.Skip(why)
	}
	for i := range kernelHooks {
		if kernelHooks[i].kind == "" {
			kernelHooks[i].kind = "kprobes"
		}
	}
	checkHooks(t, kernelHooks, "")
}
