package probes

import "github.com/gotrace/gotrace/codegen/ir"

// Confinement says how the flags that choose processes (-p, --follow, --comm …) confine
// the programs of a kind.
type Confinement uint8

const (
	// ByTask: programs run only if the current task is one of those chosen. This is
	// the default.
	ByTask Confinement = iota
	// ByObject: the kind's Context decides, by the objects that are iterated over.
	ByObject
	// NotAsked: the probe is not related to a process (begin, interval …), and users
	// do not expect the flags to have an effect.
	NotAsked
	// NoTask: what the probe sees belongs to no process, so the flags have no effect.
	NoTask
)

// Scope says which tasks a script sees, besides PID and ChildPID of Env. A task has to
// fulfil all of it.
type Scope struct {
	// Follow: it belongs to the process of -p or -c, or to one that descends from it.
	Follow bool
	Comm   string  // name of the thread; "": any
	UID    *uint32 // user ID in the initial user namespace; nil: any
	// Cgroups are cgroups of version 2. The task is in each of them or below.
	Cgroups []Cgroup
}

// Cgroup is a cgroup of version 2: its directory and its ID.
type Cgroup struct {
	Dir string
	ID  uint64
}

// Empty reports whether s lets every task through.
func (s *Scope) Empty() bool {
	return !s.Follow && s.Comm == "" && s.UID == nil && len(s.Cgroups) == 0
}

// flags returns the flags that -p and s stand for, for messages.
func (e *Env) flags() (list []string) {
	s := &e.Scope
	for _, f := range []struct {
		given bool
		name  string
	}{
		{e.PID != 0, "-p"}, {s.Follow, "--follow"}, {s.Comm != "", "--comm"}, {s.UID != nil, "--uid"},
		{len(s.Cgroups) > 0, "--cgroup"},
	} {
		if f.given {
			list = append(list, f.name)
		}
	}
	return list
}

// Only describes how a program is confined to the tasks that the flags choose.
type Only struct {
	// PID is the process to which the program has to confine itself; 0: none. It
	// compares PID with what Owner reads from the context, in the initial pid
	// namespace, or, if Owner is nil, with the process of the current task.
	PID   int
	Owner func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Scope is what else the program has to test; nil: nothing. It tests the task that
	// Task reads from the context or, if Task is nil, the current one.
	Scope *Scope
	Task  func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Unconfined has warnings for users about flags that have no effect.
	Unconfined []string
}

// NewContext returns the context of a program at p, confined to the tasks that the
// flags choose.
func NewContext(e *Env, p *Point) (*Context, error) {
	c, err := p.Kind.Context(e, p)
	if err != nil {
		return c, err
	}
	c.FixedResult = p.Kind.Runs == OnEvent && !(p.Kind.Decides && e.Unsafe)
	switch p.Kind.Confine {
	case ByTask:
		if e.PID != 0 && !e.Scope.Follow {
			c.Only.PID = e.PID
		}
		if !e.Scope.Empty() {
			c.Only.Scope = &e.Scope
		}
	case NoTask:
		for _, flag := range e.flags() {
			c.Only.Unconfined = append(c.Only.Unconfined, flag+" has no effect on "+p.Kind.Name+" probes: what they see belongs to no process")
		}
	}
	return c, nil
}
