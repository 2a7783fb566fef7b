package probes

import (
	"errors"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/outline"
)

// contextPointer returns a function that reads the pointer at off of a context as an
// integer.
func contextPointer(off int64) func(b *ir.Builder, ctx *ir.Value) *ir.Value {
	return func(b *ir.Builder, ctx *ir.Value) *ir.Value { return b.AsInt(b.Load(ctx, off, 8, false)) }
}

// skbMembers are the members of struct sk_buff from which the packet is found.
var skbMembers = []string{"head", "data", "len", "data_len", "network_header", "protocol", "dev", "skb_iif"}

// skbPointerPacket describes a packet that starts with the header of the network layer.
// The function that find returns reads a pointer to its struct sk_buff as an integer.
// Only the first piece of the buffer can be read.
//
//go:noinline
func skbPointerPacket(e *Env, dir string, find func() (skb func(b *ir.Builder, ctx *ir.Value) *ir.Value, err error)) *Packet {
	return &Packet{Find: func() (func(b *ir.Builder, ctx *ir.Value) *Packet, error) {
		skb, err := find()
		if err != nil {
			return nil, err
		}
		return openSkb(e, dir, skb)
	}}
}

func openSkb(e *Env, dir string, skb func(b *ir.Builder, ctx *ir.Value) *ir.Value) (func(b *ir.Builder, ctx *ir.Value) *Packet, error) {
	t, err := e.Kernel.Type("struct sk_buff")
	if err != nil {
		return nil, err
	}
	dev, err := e.Kernel.Type("struct net_device")
	if err != nil {
		return nil, err
	}
	at := map[string]types.Field{}
	for _, name := range skbMembers {
		f, ok := t.Field(name)
		if !ok {
			return nil, outline.Errorf("struct sk_buff has no member %s", name)
		}
		at[name] = f
	}
	index, ok := dev.Field("ifindex")
	if !ok {
		return nil, errors.New("struct net_device has no member ifindex")
	}
	return func(b *ir.Builder, ctx *ir.Value) *Packet {
		buffer := skb(b, ctx)
		get := func(name string) *ir.Value { return readMember(b, buffer, at[name]) }
		head, data, network := get("head"), get("data"), get("network_header")
		// The header of the network layer is at data until that layer has set its
		// offset.
		start := b.IfElse(network, func() *ir.Value { return b.Op(ir.OpAdd, head, network) }, func() *ir.Value { return data })
		// data may point to an earlier or a later header.
		size := b.Op(ir.OpAdd, get("len"), b.Op(ir.OpSub, data, start))
		size = b.IfElse(b.Op(ir.OpSLt, size, b.Const(0)), func() *ir.Value { return b.Const(0) }, func() *ir.Value { return size })
		linear := b.Op(ir.OpSub, size, get("data_len"))
		// The network layer sets the protocol of a packet that it sends late. The first
		// four bits of the header are the IP version.
		given := get("protocol")
		protocol := b.IfElse(given, func() *ir.Value { return b.Op(ir.OpBswap16, given) }, func() *ir.Value {
			return protocolOf(b, readMember(b, start, types.Field{Type: types.TUint8}))
		})
		device := get("dev")
		iface := b.IfElse(device, func() *ir.Value { return readMember(b, device, index) }, func() *ir.Value { return get("skb_iif") })
		always := func(v *ir.Value) func(*ir.Builder, *ir.Value) *ir.Value {
			return func(*ir.Builder, *ir.Value) *ir.Value { return v }
		}
		p := &Packet{Dir: dir, Len: always(size), Ifindex: always(iface), Protocol: always(protocol), Linear: always(linear)}
		p.Load = func(b *ir.Builder, _, off, dst, n *ir.Value) *ir.Value {
			return b.IfElse(b.Op(ir.OpSLe, b.Op(ir.OpAdd, off, n), linear), func() *ir.Value {
				return b.Call(ir.ReadKernel, dst, n, b.Op(ir.OpAdd, start, off))
			}, func() *ir.Value { return b.Const(-1) })
		}
		return p
	}, nil
}

// readMember reads a member, of at most 8 bytes, of the kernel's object at p.
func readMember(b *ir.Builder, p *ir.Value, f types.Field) *ir.Value {
	slot := b.Slot(8)
	b.Zero(slot, 0, 8)
	b.Call(ir.ReadKernel, slot, b.Const(int64(f.Type.Size)), b.AddImm(p, int64(f.Off)))
	return b.Load(slot, 0, 8, false)
}

// isSkb reports whether t is a pointer to a struct sk_buff.
func isSkb(t *types.Type) bool {
	return t.Kind == types.Pointer && t.Elem.Kind == types.Struct && t.Elem.Name == "struct sk_buff"
}

// noSkb returns the error for a point without an argument that points to a packet.
func noSkb(p *Point) error {
	return outline.Errorf("%s has no argument of the type struct sk_buff *", p.Name)
}

// contextSkb returns the packet of a point whose context may have a member that points
// to a struct sk_buff.
func contextSkb(e *Env, p *Point, members []types.Field) *Packet {
	return skbPointerPacket(e, "", func() (func(b *ir.Builder, ctx *ir.Value) *ir.Value, error) {
		for _, f := range members {
			if isSkb(f.Type) || f.Name == "skbaddr" && f.Type.Size == 8 {
				return contextPointer(int64(f.Off)), nil
			}
		}
		return nil, noSkb(p)
	})
}

// argSkb returns the packet of a point at a function. read reads the function's
// arguments.
func argSkb(e *Env, p *Point, read func(b *ir.Builder, ctx *ir.Value, n int) *ir.Value) *Packet {
	return skbPointerPacket(e, "", func() (func(b *ir.Builder, ctx *ir.Value) *ir.Value, error) {
		proto, err := e.Kernel.FuncProto(p.Target, p.Func)
		if err != nil {
			return nil, err
		}
		for i, f := range proto.Params {
			if isSkb(f.Type) {
				return func(b *ir.Builder, ctx *ir.Value) *ir.Value { return b.AsInt(read(b, ctx, i)) }, nil
			}
			if !f.Type.IsScalar() {
				break // it may take several words, so the following ones are shifted
			}
		}
		return nil, noSkb(p)
	})
}
