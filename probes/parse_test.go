package probes_test

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// demoKernel is a small frozen kernel: a few functions, two tracepoints, one
// iterator.
func demoKernel(t testing.TB, arch string) probes.Kernel {
	t.Helper()
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	u64 := &btf.Int{Name: "u64", Size: 8}
	task := &btf.Struct{Name: "task_struct", Size: 8, Members: []btf.Member{{Name: "pid", Type: i32}}}
	ptr := &btf.Pointer{Target: task}
	fn := func(name string, ret btf.Type, params ...btf.FuncParam) btf.Type {
		return &btf.Func{Name: name, Type: &btf.FuncProto{Return: ret, Params: params}}
	}
	data := btf.FuncParam{Name: "__data", Type: &btf.Pointer{Target: &btf.Void{}}}
	b, err := btf.NewBuilder([]btf.Type{
		fn("vfs_read", i32, btf.FuncParam{Name: "file", Type: ptr}, btf.FuncParam{Name: "n", Type: u64}),
		fn("vfs_readv", &btf.Void{}), fn("only_btf", i32), fn("printk", i32, btf.FuncParam{Type: &btf.Void{}}),
		fn("__traceiter_went", i32, data, btf.FuncParam{Name: "who", Type: ptr}, btf.FuncParam{Name: "how", Type: i32}),
		&btf.Typedef{Name: "btf_trace_went", Type: &btf.Pointer{Target: &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{data}}}},
		&btf.Struct{Name: "bpf_iter__task", Size: 16, Members: []btf.Member{
			{Type: &btf.Union{Size: 8, Members: []btf.Member{{Name: "meta", Type: ptr}}}},
			{Type: &btf.Union{Size: 8, Members: []btf.Member{{Name: "task", Type: ptr}}}, Offset: 64},
		}},
		fn("bpf_iter_task", i32, btf.FuncParam{Name: "meta", Type: ptr}, btf.FuncParam{Name: "task", Type: ptr}),
		fn("bpf_lsm_file_open", i32, btf.FuncParam{Name: "file", Type: ptr}),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	blob, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		t.Fatal(err)
	}
	const head = "name: x\nID: 5\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
	k, err := kernel.FrozenFS(fstest.MapFS{
		"kernel":                                        {Data: []byte("release 6.1.0\narch " + arch + "\ncpus 2\npage 4096\nfeature kprobe\nfeature fentry\nfeature bpf_get_func_ip\n")},
		"btf/vmlinux":                                   {Data: blob},
		"kallsyms":                                      {Data: []byte("ffffffff81000100 t only_sym\n")},
		"tracing/available_filter_functions":            {Data: []byte("vfs_read\nvfs_readv\nbpf_lsm_file_open\next_fn [ext4]\nvfs_ext [ext4]\n")},
		"tracing/available_events":                      {Data: []byte("sched:went\nsched:came\nsyscalls:sys_enter_read\n")},
		"tracing/events/sched/went/format":              {Data: []byte(head + "\tfield:int how;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:__data_loc char[] name;\toffset:12;\tsize:4;\tsigned:0;\n")},
		"tracing/events/sched/came/format":              {Data: []byte(head + "\tfield:long how;\toffset:8;\tsize:8;\tsigned:1;\n")},
		"tracing/events/syscalls/sys_enter_read/format": {Data: []byte(head + "\tfield:char * buf;\toffset:24;\tsize:8;\tsigned:0;\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
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
	for _, tt := range []struct {
		in   string
		opt  string // "unsafe", "pid", "nolist"
		want string // names, blank-separated; "" for no match
		err  string // part of the error
		hint string // result of Suggest if nothing matched
	}{
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

		{in: "software:faults:100", want: "software:faults:100"},
		{in: "software:cs", want: "software:cs"},
		{in: "s:cs:", want: "software:cs"},
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

		{in: "sk_lookup:/nonexistent", err: "a file of a network namespace, such as /proc/1/ns/net, is expected: "},
		{in: "xdp:lo", want: "xdp:lo"},
		{in: "xdp:nonexistent0", want: ""},
		{in: "tc:lo:ingress", want: "tc:lo:ingress"},
		{in: "tc:lo:up", err: "up is not a direction"},
		{in: "cgroup_skb:/nonexistent:ingress", err: "cgroup /nonexistent does not exist"},
	} {
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

func TestLookup(t *testing.T) {
	for alias, want := range map[string]string{
		"kprobe": "kprobe", "k": "kprobe", "kr": "kretprobe", "KPROBE": "kprobe", "t": "tracepoint", "rt": "rawtracepoint",
		"u": "uprobe", "ur": "uretprobe", "U": "usdt", "p": "profile", "i": "interval", "s": "software", "h": "hardware",
		"w": "watchpoint", "f": "fentry", "fr": "fexit", "kfunc": "fentry", "kretfunc": "fexit", "it": "iter",
		"BEGIN": "begin", "END": "end", "Tracepoint": "tracepoint", "foo": "", "": "", "xdp": "xdp", "lsm": "lsm",
	} {
		got := ""
		if k := probes.Lookup(alias); k != nil {
			got = k.Name
		}
		if got != want {
			t.Errorf("%s: %s, want %s", alias, got, want)
		}
	}
	seen := map[string]bool{}
	for _, k := range probes.Kinds() {
		for _, n := range append([]string{k.Name}, k.Aliases...) {
			if seen[n] {
				t.Errorf("%s names two kinds", n)
			}
			seen[n] = true
		}
		if k.Parse == nil || k.Expand == nil || k.Context == nil || k.Syntax == "" || k.Doc == "" {
			t.Errorf("%s lacks something", k.Name)
		}
	}
	var names []string
	for _, k := range probes.Matching("k*probe") {
		names = append(names, k.Name)
	}
	if d := cmp.Diff([]string{"kprobe", "kretprobe"}, names); d != "" {
		t.Error(d)
	}
}

func TestList(t *testing.T) {
	e := &probes.Env{Kernel: demoKernel(t, "amd64")}
	for in, want := range map[string]string{
		"kprobe:vfs_*":          "kprobe:ext4:vfs_ext kprobe:vfs_read kprobe:vfs_readv",
		"kprobe:vmlinux:vfs_*":  "kprobe:vfs_read kprobe:vfs_readv",
		"fentry:vfs_*":          "fentry:vmlinux:vfs_read fentry:vmlinux:vfs_readv",
		"tracepoint:sched:*":    "tracepoint:sched:came tracepoint:sched:went",
		"tracepoint:*read":      "tracepoint:syscalls:sys_enter_read",
		"tracepoint":            "tracepoint:sched:came tracepoint:sched:went tracepoint:syscalls:sys_enter_read",
		"rawtracepoint:*":       "rawtracepoint:vmlinux:went",
		"iter:*":                "iter:task",
		"interval":              "interval:hz: interval:ms: interval:s: interval:us:",
		"software:c*":           "software:context-switches: software:cpu-clock: software:cpu-migrations: software:cpu: software:cs:",
		"self":                  "self:signal:SIGUSR1",
		"begin":                 "begin",
		"begin:x":               "",
		"lsm:*":                 "lsm:file_open",
		"uprobe:/nonexistent:*": "ERROR",
	} {
		parts := strings.Split(in, ":")
		var names []string
		err := probes.Lookup(parts[0]).List(e, parts, func(n string) bool { names = append(names, n); return true })
		if err != nil {
			names = []string{"ERROR"}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		// A listing stops when yield returns false.
		n := 0
		_ = probes.Lookup(parts[0]).List(e, parts, func(string) bool { n++; return false })
		if n > 1 {
			t.Errorf("%s: goes on after the reader stopped", in)
		}
	}
}

// TestContextPrograms checks that the library supports the program type of each kind.
func TestContextPrograms(t *testing.T) {
	e := &probes.Env{Kernel: demoKernel(t, "amd64")}
	for in, want := range map[string]ebpf.ProgramType{
		"begin": ebpf.RawTracepoint, "kprobe:vfs_read": ebpf.Kprobe, "kretprobe:vfs_read": ebpf.Kprobe, "fentry:vfs_read": ebpf.Tracing,
		"tracepoint:sched:went": ebpf.TracePoint, "rawtracepoint:went": ebpf.Tracing, "interval:s:1": ebpf.PerfEvent, "profile:hz:99": ebpf.PerfEvent,
		"iter:task": ebpf.Tracing, "lsm:file_open": ebpf.LSM, "xdp:lo": ebpf.XDP, "software:cs:1": ebpf.PerfEvent,
	} {
		ps := expand(t, e, in)
		c, err := ps[0].Kind.Context(e, ps[0])
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if c.Load.Type != want || c.Kind != ps[0].Kind {
			t.Errorf("%s: %v", in, c.Load.Type)
		}
		if (c.Args.Read != nil) != (c.Args.N > 0) || (c.Ret.Type != nil) != (c.Ret.Read != nil) {
			t.Errorf("%s: argN or retval half there", in)
		}
	}
	// Points with different layouts must not share a program.
	shape := func(in string) string {
		ps := expand(t, e, in)
		c, err := ps[0].Kind.Context(e, ps[0])
		if err != nil {
			t.Fatal(err)
		}
		return c.Load.Shape
	}
	if shape("tracepoint:sched:went") == shape("tracepoint:sched:came") {
		t.Error("two layouts, one shape")
	}
	if shape("kprobe:vfs_read") != shape("kprobe:vfs_readv") || shape("kprobe:vfs_read") == shape("kretprobe:vfs_read") {
		t.Error("kprobes do not share, or share with kretprobes")
	}
	if shape("fentry:vfs_read") != "" {
		t.Error("fentry programs are loaded for one function each")
	}
}

func TestArgLines(t *testing.T) {
	e := &probes.Env{Kernel: demoKernel(t, "amd64")}
	for in, want := range map[string]string{
		"tracepoint:sched:went": "int how|__data_loc char[] name",
		"kprobe:vfs_read":       "struct task_struct * arg0|u64 arg1",
		"kretprobe:vfs_read":    "int retval",
		"kretprobe:vfs_readv":   "",
		"fentry:vfs_read":       "struct task_struct * file|u64 n",
		"fexit:vfs_read":        "struct task_struct * file|u64 n|int retval",
		"rawtracepoint:went":    "struct task_struct * who|int how",
		"iter:task":             "struct task_struct * task",
	} {
		ps := expand(t, e, in)
		c, err := ps[0].Kind.Context(e, ps[0])
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got := strings.Join(c.Args.Lines(), "|"); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// FuzzParse checks that no attach point makes any kind panic.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"kprobe:vfs_read+4", "uprobe:/bin/sh:main+0x10", "interval:1s", "usdt:/bin/sh:a:b", "watchpoint:0x10:8:rw", "iter:task:pin", "fentry:bpf:1:x", "tc:lo:egress"} {
		f.Add(s)
	}
	k := demoKernel(f, "amd64")
	f.Fuzz(func(t *testing.T, s string) {
		parts := strings.Split(s, ":")
		for _, kind := range probes.Kinds() {
			for _, unsafe := range []bool{false, true} {
				e := &probes.Env{Kernel: k, Unsafe: unsafe}
				parts[0] = kind.Name
				p, err := kind.Parse(e, parts)
				if err != nil || strings.HasPrefix(kind.Name, "u") || p.Target == "bpf" {
					continue
				}
				ps, err := kind.Expand(e, p)
				if err != nil {
					continue
				}
				for _, q := range ps {
					_, _ = kind.Context(e, q)
				}
			}
		}
	})
}

// TestDebugFile finds the functions of a stripped program in its debug file.
func TestDebugFile(t *testing.T) {
	if _, err := exec.LookPath("objcopy"); err != nil {
		t.Skip(err)
	}
	full := target(t, cTarget)
	dir := t.TempDir()
	bin := filepath.Join(dir, "stripped")
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("objcopy", "--strip-all", full, bin)
	k := probes.Lookup("uprobe")
	look := func() int {
		t.Helper()
		e := &probes.Env{Kernel: demoKernel(t, "amd64"), DebugInfo: dir}
		p, err := k.Parse(e, []string{"uprobe", bin, "many"})
		if err != nil {
			t.Fatal(err)
		}
		ps, err := k.Expand(e, p)
		if err != nil {
			t.Fatal(err)
		}
		return len(ps)
	}
	if n := look(); n != 0 {
		t.Fatalf("%d matches in a stripped program", n)
	}
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	note := f.Section(".note.gnu.build-id")
	if note == nil {
		t.Skip("the linker writes no build ids")
	}
	data, err := note.Data()
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("%x", data[16:])
	debug := filepath.Join(dir, ".build-id", id[:2], id[2:]+".debug")
	if err := os.MkdirAll(filepath.Dir(debug), 0o755); err != nil {
		t.Fatal(err)
	}
	run("objcopy", "--only-keep-debug", full, debug)
	if n := look(); n != 1 {
		t.Errorf("%d matches with its debug file", n)
	}
}
