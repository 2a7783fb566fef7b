package probes

import (
	"io"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/runtime/object"
)

// sockOpsKind returns sock_ops, for events of the TCP connections of a cgroup.
func sockOpsKind() *Kind {
	k := &Kind{
		Name: "sock_ops",
		Manual: Manual{
			Overhead: "about 30 ns",
			Syntax:   "sock_ops:path",
			Doc:      "Runs when a TCP socket of a cgroup (version 2) connects, is established, or starts to listen: ctx.op tells which. ctx is struct bpf_sock_ops.",
		},
		Traits: Traits{Confine: NoTask},
	}
	k.Caps = capsNet
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 1); err != nil {
			return nil, err
		}
		return &Point{Kind: k, Target: parts[1], Name: k.Name + ":" + parts[1]}, noWildcards(k, parts)
	}
	k.Expand = expandCgroup
	k.Context = func(e *Env, p *Point) (*Context, error) {
		const fine = 1
		return &Context{
			Kind:   k,
			Load:   Load{Type: ebpf.SockOps, AttachType: ebpf.AttachCGroupSockOps, Shape: k.Name, BareShape: k.Name},
			Result: fine,
			Ctx:    RawContext{Type: lazyStruct(e, "struct bpf_sock_ops", 224), Word: 4},
		}, nil
	}
	k.Attach = func(_ *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		return attachCgroup(prog, p, ebpf.AttachCGroupSockOps)
	}
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		if root := cgroupRoot(); root != "" && listed(parts[1:], root) {
			yield(k.Name + ":" + root)
		}
		return nil
	}
	return k
}
