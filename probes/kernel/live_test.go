package kernel

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/types"
)

// liveKernel returns the running kernel. It skips the test if the kernel's BTF cannot
// be read.
func liveKernel(t testing.TB) *Kernel {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and a kernel with BTF")
	}
	return Live()
}

// TestLiveTypes checks types that exist in every kernel since 5.10.
func TestLiveTypes(t *testing.T) {
	k := liveKernel(t)
	task, err := k.Type("struct task_struct")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"pid": "int32", "comm": "string[16]", "mm": "struct mm_struct *", "parent": "struct task_struct *", "start_time": "uint64"} {
		if f, ok := task.Field(name); !ok || f.Type.String() != want {
			t.Errorf("task_struct.%s is %v", name, f.Type)
		}
	}
	if f, ok := task.Field("in_execve"); !ok || f.BitSize != 1 {
		t.Errorf("task_struct.in_execve: %+v", f)
	}
	if typ, err := k.Type("pid_t"); err != nil || typ.Kind != types.Int || typ.Size != 4 || !typ.Signed {
		t.Error(typ, err)
	}
	p, err := k.FuncProto("", "vfs_read")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Decls(), ", "); got != "struct file * file, char * buf, size_t count, loff_t * pos" {
		t.Error(got)
	}
	p, err = k.TracepointProto("", "sched_switch")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.Decls(), ", "); !strings.HasPrefix(got, "bool preempt, struct task_struct * prev, struct task_struct * next") {
		t.Error(got)
	}
	if v, _, ok := k.EnumConst("BPF_MAP_TYPE_RINGBUF"); !ok || v != 27 {
		t.Error(v, ok)
	}
	if !strings.Contains(strings.Join(k.Iterators(), " "), "task") {
		t.Error("no task iterator")
	}
}

// TestLiveEverything converts every struct, prototype and format of the kernel.
func TestLiveEverything(t *testing.T) {
	k := liveKernel(t)
	for _, kind := range []string{"struct", "union", "enum", "typedef"} {
		names := k.TypeNames(kind)
		if len(names) < 100 {
			t.Errorf("only %d %ss", len(names), kind)
		}
		for _, name := range names {
			typ, err := k.Type(name)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, f := range typ.Members() {
				// A flexible array starts at the end.
				if f.Off > typ.Size || f.BitSize > 0 && f.BitOff+f.BitSize > f.Type.Size*8 {
					t.Errorf("%s.%s lies outside: %+v", name, f.Name, f)
				}
			}
			if d, err := k.TypeDecl(name); err != nil || !strings.HasSuffix(d, ";") {
				t.Errorf("%s: %q %v", name, d, err)
			}
		}
	}
	raw, err := k.RawTracepoints()
	if err != nil {
		t.Fatal(err)
	}
	for _, tp := range raw {
		mod, name, _ := strings.Cut(tp, ":")
		if _, err := k.TracepointProto(mod, name); err != nil {
			t.Error(err)
		}
	}
	events, err := k.Tracepoints()
	if err != nil {
		t.Fatal(err)
	}
	for _, tp := range events {
		cat, name, _ := strings.Cut(tp, ":")
		f, err := k.Tracepoint(cat, name)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, g := range f.Fields {
			if g.Name == "" || g.Off < 8 || g.Off > f.Size {
				t.Errorf("%s: %+v", tp, g)
			}
		}
	}
}

// TestLiveFreeze checks that a frozen kernel returns the same facts as the live one.
func TestLiveFreeze(t *testing.T) {
	k := liveKernel(t)
	var w bytes.Buffer
	err := k.Freeze(&w, Corpus{
		Types: []string{"struct sock"}, Functions: []string{"vfs_read", "tcp_sendmsg"}, Tracepoints: []string{"sched:sched_switch", "syscalls:sys_enter_connect"},
		RawTracepoints: []string{"sched_switch"}, Iterators: []string{"task"}, Symbols: []string{"vfs_read"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", w.Len())
	path := t.TempDir() + "/k"
	if err := os.WriteFile(path, w.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	z, err := Frozen(path)
	if err != nil {
		t.Fatal(err)
	}
	if z.Release() != k.Release() || z.Arch() != k.Arch() || z.NumCPU() != k.NumCPU() {
		t.Error("facts differ")
	}
	for _, r := range featureTable {
		if z.Has(r.name) != k.Has(r.name) {
			t.Errorf("%s differs", r.name)
		}
	}
	for _, name := range []string{"struct task_struct", "struct sock", "struct sockaddr"} {
		a, _ := k.Type(name)
		b, err := z.Type(name)
		if err != nil {
			t.Error(err)
			continue
		}
		am, bm := a.Members(), b.Members()
		if len(am) != len(bm) || a.Size != b.Size {
			t.Fatalf("%s: %d members of %d", name, len(bm), len(am))
		}
		for i := range am {
			x, y := am[i], bm[i]
			if x.Name != y.Name || x.Off != y.Off || x.BitOff != y.BitOff || x.Type.Kind != y.Type.Kind || x.Type.Size != y.Type.Size {
				t.Errorf("%s.%s differs: %+v, %+v", name, x.Name, x, y)
			}
		}
	}
	for _, fn := range []string{"vfs_read", "tcp_sendmsg"} {
		a, _ := k.FuncProto("", fn)
		b, err := z.FuncProto("", fn)
		if err != nil || strings.Join(a.Decls(), ",") != strings.Join(b.Decls(), ",") {
			t.Error(fn, err)
		}
	}
	f, err := z.Tracepoint("syscalls", "sys_enter_connect")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range f.Fields {
		if g.Name == "uservaddr" && (g.Type.String() != "struct sockaddr *" || g.Type.Space != types.User) {
			t.Errorf("%+v", g.Type)
		}
	}
}

// BenchmarkType measures the first lookup in BTF, which each start performs.
func BenchmarkType(b *testing.B) {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		b.Skip(err)
	}
	for b.Loop() {
		if _, err := Live().Type("struct task_struct"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTracepoint(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	for b.Loop() {
		if _, err := Live().Tracepoint("syscalls", "sys_enter_read"); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLiveSyscalls compares the types of system calls' arguments, for which the formats
// contain only names, with those of the functions that implement the calls.
func TestLiveSyscalls(t *testing.T) {
	k := liveKernel(t)
	all, err := k.Tracepoints()
	if err != nil {
		t.Skip(err)
	}
	compared := 0
	for _, tp := range all {
		name, ok := strings.CutPrefix(tp, "syscalls:sys_enter_")
		if !ok {
			continue
		}
		f, err := k.Tracepoint("syscalls", "sys_enter_"+name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := k.FuncProto("vmlinux", "__do_sys_"+name)
		if err != nil {
			continue // inlined
		}
		for i, want := range p.Params {
			if i+1 >= len(f.Fields) { // of the possible fields, the first one is the call's number
				break
			}
			got := f.Fields[i+1]
			if got.Name != want.Name {
				continue // the compiler removed some of them
			}
			compared++
			if got.Type.Kind != want.Type.Kind || got.Type.Size != want.Type.Size || got.Type.Signed != want.Type.Signed {
				t.Errorf("%s: %s is %s, but %s takes %s", tp, got.Name, got.Type, p.Name, want.Type)
			}
		}
	}
	if compared < 100 {
		t.Errorf("only %d arguments compared", compared)
	}
	t.Logf("%d arguments", compared)
}

// TestFeatureNames checks that the names by which the table finds backports are in the
// BTF of kernels that are recent enough. A name that is wrong would find nothing.
func TestFeatureNames(t *testing.T) {
	k := liveKernel(t)
	set, err := k.btf.Get()
	if err != nil {
		t.Skip(err)
	}
	for _, r := range featureTable {
		older := k.Release().Less(r.sinceOn(k.Arch()))
		if r.backport != "" && !older && (r.needs == "" || set.vmlinux.mentions(r.needs)) && !set.vmlinux.mentions(r.backport) {
			t.Errorf("%s: %s is not in the BTF of Linux %s", r.name, r.backport, k.Release())
		}
	}
}
