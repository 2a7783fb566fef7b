package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/unwind"
)

func syscallArg() *Def {
	return &Def{
		Name:   "syscall_arg",
		Kind:   Function,
		Params: []Param{{Name: "n", Kind: Literal}},
		Doc: Doc{
			Summary: "Argument n, counted from 0, of the system call that the current task is in. The kernel keeps it until the call returns, " +
				"so it can be read there too. For execve it is 0 after the new program has replaced the old one.",
			Examples: []string{`tracepoint:syscalls:sys_exit_openat /args.ret < 0/ { @[str(syscall_arg(1)), strerror(-args.ret)] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !needsTask(c, call) {
				return types.TInvalid
			}
			a := call.Args[0]
			if a.Lit == nil {
				return types.TUint64.InSpace(types.User)
			}
			arch, err := binary.ArchOf(c.Kernel().Arch())
			if err != nil {
				c.Errorf(call.Span, "%v", err)
				return types.TInvalid
			}
			if n := a.Lit.Int; a.Lit.IsStr || n < 0 || arch.SyscallArg(int(n)) < 0 {
				c.Errorf(a.Span, "a system call has the arguments 0 to 5")
				return types.TInvalid
			}
			if ctx := c.Context(); ctx != nil && ctx.Syscall == nil && !c.Kernel().Has(probes.FeatTaskRegs) {
				if unwind.ByName(c.Kernel().Arch()) == nil {
					needs(c, call.Span, "syscall_arg()", probes.FeatTaskRegs)
					return types.TInvalid
				}
				if _, err := c.Kernel().Type("struct task_struct"); err != nil {
					c.Errorf(call.Span, "syscall_arg() needs the kernel's BTF: %v", err)
					return types.TInvalid
				}
			}
			return types.TUint64.InSpace(types.User)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			arch, err := binary.ArchOf(g.Kernel().Arch())
			if err != nil {
				panic("builtins: syscall_arg: " + err.Error()) // Check has done the same
			}
			return syscallReg(g, int64(arch.SyscallArg(int(call.Args[0].Lit.Int))))
		},
	}
}

// syscallReg emits code that reads a register with the value that it had when the
// current task entered the kernel. off is its offset in struct pt_regs.
func syscallReg(g Gen, off int64) *ir.Value {
	b := g.B()
	if saved := g.Context().Syscall; saved != nil {
		return b.Load(saved(b, g.Ctx()), off, 8, false)
	}
	if g.Kernel().Has(probes.FeatTaskRegs) {
		return b.Load(b.Call(ir.TaskPtRegs, b.Call(ir.CurrentTaskBTF)), off, 8, false)
	}
	task, err := g.Kernel().Type("struct task_struct")
	if err != nil {
		panic("builtins: syscall_arg: " + err.Error()) // Check has done the same
	}
	stack, _ := task.Field("stack")
	arch := unwind.ByName(g.Kernel().Arch())
	word := g.Temp(8)
	g.Read(word, 0, 8, b.AddImm(b.Call(ir.CurrentTask), int64(stack.Off)), types.Kernel, "task.stack")
	b = g.B()
	at := b.AddImm(b.Load(word, 0, 8, false), int64(arch.StackSize-arch.RegsSize)+off)
	g.Read(word, 0, 8, at, types.Kernel, "registers")
	return g.B().Load(word, 0, 8, false)
}
