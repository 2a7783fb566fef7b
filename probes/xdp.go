package probes

import (
	"io"
	"net"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

// xdp, tc and cgroup_skb trace packets. By default their programs let every packet pass,
// as Context.Result specifies.

// interfaceOf returns the network interface of a point.
func interfaceOf(p *object.Point) (*net.Interface, error) {
	ifc, err := net.InterfaceByName(p.Target)
	if err != nil {
		return nil, &AttachError{p, "there is no network interface " + p.Target, err}
	}
	return ifc, nil
}

// expandInterface is the Expand function of kinds whose target is an interface, which
// may be a pattern.
func expandInterface(e *Env, p *Point) ([]*Point, error) {
	if isWild(p.Target) {
		e.Needs.SetOnlyNow("the network interfaces that there are")
	}
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []*Point
	for _, ifc := range list {
		if wildcard.Match(p.Target, ifc.Name) {
			q := *p
			q.Target = ifc.Name
			q.Name = strings.Join(append([]string{p.Kind.Name, ifc.Name}, nonEmpty(p.Mode)...), ":")
			out = append(out, &q)
		}
	}
	return out, nil
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func suggestInterface(_ *Env, p *Point) string {
	list, _ := net.Interfaces()
	var names []string
	for _, ifc := range list {
		names = append(names, ifc.Name)
	}
	return nearest(p.Target, names)
}

func xdpKind() *Kind {
	k := &Kind{
		Name:     "xdp",
		Attacher: Attacher{Exclusive: true},
		Manual: Manual{
			Overhead: "about 20 ns",
			Syntax:   "xdp:interface",
			Doc:      "Runs for each packet that a network interface receives, before the network stack; it is passed on.",
		},
		Traits: Traits{Confine: NoTask},
	}
	k.Decides, k.Caps = true, capsNet
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 1); err != nil {
			return nil, err
		}
		return &Point{Kind: k, Target: parts[1], Name: k.Name + ":" + parts[1]}, nil
	}
	k.Expand = expandInterface
	k.Suggest = suggestInterface
	k.Context = func(e *Env, p *Point) (*Context, error) {
		const pass = 2 // XDP_PASS
		ethernet := isEthernet(p.Target)
		shape := "xdp" + linkShape(ethernet)
		return &Context{
			Kind:   k,
			Load:   Load{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, Shape: shape, BareShape: shape},
			Result: pass, Verdict: drops(1), // XDP_DROP
			Ctx:    RawContext{Type: lazyStruct(e, "struct xdp_md", 24), Word: 4},
			Packet: xdpPacket(ethernet),
		}, nil
	}
	k.Attach = func(_ *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		ifc, err := interfaceOf(p)
		if err != nil {
			return nil, err
		}
		l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: ifc.Index})
		if err == nil {
			return l, nil
		}
		return nil, attachError(p, err, capsNet, map[error]string{unix.EBUSY: "another XDP program is attached to " + p.Target, unix.EEXIST: "another XDP program is attached to " + p.Target})
	}
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		return listInterfaces(k, parts, nil, yield)
	}
	return k
}

func listInterfaces(k *Kind, parts, directions []string, yield func(string) bool) error {
	list, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, ifc := range list {
		if directions == nil {
			if listed(parts[1:], ifc.Name) && !yield(k.Name+":"+ifc.Name) {
				return nil
			}
			continue
		}
		for _, d := range directions {
			if listed(parts[1:], ifc.Name, d) && !yield(k.Name+":"+ifc.Name+":"+d) {
				return nil
			}
		}
	}
	return nil
}
