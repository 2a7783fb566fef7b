package probes_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/probes"
)

// attachPoint is an attach point with the result of parsing and expanding it.
type attachPoint struct {
	in   string
	opt  string // "unsafe", "pid"
	want string // names, blank-separated; "" for no match
	err  string // part of the error
	hint string // result of Suggest if nothing matched
}

// commonPoints are neither functions nor events of the kernel, nor in a program.
var commonPoints = []attachPoint{
	{in: "begin", want: "begin"},
	{in: "BEGIN", want: "begin"},
	{in: "End", want: "end"},
	{in: "begin:x", err: "begin probe type requires 0 arguments, found 1"},
	{in: "self:signal:SIGUSR1", want: "self:signal:SIGUSR1"},
	{in: "self:signal:SIGUSR2", err: "SIGUSR2 is not a supported signal"},
	{in: "self:foo", err: "self probe type requires 2 arguments, found 1"},
	{in: "self:foo:SIGUSR1", err: "foo is not a supported trigger"},
	{in: "test:a", want: "test:a"},
	{in: "test:a:b", err: "test probe type requires 1 arguments, found 2"},
	{in: "test:", err: "needs a name"},
	{in: "bench", err: "bench probe type requires 1 arguments, found 0"},
	{in: "bench:*", err: "does not support wildcards"},

	{in: "interval:s:1", want: "interval:s:1"},
	{in: "i:s:1", want: "interval:s:1"},
	{in: "interval:1s", want: "interval:us:1000000"},
	{in: "interval:1500us", want: "interval:us:1500"},
	{in: "interval:100000000", want: "interval:us:100000"},
	{in: "interval:0x3e8", want: "interval:us:1"},
	{in: "profile:99ms", want: "profile:us:99000"},
	{in: "p:hz:99", want: "profile:hz:99"},
	{in: "profile:ms:1_000", want: "profile:ms:1000"},
	{in: "profile:us:1e3", want: "profile:us:1000"},
	{in: "profile:1h", want: "profile:us:3600000000"},
	{in: "interval:5", err: "Invalid rate of interval probe. Minimum is 1000 or 1us. Found: 5 nanoseconds"},
	{in: "interval:999ns", err: "Found: 999 nanoseconds"},
	{in: "interval:s:0", err: "interval frequency should be a positive integer"},
	{in: "interval:s:-1", err: "interval frequency should be a positive integer"},
	{in: "interval:s:a", err: "Invalid rate of interval probe: invalid integer: a"},
	{in: "interval:s:1s", err: "has a unit"},
	{in: "interval:x:1", err: "x is not an accepted unit of time"},
	{in: "interval:s:1:2", err: "interval probe type requires 1 or 2 arguments, found 3"},
	{in: "interval", err: "found 0"},
	{in: "interval:", err: "invalid integer"},
	{in: "profile:hz:99999999999999999999", err: "does not fit 64 bits"},
	{in: "profile:s:18446744073709551615", err: "292 years"},
	{in: "profile:213503982334601d", err: "does not fit 64 bits"},
	{in: "profile:1e99", err: "does not fit 64 bits"},
	{in: "profile:_1", err: "invalid integer"},
	{in: "profile:1_", err: "invalid integer"},
	{in: "profile:hz:*", err: "does not support wildcards"},

	{in: "software:faults:100", want: "software:faults:100"},
	{in: "software:cs", want: "software:cs"},
	{in: "s:cs:", want: "software:cs"},
	{in: "software:", err: "software probe must have a software event name"},
	{in: "hardware::1", err: "hardware probe must have a hardware event name"},
	{in: "software:foo:1", err: "foo is not a software probe"},
	{in: "software:fault:1", err: "did you mean faults?"},
	{in: "software:cs:a", err: "Invalid count for software probe: invalid integer: a"},
	{in: "software:cpu:-1", err: "software count should be a positive integer"},
	{in: "software:c*", err: "wildcards are not allowed for software probe type"},
	{in: "hardware:*", err: "wildcards are not allowed for hardware probe type"},
	{in: "hardware:cycles:-1", err: "hardware count should be a positive integer"},
	{in: "hardware:cycles:0", want: "hardware:cycles:0"},
	{in: "hardware:instructions:1e6", want: "hardware:instructions:1e6"},

	{in: "watchpoint:0x1000:8:w", want: "watchpoint:0x1000:8:w"},
	{in: "w:0x1000:8:wr", want: "watchpoint:0x1000:8:wr"},
	{in: "watchpoint:0x10:3:w", err: "watchpoint length must be one of (1,2,4,8)"},
	{in: "watchpoint:0x10:8:z", err: "watchpoint mode must be combination of (r,w,x)"},
	{in: "watchpoint:0x10:8:rx", err: "invalid watchpoint mode: rx"},
	{in: "watchpoint:0x10:8:r", err: "invalid watchpoint mode: r"},
	{in: "watchpoint:0x10:8:ww", err: "duplicated"},
	{in: "watchpoint:0x11:8:w", err: "multiple of its length"},
	{in: "watchpoint:0:8:w", err: "non-zero address"},
	{in: "watchpoint:foo:8:w", err: "Invalid function/address argument: invalid integer: foo"},

	{in: "sk_lookup:/nonexistent", err: "a file of a network namespace, such as /proc/1/ns/net, is expected: "},
	{in: "xdp:lo", want: "xdp:lo"},
	{in: "xdp:nonexistent0", want: ""},
	{in: "tc:lo:ingress", want: "tc:lo:ingress"},
	{in: "tc:lo:up", err: "up is not a direction"},
	{in: "cgroup_skb:/nonexistent:ingress", err: "cgroup /nonexistent does not exist"},
}

// kernelPoints are in the kernel.
var kernelPoints = []attachPoint{
	{in: "kprobe:vfs_read", want: "kprobe:vfs_read"},
	{in: "k:vfs_read", want: "kprobe:vfs_read"},
	{in: "kprobe:vmlinux:vfs_read", want: "kprobe:vmlinux:vfs_read"},
	{in: "kprobe:only_btf", want: "kprobe:only_btf"},
	{in: "kprobe:only_sym", want: "kprobe:only_sym"},
	{in: "kprobe:vfs_read+4", want: "kprobe:vfs_read+4"},
	{in: "kprobe:vfs_read+0x10", want: "kprobe:vfs_read+16"},
	{in: "kprobe:vfs_read+0", want: "kprobe:vfs_read"},
	{in: "kprobe:nomod:vfs_read", err: "specified module nomod in probe kprobe:nomod:vfs_read is not loaded.", hint: "vfs_read"},
	{in: "kprobe:vfs_r*", want: "kprobe:vfs_read kprobe:vfs_readv"},
	{in: "kprobe:*", want: "kprobe:ext_fn kprobe:vfs_ext kprobe:bpf_lsm_file_open kprobe:vfs_read kprobe:vfs_readv"},
	{in: "kprobe:ext4:*", want: "kprobe:ext4:ext_fn kprobe:ext4:vfs_ext"},
	{in: "kprobe:e*:vfs*", want: "kprobe:ext4:vfs_ext"},
	{in: "kretprobe:vfs_read", want: "kretprobe:vfs_read"},
	{in: "kprobe:vfs_rea", want: "", hint: "vfs_read"},
	{in: "kprobe:vmlinux:nonsense", want: ""},
	{in: "kprobe:vfs_read+a", err: "Invalid offset: invalid integer: a"},
	{in: "kprobe:vfs_*+4", err: "without wildcards"},
	{in: "kprobe:vfs_read+4+5", err: "Cannot take more than one offset"},
	{in: "kretprobe:vfs_read+4", err: "Offset not allowed"},
	{in: "kprobe:0xffffffff81000000", err: "Probing by address requires --unsafe"},
	{in: "kprobe:0xffffffff81000000", opt: "unsafe", want: "kprobe:18446744071578845184"},
	{in: "kretprobe:0xffffffff81000000", opt: "unsafe", err: "not an address"},
	{in: "kprobe", err: "kprobe probe type requires 1 or 2 arguments, found 0"},
	{in: "kprobe:", err: "should be attached to a function or an address"},
	{in: "kprobe::vfs_read", err: "should be attached to a function or an address"},

	{in: "fentry:vfs_read", want: "fentry:vmlinux:vfs_read"},
	{in: "kfunc:vmlinux:vfs_read", want: "fentry:vmlinux:vfs_read"},
	{in: "fexit:vfs_*", want: "fexit:vmlinux:vfs_read fexit:vmlinux:vfs_readv"},
	{in: "fentry:nonsense", want: ""},
	{in: "fentry:", err: "fentry/fexit should specify a function"},
	{in: "fexit::vfs_read", err: "fentry/fexit should specify a function"},
	{in: "fentry:bpf:x:prog", err: "x is not the id of a BPF program"},

	{in: "tracepoint:sched:went", want: "tracepoint:sched:went"},
	{in: "t:sched:went", want: "tracepoint:sched:went"},
	{in: "tracepoint:sched:*", want: "tracepoint:sched:came tracepoint:sched:went"},
	{in: "tracepoint:*:*e*", want: "tracepoint:sched:came tracepoint:sched:went tracepoint:syscalls:sys_enter_read"},
	{in: "tracepoint:*e*", want: "tracepoint:sched:came tracepoint:sched:went tracepoint:syscalls:sys_enter_read"},
	{in: "t:w*", want: "tracepoint:sched:went"},
	{in: "tracepoint:sched*", want: ""},
	{in: "tracepoint:sched:wentt", want: "", hint: "sched:went"},
	{in: "tracepoint:syscalls:*nope", want: ""},
	{in: "tracepoint:a", err: "tracepoint probe type requires 2 arguments, found 1"},
	{in: "tracepoint::", err: "tracepoint probe must have a target"},
	{in: "tracepoint:..:went", want: ""},

	{in: "rawtracepoint:went", want: "rawtracepoint:vmlinux:went"},
	{in: "rt:vmlinux:went", want: "rawtracepoint:vmlinux:went"},
	{in: "rawtracepoint:w*", want: "rawtracepoint:vmlinux:went"},
	{in: "rawtracepoint:wentt", want: "", hint: "went"},
	{in: "rawtracepoint:a:b:c", err: "found 3"},

	{in: "iter:task", want: "iter:task"},
	{in: "it:task:foo", want: "iter:task"},
	{in: "iter:tusk", err: "iter tusk not available for your kernel version.", hint: "task"},
	{in: "iter:task*", err: "iter probe type does not support wildcards"},
	{in: "lsm:file_open", want: "lsm:file_open"},
	{in: "lsm:file_*", want: "lsm:file_open"},
	{in: "lsm:nonsense", want: ""},
	{in: "lsm:", err: "lsm needs a hook"},
	{in: "iter:", err: "iter needs a name"},
	{in: "rawtracepoint:", err: "rawtracepoint should be attached to a function"},
}

// programPoints returns attach points in the program self, and in text, which is not a
// program.
func programPoints(self, text string) []attachPoint {
	return []attachPoint{
		{in: "uprobe:/nonexistent:main", err: "uprobe target file '/nonexistent' does not exist or is not executable"},
		{in: "uprobe:nonexistent-program:main", err: "uprobe target file 'nonexistent-program' does not exist"},
		{in: "uprobe:" + text + ":main", err: "does not exist or is not executable: not an ELF file"},
		{in: "uprobe:" + self, err: "uprobe probe type requires 2 or 3 arguments, found 1"},
		{in: "uprobe::main", err: "uprobe should have a target"},
		{in: "uprobe:" + self + ":", err: "uprobe should be attached to a function and/or address"},
		{in: "uprobe:" + self + ":x:y", err: "unsupported language type: x"},
		{in: "uprobe:" + self + ":nonsense", want: ""},
		{in: "uprobe:" + self + ":main.main", want: "uprobe:" + self + ":main.main"},
		{in: "uprobe:" + self + ":main.mai", want: "", hint: "main.main"},
		{in: "uprobe:" + self + ":main.ma*n", want: "uprobe:" + self + ":main.main"},
		{in: "uprobe:" + self + ":cpp:main.main", want: "uprobe:" + self + ":cpp:main.main"},
		{in: "uprobe:" + filepath.Dir(self) + "/*:main.main", want: "uprobe:" + self + ":main.main"},
		{in: "uprobe:" + self + ":main.main", opt: "pid", want: "uprobe:" + self + ":main.main"},
		{in: "uprobe:main.main", opt: "pid", want: "uprobe:" + self + ":main.main"},
		{in: "uprobe:*:main.main", opt: "pid", want: "uprobe:" + self + ":main.main"},
		{in: "uprobe:" + strings.Repeat("x", 40) + "*:main.main", want: ""},
		{in: "uretprobe:" + self + ":main.main+4", err: "Offset not allowed"},
		{in: "uprobe:" + self + ":main.main+100000", err: "Offset outside the function bounds ('main.main' size is "},
		{in: "uprobe:" + self + ":main.main+x", err: "Invalid offset: invalid integer: x"},
		{in: "uprobe:" + self + ":0x10", err: "(binary appears stripped). Use --unsafe to probe it anyway, which may damage the traced program"},
		{in: "uretprobe:" + self + ":inlined:f", err: "uretprobe takes a function: an inlined copy of one has no instruction that returns"},
		{in: "uprobe:/nonexistent@a.c:*", err: "Invalid line number: *"},
		{in: "uprobe:**:main.main+1", err: "the target ** needs the name of a function, without wildcards or an offset"},
		{in: "uretprobe:" + self + ":main.main", want: "uretprobe:" + self + ":main.main"},
		{in: "usdt:" + self + ":nonsense", want: ""},
		{in: "usdt:" + self + ":", err: "usdt probe must have a target function or wildcard"},
		{in: "usdt:" + self, err: "usdt probe type requires 2 or 3 arguments, found 1"},
	}
}

// TestAttachPoints checks the results of parsing and expanding attach points: the names
// of the points, or the error.
func TestAttachPoints(t *testing.T) {
	self := target(t, goTarget)
	running := start(t, self, "1")
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range slices.Concat(commonPoints, kernelPoints, programPoints(self, text)) {
		t.Run(tt.in+" "+tt.opt, func(t *testing.T) {
			e := &probes.Env{Kernel: demoKernel(t, "amd64"), Unsafe: tt.opt == "unsafe"}
			if tt.opt == "pid" {
				e.PID = running.Process.Pid
			}
			parts := strings.Split(tt.in, ":")
			k := probes.Lookup(parts[0])
			if k == nil {
				t.Fatal("no such kind")
			}
			p, err := k.Parse(e, parts)
			var names []string
			if err == nil {
				var ps []*probes.Point
				ps, err = k.Expand(e, p)
				for _, q := range ps {
					names = append(names, q.Name)
					if q.Kind != k {
						t.Error("the point is of another kind")
					}
				}
				if len(ps) == 0 && (err == nil || errors.Is(err, probes.ErrNotFound)) && k.Suggest != nil {
					if got := k.Suggest(e, p); got != tt.hint {
						t.Errorf("suggests %q, want %q", got, tt.hint)
					}
				}
			}
			switch {
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v, want %q", err, tt.err)
			case tt.err == "" && err != nil:
				t.Error(err)
			case tt.err == "":
				if d := cmp.Diff(tt.want, strings.Join(names, " ")); d != "" {
					t.Error(d)
				}
			}
		})
	}
}
