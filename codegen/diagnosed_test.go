package codegen_test

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes/kernel"
)

// mistakes are scripts with their first errors.
var mistakes = []struct{ kernel, text, want string }{
	{"6.12", `fn f() : int64 { return 1; } uprobe:testdata/prog:add { print(args.nosuch); }`, `1:63-74: ERROR: Can't find function parameter nosuch`},
	{"6.12", `uprobe:testdata/prog:add { print(goid); }`, `1:34-38: ERROR: The goid builtin can only be used with 'uprobe' and 'uretprobe' probes of Go functions`},
	{"6.12", `uprobe:testdata/prog:add { print(uaddr("nosuch")); }`, `1:34-49: ERROR: Could not resolve symbol: testdata/prog:nosuch`},
	{"6.12", `begin { print(memcmp("abc", "abd", -1)); }`, `1:15-39: ERROR: memcmp() requires a non-negative length`},
	{"6.12", `begin { print(memcmp(curtask, curtask, pid)); }`, `1:15-44: ERROR: memcmp() of pointers requires a literal length`},
	{"6.12", `begin { print(signal_thread((1, 2))); }`, `1:9-37: ERROR: none type passed to print() is not printable`},
	{"6.12", `begin { write_user("abc", 1, 1); }`, `1:9-32: ERROR: write_user() expects an integer or pointer argument (string provided)`},
	{"6.12", `begin { print(ustack("a")); }`, `1:15-26: ERROR: ustack: invalid limit value`},
	{"6.12", `begin { print(comm(1)); }`, `1:15-22: ERROR: comm(pid) is not supported in begin probes: the kernel does not let their programs look up tasks`},
	{"5.10", `begin { print(comm(1)); }`, `1:15-22: ERROR: comm(pid) is not supported in begin probes: the kernel does not let their programs look up tasks`},
	{"6.12", `uprobe:testdata/prog:add { print(comm(1)); }`, `1:34-41: ERROR: comm(pid) is not supported in uprobe probes: the kernel does not let their programs look up tasks`},
	{"6.1", `uprobe:testdata/prog:add { print(comm(1)); }`, `1:34-41: ERROR: comm(pid) is not supported in uprobe probes: the kernel does not let their programs look up tasks`},
	{"6.12", `cgroup_skb:/:ingress { print(comm(1)); }`, `1:30-37: ERROR: comm(pid) is not supported in cgroup_skb probes: the kernel does not let their programs look up tasks`},
	{"6.12", `begin { if (find(@m, 1, $v)) { print($v); } }`, `1:18-20: ERROR: Undefined map: @m`},
	{"6.12", `begin { print(@never); }`, `1:15-21: ERROR: Undefined map: @never`},
	{"6.12", `begin { @h = hist(5); debugf("%d", @h); }`, `1:23-39: ERROR: unsupported format specifier for type 'hist_t': d`},
	{"6.12", `begin { @h = hist(5); print(if (cpu) { @h } else { @h }); }`, `1:23-57: ERROR: Map type hist_t cannot be passed to print(). Print the whole map instead.`},
	{"5.10", `uprobe:testdata/prog:add { print(strcontains(str(arg0, 200), str(arg1, 200))); }`, `1:34-77: ERROR: strcontains() of strings of 200 and 200 bytes needs Linux 6.17 (bpf_strstr), this is 5.10`},
	{"6.12", `begin { $x = *(struct nodefinition *)1; }`, `1:16-37: ERROR: Cannot resolve unknown type "struct nodefinition"`},
	{"6.12", `cgroup_skb:/:ingress { print(payload(rand)); }`, `1:30-43: ERROR: payload: invalid size value (must be a literal)`},
	{"6.12", `cgroup_skb:/:ingress { @x = sum((uint32)rand); @k[payload((int64)@x)] = payload((int64)@x); }`, `1:51-69: ERROR: payload: invalid size value (must be a literal)`},
	{"6.12", `cgroup_skb:/:ingress { $x = 5; print(payload($x)); }`, `1:38-49: ERROR: payload: invalid size value (must be a literal)`},
	{"6.12", `cgroup_skb:/:ingress { print(payload(0)); }`, `1:38-39: ERROR: The size must be from 1 to max_strlen, which is 1024`},
	{"6.12", `cgroup_skb:/:ingress { print(payload("a")); }`, `1:38-41: ERROR: payload() expects a number of bytes`},
	{"6.12", `begin { print(syscall_arg(rand)); }`, `1:15-32: ERROR: syscall_arg: invalid n value (must be a literal)`},
	{"6.12", `begin { print(syscall_arg(6)); }`, `1:27-28: ERROR: a system call has the arguments 0 to 5`},
	{"6.12", `begin { print(between("a", rand, "b")); }`, `1:15-38: ERROR: between() expects a string literal (int provided)`},
	{"6.12", `begin { $x = (1, print(1)); }`, `1:18-26: ERROR: A tuple or record cannot hold 'none'`},
	{"6.12", `begin { if ((1, 2)) { } }`, `1:9-24: ERROR: Invalid condition: tuple`},
	{"6.12", `begin { print(_); }`, `1:15-16: ERROR: Unknown identifier: '_'`},
	{"6.12", `begin { print((a = 1, a = 2)); }`, `1:23-28: ERROR: syntax: Named argument list already contains name: a`},
	{"6.12", `begin { print(uint64); }`, `1:15-21: ERROR: Unknown identifier: 'uint64'`},
	{"6.12", `begin { print((uint64, 1)); }`, `1:16-22: ERROR: Unknown identifier: 'uint64'`},
	{"6.12", `begin { $x = uint64; }`, `1:14-20: ERROR: Unknown identifier: 'uint64'`},
	{"6.12", `begin { $x = 0..3; }`, `1:15-17: ERROR: syntax: expected ';', found '..'`},
	{"6.12", `begin { print(0..3); }`, `1:16-18: ERROR: syntax: expected ')', found '..'`},
	{"6.12", `begin { for ($i : 5) { } }`, `1:19-20: ERROR: syntax: expected a map or a range like 0..10`},
	{"6.12", `begin { 5++; }`, `1:10-12: ERROR: syntax: increment/decrement requires a variable or map`},
	{"6.12", `begin { $x = &5; }`, `1:15-16: ERROR: syntax: address-of operator (&) can only be used on a map or variable`},
	{"6.12", `begin { print(container == comm); }`, `1:28-32: ERROR: container can only be compared with a literal: the name is looked up when the script starts`},
	{"6.12", `begin { print(unit == "nosuch.service"); }`, `1:23-39: ERROR: unit == "nosuch.service"`},
	{"6.12", `begin { let $x : uint8[pid]; }`, `1:23-24: ERROR: syntax: expected ';', found '['`},
	{"6.12", `begin { let $x : if; }`, `1:18-20: ERROR: syntax: expected a type, found 'if'`},
	{"6.12", `begin { print(sizeof(while)); }`, `1:22-27: ERROR: syntax: expected expression, found 'while'`},
	{"6.12", `begin { print((for)1); }`, `1:16-19: ERROR: syntax: expected expression, found 'for'`},
	{"6.12", `begin { print(1) 5; }`, `1:18-19: ERROR: syntax: expected ';', found '5'`},
	{"6.12", `begin { $x = 1 $y = 2; }`, `1:16-18: ERROR: syntax: expected ';', found '$y'`},
	{"6.12", `struct s { int x[3 int y; }; begin { }`, `1:18-19: ERROR: The length of this array is not a constant, or it is too large`},
	{"6.12", `struct s { int x; } y z; begin { }`, `1:23-25: ERROR: syntax: expected '{', found 'z;'`},
	{"6.12", `struct s { int x; }; int a b; begin { }`, `1:26-27: ERROR: syntax: expected '{', found 'a'`},
	{"6.12", "#ifdef\nstruct a { int b; };\n#endif\nbegin { }", `1:1-7: ERROR: #ifdef needs a name`},
	{"6.12", "#if 1 ? 2\n#endif\nbegin { }", `1:1-10: ERROR: Cannot evaluate this #if: expected ':'`},
	{"6.12", "#if 1 / 0\n#endif\nbegin { }", `1:1-10: ERROR: Cannot evaluate this #if: division by zero`},
	{"6.12", `struct s { int x[sizeof 4]; }; begin { }`, `1:18-24: ERROR: The length of this array is not a constant, or it is too large`},
	{"6.12", `struct s { int x[(struct s)1]; }; begin { }`, `1:18-19: ERROR: The length of this array is not a constant, or it is too large`},
	{"6.12", `struct s { int x[sizeof(int]; }; begin { }`, `1:1-7: ERROR: syntax: this C definition has no end`},
	{"6.12", `struct s { int x[1 ? 2]; }; begin { }`, `1:18-19: ERROR: The length of this array is not a constant, or it is too large`},
	{"6.12", `self:signal:SIGUSR1 { print(args); }`, `1:29-33: ERROR: The args builtin can only be used with tracepoint, rawtracepoint, fentry/fexit, and uprobe probes (self used here)`},
	{"6.12", `rawtracepoint:sched_switch { print(arg9); }`, `1:36-40: ERROR: arg9 does not exist: the last one here is arg3`},
	{"6.12", `kprobe:vfs_read { print(args.nosuch); }`, `1:25-29: ERROR: The args builtin can only be used with tracepoint, rawtracepoint, fentry/fexit, and uprobe probes (kprobe used here)`},
	{"6.12", `fentry:vfs_read { print(args.nosuch); print(args.comm); }`, `1:25-36: ERROR: Can't find function parameter nosuch`},
	{"6.12", `macro m(x) { x } begin { print(m(struct task_struct)); }`, `1:34-52: ERROR: A type is not a value`},
	{"6.12", `begin { print(strlen(struct task_struct)); }`, `1:22-40: ERROR: A type is not a value`},
	{"6.12", `begin { print(sizeof(struct task_struct *)); print(struct task_struct); }`, `1:52-70: ERROR: A type is not a value`},
	{"6.12", `fn f($a : int64) : int64 { return $a; } begin { print(f(struct task_struct)); }`, `1:57-75: ERROR: A type is not a value`},
	{"6.12", `macro m(@x) { for ($i : @x) { print($i); } } begin { m(5); }`, `1:54-58: ERROR: Call to m() has arguments that do not match any definition.`},
	{"6.12", `macro m(x) { for ($i : 0..x) { print($i); } } begin { m("a"); }`, `1:14-28: ERROR: Loop range requires an integer for the end value`},
	{"6.12", `begin { $x = (uint8[1+2])(uint32)5; }`, `1:26-27: ERROR: syntax: expected ';', found '('`},
	{"6.12", `begin { print(sizeof(uint8[pid])); }`, `1:22-27: ERROR: Unknown identifier: 'uint8'`},
	{"6.12", `begin { $a = (struct tcp_nosuch *)1; print($a->b); }`, `1:15-34: ERROR: Cannot resolve unknown type "struct tcp_nosuch"`},
	{"6.12", `struct fwd; begin { $x = *(struct fwd *)1; }`, `1:28-40: ERROR: Cannot resolve unknown type "struct fwd"`},
	{"6.12", `struct fwd *p; begin { $x = *(struct fwd *)1; }`, `1:31-43: ERROR: Cannot resolve unknown type "struct fwd"`},
	{"6.12", `struct s { struct fwd *p; }; begin { $x = *((struct s *)1)->p; }`, `1:43-62: ERROR: 'struct fwd' has no members here: its definition is not known`},
	{"6.12", `begin { print(@m, 5); clear(@m); }`, `1:15-17: ERROR: Undefined map: @m`},
	{"6.12", `begin { @x = _; }`, `1:14-15: ERROR: Unknown identifier: '_'`},
	{"6.12", `fn f() : int64 { return comm(1) == "a"; } begin { print(f()); }`, `1:25-32: ERROR: comm(pid) is not supported in begin probes: the kernel does not let their programs look up tasks`},
	{"6.12", `fn f() : uint64 { return arg0; } begin { f(); }`, `1:26-30: ERROR: The arg0 builtin can only be used with 'kprobes', 'uprobes' and 'usdt' probes`},
	{"6.12", `begin { ($i)++; }`, `1:10-12: ERROR: Undefined or undeclared variable: $i`},
}

// TestDiagnosed checks the first error of scripts with mistakes that no example or
// golden case has. Each row is for a different place in the compiler that reports an
// error.
func TestDiagnosed(t *testing.T) {
	kernels := map[string]*kernel.Kernel{}
	for _, name := range []string{"5.10", "6.1", "6.12"} {
		k, err := kernel.Frozen("../tests/kernels/" + name + ".zip")
		if err != nil {
			t.Fatal(err)
		}
		kernels[name] = k
	}
	t.Chdir("../tests/golden") // the programs of the scripts are there
	for _, c := range mistakes {
		obj, diags := compile(t, kernels[c.kernel], c.text, nil)
		var first string
		for _, d := range diags.All() {
			if d.Severity == source.Error {
				first = d.Render()
				break
			}
		}
		if obj != nil || !strings.HasPrefix(first, "stdin:"+c.want) {
			t.Errorf("%s\ngot: %s\nwant: %s", c.text, first, c.want)
		}
	}
}
