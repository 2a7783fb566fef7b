package probes

import (
	"errors"
	"io"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// rawTracepointKind returns rawtracepoint. The program receives the arguments that the
// kernel passes to the tracepoint, rather than a record of them. As BTF contains their
// types, the program can follow pointers with plain loads.
func rawTracepointKind() *Kind {
	k := &Kind{
		Name: "rawtracepoint",
		Manual: Manual{
			Overhead: "about 20 ns; at system calls 100 ns more for each call of the system",
			Syntax:   "rawtracepoint:[module:]event",
			Doc:      "Runs at a static event of the kernel, with the arguments it is called with.",
		},
		Traits:  Traits{FuncArgs: true},
		Aliases: []string{"rt"},
	}
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 1, 2); err != nil {
			return nil, err
		}
		p := &Point{Kind: k, Func: parts[len(parts)-1], Implied: len(parts) == 2}
		if len(parts) == 3 {
			p.Target = parts[1]
		}
		if p.Func == "" || len(parts) == 3 && p.Target == "" {
			return nil, usage("rawtracepoint should be attached to a function: write %s", k.Syntax)
		}
		p.Name = strings.Join(append([]string{k.Name}, parts[1:]...), ":")
		return p, nil
	}
	k.Expand = func(e *Env, p *Point) ([]*Point, error) {
		if !isWild(p.Target) && !isWild(p.Func) {
			proto, err := e.Kernel.TracepointProto(p.Target, p.Func)
			if errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNoBTF) {
				return nil, nil
			} else if err != nil {
				return nil, err
			}
			return []*Point{rawPoint(p, proto.Module, p.Func)}, nil
		}
		all, err := e.Kernel.RawTracepoints()
		if err != nil {
			return nil, err
		}
		var out []*Point
		for _, tp := range all {
			mod, event, _ := strings.Cut(tp, ":")
			if wildcard.Match(p.Func, event) && (p.Target == "" || wildcard.Match(p.Target, mod)) {
				out = append(out, rawPoint(p, mod, event))
			}
		}
		return out, nil
	}
	k.Suggest = func(e *Env, p *Point) string {
		all, err := e.Kernel.RawTracepoints()
		if err != nil {
			return ""
		}
		for i, tp := range all {
			all[i] = tp[strings.IndexByte(tp, ':')+1:]
		}
		return nearest(p.Func, all)
	}
	k.Context = func(e *Env, p *Point) (*Context, error) {
		proto, err := e.Kernel.TracepointProto(p.Target, p.Func)
		if err != nil {
			return nil, err
		}
		c := tracingContext(e, p, proto)
		c.Load.AttachType, c.Load.AttachTo = ebpf.AttachTraceRawTp, p.Func
		return c, nil
	}
	k.Attach = attachTracing
	k.List = func(e *Env, parts []string, yield func(string) bool) error {
		all, err := e.Kernel.RawTracepoints()
		if err != nil {
			return err
		}
		k.listPairs(all, parts, yield)
		return nil
	}
	return k
}

func rawPoint(p *Point, module, event string) *Point {
	q := *p
	q.Target, q.Func, q.Name = module, event, p.Kind.Name+":"+module+":"+event
	return &q
}

// tracingContext returns the context of programs whose arguments have BTF types. It
// is an array of 8-byte slots, one for each argument and two for a struct of more
// than 8 bytes.
func tracingContext(e *Env, p *Point, proto *FuncProto) *Context {
	fields := make([]types.Field, len(proto.Params))
	size := 0
	for i, f := range proto.Params {
		f.Closed = f.Closed || closedInt(e, f.Type)
		fields[i] = f
		switch t := f.Type; {
		case f.Closed:
		case t.Kind == types.Pointer && t.Space == types.Kernel && t.Elem.Kind == types.Struct:
			fields[i].Type = types.NewPointer(t.Elem.InSpace(types.BTF), types.BTF)
		case t.Kind == types.Struct || t.Kind == types.Array:
			fields[i].Type = t.InSpace(types.Ctx)
		}
		size = f.Off + types.RoundUp(max(f.Type.Size, 1), 8)
	}
	c := &Context{
		Kind:        p.Kind,
		Load:        Load{Type: ebpf.Tracing},
		Args:        Args{Type: argsStruct("struct "+p.Name+"_args", size, fields), N: size / 8, Space: kernelSpace},
		InTask:      true,
		Preemptible: true,
		Stacks:      true,
		Func:        TracedFunc{Name: p.Func},
	}
	c.Packet = contextSkb(e, p, proto.Params)
	if proto.Decls != nil {
		c.Args.Lines = proto.Decls
	}
	c.Args.Read = func(b *ir.Builder, ctx *ir.Value, n int) *ir.Value { return b.Load(ctx, int64(8*n), 8, false) }
	return c
}

// closedInt reports whether t is a pointer to an integer that the kernel does not let
// programs load from their context: without FeatIntPointers, it allows only pointers to
// characters.
func closedInt(e *Env, t *types.Type) bool {
	return t.Kind == types.Pointer && t.Elem.Kind == types.Int && t.Elem.Size != 1 && !e.Kernel.Has(FeatIntPointers)
}

// attachTracing attaches a program to the function for which it was loaded.
func attachTracing(_ *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
	l, err := link.AttachTracing(link.TracingOptions{Program: prog})
	if err != nil {
		return nil, attachError(p, err, capsTracing, map[error]string{
			unix.EBUSY: "another program is attached there that does not share the function",
			unix.E2BIG: "the kernel's limit of programs on one function is reached",
		})
	}
	return l, nil
}
