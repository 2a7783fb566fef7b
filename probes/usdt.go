package probes

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// parseUSDT parses the parts of an attach point of the kind k.
func parseUSDT(e *Env, k *Kind, parts []string) (*Point, error) {
	p := &Point{Kind: k, PID: e.traced(), Name: strings.Join(parts, ":")}
	switch n := len(parts) - 1; {
	case n == 3:
		p.Target, p.NS, p.Func = parts[1], parts[2], parts[3]
	case n == 2:
		p.Target, p.Func, p.Implied = parts[1], parts[2], true
	case n == 1 && e.PID != 0:
		p.Func, p.Implied = parts[1], true
	default:
		return nil, argCount(k, parts, 2, 3)
	}
	if p.Func == "" {
		return nil, usage("usdt probe must have a target function or wildcard: write %s", k.Syntax)
	}
	return p, nil
}

// usdtKind returns usdt, which attaches uprobes to the static probes in the
// .note.stapsdt section of a program or library. An inlined probe is at several
// locations. Each of them is a Point with the same name. If a probe has a semaphore,
// the kernel increments it in all processes that map the file, including later ones,
// while the probe is attached (ref_ctr_offset).
func usdtKind() *Kind {
	k := &Kind{
		Name: "usdt",
		Manual: Manual{
			Overhead: "1 to 2 µs, since each event is a trap; up to 25 µs in a virtual machine",
			Syntax:   "usdt:binary:[provider:]name",
			Doc:      "Runs at a static probe of a program or library; arg0 … are its arguments.",
		},
		Traits:   Traits{NoteArgs: true, ChildOnly: true},
		Attacher: Attacher{Reverse: true},
		Caps:     capsAdmin,
		Aliases:  []string{"U"},
	}
	k.Parse = func(e *Env, parts []string) (*Point, error) { return parseUSDT(e, k, parts) }
	k.Expand = expandUSDT
	names := func(e *Env, p *Point) (list []string) {
		q := *p
		q.NS, q.Func = "", "*"
		all, _ := expandUSDT(&Env{Kernel: e.Kernel, PID: e.PID}, &q)
		for _, s := range all {
			list = append(list, s.Func)
		}
		return list
	}
	k.Suggest = func(e *Env, p *Point) string { return nearest(p.Func, names(e, p)) }
	k.Lacks = func(e *Env, p *Point) string {
		if len(names(e, p)) > 0 {
			return ""
		}
		return cmp.Or(p.Target, "the process") + " has no static probes"
	}
	k.Context = func(e *Env, p *Point) (*Context, error) {
		c, a, err := userContext(e, p, k.Name)
		if err != nil {
			return nil, err
		}
		at := p.Aux.(*uprobePlace)
		if !e.Unsafe && !at.replaced && at.exe.Refused(at.addr) {
			return nil, usage("the kernel puts no breakpoint on the instruction there")
		}
		if err := harms(e, at); err != nil {
			return nil, err
		}
		c.Load.Shape = fmt.Sprintf("%s %v", k.Name, at.args)
		c.Args.N = maxUSDTArgs
		c.Func.Symbol = p.place
		c.Args.Read = func(b *ir.Builder, ctx *ir.Value, n int) *ir.Value {
			p.Bound = true
			if n >= len(at.args) {
				return b.Const(0)
			}
			return at.args[n].Emit(a, b, ctx)
		}
		c.Args.TypeOf = func(n int) (*types.Type, string, error) { return typeOfUSDT(p, at.args, n) }
		place := usdtPlaces(a, p.Name, at.args)
		c.Args.Place = func(n int) (int, func(*ir.Builder, *ir.Value) *ir.Value, error) {
			p.Bound = true
			return place(n)
		}
		c.Func.Addr = a.IP
		return c, nil
	}
	k.Attach, k.AttachMany = attachUprobe, attachUprobes
	k.List = func(e *Env, parts []string, yield func(string) bool) error {
		target, rest, ok := listedTarget(e, parts)
		if !ok {
			return nil
		}
		p := &Point{Kind: k, Target: target, NS: "*", Func: rest[len(rest)-1]}
		if len(rest) == 2 {
			p.NS = rest[0]
		}
		all, err := expandUSDT(e, p)
		prev := ""
		for _, q := range all {
			if q.Name != prev && !yield(q.Name) {
				break
			}
			prev = q.Name
		}
		return err
	}
	return k
}

// usdtPlaces returns where arguments of a USDT probe are in memory: see Args.Place.
func usdtPlaces(a *binary.Arch, probe string, args []binary.USDTArg) func(int) (int, func(*ir.Builder, *ir.Value) *ir.Value, error) {
	return func(n int) (int, func(*ir.Builder, *ir.Value) *ir.Value, error) {
		switch {
		case n >= len(args):
			return 0, nil, outline.Errorf("%s has %d arguments", probe, len(args))
		case args[n].Err != nil:
			return 0, nil, outline.Errorf("arg%d of %s: %w", n, probe, args[n].Err)
		case args[n].InMemory() == 0:
			return 0, nil, outline.Errorf("arg%d of %s is not in memory", n, probe)
		}
		return args[n].InMemory(), func(b *ir.Builder, ctx *ir.Value) *ir.Value { return args[n].Addr(a, b, ctx) }, nil
	}
}

// typeOfUSDT is the Args.TypeOf of a point with arguments.
func typeOfUSDT(p *Point, args []binary.USDTArg, n int) (*types.Type, string, error) {
	switch {
	case n >= len(args):
		return types.TInt64, fmt.Sprintf("%s has %d arguments: arg%d is 0", p.Name, len(args), n), nil
	case args[n].Err != nil:
		return nil, "", outline.Errorf("arg%d of %s: %w", n, p.Name, args[n].Err)
	case args[n].Signed:
		return types.TInt64, "", nil
	}
	return types.TUint64, "", nil
}

func expandUSDT(e *Env, p *Point) ([]*Point, error) {
	paths, err := resolveBinaries(e, p.Kind.Name, p.Target)
	if err != nil {
		return nil, err
	}
	var out []*Point
	multi := (e.Crowded || isWild(p.Target) || isWild(p.NS) || isWild(p.Func)) && uprobeMulti(e) && !strings.Contains(p.Target, binary.ArchiveMark)
	for _, path := range paths {
		x, err := openTraced(e, p.Kind.Name, path)
		if err != nil {
			if isWild(p.Target) {
				continue
			}
			return nil, err
		}
		for _, n := range x.USDTNotes() {
			if !wildcard.Match(p.Func, n.Name) || p.NS != "" && !wildcard.Match(p.NS, n.Provider) {
				continue
			}
			second, replaced := x.SecondNop(n.Addr)
			if replaced = replaced && e.Kernel.Has(FeatNop10); replaced {
				n.Addr = second
			}
			off, ok := x.CodeOffset(n.Addr)
			if !ok {
				continue
			}
			q := *p
			q.Target, q.NS, q.Func = path, n.Provider, n.Name
			q.Name = strings.Join([]string{p.Kind.Name, path, n.Provider, n.Name}, ":")
			q.File, q.FileOffset, q.Multi = x.Path, x.Base+off, multi
			at := &uprobePlace{exe: x, addr: n.Addr, replaced: replaced}
			if n.Semaphore != 0 {
				if q.Semaphore, ok = x.Offset(n.Semaphore); !ok {
					return nil, outline.Errorf("%s: the semaphore of the probe is not in the file", q.Name)
				}
				q.Semaphore += x.Base
			}
			at.args = usdtArgs(x, &n)
			q.Aux, q.Operands = at, fmt.Sprintf("%v", at.args)
			out = append(out, &q)
		}
	}
	markLibrary(p.Target, out)
	return out, nil
}

// maxUSDTArgs is the maximum number of arguments of a static probe.
const maxUSDTArgs = 256
