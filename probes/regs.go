package probes

import (
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

// arch is what the contexts of probes depend on of an architecture: where the
// kernel's struct pt_regs holds what. One file per architecture.
type arch struct {
	name     string
	size     int            // of struct pt_regs
	regs     map[string]int // register name → offset in pt_regs
	args     []string       // C calling convention: integer arguments
	goArgs   []string       // Go's register ABI (ABIInternal), in order
	goFloats int            // how many floating-point registers that ABI has
	ret      string

	dwarfRegs []string // integer registers by DWARF's numbers
	ip, sp    string
	stack     int // offset from sp, at a function's first instruction, of the first argument not in a register
	// How the C calling convention passes objects of more than two words, where a
	// large result goes (by a hidden first argument), and whether a pair of
	// registers starts at an even one.
	largeByRef, resultInArgs, evenPairs bool

	trapSize int // how far ip is past a kprobe's address when its program runs
}

// archOf finds an architecture by GOARCH's name.
func archOf(name string) (*arch, error) {
	switch name {
	case "amd64":
		return archAMD64, nil
	case "arm64":
		return archARM64, nil
	}
	return nil, fmt.Errorf("registers of %s are not known", name)
}

// load reads a register from a context that starts with pt_regs.
func (a *arch) load(b *ir.Builder, ctx *ir.Value, reg string) *ir.Value {
	return b.Load(ctx, int64(a.regs[reg]), 8, false)
}

// reg emits reg("name").
func (a *arch) reg(b *ir.Builder, ctx *ir.Value, name string) (*ir.Value, error) {
	if name == "pc" {
		name = a.ip
	}
	off, ok := a.regs[name]
	if !ok {
		return nil, fmt.Errorf("'%s' is not a valid register on this architecture (%s)", name, a.name)
	}
	return b.Load(ctx, int64(off), 8, false), nil
}

// maxStackArgs bounds argN beyond the registers.
const maxStackArgs = 32

// arg emits argN of a function probed at its entry: a register, or for the
// later ones a word of the caller's stack, which is read by a helper; 0 where
// that can't be read.
func (a *arch) arg(regs []string, space types.Space) func(*ir.Builder, *ir.Value, int) *ir.Value {
	return func(b *ir.Builder, ctx *ir.Value, n int) *ir.Value {
		if n < len(regs) {
			return a.load(b, ctx, regs[n])
		}
		addr := b.AddImm(a.load(b, ctx, a.sp), int64(a.stack+8*(n-len(regs))))
		return readWord(b, addr, 8, space)
	}
}

// readWord reads size bytes at an address in user or kernel memory; 0 where it
// can't be read, as the helpers clear what they could not fill.
func readWord(b *ir.Builder, addr *ir.Value, size int, space types.Space) *ir.Value {
	slot := b.Slot(8)
	b.Zero(slot, 0, 8)
	h := ir.ReadKernel
	if space == types.User {
		h = ir.ReadUser
	}
	b.Call(h, slot, b.Const(int64(size)), addr)
	return b.Load(slot, 0, size, false)
}

// regsType is the type of ctx where it is struct pt_regs, resolved from BTF
// only when a member is asked for.
func regsType(e *Env, a *arch) *types.Type { return lazyStruct(e, "struct pt_regs", a.size) }

// lazyStruct is a struct of the context that is looked up in BTF when a member
// of it is asked for.
func lazyStruct(e *Env, name string, size int) *types.Type {
	return &types.Type{Kind: types.Struct, Name: name, Size: size, Space: types.Ctx, Comp: types.NewComposite(strings.HasPrefix(name, "union "), func() []types.Field {
		t, err := e.Kernel.Type(name)
		if err != nil {
			return nil
		}
		return t.Members()
	})}
}
