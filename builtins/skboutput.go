package builtins

import (
	"encoding/binary"
	"os"
	"time"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/decode"
	"github.com/gotrace/gotrace/runtime/object"
)

// maxPacket is the maximum number of bytes that are captured of a packet.
const maxPacket = 2048

// skbFields are the members of struct sk_buff that skboutput reads.
type skbFields struct{ data, len, dataLen types.Field }

func skbOutput() *Def {
	packet := types.NewBuffer(maxPacket)
	return &Def{
		Name:   "skboutput",
		Kind:   Function,
		Traits: Traits{Acts: true},
		Params: []Param{{Name: "path"}, {Name: "skb"}, {Name: "size"}, {Name: "offset"}},
		Doc: Doc{
			Summary:  "Appends the packet in a struct sk_buff, from an offset on, to a pcap file of raw IP packets: at most size bytes, and at most 2048, of its linear part. The result is 0 if the packet was sent, otherwise negative.",
			Examples: []string{`fentry:ip_rcv_core { $sent = skboutput("received.pcap", args.skb, args.skb.len, 0); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			path, ok := wantString(c, call, 0)
			if len(call.Args) < 4 || !ok || !wantInt(c, call, 2) || !wantInt(c, call, 3) {
				return types.TInvalid
			}
			t := call.typeOf(1)
			if t.Kind == types.Invalid {
				return types.TInt64
			}
			if t.Kind != types.Pointer || t.Elem.Kind != types.Struct || t.Elem.Name != "struct sk_buff" {
				c.Errorf(call.Args[1].Span, "skboutput() expects a 'struct sk_buff *' (%s provided)", t)
				return types.TInvalid
			}
			var f skbFields
			for _, m := range []struct {
				name string
				at   *types.Field
			}{{"data", &f.data}, {"len", &f.len}, {"data_len", &f.dataLen}} {
				var ok bool
				if *m.at, ok = t.Elem.Field(m.name); !ok {
					c.Errorf(call.Args[1].Span, "skboutput(): struct sk_buff has no %s", m.name)
					return types.TInvalid
				}
			}
			call.Data = capture{path, f}
			return types.TInt64
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			f := call.Data.(capture).fields
			skb := g.Value(&call.Args[1])
			want := g.Value(&call.Args[2])
			offset := g.Value(&call.Args[3])
			read := func(f types.Field) *ir.Value {
				if skb.Type == ir.PtrBTF {
					return g.B().Load(skb, int64(f.Off), f.Type.Size, false)
				}
				tmp := g.Temp(8)
				g.Read(tmp, 0, f.Type.Size, g.B().AddImm(skb, int64(f.Off)), types.Kernel, "skboutput")
				return g.B().Load(tmp, 0, f.Type.Size, false)
			}
			data, all, paged := read(f.data), read(f.len), read(f.dataLen)
			b := g.B()
			linear := b.Op(ir.OpSub, b.Op(ir.OpSub, all, paged), offset)
			n := g.B().IfElse(b.Op(ir.OpULt, want, linear), func() *ir.Value { return want }, func() *ir.Value { return linear })
			b = g.B()
			// There is nothing to send if the offset is past the end.
			ok := b.Op(ir.OpSLt, b.Const(0), n)
			return g.B().IfElse(ok, func() *ir.Value {
				b := g.B()
				fits := b.Op(ir.OpULe, n, b.Const(maxPacket))
				size := g.B().IfElse(fits, func() *ir.Value { return n }, func() *ir.Value { return g.B().Const(maxPacket) })
				g.Event(call, []*types.Type{types.TUint64, types.TUint32, packet}, []any{call.Data.(capture).path}, func(rec *ir.Value, offs []int) {
					b := g.B()
					b.Store(rec, int64(offs[0]), 8, b.Call(ir.KtimeBootNs))
					b.Store(rec, int64(offs[1]), 4, all)
					readBytes(g, call, b.AddImm(rec, int64(offs[2])), size, size, b.Op(ir.OpAdd, data, offset), types.Kernel)
				})
				return g.B().Const(0)
			}, func() *ir.Value { return g.B().Const(-22) }) // EINVAL
		},
		Records: Records{
			Sends: []Sent{{Args: []int{8, 4, 0}, Lits: []any{""}}},
			Handle: func(env Env, rec *object.Record) error {
				when := env.BootToWall(binary.NativeEndian.Uint64(rec.Arg(0)))
				length := binary.NativeEndian.Uint32(rec.Arg(1))
				if err := appendPacket(rec.Lits[0].(string), when, length, decode.Buffer(rec.Arg(2))); err != nil {
					env.Fail("skboutput: %v", err)
				}
				return nil
			},
		},
	}
}

// capture is the Data of a call of skboutput.
type capture struct {
	path   string
	fields skbFields
}

// appendPacket appends a packet to a pcap file. It creates the file if there is none.
// The format is that of draft-ietf-opsawg-pcap, with link type 101 (raw IP) and times
// in µs.
func appendPacket(path string, when time.Time, length uint32, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	var out []byte
	le := binary.LittleEndian
	if info.Size() == 0 {
		out = le.AppendUint32(out, 0xa1b2c3d4)
		out = le.AppendUint32(out, 4<<16|2) // version 2.4
		out = append(out, make([]byte, 8)...)
		out = le.AppendUint32(out, maxPacket)
		out = le.AppendUint32(out, 101)
	}
	out = le.AppendUint32(out, uint32(when.Unix()))
	out = le.AppendUint32(out, uint32(when.Nanosecond()/1000))
	out = le.AppendUint32(out, uint32(len(data)))
	out = le.AppendUint32(out, max(length, uint32(len(data))))
	_, err = f.Write(append(out, data...))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
