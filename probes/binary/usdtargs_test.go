package binary

import (
	"bytes"
	"testing"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

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
		args := ParseUSDTArgs(tt.arch, "1@"+map[string]string{"amd64": "$1", "arm64": "1"}[tt.arch]+" "+tt.text, symbol)
		if len(args) != 2 || args[1].Err != nil {
			t.Errorf("%s: %+v", tt.text, args)
			continue
		}
		a, regs := AMD64, x86
		if tt.arch == "arm64" {
			a, regs = ARM64, arm
		}
		seen = 0
		if got := run(t, a, regs, watch, func(b *ir.Builder, ctx *ir.Value) *ir.Value { return args[1].Emit(a, b, ctx) }); got != tt.want || seen != tt.addr {
			t.Errorf("%s: %#x from %#x, want %#x from %#x", tt.text, got, seen, tt.want, tt.addr)
		}
	}
	for _, bad := range []string{"8@%foo", "x@%rax", "3@%rax", "8@foo(%rip)", "8@8(%rip)", "8@near+near(%rip)", "8@sym+4(%rbp)", "8@(%rax", "8@(%rax,%rbx,8,1)", "8@()", "8@", "@", "8@$x"} {
		// The arguments before and after it can be parsed.
		if args := ParseUSDTArgs("amd64", "1@$1 "+bad+" 1@$2", symbol); len(args) != 3 || args[0].Err != nil || args[1].Err == nil || args[2].Err != nil {
			t.Errorf("%s: %+v", bad, args)
		}
	}
	if args := ParseUSDTArgs("amd64", "", symbol); len(args) != 0 {
		t.Error(args)
	}
}

func FuzzUSDTArgs(f *testing.F) {
	f.Add("-4@%eax 8@-8(%rbp,%rcx,4) 1@$5")
	f.Add("8@[sp, 16] -4@w0")
	f.Fuzz(func(t *testing.T, s string) {
		for _, arch := range []string{"amd64", "arm64"} {
			args := ParseUSDTArgs(arch, s, func(name string) (int64, bool) { return int64(len(name)), len(name) < 5 })
			a, _ := ArchOf(arch)
			for i := range args {
				if args[i].Err != nil {
					continue
				}
				b := ir.NewFunc("main", ir.PtrCtx)
				b.Ret(args[i].Emit(a, b, b.Param(0)))
			}
		}
	})
}
