package probes

import (
	"fmt"
	"io"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

func cgroupSkbKind() *Kind {
	k := &Kind{Name: "cgroup_skb", Confine: NoTask, Syntax: "cgroup_skb:path:ingress|egress", Doc: "Runs for each packet that the processes of a cgroup (version 2) receive or send; it is passed on."}
	k.Decides = true
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		p, err := parseDirection(k, parts)
		if err != nil {
			return nil, err
		}
		return p, noWildcards(k, parts)
	}
	k.Expand = func(e *Env, p *Point) ([]*Point, error) {
		if st, err := os.Stat(p.Target); err != nil || !st.IsDir() {
			return nil, usage("cgroup %s does not exist", p.Target)
		}
		return []*Point{p}, nil
	}
	attachType := func(mode string) ebpf.AttachType {
		if mode == "egress" {
			return ebpf.AttachCGroupInetEgress
		}
		return ebpf.AttachCGroupInetIngress
	}
	k.Context = func(e *Env, p *Point) (*Context, error) {
		const allow = 1
		shape := "cgroup_skb " + p.Mode
		return &Context{
			Kind:   k,
			Load:   Load{Type: ebpf.CGroupSKB, AttachType: attachType(p.Mode), Shape: shape, BareShape: shape},
			Result: allow,
			Ctx:    RawContext{Type: lazyStruct(e, "struct __sk_buff", 192)},
			Packet: skbPacket(false, p.Mode),
		}, nil
	}
	k.Attach = func(_ *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: p.Target, Attach: attachType(p.Mode), Program: prog})
		if err == nil {
			return l, nil
		}
		return nil, attachError(p, err, capsNet, map[error]string{unix.EBADF: fmt.Sprintf("%s is not a cgroup of version 2", p.Target), unix.EINVAL: fmt.Sprintf("%s is not a cgroup of version 2", p.Target)})
	}
	return k
}
