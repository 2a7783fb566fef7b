package probes_test

import (
	"debug/elf"
	"encoding/binary"
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
			t.Errorf("%s is incomplete", k.Name)
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
