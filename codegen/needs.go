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

// recorder is a kernel that records which of its answers may differ between boots of
// the same build.
type recorder struct {
	probes.Kernel
	boot    bool // an answer was an address
	modules bool // an answer concerned a module
	formats map[string]object.Tracepoint
}

func (r *recorder) Symbol(name string) (uint64, bool) {
	addr, ok := r.Kernel.Symbol(name)
	r.boot = r.boot || ok
	return addr, ok
}

func (r *recorder) SymbolAt(addr uint64) (name, module string, offset uint64, ok bool) {
	r.boot = true
	return r.Kernel.SymbolAt(addr)
}

func (r *recorder) Type(name string) (*types.Type, error) {
	t, err := r.Kernel.Type(name)
	r.modules = r.modules || t != nil && t.Split
	return t, err
}

func (r *recorder) FuncProto(module, name string) (*probes.FuncProto, error) {
	return r.proto(r.Kernel.FuncProto(module, name))
}

func (r *recorder) TracepointProto(module, name string) (*probes.FuncProto, error) {
	return r.proto(r.Kernel.TracepointProto(module, name))
}

func (r *recorder) proto(p *probes.FuncProto, err error) (*probes.FuncProto, error) {
	r.modules = r.modules || p != nil && p.Module != "vmlinux"
	return p, err
}

func (r *recorder) Tracepoint(category, event string) (*probes.TraceFormat, error) {
	f, err := r.Kernel.Tracepoint(category, event)
	if err == nil {
		r.formats[category+":"+event] = object.Tracepoint{Category: category, Event: event, Format: f.Digest}
	}
	return f, err
}

func (r *recorder) RawTracepoints() ([]string, error) {
	r.modules = true
	return r.Kernel.RawTracepoints()
}

func (r *recorder) Tracepoints() ([]string, error) {
	r.modules = true
	return r.Kernel.Tracepoints()
}

func (r *recorder) Functions() ([]string, error) {
	r.modules = true
	return r.Kernel.Functions()
}

func (r *recorder) Homonyms(module, name string) []uint64 {
	list := r.Kernel.Homonyms(module, name)
	r.modules = r.modules || len(list) > 0 // their number does not depend on the boot
	return list
}

func (r *recorder) Modules() []string {
	r.modules = true
	return r.Kernel.Modules()
}

// finish adds the facts about the kernel that the compilation has used to n.
func (r *recorder) finish(n *object.Needs) {
	n.Release, n.Arch, n.CPUs = r.Kernel.Release().String(), r.Kernel.Arch(), r.Kernel.NumCPU()
	k, ok := r.Kernel.(identified)
	if !ok {
		return
	}
	n.Kernel = k.Identity()
	if r.boot {
		n.Boot = k.Boot()
	}
	if r.modules {
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
	env, sess := *c.req.Env, *c.req.Invocation
	c.kernel = &recorder{Kernel: env.Kernel, formats: map[string]object.Tracepoint{}}
	env.Kernel, env.Needs = c.kernel, &object.Needs{}
	sess.Needs = env.Needs
	sess.Cgroups = nil
	for _, cg := range env.Scope.Cgroups {
		sess.Cgroups = append(sess.Cgroups, cg.Dir)
	}
	c.req.Env, c.req.Invocation = &env, &sess
}
