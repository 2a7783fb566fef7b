package tetragon

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// TestLockout translates policies that affect all processes of the machine, which need a
// second flag, and some that do not.
func TestLockout(t *testing.T) {
	k := frozen(t)
	kill := "matchActions: [{action: Sigkill}]"
	for _, c := range []struct {
		name, spec string
		refused    bool
	}{
		{"kill all that stop", "kprobes:\n  - call: sys_getpgid\n    selectors: [{" + kill + "}]\n", true},
		{"signal all", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchActions: [{action: Signal, argSig: 19}]}]\n", true},
		{"children of process 1", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchPIDs: [{operator: In, followForks: true, values: [1]}], " + kill + "}]\n", true},
		{"all except one", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchPIDs: [{operator: NotIn, values: [77]}], " + kill + "}]\n", true},
		{"the host", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchNamespaces: [{namespace: Pid, operator: In, values: [host_ns]}], " + kill + "}]\n", true},
		{"the second selector", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchBinaries: [{operator: In, values: [/bin/a]}]}, {" + kill + "}]\n", true},
		{"open fails", "kprobes:\n  - call: security_file_open\n    syscall: false\n    selectors: [{matchActions: [{action: Override, argError: -1}]}]\n", true},
		{"an enforcer", "lists: [{name: l, type: syscalls, values: [sys_read]}]\n  enforcers: [{calls: ['list:l']}]\n  tracepoints:\n  - subsystem: raw_syscalls\n    event: sys_enter\n    selectors: [{matchActions: [{action: NotifyEnforcer, argError: -1}]}]\n", true},
		{"all files except some", "kprobes:\n  - call: security_file_open\n    syscall: false\n    args: [{index: 0, type: file}]\n    selectors: [{matchArgs: [{index: 0, operator: NotPrefix, values: [/tmp]}], " + kill + "}]\n", true},
		{"all files", "kprobes:\n  - call: sys_openat\n    args: [{index: 1, type: string}]\n    selectors: [{matchArgs: [{index: 1, operator: Prefix, values: [/usr, /]}], " + kill + "}]\n", true},
		{"all texts", "kprobes:\n  - call: sys_openat\n    args: [{index: 1, type: string}]\n    selectors: [{matchArgs: [{index: 1, operator: Postfix, values: ['']}], " + kill + "}]\n", true},
		{"all programs", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchBinaries: [{operator: Prefix, values: [/]}], " + kill + "}]\n", true},
		{"all programs except one", "kprobes:\n  - call: sys_openat\n    selectors: [{matchBinaries: [{operator: NotIn, values: [/bin/a]}], " + kill + "}]\n", true},
		{"children of the first program", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchBinaries: [{operator: In, followChildren: true, values: [/sbin/first]}], " + kill + "}]\n", true},
		{"all that have a capability", "kprobes:\n  - call: sys_openat\n    selectors: [{matchCapabilities: [{type: Effective, operator: In, values: [CAP_SYS_ADMIN]}], " + kill + "}]\n", true},
		{"an expression", "kprobes:\n  - call: sys_getpgid\n    args: [{index: 0, type: int}]\n    selectors: [{matchArgs: [{operator: CelExpr, values: ['1 == 1']}], " + kill + "}]\n", true},
		{"all results except one", "kprobes:\n  - call: sys_openat\n    return: true\n    returnArg: {index: 0, type: int}\n    selectors: [{matchReturnArgs: [{index: 0, operator: NotEqual, values: [-1]}], matchReturnActions: [{action: Sigkill}]}]\n", true},
		{"all system calls except one", "tracepoints:\n  - subsystem: raw_syscalls\n    event: sys_enter\n    args: [{index: 4, type: int64}]\n    selectors: [{matchArgs: [{index: 4, operator: NotEqual, values: [1]}], " + kill + "}]\n", true},
		{"a tracepoint", "tracepoints:\n  - subsystem: syscalls\n    event: sys_enter_openat\n    selectors: [{matchBinaries: [{operator: NotIn, values: [/bin/a]}], " + kill + "}]\n", true},
		{"all writes", "kprobes:\n  - call: sys_write\n    args: [{index: 2, type: size_t}]\n    selectors: [{matchArgs: [{index: 2, operator: GT, values: [0]}], " + kill + "}]\n", true},
		{"large reads", "kprobes:\n  - call: sys_read\n    args: [{index: 2, type: size_t}]\n    selectors: [{matchArgs: [{index: 2, operator: InRange, values: ['1:99999999999']}], matchActions: [{action: Override, argError: -12}]}]\n", true},
		{"all that create files", "kprobes:\n  - call: sys_openat\n    args: [{index: 2, type: int}]\n    selectors: [{matchArgs: [{index: 2, operator: Mask, values: [64]}], " + kill + "}]\n", true},
		{"a descriptor", "kprobes:\n  - call: sys_write\n    args: [{index: 0, type: int}]\n    selectors: [{matchArgs: [{index: 0, operator: Equal, values: [1, 2]}], " + kill + "}]\n", true},
		{"the current directory", "kprobes:\n  - call: sys_openat\n    args: [{index: 0, type: int}]\n    selectors: [{matchArgs: [{index: 0, operator: Equal, values: [-100]}], matchActions: [{action: Override, argError: -1}]}]\n", true},
		{"an expression of a descriptor", "kprobes:\n  - call: sys_close\n    args: [{index: 0, type: int}]\n    selectors: [{matchArgs: [{args: [0], operator: CelExpr, values: ['arg0 >= 0']}], " + kill + "}]\n", true},
		{"small writes", "kprobes:\n  - call: sys_write\n    args: [{index: 2, type: size_t}]\n    selectors: [{matchArgs: [{index: 2, operator: LT, values: [256]}], " + kill + "}]\n", true},
		{"process 1", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchPIDs: [{operator: In, values: [1]}], " + kill + "}]\n", true},
		{"the shell above", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchPIDs: [{operator: In, values: [7, 88]}], " + kill + "}]\n", true},
		{"the server of SSH", "kprobes:\n  - call: sys_openat\n    selectors: [{matchBinaries: [{operator: In, values: [/usr/sbin/sshd]}], " + kill + "}]\n", true},
		{"programs of that name", "kprobes:\n  - call: sys_kill\n    selectors: [{matchBinaries: [{operator: Postfix, values: [/sshd]}], " + kill + "}]\n", true},
		{"its children", "kprobes:\n  - call: sys_execve\n    selectors: [{matchParentBinaries: [{operator: In, values: [/usr/sbin/sshd]}], matchActions: [{action: Override, argError: -1}]}]\n", true},
		{"programs of a directory", "kprobes:\n  - call: sys_openat\n    selectors: [{matchBinaries: [{operator: Prefix, values: [/usr/sb]}], " + kill + "}]\n", true},
		{"a function of the server", "uprobes:\n  - {path: /usr/sbin/sshd, symbols: [main], selectors: [{" + kill + "}]}\n", true},
		{"no signals", "kprobes:\n  - call: sys_kill\n    selectors: [{matchActions: [{action: Override, argError: -1}]}]\n", true},
		{"no signals except from one program", "kprobes:\n  - call: sys_kill\n    selectors: [{matchBinaries: [{operator: NotIn, values: [/bin/a]}], matchActions: [{action: Override, argError: -1}]}]\n", true},
		{"an enforcer of signals", "lists: [{name: l, type: syscalls, values: [sys_kill]}]\n  enforcers: [{calls: ['list:l']}]\n  kprobes:\n  - call: list:l\n    selectors: [{matchActions: [{action: NotifyEnforcer, argError: -1}]}]\n", true},
		{"all programs that start", "tracepoints:\n  - subsystem: sched\n    event: sched_process_exec\n    selectors: [{matchBinaries: [{operator: NotIn, values: [/bin/a]}], " + kill + "}]\n", true},
		{"a kernel function", "kprobes:\n  - call: vfs_read\n    syscall: false\n    args: [{index: 0, type: int}]\n    selectors: [{matchArgs: [{index: 0, operator: GT, values: [2]}], " + kill + "}]\n", true},
		{"a function of connections", "kprobes:\n  - call: tcp_sendmsg\n    syscall: false\n    selectors: [{matchBinaries: [{operator: NotIn, values: [/bin/a]}], " + kill + "}]\n", true},
		{"a raw tracepoint", "tracepoints:\n  - subsystem: raw_syscalls\n    event: sys_enter\n    raw: true\n    selectors: [{matchBinaries: [{operator: NotIn, values: [/bin/a]}], " + kill + "}]\n", true},
		{"results of a fentry", "fentries:\n  - call: security_file_open\n    syscall: false\n    selectors: [{matchCapabilities: [{type: Effective, operator: In, values: [CAP_SYS_ADMIN]}], matchActions: [{action: Override, argError: -1}]}]\n", true},
		{"a macro", "selectorsMacros: {m: {matchBinaries: [{operator: NotIn, values: [/bin/a]}]}}\n  kprobes:\n  - call: sys_openat\n    selectors: [{macros: [m], " + kill + "}]\n", true},
		{"the server elsewhere", "kprobes:\n  - call: sys_ptrace\n    selectors: [{matchBinaries: [{operator: In, values: [/usr/sbin/sshd]}], " + kill + "}]\n", false},
		{"the server and a file", "kprobes:\n  - call: sys_openat\n    args: [{index: 1, type: string}]\n    selectors: [{matchBinaries: [{operator: In, values: [/usr/sbin/sshd]}], matchArgs: [{index: 1, operator: Postfix, values: [.so.9]}], " + kill + "}]\n", false},
		{"a program at many calls", "kprobes:\n  - call: sys_openat\n    selectors: [{matchBinaries: [{operator: In, values: [/usr/bin/a]}], " + kill + "}]\n", false},
		{"one signal", "kprobes:\n  - call: sys_kill\n    args: [{index: 0, type: int}]\n    selectors: [{matchArgs: [{index: 0, operator: Equal, values: [0]}], " + kill + "}]\n", false},
		{"some connections", "kprobes:\n  - call: security_socket_connect\n    syscall: false\n    args: [{index: 1, type: sockaddr}]\n    selectors: [{matchArgs: [{index: 1, operator: NotDAddr, values: [127.0.0.0/8]}], matchBinaries: [{operator: NotIn, values: [/bin/a]}], matchActions: [{action: Override, argError: -1}]}]\n", false},
		{"a file and a number", "kprobes:\n  - call: sys_openat\n    args: [{index: 1, type: string}, {index: 2, type: int}]\n    selectors: [{matchArgs: [{index: 1, operator: Prefix, values: [/srv]}, {index: 2, operator: Mask, values: [64]}], " + kill + "}]\n", false},
		{"a system call", "tracepoints:\n  - subsystem: raw_syscalls\n    event: sys_enter\n    args: [{index: 4, type: syscall64}]\n    selectors: [{matchArgs: [{index: 4, operator: Equal, values: [165]}], " + kill + "}]\n", false},
		{"a number at another call", "kprobes:\n  - call: sys_lseek\n    args: [{index: 1, type: int64}]\n    selectors: [{matchArgs: [{index: 1, operator: GT, values: [0]}], " + kill + "}]\n", false},
		{"a library", "uprobes:\n  - {path: /lib/libc.so.6, symbols: [malloc], selectors: [{" + kill + "}]}\n", true},
		{"a program", "uprobes:\n  - {path: /bin/a, symbols: [main], selectors: [{" + kill + "}]}\n", false},
		{"all programs except one at another call", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchBinaries: [{operator: NotIn, values: [/bin/a]}], " + kill + "}]\n", false},
		{"some files", "kprobes:\n  - call: security_file_open\n    syscall: false\n    args: [{index: 0, type: file}]\n    selectors: [{matchArgs: [{index: 0, operator: Prefix, values: [/srv]}], " + kill + "}]\n", false},
		{"one process", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchPIDs: [{operator: In, values: [77]}], " + kill + "}]\n", false},
		{"containers", "kprobes:\n  - call: sys_getpgid\n    selectors: [{matchNamespaces: [{namespace: Pid, operator: NotIn, values: [host_ns]}], " + kill + "}]\n", false},
		{"pods", "podSelector: {}\n  kprobes:\n  - call: sys_getpgid\n    selectors: [{" + kill + "}]\n", false},
		{"an argument", "kprobes:\n  - call: sys_getpgid\n    args: [{index: 0, type: int}]\n    selectors: [{matchArgs: [{index: 0, operator: Equal, values: [7]}], " + kill + "}]\n", false},
		{"a call that not all need", "kprobes:\n  - call: security_file_permission\n    syscall: false\n", false},
		{"mkdir fails", "kprobes:\n  - call: sys_mkdirat\n    selectors: [{matchActions: [{action: Override, argError: -1}]}]\n", false},
		{"a monitor", "options: [{name: policy-mode, value: monitor}]\n  kprobes:\n  - call: sys_getpgid\n    selectors: [{" + kill + "}]\n", false},
	} {
		for _, named := range []bool{false, true} {
			var diags source.Diags
			terms := &policy.Terms{Kernel: k, Unsafe: true}
			if named {
				terms.MayLockOut = []string{"test"}
			}
			Translate(documents(policyWith("  "+c.spec), &diags), &Machine{Namespaces: InitialNamespaces(), First: "/sbin/first", Way: []string{"88"}, Doors: []string{"/sbin/first", "/usr/sbin/sshd", "/bin/shell"}}, terms, &diags)
			refused := false
			for _, d := range diags.All() {
				refused = refused || strings.Contains(d.Msg, "may make it unusable") && strings.Contains(d.Hint, "--may-lock-out test")
			}
			if refused != (c.refused && !named) {
				t.Errorf("%s, named %v: refused %v: %v", c.name, named, refused, diags.All())
			}
		}
	}
}
