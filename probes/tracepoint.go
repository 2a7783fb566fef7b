package probes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// tracepointKind returns tracepoint, which attaches to a tracepoint's perf event. One
// event on one CPU is enough, as the kernel binds the program to the tracepoint on all
// CPUs. For a tracepoint without wildcards, only its format file is read.
func tracepointKind() *Kind {
	k := &Kind{
		Name: "tracepoint",
		Manual: Manual{
			Overhead: "about 100 ns; at system calls also 100 ns for each call of the system",
			Syntax:   "tracepoint:category:event",
			Doc:      "Runs at a static event of the kernel; args has the event's fields. A pattern alone, as in tracepoint:sched_*, matches the events of all categories.",
		},
		Aliases: []string{"t"},
	}
	k.Call = syscallCall
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if len(parts) == 2 && isWild(parts[1]) { // events of all categories
			parts = []string{parts[0], "*", parts[1]}
		}
		if err := argCount(k, parts, 2); err != nil {
			return nil, err
		}
		if parts[1] == "" || parts[2] == "" {
			return nil, usage("tracepoint probe must have a target: write %s", k.Syntax)
		}
		return &Point{Kind: k, Target: parts[1], Func: parts[2], Name: k.Name + ":" + parts[1] + ":" + parts[2]}, nil
	}
	k.Expand = func(e *Env, p *Point) ([]*Point, error) {
		if !isWild(p.Target) && !isWild(p.Func) {
			if _, err := e.Kernel.Tracepoint(p.Target, p.Func); errors.Is(err, ErrNotFound) {
				return nil, nil
			} else if err != nil {
				return nil, err
			}
			return []*Point{p}, nil
		}
		all, err := e.Kernel.Tracepoints()
		if err != nil {
			return nil, err
		}
		var out []*Point
		for _, tp := range all {
			cat, event, _ := strings.Cut(tp, ":")
			if wildcard.Match(p.Target, cat) && wildcard.Match(p.Func, event) {
				q := *p
				q.Target, q.Func, q.Name = cat, event, k.Name+":"+tp
				out = append(out, &q)
			}
		}
		return out, nil
	}
	k.Suggest = func(e *Env, p *Point) string {
		all, err := e.Kernel.Tracepoints()
		if err != nil {
			return ""
		}
		return nearest(p.Target+":"+p.Func, all)
	}
	k.Context = tracepointContext
	k.Gather = gatherSyscalls
	k.Dispatchers = func(e *Env, progs []*object.Program) []object.Dispatcher { return syscallDispatchers(e, k, progs) }
	k.AttachDispatcher = attachSyscalls
	k.Attach = func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		id := p.Event
		if id == 0 {
			f, err := e.Kernel.Tracepoint(p.Target, p.Func)
			if err != nil {
				return nil, attachError(p, err, capsTracing, nil)
			}
			id = uint64(f.ID)
		}
		c, err := attachPerf(&unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: id}, -1, 0, prog)
		return c, attachError(p, err, capsTracing, map[error]string{unix.EINVAL: "the kernel refuses programs on this tracepoint", unix.EACCES: "the program reads beyond the tracepoint's record"})
	}
	k.List = func(e *Env, parts []string, yield func(string) bool) error {
		all, err := e.Kernel.Tracepoints()
		if err != nil {
			return err
		}
		k.listPairs(all, parts, yield)
		return nil
	}
	return k
}

func tracepointContext(e *Env, p *Point) (*Context, error) {
	f, err := e.Kernel.Tracepoint(p.Target, p.Func)
	if err != nil {
		return nil, err
	}
	if p.Multi {
		return syscallContext(e, p, f)
	}
	p.Event = uint64(f.ID)
	space, noStack := kernelSpace, ""
	load := Load{Type: ebpf.TracePoint, Shape: "tracepoint " + layoutOf(f.Fields), BareShape: "tracepoint"}
	if p.Target == "syscalls" {
		space = userSpace
		load.Sleeps = func() bool { return e.Kernel.Has(FeatSleepSyscall) }
		if !e.Kernel.Has(FeatSyscallStack) {
			noStack = "before Linux 6.12, the kernel confuses the user's registers with its own in tracepoints of system calls"
		}
	}
	return &Context{
		Kind:          p.Kind,
		Load:          load,
		Args:          Args{Type: argsStruct("struct "+p.Name+"_args", f.Size, f.Fields), Space: space, Lines: func() []string { return f.Decls }},
		InTask:        true,
		Stacks:        true,
		NoKernelStack: noStack,
		Packet:        contextSkb(e, p, f.Fields),
	}, nil
}

// argsStruct returns the type of args: a struct whose fields are at offsets from the
// context.
func argsStruct(name string, size int, fields []types.Field) *types.Type {
	return &types.Type{Kind: types.Struct, Name: name, Size: size, Space: types.Ctx, Comp: types.NewComposite(false, func() []types.Field { return fields })}
}

// layoutOf returns a text that is the same for two lists of fields only if a program
// reads the same values from both.
func layoutOf(fields []types.Field) string {
	var b bytes.Buffer
	for _, f := range fields {
		fmt.Fprintf(&b, "%s %s@%d", f.Name, f.Type, f.Off)
		if f.Type.Kind == types.Pointer {
			fmt.Fprintf(&b, "/%d", f.Type.Space)
		}
		switch {
		case f.DataLoc:
			b.WriteByte('d')
		case f.RelLoc:
			b.WriteByte('r')
		}
		b.WriteByte(';')
	}
	return b.String()
}
