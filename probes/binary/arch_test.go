package binary

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/tests/irtest"
)

// run interprets the code that emit emits, with a context that contains registers.
func run(t *testing.T, a *Arch, regs map[string]uint64, memory func(space types.Space, addr uint64, n int) []byte, emit func(*ir.Builder, *ir.Value) *ir.Value) int64 {
	t.Helper()
	b := ir.NewFunc("main", ir.PtrCtx)
	b.Ret(emit(b, b.Param(0)))
	m := &ir.Module{Progs: []*ir.Prog{{Name: "p", Kind: "kprobe", Main: b.Fn}}}
	if err := ir.Verify(m); err != nil {
		t.Fatal(err)
	}
	ctx := make([]byte, a.RegsSize)
	for name, v := range regs {
		binary.LittleEndian.PutUint64(ctx[a.regs.Get()[name]:], v)
	}
	mc := irtest.NewMachine(m, ctx)
	mc.Helpers = helpers(memory)
	got, err := mc.Run(m.Progs[0])
	if err != nil {
		t.Fatal(err)
	}
	return int64(got)
}

type helpers func(space types.Space, addr uint64, n int) []byte

func (h helpers) Call(m *irtest.Machine, help *ir.Helper, args []uint64) (uint64, error) {
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
		if got := run(t, AMD64, regs, stack, func(b *ir.Builder, ctx *ir.Value) *ir.Value {
			return AMD64.Arg(AMD64.Args, ABIC, types.User)(b, ctx, n)
		}); got != want {
			t.Errorf("arg%d = %#x, want %#x", n, got, want)
		}
	}
	for n, want := range []int64{20, 21, 13, 10, 11, 14, 15, 22, 23, 0x1008} {
		if got := run(t, AMD64, regs, stack, func(b *ir.Builder, ctx *ir.Value) *ir.Value {
			return AMD64.Arg(AMD64.GoArgs, ABIGo, types.User)(b, ctx, n)
		}); got != want {
			t.Errorf("Go: arg%d = %#x, want %#x", n, got, want)
		}
	}
	if got := run(t, ARM64, map[string]uint64{"r7": 7, "sp": 0x2000}, stack, func(b *ir.Builder, ctx *ir.Value) *ir.Value {
		f := ARM64.Arg(ARM64.Args, ABIC, types.User)
		return b.Op(ir.OpAdd, f(b, ctx, 7), f(b, ctx, 8))
	}); got != 0x2007 {
		t.Errorf("arm64: arg7+arg8 = %#x", got)
	}
	// Unreadable words are 0.
	if got := run(t, AMD64, map[string]uint64{"sp": 0}, stack, func(b *ir.Builder, ctx *ir.Value) *ir.Value {
		return AMD64.Arg(AMD64.Args, ABIC, types.User)(b, ctx, 6)
	}); got != 0 {
		t.Errorf("unreadable argument is %#x", got)
	}
}

func TestReg(t *testing.T) {
	for name, want := range map[string]int64{"ip": 128, "pc": 128, "ax": 80, "r15": 0, "sp": 152} {
		regs := map[string]uint64{}
		for r, off := range AMD64.regs.Get() {
			regs[r] = uint64(off)
		}
		got := run(t, AMD64, regs, nil, func(b *ir.Builder, ctx *ir.Value) *ir.Value {
			v, err := AMD64.Reg(b, ctx, name)
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
	if _, err := AMD64.Reg(b, b.Param(0), "eax"); err == nil || !strings.Contains(err.Error(), "'eax' is not a valid register") {
		t.Error(err)
	}
}

// TestResultStruct checks where the members of a struct of the kernel are when a function
// returns it.
func TestResultStruct(t *testing.T) {
	of := func(size int, fields ...types.Field) *types.Type {
		s := &types.Type{Kind: types.Struct, Name: "struct s", Size: size}
		s.Comp = types.NewComposite(false, func() []types.Field { return fields })
		return s
	}
	long, short := types.TInt64, types.TInt16
	for _, c := range []struct {
		of   *types.Type
		want map[string]int // registers, and bytes in them
	}{
		{of(16, types.Field{Name: "a", Type: long}, types.Field{Name: "b", Off: 8, Type: long}), map[string]int{"a": 0, "b": 100}},
		{of(4, types.Field{Name: "a", Type: short}, types.Field{Name: "b", Off: 2, Type: short}), map[string]int{"a": 0, "b": 2}},
		{of(12, types.Field{Name: "a", Type: long}, types.Field{Name: "b", Off: 10, Type: short}), map[string]int{"a": 0, "b": 102}},
		{of(24, types.Field{Name: "a", Type: long}), nil},
	} {
		for _, a := range []*Arch{AMD64, ARM64} {
			for _, f := range a.ResultStruct(c.of).Members() {
				if c.want == nil {
					if f.Loc.Err == "" {
						t.Errorf("%s: a member of a large struct is at %+v", a.Name, f.Loc)
					}
					continue
				}
				want := []int{a.regs.Get()[a.ret], a.regs.Get()[a.ret2]}[c.want[f.Name]/100] + c.want[f.Name]%100
				if l := f.Loc; len(l.Parts) != 1 || l.Parts[0] != (types.Part{From: want, Size: f.Type.Size}) {
					t.Errorf("%s: %s is at %+v, want %d", a.Name, f.Name, l, want)
				}
			}
		}
	}
}
