package probes

import (
	"errors"
	"io"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/runtime/object"
)

func cgroupSkbKind() *Kind {
	k := &Kind{
		Name: "cgroup_skb",
		Manual: Manual{
			Overhead: "about 30 ns",
			Syntax:   "cgroup_skb:[path:]ingress|egress",
			Doc:      "Runs for each packet that the processes of a cgroup (version 2) receive or send; it is passed on. Without a path it is the root: all processes.",
		},
		Traits: Traits{Confine: NoTask},
	}
	k.Decides, k.Caps = true, capsNet
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		p, err := cgroupHook(k, parts)
		if err != nil {
			return nil, err
		}
		return p, errors.Join(checkDirection(p.Mode), noWildcards(k, parts))
	}
	k.Expand = expandCgroup
	attachType := func(mode string) ebpf.AttachType {
		if mode == "egress" {
			return ebpf.AttachCGroupInetEgress
		}
		return ebpf.AttachCGroupInetIngress
	}
	k.Context = func(e *Env, p *Point) (*Context, error) {
		const allow = 1
		shape := "cgroup_skb " + p.Mode
		packet := skbPacket(false, p.Mode)
		packet.Sockets = true
		return &Context{
			Kind:   k,
			Load:   Load{Type: ebpf.CGroupSKB, AttachType: attachType(p.Mode), Shape: shape, BareShape: shape},
			Result: allow, Verdict: drops(0),
			Ctx:    RawContext{Type: lazyStruct(e, "struct __sk_buff", 192), Word: 4},
			Packet: packet,
		}, nil
	}
	k.Attach = func(_ *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		return attachCgroup(prog, p, attachType(p.Mode))
	}
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		root := cgroupRoot()
		for _, d := range directions {
			if root != "" && listed(parts[1:], root, d) && !yield(k.Name+":"+root+":"+d) {
				return nil
			}
		}
		return nil
	}
	return k
}
