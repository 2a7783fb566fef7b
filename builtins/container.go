package builtins

import (
	"errors"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/value"
)

func container() *Def {
	return ownerDef(ownerKind{
		name: "container",
		doc: Doc{
			Summary:  "Container of the current task: its name or, if the files of its runtime do not contain the name, the first 12 digits of its ID; \"-\" if there is none. It can be compared with a literal: the ID, NAME or POD/NAME of a running container.",
			Examples: []string{`tracepoint:syscalls:sys_enter_openat { @[container] = count(); }`},
		},
		text: Names.Container,
		find: Containers.FindContainer,
	})
}

// Containers finds the cgroups of running containers, pods and units by name.
type Containers interface {
	FindContainer(name string) (dir string, err error)
	FindPod(name string) (dir string, err error)
	FindUnit(name string) (dir string, err error)
}

// ownerKind describes a builtin that returns the container, pod or unit of the current
// task's cgroup.
type ownerKind struct {
	name string
	doc  Doc
	text func(n Names, id uint64) string                         // the text for a cgroup
	find func(c Containers, name string) (dir string, err error) // finds the cgroup of a name
}

// ownerDef returns the builtin. Its value is the ID of the cgroup, which is translated
// to a name when it is printed. A comparison with a literal tests whether the task is
// in the cgroup with that name or below it.
func ownerDef(k ownerKind) *Def {
	t := &types.Type{Kind: types.Opaque, Name: k.name + "_t", Size: 8}
	return &Def{
		Name: k.name,
		TypeDef: TypeDef{
			TypeName: t.Name,
			OfCgroup: true,
			Format: func(env Env, _ *types.Type, data []byte) value.Value {
				return value.Str{S: k.text(env.Names(), word(data, 0))}
			},
			CheckIs: func(c Checker, call *Call, text string, s source.Span) bool {
				if !c.Final() {
					return true
				}
				inv := c.Invocation()
				var system Containers = &cgroups.System{}
				if inv.Containers != nil {
					system = inv.Containers
				}
				dir, err := k.find(system, text)
				if err != nil {
					hint := ""
					if missing := (*cgroups.NotFoundError)(nil); errors.As(err, &missing) {
						hint = source.DidYouMean(missing.Name, missing.Names)
					}
					c.ErrorHint(s, hint, "%s == %q: %v", k.name, text, err)
					return false
				}
				call.Data = inv.Cgroup(dir)
				return true
			},
			Is: func(g Gen, call *Call) *ir.Value { return InCgroup(g, call.Data.(int)) },
		},
		Doc: k.doc,
		Check: func(c Checker, call *Call) *types.Type {
			if !needsTask(c, call) {
				return types.TInvalid
			}
			return t
		},
		Emit: func(g Gen, _ *Call) *ir.Value { return g.B().Call(ir.CurrentCgroupID) },
	}
}

// InCgroup emits code that tests whether the current task is in cgroup i of
// Invocation.Cgroups, or below it.
func InCgroup(g Gen, i int) *ir.Value {
	m := g.KernelMap(ir.Map{Name: object.CgroupMap, Type: ir.CgroupArray, KeySize: 4, ValueSize: 4})
	m.MaxEntries = max(m.MaxEntries, len(g.Invocation().Cgroups))
	b := g.B()
	// The result is negative if the entry is empty, but no entry is.
	return b.Op(ir.OpEq, b.Call(ir.CurrentUnderCgroup, b.MapPtr(m), b.Const(int64(i))), b.Const(1))
}

// Cgroup returns the index in s.Cgroups of a cgroup's directory. It adds the directory
// if it is new.
func (s *Invocation) Cgroup(dir string) int {
	for i, d := range s.Cgroups {
		if d == dir {
			return i
		}
	}
	s.Cgroups = append(s.Cgroups, dir)
	s.Needs.SetOnlyNow("the cgroup " + dir)
	return len(s.Cgroups) - 1
}
