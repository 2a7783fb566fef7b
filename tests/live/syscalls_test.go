package live

import (
	"fmt"
	"strings"
	"testing"
)

// manyOf lists four tracepoints of system calls, the minimum number for the dispatcher.
const manyOf = "tracepoint:syscalls:sys_enter_openat, tracepoint:syscalls:sys_enter_read, tracepoint:syscalls:sys_enter_semget, tracepoint:syscalls:sys_enter_getppid"

// TestManySyscalls checks that scripts on many tracepoints of system calls print the
// same if these are attached separately, and that 32-bit system calls are ignored.
func TestManySyscalls(t *testing.T) {
	exits := strings.ReplaceAll(manyOf, "enter", "exit")
	for i, c := range []struct{ name, script, want string }{
		{"all", "tracepoint:syscalls:sys_enter_* /pid == cpid/ { @[probe, args.__syscall_nr] = count(); }", "@[tracepoint:syscalls:sys_enter_semget, 64]: 2\n"},
		{"probe", manyOf + " /pid == cpid/ { @[probe] = count(); }", "@[tracepoint:syscalls:sys_enter_getppid]: 3\n"},
		{"exit", exits + " /pid == cpid/ { @[probe, args.ret < 0 ? args.ret : 0] = count(); }", "@[tracepoint:syscalls:sys_exit_semget, -22]: 2\n"},
		{"both", manyOf + " /pid == cpid/ { @s[tid] = 1; } " + exits + " /pid == cpid/ { @[probe] = sum(@s[tid]); delete(@s, tid); }", ""},
		{"args", manyOf + " /pid == cpid/ { print((probe, args)); }", ""},
		{"variable", manyOf + ", tracepoint:syscalls:sys_enter_openat /pid == cpid/ { $a = args; @[$a.__syscall_nr] = count(); } ", "@[64]: 2\n"},
		{"overlap", manyOf + " /pid == cpid/ { printf(\"1 %s\\n\", probe); } tracepoint:syscalls:sys_enter_semget /pid == cpid/ { printf(\"2 %d %s\\n\", args.key, probe); }",
			"1 tracepoint:syscalls:sys_enter_semget\n2 -1 tracepoint:syscalls:sys_enter_semget\n"},
		{"comptime", manyOf + " /pid == cpid/ { if comptime (probe == \"tracepoint:syscalls:sys_enter_semget\") { @ = count(); } }", "@: 2\n"},
		{"text", manyOf + " /pid == cpid/ { if (probe == \"tracepoint:syscalls:sys_enter_semget\") { @[strlen(probe)] = count(); } }", "@[36]: 2\n"},
		{"kstack", manyOf + " /pid == cpid/ { @[kstack] = count(); }", ""},
	} {
		if elsewhere(i) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if copied := !release().less(version{6, 19}); copied && (c.name == "args" || c.name == "variable") {
				t.Skip("openat's tracepoint has a copy of the file name, so it is attached by itself; the address does not repeat")
			}
			run := func(args ...string) result {
				return trace(t, append(args, "-v", "-c", *work+" syscalls 30", "-e", c.script)...)
			}
			together := run()
			if strings.Contains(together.stderr, "are left out") {
				t.Skip(together.stderr)
			}
			if !strings.Contains(together.stdout, c.want) {
				t.Errorf("it printed no %q:\n%s", c.want, together.stdout)
			}
			const by = "by the raw tracepoint"
			whole := c.name == "kstack" || !release().less(version{6, 19}) // see copiesMemory in package probes
			if !whole && !strings.Contains(together.stderr, by) {
				t.Errorf("they were attached one by one: %s", together.stderr)
			}
			if c.name == "variable" {
				return // separate attachments do not allow a point twice
			}
			apart := run("--no-feature", "raw_syscalls")
			if together.stdout != apart.stdout {
				t.Errorf("together:\n%s\none by one:\n%s", together.stdout, apart.stdout)
			}
			if strings.Contains(apart.stderr, by) {
				t.Errorf("with --no-feature: %s", apart.stderr)
			}
		})
	}
}

// TestManySyscallsOfProcess checks that -p restricts a dispatcher's programs to the
// process.
func TestManySyscallsOfProcess(t *testing.T) {
	c := startCrowd(t)
	defer c.end()
	r := trace(t, "-p", fmt.Sprint(c.pid), "-e", "tracepoint:syscalls:sys_enter_* { @[pid] = count(); } interval:ms:50 { exit(); }")
	if strings.Contains(r.stdout, "@[") || r.status != 0 {
		t.Errorf("status %d, the process does nothing, but it printed: %s%s", r.status, r.stdout, r.stderr)
	}
}
