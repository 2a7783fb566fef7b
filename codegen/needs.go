package codegen

import (
	"maps"
	"slices"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// identified is a kernel that can be distinguished from others.
type identified interface {
	Identity() string
	Boot() string
	ModuleSet() string
}

// witness is a kernel that records which of its answers may differ between boots of
// the same build.
type witness struct {
	probes.Kernel
	boot    bool // an answer was an address
	modules bool // an answer concerned a module
	formats map[string]object.Tracepoint
}

func (w *witness) Symbol(name string) (uint64, bool) {
	addr, ok := w.Kernel.Symbol(name)
	w.boot = w.boot || ok
	return addr, ok
}

func (w *witness) SymbolAt(addr uint64) (name, module string, offset uint64, ok bool) {
	w.boot = true
	return w.Kernel.SymbolAt(addr)
}

func (w *witness) Type(name string) (*types.Type, error) {
	t, err := w.Kernel.Type(name)
	w.modules = w.modules || t != nil && t.Split
	return t, err
}

func (w *witness) FuncProto(module, name string) (*probes.FuncProto, error) {
	return w.proto(w.Kernel.FuncProto(module, name))
}

func (w *witness) TracepointProto(module, name string) (*probes.FuncProto, error) {
	return w.proto(w.Kernel.TracepointProto(module, name))
}

func (w *witness) proto(p *probes.FuncProto, err error) (*probes.FuncProto, error) {
	w.modules = w.modules || p != nil && p.Module != "vmlinux"
	return p, err
}

func (w *witness) Tracepoint(category, event string) (*probes.TraceFormat, error) {
	f, err := w.Kernel.Tracepoint(category, event)
	if err == nil {
		w.formats[category+":"+event] = object.Tracepoint{Category: category, Event: event, Format: f.Digest}
	}
	return f, err
}

func (w *witness) RawTracepoints() ([]string, error) {
	w.modules = true
	return w.Kernel.RawTracepoints()
}

func (w *witness) Tracepoints() ([]string, error) {
	w.modules = true
	return w.Kernel.Tracepoints()
}

func (w *witness) Functions() ([]string, error) {
	w.modules = true
	return w.Kernel.Functions()
}

func (w *witness) Homonyms(module, name string) []uint64 {
	list := w.Kernel.Homonyms(module, name)
	w.modules = w.modules || len(list) > 0 // their number does not depend on the boot
	return list
}

func (w *witness) Modules() []string {
	w.modules = true
	return w.Kernel.Modules()
}

// finish adds the facts about the kernel that the compilation has used to n.
func (w *witness) finish(n *object.Needs) {
	n.Release, n.Arch, n.CPUs = w.Kernel.Release().String(), w.Kernel.Arch(), w.Kernel.NumCPU()
	k, ok := w.Kernel.(identified)
	if !ok {
		return
	}
	n.Kernel = k.Identity()
	if w.boot {
		n.Boot = k.Boot()
	}
	if w.modules {
		n.Modules = k.ModuleSet()
	}
}

// needed returns the conditions under which an object with these programs can be used.
func (c *compilation) needed() object.Needs {
	n := c.req.Env.Needs
	c.kernel.finish(n)
	if e := c.req.Env; e.PID != 0 || e.ChildPID != 0 || e.ForeignPIDs {
		n.SetOnlyNow("the process that is traced")
	}
	if cs := c.req.Env.Scope.Cgroups; len(cs) > 0 {
		n.SetOnlyNow("the cgroup " + cs[0].Dir)
	}
	for _, name := range slices.Sorted(maps.Keys(c.kernel.formats)) {
		n.Tracepoints = append(n.Tracepoints, c.kernel.formats[name])
	}
	return *n
}

// noteNeeds makes the environment record the conditions for the use of the object.
func (c *compilation) noteNeeds() {
	env, inv := *c.req.Env, *c.req.Invocation
	c.kernel = &witness{Kernel: env.Kernel, formats: map[string]object.Tracepoint{}}
	env.Kernel, env.Needs = c.kernel, &object.Needs{}
	inv.Needs = env.Needs
	inv.Cgroups = nil
	for _, cg := range env.Scope.Cgroups {
		inv.Cgroups = append(inv.Cgroups, cg.Dir)
	}
	c.req.Env, c.req.Invocation = &env, &inv
}
