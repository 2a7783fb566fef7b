package probes

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// xdp, tc and cgroup_skb see packets. Their programs let every packet pass on:
// that is what Result says.

// interfaceOf finds a network interface by name.
func interfaceOf(p *object.Point) (*net.Interface, error) {
	ifc, err := net.InterfaceByName(p.Target)
	if err != nil {
		return nil, &AttachError{p, "there is no network interface " + p.Target, err}
	}
	return ifc, nil
}

// expandInterface matches a pattern of interface names.
func expandInterface(e *Env, p *Point) ([]*Point, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []*Point
	for _, ifc := range list {
		if match(p.Target, ifc.Name) {
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
	k := &Kind{Name: "xdp", Confine: NoTask, Syntax: "xdp:interface", Doc: "Runs for each packet that a network interface receives, before the network stack; it is passed on."}
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
		return &Context{Kind: k, Prog: ebpf.XDP, AttachType: ebpf.AttachXDP, Shape: "xdp", BareShape: "xdp", Result: pass, CtxType: lazyStruct(e, "struct xdp_md", 24)}, nil
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

var directions = []string{"ingress", "egress"}

// parseDirection reads KIND:TARGET:ingress|egress.
func parseDirection(k *Kind, parts []string) (*Point, error) {
	if err := argCount(k, parts, 2); err != nil {
		return nil, err
	}
	if parts[2] != "ingress" && parts[2] != "egress" {
		return nil, usage("%s is not a direction: ingress and egress are", parts[2])
	}
	return &Point{Kind: k, Target: parts[1], Mode: parts[2], Name: strings.Join(append([]string{k.Name}, parts[1:]...), ":")}, nil
}

func tcKind() *Kind {
	k := &Kind{Name: "tc", Confine: NoTask, Syntax: "tc:interface:ingress|egress", Doc: "Runs for each packet at a network interface's traffic control hook; it is passed on.", Since: "6.6"}
	k.Parse = func(_ *Env, parts []string) (*Point, error) { return parseDirection(k, parts) }
	k.Expand = expandInterface
	k.Suggest = suggestInterface
	k.Context = func(e *Env, p *Point) (*Context, error) {
		if !e.Kernel.Has(FeatTCX) {
			return nil, tooOld(e, "tc", FeatTCX)
		}
		const next = -1 // TCX_NEXT: as if we were not here
		c := &Context{Kind: k, Prog: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress, Shape: "tc " + p.Mode, Result: next, CtxType: lazyStruct(e, "struct __sk_buff", 192)}
		if p.Mode == "egress" {
			c.AttachType = ebpf.AttachTCXEgress
		}
		c.BareShape = c.Shape
		return c, nil
	}
	k.Attach = func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		ifc, err := interfaceOf(p)
		if err != nil {
			return nil, err
		}
		at := ebpf.AttachTCXIngress
		if p.Mode == "egress" {
			at = ebpf.AttachTCXEgress
		}
		l, err := link.AttachTCX(link.TCXOptions{Interface: ifc.Index, Program: prog, Attach: at})
		if err == nil {
			return l, nil
		}
		if errors.Is(err, ebpf.ErrNotSupported) {
			return nil, &AttachError{p, tooOld(e, "tc", FeatTCX).Error(), err}
		}
		return nil, attachError(p, err, capsNet, nil)
	}
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		return listInterfaces(k, parts, directions, yield)
	}
	return k
}

func cgroupSkbKind() *Kind {
	k := &Kind{Name: "cgroup_skb", Confine: NoTask, Syntax: "cgroup_skb:path:ingress|egress", Doc: "Runs for each packet that the processes of a cgroup (version 2) receive or send; it is passed on."}
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
		return &Context{Kind: k, Prog: ebpf.CGroupSKB, AttachType: attachType(p.Mode), Shape: shape, BareShape: shape, Result: allow, CtxType: lazyStruct(e, "struct __sk_buff", 192)}, nil
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
