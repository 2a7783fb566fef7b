package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// fixtureBTF returns the BTF of a small kernel.
func fixtureBTF(t testing.TB) []byte {
	t.Helper()
	char := &btf.Int{Name: "char", Size: 1}
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	u64 := &btf.Int{Name: "long unsigned int", Size: 8}
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	boolean := &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	pid := &btf.Typedef{Name: "pid_t", Type: i32}
	color := &btf.Enum{Name: "color", Size: 4, Values: []btf.EnumValue{{Name: "RED", Value: 0}, {Name: "BLUE", Value: 7}}}
	big := &btf.Enum{Name: "big", Size: 8, Values: []btf.EnumValue{{Name: "HUGE", Value: 1 << 40}}}
	neg := &btf.Enum{Name: "neg", Size: 4, Signed: true, Values: []btf.EnumValue{{Name: "MINUS", Value: ^uint64(0)}}}
	atomic := &btf.Typedef{Name: "atomic_t", Type: &btf.Struct{Size: 4, Members: []btf.Member{{Name: "counter", Type: i32}}}}
	task := &btf.Struct{Name: "task", Size: 96}
	task.Members = []btf.Member{
		{Name: "pid", Type: pid, Offset: 0},
		{Name: "comm", Type: &btf.Array{Index: u32, Type: char, Nelems: 16}, Offset: 32},
		{Name: "parent", Type: &btf.Pointer{Target: task}, Offset: 192},
		{Type: &btf.Union{Size: 8, Members: []btf.Member{{Name: "word", Type: u64}, {Name: "half", Type: u32}}}, Offset: 256},
		{Name: "a", Type: u32, Offset: 320, BitfieldSize: 3},
		{Name: "b", Type: u32, Offset: 323, BitfieldSize: 9},
		{Name: "c", Type: i32, Offset: 352, BitfieldSize: 1},
		{Name: "col", Type: color, Offset: 384},
		{Name: "uptr", Type: &btf.Pointer{Target: &btf.TypeTag{Type: char, Value: "user"}}, Offset: 448},
		{Name: "fn", Type: &btf.Pointer{Target: &btf.FuncProto{Return: i32, Params: []btf.FuncParam{{Type: i32}}}}, Offset: 512},
		{Name: "refs", Type: atomic, Offset: 576},
		{Name: "ok", Type: boolean, Offset: 608},
		{Name: "arr", Type: &btf.Array{Index: u32, Type: u64, Nelems: 2}, Offset: 640},
		{Name: "flex", Type: &btf.Array{Index: u32, Type: &btf.Pointer{Target: &btf.Void{}}, Nelems: 0}, Offset: 768},
	}
	pair := &btf.Struct{Name: "pair", Size: 16, Members: []btf.Member{{Name: "x", Type: u64}, {Name: "y", Type: u64, Offset: 64}}}
	void := (*btf.Void)(nil)
	fn := &btf.Func{Name: "do_thing", Linkage: btf.StaticFunc, Type: &btf.FuncProto{Return: u64, Params: []btf.FuncParam{
		{Name: "t", Type: &btf.Pointer{Target: task}}, {Name: "p", Type: pair}, {Name: "flag", Type: boolean},
	}}}
	iter := &btf.Func{Name: "__traceiter_went", Type: &btf.FuncProto{Return: i32, Params: []btf.FuncParam{
		{Name: "__data", Type: &btf.Pointer{Target: &btf.Void{}}}, {Name: "who", Type: &btf.Pointer{Target: task}}, {Name: "how", Type: u32},
	}}}
	td := &btf.Typedef{Name: "btf_trace_went", Type: &btf.Pointer{Target: &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{
		{Type: &btf.Pointer{Target: &btf.Void{}}}, {Type: &btf.Pointer{Target: task}}, {Type: u32},
	}}}}
	_ = void
	b, err := btf.NewBuilder([]btf.Type{task, big, neg, fn, iter, td, &btf.Func{Name: "bpf_iter_task", Type: &btf.FuncProto{Return: i32}}, &btf.Struct{Name: "bpf_iter__task", Size: 8}, &btf.Struct{Name: "bpf_iter__gone", Size: 8}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func fixture(t testing.TB) *Kernel {
	t.Helper()
	k, err := FrozenFS(fstest.MapFS{
		"kernel":                             {Data: []byte("release 6.1.0\narch amd64\ncpus 2\npage 4096\nfeature ringbuf\n")},
		"btf/vmlinux":                        {Data: fixtureBTF(t)},
		"kallsyms":                           {Data: []byte("0000000000000000 A per_cpu\nffffffff81000000 T _text\nffffffff81000100 t do_thing\nffffffff81000100 T do_alias\nffffffff81000200 T do_thing_more\nffffffffc0000000 t mod_fn\t[ext4]\n")},
		"tracing/available_filter_functions": {Data: []byte("do_thing\nmod_fn [ext4]\n")},
		"tracing/available_events":           {Data: []byte("syscalls:sys_enter_read\nsched:went\n")},
		"tracing/events/sched/went/format":   {Data: []byte(formatHead + "\tfield:int how;\toffset:8;\tsize:4;\tsigned:1;\n")},
		"tracing/events/syscalls/sys_enter_read/format": {Data: []byte(formatHead + "\tfield:unsigned int fd;\toffset:16;\tsize:8;\tsigned:0;\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestBTFTypes(t *testing.T) {
	k := fixture(t)
	task, err := k.Type("struct task")
	if err != nil {
		t.Fatal(err)
	}
	if task.Size != 96 || task.Space != types.Kernel || task.BTFID == 0 {
		t.Errorf("struct task: %+v", task)
	}
	for _, tt := range []struct {
		name         string
		typ          string
		off          int
		bitOff, bits int
	}{
		{"pid", "int32", 0, 0, 0},
		{"comm", "string[16]", 4, 0, 0},
		{"parent", "struct task *", 24, 0, 0},
		{"word", "uint64", 32, 0, 0},
		{"half", "uint32", 32, 0, 0},
		{"a", "uint32", 40, 0, 3},
		{"b", "uint32", 40, 3, 9},
		{"c", "int32", 44, 0, 1},
		{"col", "enum color", 48, 0, 0},
		{"uptr", "int8 *", 56, 0, 0},
		{"fn", "void *", 64, 0, 0},
		{"refs", "atomic_t", 72, 0, 0},
		{"ok", "bool", 76, 0, 0},
		{"arr", "uint64[2]", 80, 0, 0},
		{"flex", "void *[0]", 96, 0, 0},
	} {
		f, ok := task.Field(tt.name)
		if !ok {
			t.Errorf("no field %s", tt.name)
			continue
		}
		if f.Type.String() != tt.typ || f.Off != tt.off || f.BitOff != tt.bitOff || f.BitSize != tt.bits {
			t.Errorf("%s: %s at %d bits %d+%d", tt.name, f.Type, f.Off, f.BitOff, f.BitSize)
		}
	}
	if f, _ := task.Field("uptr"); f.Type.Space != types.User {
		t.Error("a __user pointer is not one")
	}
	if f, _ := task.Field("parent"); f.Type.Space != types.Kernel || f.Type.Elem.Comp != task.Comp {
		t.Error("struct task has two bodies")
	}
	if f, _ := task.Field("refs"); len(f.Type.Members()) != 1 {
		t.Error("atomic_t has no member")
	}
}

func TestBTFLookups(t *testing.T) {
	k := fixture(t)
	for _, name := range []string{"struct nonsense", "task", "enum task", "union task", "", "struct ", "struct \x00"} {
		if typ, err := k.Type(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: %v, %v", name, typ, err)
		}
	}
	if v, typ, ok := k.EnumConst("BLUE"); !ok || v != 7 || typ.Name != "enum color" || typ.Consts.Name(7) != "BLUE" {
		t.Errorf("BLUE = %d %v %v", v, typ, ok)
	}
	if v, typ, ok := k.EnumConst("HUGE"); !ok || v != 1<<40 || typ.Size != 8 {
		t.Errorf("HUGE = %d %v", v, typ)
	}
	if v, typ, ok := k.EnumConst("MINUS"); !ok || v != -1 || !typ.Signed {
		t.Errorf("MINUS = %d %v", v, typ)
	}
	if _, _, ok := k.EnumConst("pid"); ok {
		t.Error("a member passes for an enum constant")
	}
	if d := cmp.Diff([]string{"task"}, k.Iterators()); d != "" {
		t.Error("iterators:", d)
	}
	if d := cmp.Diff([]string{"enum big", "enum color", "enum neg"}, k.TypeNames("enum")); d != "" {
		t.Error(d)
	}
	if id, ok := k.Kfunc("do_thing"); !ok || id == 0 {
		t.Error("do_thing has no id")
	}
}

func TestFuncProto(t *testing.T) {
	k := fixture(t)
	p, err := k.FuncProto("", "do_thing")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range p.Params {
		got = append(got, f.Name+" "+f.Type.String())
	}
	if d := cmp.Diff([]string{"t struct task *", "p struct pair", "flag bool"}, got); d != "" {
		t.Error(d)
	}
	// The struct by value takes two slots.
	if p.Params[1].Off != 8 || p.Params[2].Off != 24 || p.Module != "vmlinux" || p.ID == 0 || p.Variadic {
		t.Errorf("%+v", p)
	}
	if d := cmp.Diff([]string{"struct task * t", "struct pair p", "_Bool flag"}, p.Decls()); d != "" {
		t.Error(d)
	}
	if got := p.ResultDecl(); got != "long unsigned int retval" {
		t.Error(got)
	}
	p, err = k.TracepointProto("", "went")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"struct task * who", "unsigned int how"}, p.Decls()); d != "" {
		t.Error(d)
	}
	if _, err := k.FuncProto("ext4", "do_thing"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "ext4:do_thing") {
		t.Error(err)
	}
	if _, err := k.TracepointProto("", "nonsense"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestClosed checks which types of parameters the verifier does not let programs load.
func TestClosed(t *testing.T) {
	pointer := func(to btf.Type) btf.Type { return &btf.Pointer{Target: to} }
	void := &btf.Void{}
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	pair := &btf.Struct{Name: "pair", Size: 4, Members: []btf.Member{{Name: "x", Type: i32}}}
	either := &btf.Union{Name: "either", Size: 4, Members: []btf.Member{{Name: "x", Type: i32}}}
	for _, c := range []struct {
		name string
		typ  btf.Type
		want bool
	}{
		{"int", i32, false},
		{"const int", &btf.Const{Type: i32}, false},
		{"int *", pointer(i32), false},
		{"const int *", pointer(&btf.Const{Type: i32}), false},
		{"struct *", pointer(pair), false},
		{"const struct *", pointer(&btf.Const{Type: pair}), false},
		{"union *", pointer(either), false},
		{"void *", pointer(void), false},
		{"void * const", &btf.Const{Type: pointer(void)}, false},
		{"typedef of void *", &btf.Typedef{Name: "handle", Type: pointer(void)}, false},
		{"const void *", pointer(&btf.Const{Type: void}), true},
		{"volatile void *", pointer(&btf.Volatile{Type: void}), true},
		{"void __user *", pointer(&btf.TypeTag{Type: void, Value: "user"}), true},
		{"typedef of const void *", &btf.Typedef{Name: "handle", Type: pointer(&btf.Const{Type: void})}, true},
		{"void **", pointer(pointer(void)), true},
		{"function *", pointer(&btf.FuncProto{Return: void}), true},
		{"enum *", pointer(&btf.Enum{Name: "e", Size: 4}), true},
	} {
		proto := &btf.FuncProto{Return: c.typ, Params: []btf.FuncParam{{Name: "p", Type: c.typ}}}
		builder, err := btf.NewBuilder([]btf.Type{&btf.Func{Name: "f", Type: proto}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		data, err := builder.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
		if err != nil {
			t.Fatal(err)
		}
		k, err := FrozenFS(fstest.MapFS{
			"kernel":      {Data: []byte("release 6.1.0\narch amd64\ncpus 2\npage 4096\n")},
			"btf/vmlinux": {Data: data},
		})
		if err != nil {
			t.Fatal(err)
		}
		p, err := k.FuncProto("", "f")
		if err != nil {
			t.Fatal(err)
		}
		if p.Closed != c.want || p.Params[0].Closed != c.want {
			t.Errorf("%s: closed %t as a parameter and %t as a result, want %t", c.name, p.Params[0].Closed, p.Closed, c.want)
		}
	}
}

func TestTypeDecl(t *testing.T) {
	k := fixture(t)
	got, err := k.TypeDecl("struct task")
	if err != nil {
		t.Fatal(err)
	}
	want := `vmlinux: struct task {
	pid_t pid;
	char comm[16];
	struct task *parent;
	union {
		long unsigned int word;
		unsigned int half;
	};
	unsigned int a: 3;
	unsigned int b: 9;
	int c: 1;
	enum color col;
	char *uptr;
	int (*fn)(int);
	atomic_t refs;
	_Bool ok;
	long unsigned int arr[2];
	void *flex[0];
};`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got, err := k.TypeDecl("enum color"); err != nil || got != "vmlinux: enum color {\n\tRED = 0,\n\tBLUE = 7,\n};" {
		t.Error(got, err)
	}
}

func TestSymbols(t *testing.T) {
	k := fixture(t)
	if a, ok := k.Symbol("do_thing"); !ok || a != 0xffffffff81000100 {
		t.Errorf("%#x %v", a, ok)
	}
	for _, name := range []string{"do", "thing", "per_cpu", "", "T _text"} {
		if a, ok := k.Symbol(name); ok {
			t.Errorf("%q: %#x", name, a)
		}
	}
	for _, tt := range []struct {
		addr uint64
		want string
		off  uint64
	}{
		{0xffffffff81000110, "vmlinux:do_thing", 0x10},
		{0xffffffff81000200, "vmlinux:do_thing_more", 0},
		{0xffffffffc0000004, "ext4:mod_fn", 4},
		{0xffffffffb0000000, "", 0},
		{0x1000, "", 0},
	} {
		name, mod, off, ok := k.SymbolAt(tt.addr)
		if got := mod + ":" + name; ok != (tt.want != "") || ok && (got != tt.want || off != tt.off) {
			t.Errorf("%#x: %s+%d", tt.addr, got, off)
		}
	}
}

func TestTracepointNotFound(t *testing.T) {
	k := fixture(t)
	for _, tp := range [][2]string{{"sched", "nope"}, {"", ""}, {"..", "went"}, {"sched", "went/format"}} {
		if _, err := k.Tracepoint(tp[0], tp[1]); !errors.Is(err, ErrNotFound) {
			t.Errorf("%v: %v", tp, err)
		}
	}
	if f, err := k.Tracepoint("sched", "went"); err != nil || len(f.Fields) != 1 {
		t.Error(f, err)
	}
}

// TestLazy checks that a lookup reads only the files that it needs.
func TestLazy(t *testing.T) {
	fsys := fstest.MapFS{
		"kernel": {Data: []byte("release 6.1.0\narch amd64\ncpus 2\npage 4096\n")},
		"tracing/events/syscalls/sys_enter_read/format": {Data: []byte(formatHead + "\tfield:char * buf;\toffset:16;\tsize:8;\tsigned:0;\n")},
	}
	k, err := FrozenFS(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Tracepoint("syscalls", "sys_enter_read"); err != nil {
		t.Errorf("a tracepoint needs more than its format: %v", err)
	}
}

func TestFrozenBroken(t *testing.T) {
	for name, text := range map[string]string{"no facts": "", "unknown": "release 6.1\narch amd64\ncpus 1\npage 4096\nx y\n", "cpus": "release 6.1\narch amd64\ncpus x\npage 4096\n"} {
		if _, err := FrozenFS(fstest.MapFS{"kernel": {Data: []byte(text)}}); err == nil {
			t.Error(name, "passes")
		}
	}
	if _, err := Frozen("/nonexistent"); err == nil {
		t.Error("a missing file passes")
	}
	if _, err := Frozen(os.Args[0]); err == nil {
		t.Error("a program passes for a frozen kernel")
	}
}

func TestSyscallName(t *testing.T) {
	for _, tt := range []struct {
		arch string
		nr   int
		want string
	}{{"amd64", 0, "read"}, {"amd64", 59, "execve"}, {"amd64", 257, "openat"}, {"amd64", 400, ""}, {"arm64", 63, "read"}, {"arm64", 221, "execve"}, {"s390x", 1, ""}} {
		if got := syscallName(tt.arch, tt.nr); got != tt.want {
			t.Errorf("%s %d: %q, want %q", tt.arch, tt.nr, got, tt.want)
		}
	}
}

func TestFeatures(t *testing.T) {
	for _, r := range featureTable {
		if r.since == (release{}) {
			t.Errorf("%s has no release", r.name)
		}
	}
	k := fixture(t)
	if !k.Has(probes.FeatRingBuf) || k.Has(probes.FeatLoop) || k.Has("nonsense") {
		t.Error("a frozen kernel has the features it was frozen with, and no others")
	}
	if got, older := k.Since(probes.FeatLoop); got != "5.17" || older != k.Release().Less(probes.Version{Major: 5, Minor: 17}) {
		t.Error(got)
	}
}

// splitBTF returns a module's blob, struct gadget { struct task *owner; int n; }, which
// refers to types of the kernel by their IDs.
func splitBTF(t *testing.T, base *blob) []byte {
	t.Helper()
	strs := "\x00gadget\x00owner\x00n\x00"
	name := func(s string) uint32 { return uint32(len(base.strs) + strings.Index(strs, "\x00"+s+"\x00") + 1) }
	task, number := base.find("task", kindStruct), base.find("int", kindInt)
	if task == 0 || number == 0 {
		t.Fatal("the fixture lacks types")
	}
	first := base.firstID + uint32(len(base.index.Get()))
	types := []uint32{
		0, kindPtr << 24, task, // first
		name("gadget"), kindStruct<<24 | 2, 16, name("owner"), first, 0, name("n"), number, 64,
	}
	out := []byte{0x9f, 0xeb, 1, 0}
	for _, x := range append([]uint32{24, 0, uint32(4 * len(types)), uint32(4 * len(types)), uint32(len(strs))}, types...) {
		out = binary.LittleEndian.AppendUint32(out, x)
	}
	return append(out, strs...)
}

// TestModule checks that types of a module are found like the kernel's, that they refer
// to the kernel's types, and that they are marked as types of a module.
func TestModule(t *testing.T) {
	vmlinux := fixtureBTF(t)
	base, err := newBlob("vmlinux", vmlinux, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := FrozenFS(fstest.MapFS{
		"kernel":      {Data: []byte("release 6.12.0\narch amd64\ncpus 2\npage 4096\n")},
		"btf/vmlinux": {Data: vmlinux},
		"btf/gadgets": {Data: splitBTF(t, base)},
	})
	if err != nil {
		t.Fatal(err)
	}
	g, err := k.Type("struct gadget")
	if err != nil || g.Size != 16 || !g.Split {
		t.Fatalf("%+v, %v", g, err)
	}
	owner, _ := g.Field("owner")
	if n, _ := g.Field("n"); n.Off != 8 || !n.Type.Signed {
		t.Errorf("%+v", n)
	}
	task, err := k.Type("struct task")
	if err != nil || owner.Type.Elem != task || task.Split {
		t.Errorf("%+v, %+v, %v", owner.Type.Elem, task, err)
	}
	want := "gadgets: struct gadget {\n\tstruct task *owner;\n\tint n;\n};"
	if got, err := k.TypeDecl("struct gadget"); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}

// FuzzBTF checks that no blob, however damaged, causes a panic or an endless loop.
func FuzzBTF(f *testing.F) {
	data := fixtureBTF(f)
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte{0x9f, 0xeb, 1, 0, 24, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := newBlob("vmlinux", data, nil)
		if err != nil {
			return
		}
		s := &btfSet{vmlinux: b}
		for i := range min(len(b.index.Get()), 50) {
			typ := b.typ(b.firstID + uint32(i))
			for _, m := range typ.Members() {
				_ = m.Type.String()
			}
			_ = b.declare(b.firstID+uint32(i), "x", false)
			b.function(b.firstID+uint32(i), 1)
		}
		for _, kind := range []string{"struct", "enum"} {
			for _, name := range s.typeNames(kind) {
				_, _ = s.declaration(name)
			}
		}
		s.enumConst("RED")
		s.iterators()
	})
}

// TestFreeze freezes a frozen kernel again. The names of the corpus must still exist,
// and the bytes must be the same each time.
func TestFreeze(t *testing.T) {
	k := fixture(t)
	c := Corpus{
		Types: []string{"struct task", "pid_t", "struct nonsense"}, Functions: []string{"do_thing", "ext4:mod_fn", "nonsense"},
		Tracepoints: []string{"sched:went", "a:b"}, RawTracepoints: []string{"went"}, Iterators: []string{"task"}, Symbols: []string{"_text", "nonsense"},
	}
	var one, two bytes.Buffer
	if err := k.Freeze(&one, c); err != nil {
		t.Fatal(err)
	}
	if err := k.Freeze(&two, c); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("two freezes differ")
	}
	path := t.TempDir() + "/k.zip"
	if err := os.WriteFile(path, one.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	z, err := Frozen(path)
	if err != nil {
		t.Fatal(err)
	}
	task, err := z.Type("struct task")
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := task.Field("half"); !ok || f.Off != 32 {
		t.Errorf("%+v", f)
	}
	fns, _ := z.Functions()
	if d := cmp.Diff([]string{"ext4:mod_fn", "vmlinux:do_thing"}, fns); d != "" {
		t.Error(d)
	}
	tps, _ := z.Tracepoints()
	if d := cmp.Diff([]string{"sched:went"}, tps); d != "" {
		t.Error(d)
	}
	if p, err := z.TracepointProto("", "went"); err != nil || p.Params[1].Name != "how" {
		t.Error(p, err)
	}
	if a, ok := z.Symbol("_text"); !ok || a != 0xffffffff81000000 {
		t.Error(a, ok)
	}
	if z.Release() != k.Release() || z.NumCPU() != 2 || z.PageSize() != 4096 || z.Arch() != "amd64" || !z.Has(probes.FeatRingBuf) {
		t.Error("facts differ")
	}
	if d := cmp.Diff([]string{"task"}, z.Iterators()); d != "" {
		t.Error(d)
	}
}
