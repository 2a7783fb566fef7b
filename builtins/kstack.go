package builtins

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/builtins/code"
	"github.com/gotrace/gotrace/builtins/stacks"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/unwind"
	"github.com/gotrace/gotrace/runtime/value"
)

// The value of a stack is a word as package stacks describes it, unless storesFrames
// reports otherwise. The type's parameters are the index of the mode in stackModes and the
// depth.
const (
	userStackFlag = 1 << 8 // BPF_F_USER_STACK
	defaultDepth  = 127
	maxDepth      = 1024
	maxSkip       = 255 // BPF_F_SKIP_FIELD_MASK
	kstackName    = "kstack_t"
)

var stackModes = []string{"bpftrace", "perf", "raw", buildIDMode}

// stackCall is the Data of a call.
type stackCall struct {
	lens bool   // the program stores stacks with their lengths
	by   string // how a user stack is unwound: one of config.UserStacks
	skip int64  // number of the innermost frames that are left out
	task *stacks.Task
	arg  *Arg // points to the task
}

// stackRequest returns what package stacks needs to know of a call.
func stackRequest(g Gen, call *Call) *stacks.Request {
	data, ns := call.Data.(stackCall), g.Invocation().PIDNS
	r := &stacks.Request{
		Span: call.Span, Name: call.Def.Name,
		Depth: int(call.Type.Params[1]), Skip: data.skip, Lens: data.lens,
		Task: data.task,
		ID:   func() *ir.Value { return readTask(g, call, data.task.ID) },
		PID:  func(g code.Gen) *ir.Value { return idsIn(g, ns, nil).pid() },
	}
	if n := len(call.Args); n > 0 {
		r.Limited = call.Args[n-1].Lit != nil
	}
	if ctx := g.Context(); ctx != nil {
		r.NoMap = ctx.OtherTasks // it may sleep
	}
	return r
}

var stackParams = []Param{{Name: "mode", Optional: true, Kind: NameArg}, {Name: "task", Optional: true}, {Name: "limit", Optional: true}, {Name: "skip", Optional: true}}

func kstack() *Def {
	return &Def{
		Name: "kstack",
		TypeDef: TypeDef{
			TypeName:      kstackName,
			AcceptType:    acceptStack,
			KeptStack:     keptStack,
			KernelSymbols: true,
			ShowType:      showStackType,
			Format:        func(env Env, t *types.Type, data []byte) value.Value { return formatStack(env, t, data, 0) },
		},
		Params: stackParams,
		Traits: Traits{KernelStack: true},
		Doc: Doc{
			Summary:  "The kernel stack. kstack(n) keeps at most n frames, kstack(n, skip) leaves out the innermost ones, kstack(mode, n) prints them in a mode: bpftrace, perf or raw. kstack(task) is the stack of the task that a pointer points to (needs Linux 6.2).",
			Examples: []string{`profile:hz:99 { @[kstack] = count(); }`, `kprobe:vfs_read { @[kstack(perf, 5)] = count(); }`, `tracepoint:syscalls:sys_enter_read { @[kstack(5, 2)] = count(); }`},
		},
		Check: checkStack,
		Emit: func(g Gen, call *Call) *ir.Value {
			r := stackRequest(g, call)
			if r.Task != nil {
				return r.TakeOther(g)
			}
			return r.Take(g, 0)
		},
	}
}

// showStackType returns the text of a stack's type with its mode and depth:
// kstack_perf_5.
func showStackType(t *types.Type) string {
	name := strings.TrimSuffix(t.Name, "_t")
	if len(t.Params) < 2 {
		return name
	}
	return fmt.Sprintf("%s_%s_%d", name, stackModes[t.Params[0]], t.Params[1])
}

func checkStack(c Checker, call *Call) *types.Type {
	name := call.Def.Name
	if ctx := c.Context(); ctx != nil && !ctx.Stacks {
		c.Errorf(call.Span, "%s cannot be used in %s probes", name, ctx.Kind.Name)
		return types.TInvalid
	}
	if !needsTask(c, call) {
		return types.TInvalid
	}
	mode := c.Config().StackMode
	args := call.Args
	by := ""
	for len(args) > 0 && args[0].Word != "" {
		switch word := args[0].Word; {
		case slices.Contains(stackModes, word):
			mode = word
		case call.Def.UserSymbols && slices.Contains(config.UserStacks, word):
			by = word
		default:
			c.Errorf(args[0].Span, "Error parsing stack mode: %s: Invalid value for stack_mode: valid values are bpftrace, raw, perf, and build_id.", name)
			return types.TInvalid
		}
		args = args[1:]
	}
	data := stackCall{lens: c.StackLens(false)}
	if len(args) > 0 && args[0].Type != nil && args[0].Type.Kind == types.Pointer {
		if data.task = checkOtherTask(c, call, &args[0]); data.task == nil {
			return types.TInvalid
		}
		data.arg = &args[0]
		args = args[1:]
	}
	depth, ok := stackDepth(c, call, args, &data)
	if !ok {
		return types.TInvalid
	}
	m := max(slices.Index(stackModes, mode), 0)
	size := 8
	if stackModes[m] == buildIDMode {
		if !call.Def.UserSymbols {
			c.Errorf(call.Span, "'build_id' stack mode can only be used for ustack")
			return types.TInvalid
		}
		size = buildIDFrame * int(max(depth, 1))
	}
	if ctx := c.Context(); ctx != nil && ctx.NoKernelStack != "" && call.Def.TypeName == kstackName {
		c.Warnf(call.Span, "kstack may be empty here: %s", ctx.NoKernelStack)
	}
	if call.Def.UserSymbols && !checkWalk(c, call, by, stackModes[m], &data) {
		return types.TInvalid
	}
	call.Data = data
	typeName := call.Def.TypeName
	if call.Def.UserSymbols {
		typeName = ustackName
	}
	return &types.Type{Kind: types.Opaque, Name: typeName, Size: size, Params: []int64{int64(m), depth}}
}

// stackDepth returns the maximum number of frames that the arguments of a stack specify, and
// sets the number that they leave out.
func stackDepth(c Checker, call *Call, args []Arg, data *stackCall) (depth int64, ok bool) {
	name := call.Def.Name
	depth = defaultDepth
	for i := range args {
		lit := args[i].Lit
		switch {
		case i > 1 || len(args) == 2 && (lit == nil || lit.IsStr):
			c.Errorf(args[0].Span, "Expected stack mode as first argument")
			return 0, false
		case lit == nil || lit.IsStr || lit.Int < 0:
			c.Errorf(call.Span, "%s: invalid limit value", name)
			return 0, false
		case i == 0:
			depth = lit.Int
		case lit.Int > maxSkip:
			c.Errorf(args[i].Span, "%s: at most %d frames can be left out", name, maxSkip)
			return 0, false
		default:
			data.skip = lit.Int
		}
	}
	if depth > maxDepth {
		c.Errorf(call.Span, "%s([int limit]): limit shouldn't exceed %d, %d given", name, maxDepth, depth)
		return 0, false
	}
	return depth, true
}

// acceptStack is the Def.AcceptType of both kinds of stacks. The type has no parameters
// if the map or variable was declared but never assigned.
func acceptStack(t *types.Type) bool {
	p := t.Params
	return len(p) == 0 || len(p) == 2 && p[0] >= 0 && p[0] < int64(len(stackModes)) && p[1] >= 0 && p[1] <= maxDepth
}

// keptStack is the Def.KeptStack of both kinds of stacks.
func keptStack(t *types.Type, data []byte) (depth int, number uint32, ok bool) {
	if len(t.Params) < 2 || storesFrames(t) {
		return 0, 0, false
	}
	number = uint32(binary.NativeEndian.Uint64(data))
	return int(t.Params[1]), number, int64(number) <= stacks.Last
}

func formatStack(env Env, t *types.Type, data []byte, pid int) value.Value {
	id := binary.NativeEndian.Uint64(data) & stacks.None
	if len(t.Params) < 2 { // declared, but never assigned
		return value.Stack{}
	}
	s := value.Stack{Mode: stackModes[t.Params[0]], Kernel: t.Name == kstackName, Debug: env.Settings().ShowDebugInfo}
	switch why := unwind.Why(stacks.None - id); {
	case why == unwind.Complete:
	case why < unwind.NumWhys:
		s.Missing = why.String()
	default:
		depth := int(t.Params[1])
		addrs, why := env.Symbols().Stack(depth, int64(id))
		s.Frames = env.Symbols().Frames(pid, addrs, s.Mode)
		// A script that limits the number of frames does not miss the others.
		if why != unwind.Complete && why < unwind.NumWhys && (why != unwind.TooDeep || depth >= defaultDepth) {
			s.Missing = why.String()
		}
	}
	return s
}

// checkOtherTask checks that the stack of the task that a points to can be taken. It
// returns nil after it has reported an error.
func checkOtherTask(c Checker, call *Call, a *Arg) *stacks.Task {
	name := call.Def.Name + "(task)"
	k := c.Kernel()
	if to := a.Type.Elem; to == nil || to.Name != stacks.TaskStruct {
		c.Errorf(call.Span, "%s takes a pointer to a %s, not %s", name, stacks.TaskStruct, a.Type)
		return nil
	}
	if ctx := c.Context(); ctx != nil {
		if call.Def.UserSymbols && !ctx.OtherTasks {
			c.Errorf(call.Span, "%s is not supported in %s probes: the kernel lets only iterators, such as iter:task, read the memory of another process", name, ctx.Kind.Name)
			return nil
		}
		if _, ok := ctx.Kfuncs(k); !ok {
			c.Errorf(call.Span, "%s is not supported in %s probes: the kernel does not let their programs look up tasks", name, ctx.Kind.Name)
			return nil
		}
	}
	if call.Def.UserSymbols && c.Invocation().PIDNS != nil {
		c.Errorf(call.Span, "%s needs the initial pid namespace", name)
		return nil
	}
	task, known := stacks.NewTask(k)
	switch {
	case !known:
		c.Errorf(call.Span, "%s", probes.Needs(k, name, probes.FeatTaskFromPID))
	case task == nil:
		c.Errorf(call.Span, "%s needs the kernel's BTF of %s", name, stacks.TaskStruct)
	}
	return task
}

// readTask reads a field of the task that the call names. It returns 0 if the pointer is null.
func readTask(g Gen, call *Call, f types.Field) *ir.Value {
	b := g.B()
	v := &ir.Var{Name: "field", Type: ir.Int}
	b.Write(v, b.Const(0))
	g.Object(call.Data.(stackCall).arg, func(task *ir.Value) {
		if task.Type == ir.PtrBTF {
			b.If(b.Op(ir.OpNe, task, b.Const(0)), func() {
				b.Write(v, b.Load(task, int64(f.Off), 4, false))
			})
			return
		}
		tmp := g.Temp(8)
		g.Read(tmp, 0, 4, b.AddImm(task, int64(f.Off)), types.Kernel, call.Def.Name)
		b.Write(v, b.Load(tmp, 0, 4, false))
	}, func() {})
	return b.Read(v)
}
