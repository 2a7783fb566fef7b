package probes

import "github.com/gotrace/gotrace/codegen/ir"

// Confinement is the way in which the flags that select processes (-p, --follow, --comm
// and others) confine the programs of a kind.
type Confinement uint8

const (
	// ByTask: programs run only if the current task is one of the selected ones. This
	// is the default.
	ByTask Confinement = iota
	// ByObject: the kind's Context decides, depending on the objects of the iterator.
	ByObject
	// NotAsked: the probe is not related to a process (begin, interval …), and users
	// do not expect the flags to have an effect.
	NotAsked
	// NoTask: the event belongs to no process, so the flags have no effect.
	NoTask
)

// Scope selects the tasks that a script traces, in addition to PID and ChildPID of Env.
// A task must meet all conditions.
type Scope struct {
	// Follow: the task belongs to the process of -p or -c, or to one of its
	// descendants.
	Follow bool
	Comm   string  // name of the thread; "": any
	UID    *uint32 // user ID in the initial user namespace; nil: any
	// Cgroups are cgroups of version 2. The task is in each of them or below it.
	Cgroups []Cgroup
}

// Cgroup is a cgroup of version 2: its directory and its ID.
type Cgroup struct {
	Dir string
	ID  uint64
}

// Empty reports whether s selects every task.
func (s *Scope) Empty() bool {
	return !s.Follow && s.Comm == "" && s.UID == nil && len(s.Cgroups) == 0
}

// flags returns the flags that correspond to -p and s, for messages.
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

// within reports whether a point is attached to a cgroup that is in each of list or
// below it.
func (p *Point) within(list []Cgroup) bool {
	for _, c := range list {
		if !below(p.Target, c.Dir) {
			return false
		}
	}
	return true
}

// Only describes how a program is confined to the tasks that the flags select.
type Only struct {
	// PID is the process to which the program must confine itself; 0: none. The program
	// compares it with the value that Owner reads from the context, in the initial pid
	// namespace. If Owner is nil, it uses the process of the current task.
	PID   int
	Owner func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Scope contains the other conditions that the program must test; nil: none. It
	// tests the task that Task reads from the context or, if Task is nil, the current
	// one.
	Scope *Scope
	Task  func(b *ir.Builder, ctx *ir.Value) *ir.Value
	// Unconfined contains warnings about flags that have no effect.
	Unconfined []string
}

// NewContext returns the context of a program at p, confined to the tasks that the
// flags select.
func NewContext(e *Env, p *Point) (*Context, error) {
	c, err := p.Kind.Context(e, p)
	if err != nil {
		return c, err
	}
	c.FixedResult = c.FixedResult || p.Kind.Runs == OnEvent && !(p.Kind.Decides && e.Unsafe)
	switch p.Kind.Confine {
	case ByTask:
		if p.EveryTask {
			break
		}
		if e.PID != 0 && !e.Scope.Follow {
			c.Only.PID = e.PID
		}
		scope := e.Scope
		if p.within(scope.Cgroups) {
			scope.Cgroups = nil // only their tasks cause the event
		}
		if !scope.Empty() {
			c.Only.Scope = &scope
		}
	case NoTask:
		for _, flag := range e.flags() {
			if flag == "--cgroup" && p.within(e.Scope.Cgroups) {
				continue
			}
			c.Only.Unconfined = append(c.Only.Unconfined, flag+" has no effect on "+p.Kind.Name+" probes: their events belong to no process")
		}
	}
	return c, nil
}
