package probes

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/wildcard"
)

var (
	netfilterFamilies = []string{"ip", "ip6"}
	netfilterHooks    = []string{"prerouting", "input", "forward", "output", "postrouting"} // by the kernel's numbers
)

// netfilterKind returns netfilter, for the hooks at which firewalls process packets. It
// is attached in the network namespace of this process.
func netfilterKind() *Kind {
	k := &Kind{Name: "netfilter",
		Attacher: Attacher{Exclusive: true},
		Manual: Manual{Overhead: "about 30 ns", Syntax: "netfilter:ip|ip6:hook[:priority]", Since: "6.4",
			Doc: "Runs for each packet at a hook of netfilter: prerouting, input, forward, output or postrouting. Those of lower priority run first; 0 is that of the filter tables.",
		},
		Traits: Traits{Confine: NoTask}}
	k.Decides, k.Caps = true, capsNet
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 2, 3); err != nil {
			return nil, err
		}
		p := &Point{Kind: k, Target: parts[1], Func: parts[2], Name: strings.Join(append([]string{k.Name}, parts[1:]...), ":")}
		if !slices.ContainsFunc(netfilterFamilies, func(s string) bool { return wildcard.Match(p.Target, s) }) {
			return nil, usage("%s is not a protocol of netfilter: ip and ip6 are", p.Target)
		}
		if !slices.ContainsFunc(netfilterHooks, func(s string) bool { return wildcard.Match(p.Func, s) }) {
			return nil, usage("%s is not a hook of netfilter: %s are", p.Func, strings.Join(netfilterHooks, ", "))
		}
		if len(parts) == 4 {
			n, err := strconv.ParseInt(parts[3], 10, 32)
			if err != nil {
				return nil, usage("%s is not a priority: a number is expected", parts[3])
			}
			p.Mode = strconv.FormatInt(n, 10)
		}
		return p, nil
	}
	k.Expand = func(_ *Env, p *Point) ([]*Point, error) {
		var out []*Point
		for _, family := range netfilterFamilies {
			for _, hook := range netfilterHooks {
				if wildcard.Match(p.Target, family) && wildcard.Match(p.Func, hook) {
					q := *p
					q.Target, q.Func = family, hook
					q.Name = strings.Join(append([]string{k.Name, family, hook}, nonEmpty(p.Mode)...), ":")
					out = append(out, &q)
				}
			}
		}
		return out, nil
	}
	k.Context = func(e *Env, p *Point) (*Context, error) {
		if !e.Kernel.Has(FeatNetfilter) {
			return nil, tooOld(e, k.Name, FeatNetfilter)
		}
		const accept = 1
		shape := "netfilter " + p.Func
		return &Context{
			Kind:   k,
			Load:   Load{Type: ebpf.Netfilter, AttachType: ebpf.AttachNetfilter, Shape: shape, BareShape: shape},
			Result: accept, Verdict: drops(0),
			Ctx: RawContext{Type: lazyStruct(e, "struct bpf_nf_ctx", 16)},
			Packet: skbPointerPacket(e, directionOf(p.Func), func() (func(b *ir.Builder, ctx *ir.Value) *ir.Value, error) {
				return contextPointer(8), nil
			}),
		}, nil
	}
	k.Attach = func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		priority, _ := strconv.ParseInt(p.Mode, 10, 32)
		opts := link.NetfilterOptions{Program: prog, Hook: link.NetfilterInetHook(slices.Index(netfilterHooks, p.Func)), ProtocolFamily: link.NetfilterProtoIPv4, Priority: int32(priority)}
		if p.Target == "ip6" {
			opts.ProtocolFamily = link.NetfilterProtoIPv6
		}
		l, err := link.AttachNetfilter(opts)
		if err == nil {
			return l, nil
		}
		return nil, attachError(p, err, capsNet, map[error]string{
			unix.EBUSY:        "another BPF program is attached there with the same priority",
			unix.EAFNOSUPPORT: "the kernel has no netfilter for " + p.Target + " (CONFIG_NETFILTER_BPF_LINK, or its module is not loaded)",
			unix.EPERM:        "the kernel does not permit programs of this priority there",
		})
	}
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		for _, family := range netfilterFamilies {
			for _, hook := range netfilterHooks {
				if listed(parts[1:], family, hook) && !yield(k.Name+":"+family+":"+hook) {
					return nil
				}
			}
		}
		return nil
	}
	return k
}

// directionOf returns the direction of the packets at a hook of netfilter.
func directionOf(hook string) string {
	switch hook {
	case "output", "postrouting":
		return "egress"
	}
	return "ingress"
}
