package probes

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// namedKind returns the name of the kind of probe whose args are the parameters of a
// kernel function, at its entry or, if ret is true, its return.
func namedKind(ret bool) string { return fentryKind(ret).Name }

// fentryKind returns fentry or, if ret is true, fexit. The kernel calls the program
// directly from the function's prologue, and BTF has the types of the arguments.
// The function may also be one of a BPF program (fentry:bpf:name), without types.
func fentryKind(ret bool) *Kind {
	k := &Kind{
		Name: "fentry",
		Manual: Manual{
			Overhead: "about 10 ns",
			Syntax:   "fentry:[module:]function",
			Doc:      "Runs where a kernel function is called; args has its arguments. Also: fentry:bpf:[id:]program.",
		},
		Aliases: []string{"f", "kfunc"},
	}
	if ret {
		k = &Kind{
			Name: "fexit",
			Manual: Manual{
				Overhead: "about 20 ns",
				Syntax:   "fexit:[module:]function",
				Doc:      "Runs when a kernel function returns; args has its arguments, retval its result. Also: fexit:bpf:[id:]program.",
			},
			Aliases: []string{"fr", "kretfunc"},
		}
	}
	k.Reverse, k.FuncArgs, k.Paths, k.OnReturn, k.Call = true, true, true, ret, kernelCall
	k.Parse = func(_ *Env, parts []string) (*Point, error) { return parseFentry(k, parts) }
	k.Expand = expandFentry
	k.Suggest, k.Lacks = suggestFunction, withoutBTF
	k.Doubt = oneOfSeveral
	k.Context = func(e *Env, p *Point) (*Context, error) {
		c, err := fentryContext(e, p, ret)
		if err == nil && p.Target != "bpf" {
			c.Shared = sharedFentry(e, p, c, ret)
		}
		return c, err
	}
	if !ret {
		k.Return, k.Session, k.AttachSession = "fexit", fentrySession, attachFentrySession
	}
	k.AttachMany = func(e *Env, prog *ebpf.Program, ps []*object.Point) (io.Closer, error) {
		return attachFentryMulti(e, prog, manyFunctions(e, ret), ps)
	}
	k.Attach = func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		if p.Multi {
			return attachFentryMulti(e, prog, manyFunctions(e, ret), []*object.Point{p})
		}
		c, err := attachTracing(e, prog, p)
		// A function without room for a call looks to the kernel like one that something
		// else has changed.
		if p.Target != "bpf" && errors.Is(err, unix.EBUSY) && fentryRefusal(e, p, "") != "" {
			err = unix.EINVAL
		}
		if errors.Is(err, unix.EINVAL) && p.Target != "bpf" {
			return nil, &AttachError{p, fentryRefusal(e, p, noFentry), err}
		}
		if n := homonyms(e, p, err); n > 1 {
			return nil, &AttachError{p, fmt.Sprintf("the kernel has %d functions of that name, and takes one that cannot be traced; %s is attached to all that can", n, kprobeAt(p.Func)), err}
		}
		return c, err
	}
	k.List = func(e *Env, parts []string, yield func(string) bool) error {
		if len(parts) > 1 && parts[1] == "bpf" {
			return listBPF(k, parts, yield)
		}
		all, err := e.Kernel.Functions()
		if err != nil {
			return err
		}
		for i, f := range all {
			mod, fn, _ := strings.Cut(f, ":")
			if !listed(parts[1:], mod, fn) {
				continue
			}
			if i > 0 && f == all[i-1] {
				continue
			}
			if _, err := e.Kernel.FuncProto(mod, fn); err == nil && !yield(k.Name+":"+f) {
				break
			}
		}
		return nil
	}
	return k
}

// homonyms returns the number of functions with the name of a point, if this may be the
// reason for err. Otherwise it returns 0.
func homonyms(e *Env, p *object.Point, err error) int {
	if !errors.Is(err, unix.EBUSY) || p.Target == "bpf" {
		return 0
	}
	return len(e.Kernel.Homonyms(p.Target, p.Func))
}

func parseFentry(k *Kind, parts []string) (*Point, error) {
	if len(parts) > 1 && parts[1] == "bpf" && len(parts) != 2 {
		p := &Point{Kind: k, Target: "bpf", Func: parts[len(parts)-1], Name: strings.Join(parts, ":")}
		if err := argCount(k, parts, 2, 3); err != nil {
			return nil, err
		}
		if len(parts) == 4 && parts[2] != "*" {
			id, err := strconv.ParseUint(parts[2], 10, 32)
			if err != nil {
				return nil, usage("%s is not the id of a BPF program: a number or * is expected", parts[2])
			}
			p.Count = id
		}
		return p, nil
	}
	if err := argCount(k, parts, 1, 2); err != nil {
		return nil, err
	}
	p := &Point{Kind: k, Func: parts[len(parts)-1], Name: strings.Join(parts, ":")}
	if len(parts) == 3 {
		p.Target = parts[1]
	}
	if name, n, file, err := cutHomonym(p.Func); err != nil {
		return nil, err
	} else if n != 0 || file != "" {
		return nil, usage("the kernel attaches %s to a function by its name, so one of several functions of the name %s cannot be selected: %s can", k.Name, name, kprobeAt(p.Func))
	}
	if p.Func == "" || len(parts) == 3 && p.Target == "" {
		return nil, usage("fentry/fexit should specify a function: write %s", k.Syntax)
	}
	return p, nil
}

// ownPath lists prefixes of the names of functions that programs of this kind call,
// directly or in helpers. Without FeatNoReentry, such a program could enter itself
// endlessly.
var ownPath = []string{
	"_raw_spin_", "_raw_read_", "_raw_write_", "native_queued_spin_lock", "queued_", "__pv_queued_spin", "do_raw_spin_",
	"__rcu_read_", "rcu_read_", "migrate_", "preempt_count_", "__bpf_prog_", "bpf_", "__bpf_", "htab_", "__htab_", "array_map_",
	"percpu_array_", "ringbuf_", "__pcpu_freelist_", "pcpu_freelist_", "irq_work_", "__irq_work_", "sched_clock", "ktime_get_mono_fast",
	"copy_from_kernel_nofault", "copy_from_user_nofault", "strncpy_from_kernel_nofault", "strncpy_from_user_nofault", "lookup_nulls_elem",
}

// reentered reports whether a program at fn would enter itself.
func reentered(e *Env, fn string) bool {
	return !e.Kernel.Has(FeatNoReentry) &&
		slices.ContainsFunc(ownPath, func(s string) bool { return strings.HasPrefix(fn, s) })
}

func expandFentry(e *Env, p *Point) ([]*Point, error) {
	if p.Target == "bpf" {
		return expandBPF(e, p)
	}
	at := func(mod, fn string) *Point {
		q := *p
		q.Target, q.Func, q.Name = mod, fn, p.Kind.Name+":"+mod+":"+fn
		return &q
	}
	if !isWild(p.Target) && !isWild(p.Func) {
		if reentered(e, p.Func) {
			return nil, outline.Errorf("%s:%s would hang the machine: programs of this kind call %s themselves, which Linux before 5.12 does not prevent", p.Kind.Name, p.Func, p.Func)
		}
		proto, err := e.Kernel.FuncProto(p.Target, p.Func)
		if errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNoBTF) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return []*Point{at(proto.Module, p.Func)}, nil
	}
	all, err := e.Kernel.Functions()
	if err != nil {
		return nil, err
	}
	var out []*Point
	for i, f := range all {
		mod, fn, _ := strings.Cut(f, ":")
		if i > 0 && f == all[i-1] || !wildcard.Match(p.Func, fn) || p.Target != "" && !wildcard.Match(p.Target, mod) || reentered(e, fn) || unmatched(fn, p.Kind.OnReturn) {
			continue
		}
		if proto, err := e.Kernel.FuncProto(mod, fn); err == nil && !proto.Variadic {
			out = append(out, at(mod, fn))
		}
	}
	return out, nil
}

func fentryContext(e *Env, p *Point, ret bool) (*Context, error) {
	attach := ebpf.AttachTraceFEntry
	if ret {
		attach = ebpf.AttachTraceFExit
	}
	if !e.Kernel.Has(FeatFentry) {
		return nil, tooOld(e, p.Kind.Name, FeatFentry)
	}
	if p.Target == "bpf" {
		c := &Context{
			Kind:        p.Kind,
			Load:        Load{Type: ebpf.Tracing, AttachType: attach, AttachTo: p.Func, AttachProg: ebpf.ProgramID(p.Count)},
			Func:        TracedFunc{Name: p.Func},
			Args:        Args{Err: errors.New("the types of the arguments of BPF programs are not known")},
			InTask:      true,
			Preemptible: true,
			Stacks:      true,
		}
		if ret {
			c.Ret = Ret{Type: types.TInt64, Typed: func() (*types.Type, error) {
				return nil, errors.New("the result of a BPF program cannot be read: its place depends on arguments whose types are not known")
			}, Read: func(*ir.Builder, *ir.Value) *ir.Value { panic("probes: the result of a BPF program") }}
		}
		return c, nil
	}
	proto, err := e.Kernel.FuncProto(p.Target, p.Func)
	if err != nil {
		return nil, err
	}
	if proto.Variadic {
		return nil, usage("%s takes a variable number of arguments: %s cannot be attached to it", p.Func, p.Kind.Name)
	}
	if slices.Contains(neverTraced, p.Func) {
		return nil, usage("programs of %s call %s themselves, so the kernel attaches none to it", p.Kind.Name, p.Func)
	}
	if why := untraceable(e, proto); why != "" {
		return nil, usage("%s", why)
	}
	c := tracingContext(e, p, proto)
	slots := c.Args.N
	c.Load.AttachType, c.Load.AttachTo = attach, p.Func
	c.Args.N, c.Args.Read = 0, nil
	if e.Kernel.Has(FeatFuncIP) {
		c.Func.Addr = funcIP
	} else {
		c.Func.Here = func() (uint64, bool) { return addressOf(e, p) }
	}
	if ret && proto.Result.Kind != types.Void {
		c.Ret.Type = proto.Result
		if t := proto.Result; !proto.Closed && t.Kind == types.Pointer && t.Elem.Kind == types.Struct {
			c.Ret.Type = types.NewPointer(t.Elem.InSpace(types.BTF), types.BTF)
			c.Ctx.Nullable = true
		}
		c.Ret.Read = func(b *ir.Builder, ctx *ir.Value) *ir.Value {
			if proto.Closed || closedInt(e, proto.Result) {
				return readClosed(b, ctx, int64(8*slots))
			}
			v := b.Load(ctx, int64(8*slots), 8, false)
			if t := proto.Result; t.IsInteger() && t.Size < 8 {
				return b.Extend(v, t.Size, t.Signed)
			}
			return v
		}
		lines := proto.Decls
		c.Args.Lines = func() []string { return append(lines(), proto.ResultDecl()) }
	}
	return c, nil
}

// readClosed reads a word of the context that the verifier does not let programs load.
func readClosed(b *ir.Builder, ctx *ir.Value, off int64) *ir.Value {
	slot := b.Slot(8)
	b.Zero(slot, 0, 8)
	b.Call(ir.ReadKernel, slot, b.Const(8), b.AddImm(b.AsInt(ctx), off))
	return b.Load(slot, 0, 8, false)
}

// maxFentryArgs is the maximum number of arguments of the function
// (MAX_BPF_FUNC_ARGS).
const maxFentryArgs = 12

// untraceable returns the reason why the kernel does not attach fentry or fexit to
// functions with a prototype, or "". See btf_distill_func_proto in the kernel.
func untraceable(e *Env, proto *FuncProto) string {
	composite := func(t *types.Type) string {
		if t.Comp != nil && t.Comp.Union {
			return "union"
		}
		return "struct"
	}
	if t := proto.Result; t.Kind == types.Struct {
		return fmt.Sprintf("it returns a %s: the kernel attaches no program to such functions", composite(t))
	}
	if n := len(proto.Params); n > maxFentryArgs {
		return fmt.Sprintf("it has %d arguments, the kernel follows %d at most", n, maxFentryArgs)
	}
	for _, p := range proto.Params {
		switch t := p.Type; {
		case t.Kind != types.Struct:
		case t.Comp != nil && t.Comp.Union:
			return fmt.Sprintf("its argument %s is a union: the kernel attaches no program to such functions", p.Name)
		case t.Size > 16:
			return fmt.Sprintf("its argument %s is a struct of %d bytes, the kernel follows 16 at most", p.Name, t.Size)
		case !e.Kernel.Has(FeatStructArgs):
			return Needs(e.Kernel, fmt.Sprintf("its argument %s is a struct, which", p.Name), FeatStructArgs)
		}
	}
	return ""
}

// bpfPrograms calls f for each loaded BPF program until f returns false.
func bpfPrograms(f func(id uint32, name string) bool) error {
	var id ebpf.ProgramID
	for {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		id = next
		prog, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // it has been unloaded
		}
		info, err := prog.Info()
		name := ""
		if err == nil {
			name = info.Name
			// The kernel truncates names to 15 bytes. BTF contains the full names.
			if funcs, err := info.FuncInfos(); err == nil && len(funcs) > 0 && funcs[0].Func != nil {
				name = funcs[0].Func.Name
			}
		}
		hasBTF := false
		if err == nil {
			_, hasBTF = info.BTFID()
		}
		prog.Close()
		if name != "" && hasBTF && !f(uint32(id), name) {
			return nil
		}
	}
}

func expandBPF(e *Env, p *Point) ([]*Point, error) {
	e.Needs.SetOnlyNow("the BPF programs that are loaded")
	var out []*Point
	err := bpfPrograms(func(id uint32, name string) bool {
		if wildcard.Match(p.Func, name) && (p.Count == 0 || p.Count == uint64(id)) {
			q := *p
			q.Func, q.Count, q.Name = name, uint64(id), fmt.Sprintf("%s:bpf:%d:%s", p.Kind.Name, id, name)
			out = append(out, &q)
		}
		return true
	})
	return out, err
}

func listBPF(k *Kind, parts []string, yield func(string) bool) error {
	return bpfPrograms(func(id uint32, name string) bool {
		return !listed(parts[2:], fmt.Sprint(id), name) || yield(fmt.Sprintf("%s:bpf:%d:%s", k.Name, id, name))
	})
}
