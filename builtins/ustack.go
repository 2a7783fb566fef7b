package builtins

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/gotrace/gotrace/builtins/stacks"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/unwind"
	"github.com/gotrace/gotrace/runtime/value"
)

// A user stack in build_id mode refers to files by their build ID, so that it can be
// symbolized on another machine or after the process has ended. The kernel converts the
// frames when it writes them to memory. The value consists of the bytes that it writes, an
// array of struct bpf_stack_build_id. An element contains a status word, the build ID and the
// offset in the file. If there is no build ID, it contains the address instead. Unused frames
// are zero.
const (
	buildIDFrame = 32      // bytes
	buildIDFlag  = 1 << 11 // BPF_F_USER_BUILD_ID
	buildIDSize  = 20
	offsetAt     = 24

	frameEmpty = 0 // BPF_STACK_BUILD_ID_EMPTY
	frameValid = 1 // BPF_STACK_BUILD_ID_VALID

	buildIDMode = "build_id"

	ustackName = "ustack_t"
)

var ustackParams = []Param{{Name: "mode", Optional: true, Kind: NameArg}, {Name: "by", Optional: true, Kind: NameArg}, {Name: "task", Optional: true}, {Name: "limit", Optional: true}, {Name: "skip", Optional: true}}

// storesFrames reports whether values of a stack's type are the frames themselves
// rather than the number of a stack that the kernel stores.
func storesFrames(t *types.Type) bool {
	return len(t.Params) == 2 && stackModes[t.Params[0]] == buildIDMode
}

func storeBuildIDs(g Gen, call *Call, dst Dest) {
	b := g.B()
	if call.Type.Params[1] == 0 {
		b.Zero(dst.Ptr, dst.Off, dst.Size) // no frames
		return
	}
	// The helper clears what it does not fill.
	b.Call(ir.GetStack, g.Ctx(), b.AddImm(dst.Ptr, dst.Off), b.Const(int64(call.Type.Size)), b.Const(userStackFlag|buildIDFlag|call.Data.(stackCall).skip))
	padTail(g, dst, call.Type.Size)
}

// countBuildIDs computes the number of frames in the stack at p.
func countBuildIDs(g Gen, t *types.Type, p *ir.Value) *ir.Value {
	b := g.B()
	n := &ir.Var{Name: "frames", Type: ir.Int}
	b.Write(n, b.Const(0))
	b.Count(t.Size/buildIDFrame, func(i *ir.Value, out *ir.Block) {
		b.Leave(b.Op(ir.OpEq, b.Load(b.Op(ir.OpAdd, p, b.Op(ir.OpMul, i, b.Const(buildIDFrame))), 0, 4, false), b.Const(frameEmpty)), out)
		b.Write(n, b.Op(ir.OpAdd, i, b.Const(1)))
	})
	return b.Read(n)
}

func formatBuildIDs(data []byte) value.Value {
	s := value.Stack{Mode: buildIDMode}
	for ; len(data) >= buildIDFrame; data = data[buildIDFrame:] {
		status := binary.NativeEndian.Uint32(data)
		if status == frameEmpty {
			break
		}
		at := binary.NativeEndian.Uint64(data[offsetAt:])
		if status == frameValid {
			s.Frames = append(s.Frames, value.Frame{BuildID: hex.EncodeToString(data[4 : 4+buildIDSize]), InFile: at})
		} else {
			s.Frames = append(s.Frames, value.Frame{Addr: at})
		}
	}
	return s
}

// checkWalk sets how a user stack is unwound: as the call specifies with by, or as the
// configuration does.
func checkWalk(c Checker, call *Call, by, mode string, data *stackCall) bool {
	data.by = config.StackFP
	if data.task != nil {
		if data.by = config.StackAuto; by == config.StackDWARF {
			data.by = by
		}
		if mode == buildIDMode || by == config.StackFP {
			c.Errorf(call.Span, "%s(task): the kernel follows frame pointers and finds build IDs of the current task only", call.Def.Name)
			return false
		}
		return canUnwind(c, call)
	}
	switch {
	case mode == buildIDMode:
		if by != "" && by != config.StackFP {
			c.Errorf(call.Span, "%s: the kernel translates addresses to build IDs, which follows frame pointers only", call.Def.Name)
			return false
		}
		return true
	case by != "":
		data.by = by
	default:
		data.by = c.Config().UserStack
	}
	return data.by == config.StackFP || canUnwind(c, call)
}

// canUnwind reports an error if the kernel or the machine does not support unwinding
// with tables. It returns whether they do.
func canUnwind(c Checker, call *Call) bool {
	if unwind.ByName(c.Kernel().Arch()) == nil {
		c.Errorf(call.Span, "%s: stacks can be unwound without frame pointers on amd64 only, and this machine is %s", call.Def.Name, c.Kernel().Arch())
		return false
	}
	t, err := c.Kernel().Type(stacks.TaskStruct)
	if err != nil {
		c.Errorf(call.Span, "%s needs the kernel's BTF to unwind without frame pointers: %v", call.Def.Name, err)
		return false
	}
	for _, name := range []string{"flags", "stack", "mm"} {
		if _, ok := t.Field(name); !ok {
			c.Errorf(call.Span, "%s: this kernel's struct task_struct has no %s", call.Def.Name, name)
			return false
		}
	}
	return true
}

// emitUserStack is the Emit of a user stack.
func emitUserStack(g Gen, call *Call) *ir.Value {
	r := stackRequest(g, call)
	var id, pid *ir.Value
	if by := call.Data.(stackCall).by; by == config.StackFP {
		id = r.Take(g, userStackFlag)
	} else {
		id = r.Unwind(g, by == config.StackAuto)
	}
	if r.Task != nil {
		pid = readTask(g, call, r.Task.TGID)
	} else {
		pid = r.PID(g)
	}
	b := g.B()
	pid = b.Op(ir.OpShl, pid, b.Const(32))
	return b.Op(ir.OpOr, pid, id)
}

func ustack() *Def {
	return &Def{
		Name: "ustack",
		TypeDef: TypeDef{
			TypeName:    ustackName,
			AcceptType:  acceptStack,
			KeptStack:   keptStack,
			UserSymbols: true,
			ShowType:    showStackType,
			Format: func(env Env, t *types.Type, data []byte) value.Value {
				if storesFrames(t) {
					return formatBuildIDs(data)
				}
				return formatStack(env, t, data, int(binary.NativeEndian.Uint64(data)>>32&(1<<stacks.PIDBits-1)))
			},
		},
		Params: ustackParams,
		Doc: Doc{
			Summary: "The user stack of the current process. ustack(n) keeps at most n frames, ustack(n, skip) leaves out the innermost ones, ustack(mode, n) prints them in a mode: bpftrace, perf, raw or build_id (the file's build ID and the offset in it). " +
				"ustack(dwarf) unwinds with the tables that compilers write for exceptions, in all processes. ustack(fp) follows frame pointers. ustack(auto) uses tables, and frame pointers for code without tables. Otherwise the setting user_stack applies. In iterators, ustack(task) is the stack of the task that a pointer points to, by tables or frame pointers (needs Linux 6.2).",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @[ustack(3)] = count(); }`, `profile:hz:99 { @[ustack(build_id, 10)] = count(); }`, `profile:hz:99 { @[ustack(dwarf)] = count(); }`},
		},
		Check: checkStack,
		Emit:  emitUserStack,
		Store: storeBuildIDs,
	}
}
