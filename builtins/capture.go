package builtins

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

// MaxCaptured is the maximum number of bytes of a packet that capture sends. With the
// rest of the record, this is just below a power of two, see sendPacked in codegen/lower.
const MaxCaptured = 16<<10 - 64

const captureName = "capture"

func capturePacket() *Def {
	return &Def{
		Name:   captureName,
		Kind:   Action,
		Traits: Traits{NotInLoop: true, Captures: true},
		Doc: Doc{
			Summary: "Writes the packet of the probe to the file of --pcap, up to its first 16320 bytes. In a script without such a call, --pcap writes the packets for which a probe prints something. If a probe never prints, it writes those for which the probe's block runs. " +
				"In tracepoint, rawtracepoint, kprobe and fentry probes, only the first fragment of the packet in memory is written.",
			Examples: []string{`xdp:lo { @ = count(); if (pkt.tcp.syn == 1) { capture(); } }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if !hasPacket(c, call, "capture()") {
				return types.TInvalid
			}
			if !c.Invocation().Capture {
				c.Warnf(call.Span, "capture() has no file to write to without --pcap FILE")
			}
			return types.TVoid
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			if !g.Invocation().Capture {
				return nil
			}
			p := packetOf(g, call)
			b := g.B()
			length := p.Len(b, g.Ctx())
			args := []*Arg{
				{Value: b.Call(ir.KtimeBootNs)}, {Value: length}, {Value: p.Ifindex(b, g.Ctx())}, {Value: b.Const(0)}, {Value: b.Const(0)},
				{Fill: func(g Gen, dst Dest) {
					end := length
					if p.Linear != nil {
						linear := p.Linear(g.B(), g.Ctx())
						end = g.B().IfElse(g.B().Op(ir.OpULt, linear, length), func() *ir.Value { return linear }, func() *ir.Value { return length })
					}
					readPacket(g, call, p, dst, g.B().Const(0), end, MaxCaptured)
				}},
			}
			if !p.Ethernet {
				args[3].Value = p.Protocol(b, g.Ctx())
			}
			if p.Tag != nil {
				args[4].Value = removedTag(b, g.Ctx(), p)
			}
			ethernet := int64(0)
			if p.Ethernet {
				ethernet = 1
			}
			g.Send(call, args, []*types.Type{types.TUint64, types.TUint32, types.TUint32, types.TUint16, types.TUint32, types.NewBuffer(MaxCaptured)}, []any{p.Dir, ethernet})
			return nil
		},
		Records: Records{
			Sends: []Sent{{Args: []int{8, 4, 4, 2, 4, 0}, Lits: []any{"", int64(0)}}},
			Handle: func(env Env, rec *object.Record) error {
				word := func(n int) uint32 { return binary.NativeEndian.Uint32(rec.Arg(n)) }
				env.Packet(output.Packet{
					Time:     env.BootToWall(binary.NativeEndian.Uint64(rec.Arg(0))),
					Len:      int(word(1)),
					Iface:    int(word(2)),
					Protocol: binary.NativeEndian.Uint16(rec.Arg(3)),
					Tag:      word(4),
					Data:     decode.Buffer(rec.Arg(5)),
					Dir:      rec.Lits[0].(string),
					Ethernet: rec.Lits[1].(int64) != 0,
				})
				return nil
			},
		},
	}
}

// removedTag emits code for a VLAN tag that the kernel has removed from the packet: its
// EtherType and, in the lower 16 bits, its value. The result is 0 if there is none.
func removedTag(b *ir.Builder, ctx *ir.Value, p *probes.Packet) *ir.Value {
	tag, present, proto := p.Tag(b, ctx)
	return b.IfElse(present, func() *ir.Value {
		return b.Op(ir.OpOr, b.Op(ir.OpShl, proto, b.Const(16)), b.Op(ir.OpAnd, tag, b.Const(0xffff)))
	}, func() *ir.Value { return b.Const(0) })
}

// Captured reports whether an object may write packets to the file of --pcap, and whether
// all of them start with an Ethernet header.
func Captured(o *object.Object) (any, ethernet bool) {
	ethernet = true
	for _, e := range o.Events {
		if e.Def == captureName && len(e.Lits) > 1 {
			any = true
			ethernet = ethernet && e.Lits[1] == int64(1)
		}
	}
	return any, ethernet
}

// readPacket writes to dst a buffer with the bytes of a packet between two offsets, at
// most the first most of them.
func readPacket(g Gen, call *Call, p *probes.Packet, dst Dest, from, end *ir.Value, most int) {
	b := g.B()
	if dst.Padded {
		b.Zero(dst.Ptr, dst.Off, dst.Size)
	}
	to := b.AddImm(dst.Ptr, dst.Off)
	used := &ir.Var{Name: "used", Type: ir.Int}
	b.Write(used, b.Const(0))
	b.If(b.Op(ir.OpULt, from, end), func() {
		b := g.B()
		n := bounded(g, b.Op(ir.OpSub, end, from), most)
		b = g.B()
		r := p.Load(b, g.Ctx(), from, b.AddImm(to, 4), n)
		b.IfElse(b.Op(ir.OpEq, r, b.Const(0)), func() *ir.Value { g.B().Write(used, n); return nil }, func() *ir.Value {
			g.Count(object.ReadFault, call.Span, call.Def.Name)
			return nil
		})
	})
	b = g.B()
	b.Store(to, 0, 4, b.Read(used))
	if dst.Len != nil {
		b.Write(dst.Len, b.AddImm(b.Read(used), 4))
	}
}
