package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
)

func peerCgroup() *Def {
	return &Def{
		Name:   "peer_cgroup",
		Traits: Traits{NotInLoop: true},
		Kind:   Function,
		Params: []Param{{Name: "level", Kind: Literal}},
		Doc: Doc{
			Summary: "The ID of the cgroup of the socket at the other end of a packet, if it is on this machine and in the same network namespace, in cgroup_skb probes; 0 if there is none. " +
				"level selects the cgroup or the one above it at that level below the root, which has level 0.",
			Examples: []string{`cgroup_skb:egress /pkt.proto == 6/ { @[peer_cgroup(1)] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !hasPacket(c, call, "peer_cgroup()") {
				return types.TInvalid
			}
			if ctx := c.Context(); !ctx.Packet.Sockets {
				c.Errorf(call.Span, "peer_cgroup() can only be used in cgroup_skb probes, not in %s", kindOf(c, "these"))
				return types.TInvalid
			}
			if l := call.Args[0].Lit; l == nil || l.IsStr || l.IsBool || l.Int < 0 || l.Int > 64 {
				if c.Final() {
					c.Errorf(call.Args[0].Span, "peer_cgroup() expects a level from 0 to 64")
				}
				return types.TInvalid
			}
			return types.TUint64
		},
		Emit: emitPeerCgroup,
	}
}

// emitPeerCgroup looks up the socket to which the addresses and ports belong, seen from
// the other end, and reads the ID of its cgroup.
func emitPeerCgroup(g Gen, call *Call) *ir.Value {
	const tuple4, tuple6, current = 12, 36, -1
	parsed := parsedPacket(g, call)
	p := packetOf(g, call)
	tuple := g.Temp(40)
	result := &ir.Var{Name: "peer", Type: ir.Int}
	b := g.B()
	b.Write(result, b.Const(0))
	// The first address of a tuple is the remote one: ours, seen from the other end.
	ours, theirs, ourPort, theirPort := int64(pktSaddr), int64(pktDaddr), int64(pktTrans), int64(pktTrans+2)
	if p.Dir == "ingress" {
		ours, theirs, ourPort, theirPort = theirs, ours, theirPort, ourPort
	}
	find := func(h *ir.Helper, addr int64, size int64) {
		b := g.B()
		b.Zero(tuple, 0, 40)
		b.Copy(tuple, 0, b.AddImm(parsed, ours+8), int(addr))
		b.Copy(tuple, addr, b.AddImm(parsed, theirs+8), int(addr))
		b.Store(tuple, 2*addr, 2, b.Load(parsed, ourPort, 2, false))
		b.Store(tuple, 2*addr+2, 2, b.Load(parsed, theirPort, 2, false))
		sk := b.Call(h, g.Ctx(), tuple, b.Const(size), b.Const(current), b.Const(0))
		b.IfNonNil(sk, func(sk *ir.Value) {
			b := g.B()
			b.Write(result, b.Call(ir.SkAncestorCgroupID, sk, b.Const(call.Args[0].Lit.Int)))
			b.Call(ir.SkRelease, sk)
		})
	}
	for _, h := range []struct {
		has    int64
		helper *ir.Helper
	}{{hasTCP, ir.SkLookupTCP}, {hasUDP, ir.SkLookupUDP}} {
		b := g.B()
		b.If(b.Op(ir.OpAnd, b.Load(parsed, pktHas, 4, false), b.Const(h.has)), func() {
			b := g.B()
			six := b.Op(ir.OpAnd, b.Load(parsed, pktHas, 4, false), b.Const(hasIP6))
			b.IfElse(six, func() *ir.Value { find(h.helper, 16, tuple6); return nil }, func() *ir.Value { find(h.helper, 4, tuple4); return nil })
		})
	}
	return g.B().Read(result)
}
