package probes

import (
	"io"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// ownNetNS is the file of the network namespace of this process.
const ownNetNS = "/proc/self/ns/net"

// skLookupKind returns sk_lookup, whose programs run when the kernel looks up the socket
// for a packet.
func skLookupKind() *Kind {
	k := &Kind{
		Name: "sk_lookup",
		Manual: Manual{
			Overhead: "about 30 ns",
			Syntax:   "sk_lookup[:namespace]",
			Doc:      "Runs when a network namespace looks for a listening TCP socket or an unconnected UDP socket for a packet. The namespace is that of gotrace, or of a file such as /proc/PID/ns/net. ctx is struct bpf_sk_lookup, with local_port, remote_ip4 and so on.",
		},
		Traits: Traits{Confine: NoTask},
	}
	k.Decides = true
	k.Parse = func(_ *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 0, 1); err != nil {
			return nil, err
		}
		p := &Point{Kind: k, Name: strings.Join(parts, ":")}
		if len(parts) == 2 {
			p.Target = parts[1]
		}
		return p, noWildcards(k, parts)
	}
	k.Expand = func(_ *Env, p *Point) ([]*Point, error) {
		if p.Target != "" {
			if _, err := os.Stat(p.Target); err != nil {
				return nil, usage("a file of a network namespace, such as /proc/1/ns/net, is expected: %v", err)
			}
		}
		return []*Point{p}, nil
	}
	k.Context = func(e *Env, p *Point) (*Context, error) {
		const pass = 1 // SK_PASS
		return &Context{
			Kind:   k,
			Load:   Load{Type: ebpf.SkLookup, AttachType: ebpf.AttachSkLookup, Shape: k.Name, BareShape: k.Name},
			Result: pass, Verdict: drops(0), // SK_DROP
			Ctx: RawContext{Type: lazyStruct(e, "struct bpf_sk_lookup", 72), Word: 4},
		}, nil
	}
	k.Attach = func(_ *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		path := p.Target
		if path == "" {
			path = ownNetNS
		}
		ns, err := os.Open(path)
		if err != nil {
			return nil, attachError(p, err, capsTracing, nil)
		}
		defer ns.Close()
		l, err := link.AttachNetNs(int(ns.Fd()), prog)
		if err == nil {
			return l, nil
		}
		return nil, attachError(p, err, capsTracing, map[error]string{unix.EINVAL: path + " is not the file of a network namespace, such as /proc/1/ns/net"})
	}
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		if listed(parts[1:], "") {
			yield(k.Name)
		}
		return nil
	}
	return k
}
