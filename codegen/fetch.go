package codegen

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/probes"
)

// A program can read memory of a process only if it is present at that moment: a string
// on a page that the process has not touched yet is empty. From Linux 6.0 on, some
// programs may sleep until the page is present. But they may not use all maps, and other
// tasks run meanwhile, which could overwrite a program's per-CPU data. So the script's
// program stays unchanged, and another program that may sleep, the fetcher, runs before
// it at the same points. The fetcher reads the same strings and nothing else, and uses no
// map.
//
// A fetcher can read only from addresses that are computed from the context, such as a
// function's arguments.

// copyString is the kernel function with which a program that may sleep reads a string.
const copyString = "bpf_copy_from_user_str"

// A fetcher reads a string in parts of fetchPart bytes, which are on its stack, and at most
// fetchLimit bytes of it.
const (
	fetchPart  = 256
	fetchLimit = 4096
)

// fetch adds fetchers to the module. The optimiser has run, so only reads that are needed
// are left, and reads at the same address have the same value as their argument.
func (c *compilation) fetch() error {
	if c.req.Env.NoFeature[string(probes.FeatFetch)] {
		return nil
	}
	for i, p := range c.checked.Progs {
		if p.Ctx == nil || p.Ctx.Load.Sleeps == nil || len(p.Points) == 0 {
			continue
		}
		found := userReads(c.lowered.Module.Progs[i].Main)
		// The kernel is checked last, since that requires a search of its BTF.
		if len(found) == 0 || !p.Ctx.Load.Sleeps() {
			continue
		}
		id, ok := c.req.Env.Kernel.Kfunc(copyString)
		if !ok {
			return nil
		}
		prog := fetcher(found, int64(id))
		prog.Name, prog.Role, prog.Of = "fetch_"+c.lowered.Module.Progs[i].Name, ir.ForFetch, i
		c.lowered.Module.Progs = append(c.lowered.Module.Progs, prog)
	}
	return nil
}

// fetchersText returns the fetchers as text.
func (c *compilation) fetchersText() string {
	var m ir.Module
	for _, p := range c.lowered.Module.Progs {
		if p.Role == ir.ForFetch {
			m.Progs = append(m.Progs, p)
		}
	}
	if m.Progs == nil {
		return "no program has a fetcher"
	}
	return m.String()
}

// userReads returns the calls in a program's main function that read memory of a process at
// an address that is computed from the context, one for each address.
func userReads(main *ir.Func) []*ir.Value {
	var found []*ir.Value
	seen := map[*ir.Value]bool{}
	for _, b := range main.Blocks {
		for _, v := range b.Values {
			if v.Help != ir.ReadUserStr && v.Help != ir.ReadUser {
				continue
			}
			if at := v.Args[2]; !seen[at] && fromContext(at) {
				seen[at] = true
				found = append(found, v)
			}
		}
	}
	return found
}

// fromContext reports whether a value is computed from the context and constants alone.
func fromContext(v *ir.Value) bool {
	switch {
	case v.Op == ir.OpConst:
		return true
	case v.Op.Info().Access == ir.Loads:
		return v.Args[0].Op == ir.OpParam
	case v.Derives() || v.Op.IsArith():
		for _, a := range v.Args {
			if !fromContext(a) {
				return false
			}
		}
		return true
	}
	return false
}

// fetcher returns a program that reads the strings that the calls found read. copyID is
// the BTF ID of copyString.
func fetcher(found []*ir.Value, copyID int64) *ir.Prog {
	b := ir.NewFunc("main", ir.PtrCtx)
	f := &fetch{b: b, copyID: copyID, made: map[*ir.Value]*ir.Value{}}
	f.ctx = b.Param(0)
	f.part = b.Slot(fetchPart)
	b.Zero(f.part, 0, fetchPart)
	for _, call := range found {
		b.Pos = call.Pos
		size := fetchPart
		if n := call.Args[1]; n.Op == ir.OpConst {
			size = int(n.Imm)
		}
		at := f.value(call.Args[2])
		if call.Help == ir.ReadUserStr {
			f.text(at, min(size, fetchLimit))
		} else {
			b.Call(ir.CopyFromUser, f.part, b.Const(int64(min(size, fetchPart))), at)
		}
	}
	b.Ret(b.Const(0))
	return &ir.Prog{Kind: "fetch", Main: b.Fn}
}

// fetch is the state while the code of a fetcher is generated.
type fetch struct {
	b         *ir.Builder
	ctx, part *ir.Value
	copyID    int64
	made      map[*ir.Value]*ir.Value // values of the fetcher, by those of the other program
}

// value returns the fetcher's copy of a value that fromContext accepts.
func (f *fetch) value(v *ir.Value) *ir.Value {
	if w := f.made[v]; w != nil {
		return w
	}
	var w *ir.Value
	switch {
	case v.Op == ir.OpConst:
		w = f.b.Const(v.Imm)
	case v.Op.Info().Access == ir.Loads:
		w = f.b.Load(f.ctx, v.Imm, v.Op.Info().Size, false)
	default:
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = f.value(a)
		}
		w = f.b.Op(v.Op, args...)
	}
	f.made[v] = w
	return w
}

// text emits code that reads at most size bytes of a string, part by part.
func (f *fetch) text(at *ir.Value, size int) {
	part := min(size, fetchPart)
	n := f.b.Kfunc(copyString, f.copyID, ir.Int, f.part, f.b.Const(int64(part)), at, f.b.Const(0))
	if size > part {
		f.b.If(f.b.Op(ir.OpEq, n, f.b.Const(int64(part))), func() {
			f.text(f.b.AddImm(at, int64(part)-1), size-part+1)
		})
	}
}
