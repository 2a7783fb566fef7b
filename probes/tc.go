package probes

import (
	"errors"
	"io"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/gotrace/gotrace/runtime/object"
)

var directions = []string{"ingress", "egress"}

// parseDirection parses KIND:TARGET:ingress|egress.
func parseDirection(k *Kind, parts []string) (*Point, error) {
	if err := argCount(k, parts, 2); err != nil {
		return nil, err
	}
	if err := checkDirection(parts[2]); err != nil {
		return nil, err
	}
	return &Point{Kind: k, Target: parts[1], Mode: parts[2], Name: strings.Join(append([]string{k.Name}, parts[1:]...), ":")}, nil
}

// checkDirection returns an error unless name is that of a direction.
func checkDirection(name string) error {
	if name != "ingress" && name != "egress" {
		return usage("%s is not a direction: ingress and egress are", name)
	}
	return nil
}

func tcKind() *Kind {
	k := &Kind{
		Name: "tc",
		Manual: Manual{
			Overhead: "about 20 ns",
			Syntax:   "tc:interface:ingress|egress",
			Doc:      "Runs for each packet at a network interface's traffic control hook; it is passed on.",
			Since:    "6.6",
		},
		Traits: Traits{Confine: NoTask},
	}
	k.Decides, k.Caps = true, capsNet
	k.Parse = func(_ *Env, parts []string) (*Point, error) { return parseDirection(k, parts) }
	k.Expand = expandInterface
	k.Suggest = suggestInterface
	k.Context = func(e *Env, p *Point) (*Context, error) {
		if !e.Kernel.Has(FeatTCX) {
			return nil, tooOld(e, "tc", FeatTCX)
		}
		const next = -1 // TCX_NEXT: continue with the next program
		ethernet := isEthernet(p.Target)
		c := &Context{
			Kind:   k,
			Load:   Load{Type: ebpf.SchedCLS, AttachType: ebpf.AttachTCXIngress, Shape: "tc " + p.Mode + linkShape(ethernet)},
			Result: next, Verdict: drops(2), // TC_ACT_SHOT
			Ctx:    RawContext{Type: lazyStruct(e, "struct __sk_buff", 192), Word: 4},
			Packet: skbPacket(ethernet, p.Mode),
		}
		if p.Mode == "egress" {
			c.Load.AttachType = ebpf.AttachTCXEgress
		}
		c.Load.BareShape = c.Load.Shape
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
