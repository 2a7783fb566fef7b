package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"*", "abc", true}, {"a*", "abc", true}, {"*c", "abc", true},
		{"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "a", false}, {"a*a", "a", false}, {"*b*", "abc", true}, {"*x*", "abc", false},
		{"a*b*c", "aXbYc", true}, {"a*b*c", "aXcYb", false}, {"**", "x", true}, {"", "", true}, {"", "x", false}, {"[a]", "a", false}, {"a?", "ab", false},
	} {
		if got := match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string]string{"0\n": "[0]", "0-2,5\n": "[0 1 2 5]", "x": "error", "3-1": "error", "": "error"} {
		got, err := parseCPUs(text)
		s := fmt.Sprint(got)
		if err != nil {
			s = "error"
		}
		if s != want {
			t.Errorf("%q: %s, want %s", text, s, want)
		}
	}
}

// run interprets what emit emits, over a context of registers.
func run(t *testing.T, a *arch, regs map[string]uint64, memory func(space types.Space, addr uint64, n int) []byte, emit func(*ir.Builder, *ir.Value) *ir.Value) int64 {
	t.Helper()
	b := ir.NewFunc("main", ir.PtrCtx)
	b.Ret(emit(b, b.Param(0)))
	m := &ir.Module{Progs: []*ir.Prog{{Name: "p", Kind: "kprobe", Main: b.Fn}}}
	if err := ir.Verify(m); err != nil {
		t.Fatal(err)
	}
	ctx := make([]byte, a.size)
	for name, v := range regs {
		binary.LittleEndian.PutUint64(ctx[a.regs[name]:], v)
	}
	mc := ir.NewMachine(m, ctx)
	mc.Helpers = helpers(memory)
	got, err := mc.Run(m.Progs[0])
	if err != nil {
		t.Fatal(err)
	}
	return int64(got)
}

type helpers func(space types.Space, addr uint64, n int) []byte

func (h helpers) Call(m *ir.Machine, help *ir.Helper, args []uint64) (uint64, error) {
	space := types.Kernel
	if help == ir.ReadUser {
		space = types.User
	}
	dst, err := m.Mem(args[0], int(args[1]))
	if err != nil {
		return 0, err
	}
	src := h(space, args[2], int(args[1]))
	if src == nil {
		return ^uint64(13), nil
	}
	copy(dst, src)
	return 0, nil
}

func TestArgs(t *testing.T) {
	stack := func(space types.Space, addr uint64, n int) []byte {
		if space == types.User && addr >= 0x1000 {
			return binary.LittleEndian.AppendUint64(nil, addr)[:n]
		}
		return nil
	}
	regs := map[string]uint64{"di": 10, "si": 11, "dx": 12, "cx": 13, "r8": 14, "r9": 15, "sp": 0x1000, "ax": 20, "bx": 21, "r10": 22, "r11": 23}
	for n, want := range []int64{10, 11, 12, 13, 14, 15, 0x1008, 0x1010} {
		if got := run(t, archAMD64, regs, stack, func(b *ir.Builder, ctx *ir.Value) *ir.Value {
			return archAMD64.arg(archAMD64.args, types.User)(b, ctx, n)
		}); got != want {
			t.Errorf("arg%d = %#x, want %#x", n, got, want)
		}
	}
	for n, want := range []int64{20, 21, 13, 10, 11, 14, 15, 22, 23, 0x1008} {
		if got := run(t, archAMD64, regs, stack, func(b *ir.Builder, ctx *ir.Value) *ir.Value {
			return archAMD64.arg(archAMD64.goArgs, types.User)(b, ctx, n)
		}); got != want {
			t.Errorf("Go: arg%d = %#x, want %#x", n, got, want)
		}
	}
	if got := run(t, archARM64, map[string]uint64{"r7": 7, "sp": 0x2000}, stack, func(b *ir.Builder, ctx *ir.Value) *ir.Value {
		f := archARM64.arg(archARM64.args, types.User)
		return b.Op(ir.OpAdd, f(b, ctx, 7), f(b, ctx, 8))
	}); got != 0x2007 {
		t.Errorf("arm64: arg7+arg8 = %#x", got)
	}
	// What can't be read is 0.
	if got := run(t, archAMD64, map[string]uint64{"sp": 0}, stack, func(b *ir.Builder, ctx *ir.Value) *ir.Value {
		return archAMD64.arg(archAMD64.args, types.User)(b, ctx, 6)
	}); got != 0 {
		t.Errorf("unreadable argument is %#x", got)
	}
}

func TestReg(t *testing.T) {
	for name, want := range map[string]int64{"ip": 128, "pc": 128, "ax": 80, "r15": 0, "sp": 152} {
		regs := map[string]uint64{}
		for r, off := range archAMD64.regs {
			regs[r] = uint64(off)
		}
		got := run(t, archAMD64, regs, nil, func(b *ir.Builder, ctx *ir.Value) *ir.Value {
			v, err := archAMD64.reg(b, ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			return v
		})
		if got != want {
			t.Errorf("%s: offset %d, want %d", name, got, want)
		}
	}
	b := ir.NewFunc("main", ir.PtrCtx)
	if _, err := archAMD64.reg(b, b.Param(0), "eax"); err == nil || !strings.Contains(err.Error(), "'eax' is not a valid register") {
		t.Error(err)
	}
}

func TestUSDTArgs(t *testing.T) {
	memory := func(space types.Space, addr uint64, n int) []byte {
		return bytes.Repeat([]byte{0xff}, 16)[:n]
	}
	symbol := func(name string) (int64, bool) { return 0x100, name == "near" }
	seen := uint64(0)
	watch := func(space types.Space, addr uint64, n int) []byte { seen = addr; return memory(space, addr, n) }
	x86 := map[string]uint64{"ax": 0xfffffffff0001280, "di": 0xffffffffffffffff, "bp": 0x1000, "r12": 0x2000, "sp": 0x3000, "cx": 2, "ip": 0x7000}
	arm := map[string]uint64{"x0": 0xffffffff80000000, "sp": 0x4000, "x3": 0x10}
	for _, tt := range []struct {
		arch, text string
		want       int64
		addr       uint64
	}{
		{"amd64", "8@%rax", -0xfffed80, 0},
		{"amd64", "-4@%eax", -0xfffed80, 0},
		{"amd64", "4@%eax", 0xf0001280, 0},
		{"amd64", "2@%ax", 0x1280, 0},
		{"amd64", "1@%al", 0x80, 0},
		{"amd64", "-1@%al", -0x80, 0},
		{"amd64", "1@%ah", 0x12, 0},
		{"amd64", "-4@%edi", -1, 0},
		{"amd64", "4@%r12d", 0x2000, 0},
		{"amd64", "-4@$-5", -5, 0},
		{"amd64", "8@$0x10", 16, 0},
		{"amd64", "4@$-1", 0xffffffff, 0},
		{"amd64", "8@$18446744073709551615", -1, 0},
		{"amd64", "8@near(%rip)", -1, 0x7100},
		{"amd64", "4@8+near(%rip)", 0xffffffff, 0x7108},
		{"amd64", "-4@near-0x10+4(%rip)", -1, 0x70f4},
		{"amd64", "-4@-8(%rbp)", -1, 0xff8},
		{"amd64", "4@16(%rsp)", 0xffffffff, 0x3010},
		{"amd64", "8@(%r12,%rcx,8)", -1, 0x2010},
		{"amd64", "8@-0x10(%rbp,%rcx)", -1, 0xff2},
		{"arm64", "-4@w0", -0x80000000, 0},
		{"arm64", "8@x0", -0x80000000, 0},
		{"arm64", "4@[sp, 12]", 0xffffffff, 0x400c},
		{"arm64", "8@[x3]", -1, 0x10},
		{"arm64", "8@[sp, x3]", -1, 0x4010},
		{"arm64", "-4@-7", -7, 0},
	} {
		args := parseUSDTArgs(tt.arch, "1@"+map[string]string{"amd64": "$1", "arm64": "1"}[tt.arch]+" "+tt.text, symbol)
		if len(args) != 2 || args[1].err != nil {
			t.Errorf("%s: %+v", tt.text, args)
			continue
		}
		a, regs := archAMD64, x86
		if tt.arch == "arm64" {
			a, regs = archARM64, arm
		}
		seen = 0
		if got := run(t, a, regs, watch, func(b *ir.Builder, ctx *ir.Value) *ir.Value { return args[1].emit(a, b, ctx) }); got != tt.want || seen != tt.addr {
			t.Errorf("%s: %#x from %#x, want %#x from %#x", tt.text, got, seen, tt.want, tt.addr)
		}
	}
	for _, bad := range []string{"8@%foo", "x@%rax", "3@%rax", "8@foo(%rip)", "8@8(%rip)", "8@near+near(%rip)", "8@sym+4(%rbp)", "8@(%rax", "8@(%rax,%rbx,8,1)", "8@()", "8@", "@", "8@$x"} {
		// The arguments around it can be told.
		if args := parseUSDTArgs("amd64", "1@$1 "+bad+" 1@$2", symbol); len(args) != 3 || args[0].err != nil || args[1].err == nil || args[2].err != nil {
			t.Errorf("%s: %+v", bad, args)
		}
	}
	if args := parseUSDTArgs("amd64", "", symbol); len(args) != 0 {
		t.Error(args)
	}
}

func FuzzUSDTArgs(f *testing.F) {
	f.Add("-4@%eax 8@-8(%rbp,%rcx,4) 1@$5")
	f.Add("8@[sp, 16] -4@w0")
	f.Fuzz(func(t *testing.T, s string) {
		for _, arch := range []string{"amd64", "arm64"} {
			args := parseUSDTArgs(arch, s, func(name string) (int64, bool) { return int64(len(name)), len(name) < 5 })
			a, _ := archOf(arch)
			for i := range args {
				if args[i].err != nil {
					continue
				}
				b := ir.NewFunc("main", ir.PtrCtx)
				b.Ret(args[i].emit(a, b, b.Param(0)))
			}
		}
	})
}

// TestLinkerCache builds a cache as ldconfig lays it out.
func TestLinkerCache(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	libs := [][2]string{{"libfoo.so.1", "/nonexistent/libfoo.so.1"}, {"libfoo.so.1", self}, {"libfoobar.so", self}}
	header := make([]byte, 48)
	copy(header, "glibc-ld.so.cache1.1")
	binary.LittleEndian.PutUint32(header[20:], uint32(len(libs)))
	strs := 48 + 24*len(libs)
	var entries, text []byte
	for _, l := range libs {
		e := make([]byte, 24)
		binary.LittleEndian.PutUint32(e[4:], uint32(strs+len(text)))
		text = append(append(text, l[0]...), 0)
		binary.LittleEndian.PutUint32(e[8:], uint32(strs+len(text)))
		text = append(append(text, l[1]...), 0)
		entries = append(entries, e...)
	}
	cache := append(append(header, entries...), text...)
	for name, want := range map[string]string{"libfoo": self, "libfoo.so.1": self, "libfoo.so": self, "libfoob": "", "foo": "", "libfoobar": self} {
		if got := findInCache(cache, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if got := findInCache(append([]byte("ld.so-1.7.0\x00 old"), cache...), name); got != want {
			t.Errorf("behind an old cache: %s: %q, want %q", name, got, want)
		}
		for n := range cache {
			findInCache(cache[:n], name) // must not panic
		}
	}
}

func TestParseCount(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "10": "10", "0x1F": "31", "0b101": "5", "010": "8", "1_000": "1000", "1e3": "1000", "5us": "5000 duration", "2ms": "2000000 duration",
		"1m": "60000000000 duration", "1d": "86400000000000 duration", "7ns": "7 duration",
		"": "error", "-1": "error", "x": "error", "1__0": "error", "08": "error", "1x": "error", "18446744073709551616": "error", "ms": "error", "1e": "error", "0x": "error", "1_ms": "error", "300000d0": "error",
	} {
		n, duration, err := parseCount(text)
		got := fmt.Sprint(n)
		if duration {
			got += " duration"
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s (%v)", text, got, want, err)
		}
	}
}

func TestInstructionBoundary(t *testing.T) {
	// endbr64; push %rbp; mov %rsp,%rbp; ret
	code := []byte{0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0xc3}
	var starts []int
	for i := range code {
		if atInstruction("amd64", code, uint64(i)) {
			starts = append(starts, i)
		}
	}
	if d := cmp.Diff([]int{0, 4, 5, 8}, starts); d != "" {
		t.Error(d)
	}
	if atInstruction("arm64", make([]byte, 16), 6) || !atInstruction("arm64", make([]byte, 16), 8) {
		t.Error("arm64 instructions are 4 bytes")
	}
}

func TestTracingContext(t *testing.T) {
	task := &types.Type{Kind: types.Struct, Name: "struct task", Size: 8, Space: types.Kernel}
	pair := &types.Type{Kind: types.Struct, Name: "struct pair", Size: 16, Space: types.Kernel}
	proto := &FuncProto{Params: []types.Field{
		{Name: "t", Type: types.NewPointer(task, types.Kernel)}, {Name: "p", Type: pair, Off: 8}, {Name: "b", Type: types.TBool, Off: 24},
	}}
	c := tracingContext(&Point{Name: "fentry:x"}, proto)
	if c.NArgs != 4 || c.Args.Size != 32 {
		t.Errorf("%d slots, %d bytes", c.NArgs, c.Args.Size)
	}
	f, _ := c.Args.Field("t")
	if f.Type.Space != types.BTF || f.Type.Elem.Space != types.BTF {
		t.Error("a pointer to a kernel struct is not one that the verifier knows")
	}
	f, _ = c.Args.Field("p")
	if f.Type.Space != types.Ctx || f.Off != 8 {
		t.Error("a struct by value is not in the context")
	}
	if got := c.Args.Space; got != types.Ctx {
		t.Error(got)
	}
}

// With a process the binary of a pattern may be left out.
func TestListedTarget(t *testing.T) {
	for _, c := range []struct {
		pid        int
		in         string
		want, rest string
	}{
		{0, "uprobe", "*", "*"},
		{0, "uprobe:libc", "libc", "*"},
		{0, "uprobe:/bin/x:main", "/bin/x", "main"},
		{7, "uprobe:*main", "*", "*main"},
		{7, "uprobe:/bin/x", "/bin/x", "*"},
		{7, "uprobe::main", "*", "main"},
		{7, "usdt:libc:a:b", "libc", "a:b"},
	} {
		target, rest := listedTarget(&Env{PID: c.pid}, strings.Split(c.in, ":"))
		if got := strings.Join(rest, ":"); target != c.want || got != c.rest {
			t.Errorf("%s of %d: %s and %s, want %s and %s", c.in, c.pid, target, got, c.want, c.rest)
		}
	}
}

// An argument that can't be told is an error where it is used; one that is not
// there is 0, with a warning.
func TestUSDTArgTypes(t *testing.T) {
	k := usdtKind()
	at := &uprobePlace{args: parseUSDTArgs("amd64", "-4@%weird -4@%eax 8@%rax", nil)}
	c, err := k.Context(&Env{Kernel: fakeArch{}}, &Point{Kind: k, Name: "usdt:x:y", Aux: at})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ArgType(0); err == nil || !strings.Contains(err.Error(), "%weird") {
		t.Errorf("arg0: %v", err)
	}
	for n, want := range map[int]*types.Type{1: types.TInt64, 2: types.TUint64, 3: types.TInt64} {
		if got, warning, err := c.ArgType(n); got != want || err != nil || (warning != "") != (n == 3) {
			t.Errorf("arg%d is %v, %q, %v", n, got, warning, err)
		}
	}
}

type fakeArch struct{ Kernel }

func (fakeArch) Arch() string { return "amd64" }

// One name may be that of several functions, and one function may have several
// names or stand in two tables.
func TestNamed(t *testing.T) {
	names := "\x00f\x00g\x00"
	entry := func(name uint32, addr uint64) []byte {
		b := binary.LittleEndian.AppendUint32(nil, name)
		b = append(b, byte(elf.STT_FUNC), 0, 1, 0)
		b = binary.LittleEndian.AppendUint64(b, addr)
		return binary.LittleEndian.AppendUint64(b, 8)
	}
	tab := symbolTable{slices.Concat(entry(1, 0x20), entry(3, 0x10), entry(1, 0x10)), []byte(names), binary.LittleEndian}
	dyn := symbolTable{entry(1, 0x20), []byte(names), binary.LittleEndian}
	x := &executable{tables: func() []symbolTable { return []symbolTable{tab, dyn} }}
	show := func(list []elfSymbol) string {
		var out []string
		for _, s := range list {
			out = append(out, fmt.Sprintf("%s@%#x", s.name, s.addr))
		}
		return strings.Join(out, " ")
	}
	if got := show(x.named("f")); got != "f@0x20 f@0x10" {
		t.Errorf("f is %s", got)
	}
	if got := show(x.named("h")); got != "" {
		t.Errorf("h is %s", got)
	}
	if got := show(x.functions(func([]byte) bool { return true })); got != "f@0x10 f@0x20 g@0x10" {
		t.Errorf("all are %s", got)
	}
	if s, ok := x.symbol("g"); !ok || s.addr != 0x10 || s.size != 8 {
		t.Errorf("g is %+v, %v", s, ok)
	}
}
