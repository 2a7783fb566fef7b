package binary

import (
	"slices"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Arch describes an architecture: the layout of the kernel's struct pt_regs and
// the calling conventions. Each architecture has one file.
type Arch struct {
	Name     string   // as in GOARCH
	RegsSize int      // bytes of struct pt_regs
	Args     []string // registers of integer arguments in the C convention, in order
	GoArgs   []string // the same for Go's register ABI (ABIInternal)
	TrapSize int      // bytes from a kprobe's address to the instruction pointer that its program sees

	regs      lazy.Value[map[string]int] // register name → offset in pt_regs
	goFloats  int                        // number of floating-point registers of Go's ABI
	goG       string                     // register of the running goroutine in Go's ABI
	ret, ret2 string                     // registers of a result: of its first and of its second word
	ip, sp    string
	dwarfRegs []string // integer registers, indexed by DWARF's register numbers
	stack     int      // offset from sp of the first argument on the stack, at a function's first instruction

	syscallArgs   []string // registers of the arguments of a system call
	syscallNumber string   // word of pt_regs that contains the number of the system call

	largeByRef   bool // C passes objects larger than two words by address
	resultInArgs bool // the address of a large result uses the register of the first argument
	evenPairs    bool // C passes an object with an alignment of 16 in a pair of registers that starts at an even one
}

// ArchOf returns the architecture with a name, as in GOARCH.
func ArchOf(name string) (*Arch, error) {
	switch name {
	case "amd64":
		return AMD64, nil
	case "arm64":
		return ARM64, nil
	}
	return nil, outline.Errorf("registers of %s are not known", name)
}

// load reads a register from a context that starts with pt_regs.
//
//go:noinline
func (a *Arch) load(b *ir.Builder, ctx *ir.Value, reg string) *ir.Value {
	return b.Load(ctx, int64(a.regs.Get()[reg]), 8, false)
}

// IP reads the instruction pointer from a context that starts with pt_regs.
func (a *Arch) IP(b *ir.Builder, ctx *ir.Value) *ir.Value { return a.load(b, ctx, a.ip) }

// SyscallNumber returns the offset in pt_regs of the number of a system call.
func (a *Arch) SyscallNumber() int { return a.regs.Get()[a.syscallNumber] }

// SyscallOffset returns the offset in pt_regs of the value at off in the record of a
// system call's tracepoint: the number of the call, its arguments or, if exit is true,
// its result. It returns -1 if pt_regs does not contain the value.
func (a *Arch) SyscallOffset(off int, exit bool) int {
	const number, values = 8, 16
	n := (off - values) / 8
	switch {
	case off == number:
		return a.SyscallNumber()
	case off < values || off%8 != 0:
		return -1
	case exit && n == 0:
		return a.regs.Get()[a.ret]
	case !exit && n < len(a.syscallArgs):
		return a.regs.Get()[a.syscallArgs[n]]
	}
	return -1
}

// SyscallArg returns the offset in pt_regs of argument n of a system call, or -1 if
// there is none.
func (a *Arch) SyscallArg(n int) int {
	if n >= len(a.syscallArgs) {
		return -1
	}
	return a.regs.Get()[a.syscallArgs[n]]
}

// Result reads the register that holds a function's result when it returns.
func (a *Arch) Result(b *ir.Builder, ctx *ir.Value) *ir.Value { return a.load(b, ctx, a.ret) }

// ResultStruct returns the struct t with the locations of its members where a function of
// the kernel returns it.
func (a *Arch) ResultStruct(t *types.Type) *types.Type {
	l := &types.Loc{Err: "it is in memory whose address is not known"}
	if t.Size <= 16 {
		l = &types.Loc{}
		for i, reg := range []string{a.ret, a.ret2} {
			if size := min(8, t.Size-8*i); size > 0 {
				l.Parts = append(l.Parts, types.Part{From: a.regs.Get()[reg], Off: 8 * i, Size: size})
			}
		}
	}
	return flatten(t, l)
}

// Reg reads the register that scripts call name: pc is that of the instruction, g that of the
// goroutine in Go.
func (a *Arch) Reg(b *ir.Builder, ctx *ir.Value, name string) (*ir.Value, error) {
	switch name {
	case "pc":
		name = a.ip
	case "g":
		name = a.goG
	}
	if _, ok := a.regs.Get()[name]; !ok {
		return nil, outline.Errorf("'%s' is not a valid register on this architecture (%s)", name, a.Name)
	}
	return a.load(b, ctx, name), nil
}

// SetReg changes a register of a process. It can change the program counter and the stack
// pointer, but not segments and flags.
func (a *Arch) SetReg(b *ir.Builder, ctx *ir.Value, name string, v *ir.Value) error {
	if name == "pc" {
		name = a.ip
	}
	off, ok := a.regs.Get()[name]
	if !ok || name != a.ip && name != a.sp && !slices.Contains(a.dwarfRegs, name) {
		return outline.Errorf("'%s' is not a register that a program can change (%s)", name, a.Name)
	}
	b.Store(ctx, int64(off), 8, v)
	return nil
}

// MaxStackArgs is the number of argN beyond those in registers.
const MaxStackArgs = 32

// Arg returns a function that emits code to read argN at a function's entry: a
// register, or a word of the caller's stack for arguments that are not in registers.
// regs are the argument registers of the calling convention abi, space is the address
// space of the stack. A word that cannot be read is 0.
//
//go:noinline
func (a *Arch) Arg(regs []string, abi ABI, space types.Space) func(*ir.Builder, *ir.Value, int) *ir.Value {
	return func(b *ir.Builder, ctx *ir.Value, n int) *ir.Value {
		if n < len(regs) {
			return a.load(b, ctx, regs[n])
		}
		return readWord(b, b.AddImm(a.load(b, ctx, a.sp), a.stackArg(abi, n-len(regs))), 8, space)
	}
}

// stackArg returns the offset from the stack pointer, at a function's first
// instruction, of word n of its arguments on the stack.
func (a *Arch) stackArg(abi ABI, n int) int64 {
	if abi != ABIC {
		return int64(goStackArgs + 8*n)
	}
	return int64(a.stack + 8*n)
}

// IsArg reports whether argN reads the parameter at l.
func (a *Arch) IsArg(abi ABI, n int, l *types.Loc) bool {
	regs := a.ArgRegs(abi)
	switch {
	case l == nil || l.Err != "":
		return false
	case n < len(regs):
		return len(l.Parts) == 1 && !l.Parts[0].Fixed && l.Parts[0].Value == 0 && l.Parts[0].From == a.regs.Get()[regs[n]]
	}
	return l.Memory && l.Base == a.regs.Get()[a.sp] && l.Disp == a.stackArg(abi, n-len(regs))
}

// readWord emits code to read size bytes of user or kernel memory. If they cannot be
// read, the result is 0: the helpers clear the buffer on failure.
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
