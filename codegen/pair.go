package codegen

import (
	"github.com/gotrace/gotrace/codegen/bpf"
	"github.com/gotrace/gotrace/runtime/object"
)

// isReturn is the kernel function that distinguishes the returns of a session from the
// calls.
const isReturn = "bpf_session_is_return"

// join creates the programs of the planned pairs. A program for the calls and one for the
// returns of the same functions become a session, for which the kernel intercepts each
// call once instead of twice. The two programs are kept, and attached separately if the session
// cannot be attached.
func (c *compilation) join(o *object.Object) {
	if len(c.planned.Pairs) == 0 {
		return
	}
	id, ok := c.req.Env.Kernel.Kfunc(isReturn)
	if !ok {
		return
	}
	for _, p := range c.planned.Pairs {
		entry := o.Programs[p.Entry]
		both, ok := bpf.Join(entry, o.Programs[p.Return], int64(id))
		if !ok {
			continue
		}
		both.AttachType, both.Points = c.checked.Progs[p.Entry].Points[0].Kind.Session(c.req.Env), nil
		entry.Partner = &object.Partner{Program: p.Return, Both: both}
	}
}
