package codegen

import (
	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/codegen/bpf"
	"github.com/gotrace/gotrace/runtime/object"
)

// isReturn is the kernel function that distinguishes the returns of a kprobe session
// from its entries.
const isReturn = "bpf_session_is_return"

// join creates the programs of the planned pairs. A kprobe and a kretprobe of the same
// functions become a kprobe session, for which the kernel intercepts each call once
// instead of twice. The two programs are kept, and attached separately if the session
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
		both.AttachType, both.Points = ebpf.AttachTraceKprobeSession, nil
		entry.Partner = &object.Partner{Program: p.Return, Both: both}
	}
}
