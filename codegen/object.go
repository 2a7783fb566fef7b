// Package codegen compiles a script to an object.Object, which contains everything that
// the runtime needs. The stages are in the table in compile.go.
package codegen

import (
	"cmp"
	"slices"
	"sort"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// assemble creates the object.
func (c *compilation) assemble() error {
	o := &object.Object{
		Kernel: c.out.Maps,
		Maps:   c.planned.Objects(), Events: c.lowered.Events, Sites: c.lowered.Sites,
		Settings: settings(c.checked.Config), Invocation: invocation(c.req), Options: c.checked.Options,
		Needs: c.needed(), Recorder: c.lowered.Recorder,
	}
	o.Settings.Warnings = c.req.Invocation.Warnings
	for i, p := range c.out.Progs {
		c.add(o, p, c.lowered.Module.Progs[i])
	}
	c.join(o)
	c.dispatch(o)
	c.obj = o
	return nil
}

// add adds p, the code of from, to the object. Its place depends on its role.
func (c *compilation) add(o *object.Object, p *object.Program, from *ir.Prog) {
	p.License = c.checked.Config.License
	switch from.Role {
	case ir.ForProbe:
		c.probeProgram(p, c.checked.Progs[from.Of])
		o.Programs = append(o.Programs, p)
	case ir.ForMap:
		of := c.lowered.OfMaps[from.Of]
		m := &o.Maps[of.Map]
		p.Span, p.Type, p.AttachType, p.AttachTo = m.Span, of.Load.Type, of.Load.AttachType, of.Load.AttachTo
		p.License = cmp.Or(of.Load.License, p.License)
		m.Programs = append(m.Programs, p)
	case ir.ForFork:
		o.Follow = &object.Follow{Fork: p}
		p.Type, p.AttachType, p.AttachTo = ebpf.Tracing, ebpf.AttachTraceRawTp, "sched_process_fork"
	case ir.ForTasks:
		o.Follow.Walk = p
		p.Type, p.AttachType, p.AttachTo = ebpf.Tracing, ebpf.AttachTraceIter, "task"
	case ir.ForFetch:
		of := o.Programs[from.Of]
		p.Span, p.Type, p.AttachType, p.Sleeps = of.Span, of.Type, of.AttachType, true
		o.Fetchers = append(o.Fetchers, object.Fetcher{Program: p, For: from.Of})
	}
}

// probeProgram sets the fields of a program that runs at the points of a probe.
func (c *compilation) probeProgram(prog *object.Program, p *check.Prog) {
	if n, ok := c.planned.Sampled[p]; ok {
		prog.Sampled = n + 1
	}
	prog.Span = p.Span
	prog.Type, prog.AttachType, prog.AttachTo = p.Ctx.Load.Type, p.Ctx.Load.AttachType, p.Ctx.Load.AttachTo
	prog.AttachProg = p.Ctx.Load.AttachProg
	prog.Sleeps = slices.ContainsFunc(prog.Insns, func(in asm.Instruction) bool {
		return in.IsBuiltinCall() && in.Constant == int64(ir.CopyFromUserTask.ID)
	})
	for _, at := range p.Points {
		data := at.Data()
		data.Multi = data.Multi || p.Ctx.Load.Multi
		prog.Points = append(prog.Points, data)
	}
}

// dispatch adds the dispatchers of all kinds of probes, with the arrays of their programs.
func (c *compilation) dispatch(o *object.Object) {
	for _, k := range probes.Kinds() {
		if k.Dispatchers == nil {
			continue
		}
		for _, d := range k.Dispatchers(c.req.Env, o.Programs) {
			o.Dispatchers = append(o.Dispatchers, d)
			o.Kernel = append(o.Kernel, object.KernelMap{Name: d.Array, Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: d.Size()})
		}
	}
	sort.SliceStable(o.Kernel, func(i, j int) bool { return o.Kernel[i].Name < o.Kernel[j].Name })
}

// settings returns the settings that the runtime reads.
func settings(c *config.Config) object.Settings {
	return object.Settings{
		ShowDebugInfo: c.ShowDebugInfo, CacheUserSymbols: c.CacheUserSymbols, CPPDemangle: c.CPPDemangle, LogSize: c.LogSize,
		MaxCatBytes: c.MaxCatBytes, MaxSeries: c.MaxSeries, MaxStrlen: c.MaxStrlen, MissingProbes: c.MissingProbes,
		PerfRBPages: c.PerfRBPages, PrintMapsOnExit: c.PrintMapsOnExit, StrTruncTrailer: c.StrTruncTrailer,
	}
}

// invocation returns the facts about the invocation that the runtime needs.
func invocation(req *Request) object.Invocation {
	s := req.Invocation
	out := object.Invocation{
		Params: s.Params, Unsafe: s.Unsafe, PID: s.PID, HasChild: s.HasChild, ChildPID: s.ChildPID, Warnings: s.Warnings,
	}
	for name, val := range s.Options {
		out.Options = append(out.Options, object.Option{Name: name, Default: val})
	}
	out.Cgroups, out.Chosen = s.Cgroups, len(req.Env.Scope.Cgroups)
	sort.Slice(out.Options, func(i, j int) bool { return out.Options[i].Name < out.Options[j].Name })
	return out
}
