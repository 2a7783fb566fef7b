package builtins

import (
	"fmt"
	"net/netip"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// An inet is the address family (u64) and 16 bytes, of which an IPv4 address
// takes the first four. A macaddr_t is a word with the six bytes in order of
// memory.
const (
	afInet   = 2
	afInet6  = 10
	inetSize = 24
)

var (
	inetType = &types.Type{Kind: types.Opaque, Name: "inet", Size: inetSize}
	macType  = &types.Type{Kind: types.Opaque, Name: "macaddr_t", Size: 8}
)

func ntop() *Def {
	return &Def{
		Name:     "ntop",
		Kind:     Function,
		TypeName: inetType.Name,
		Params:   []Param{{Name: "family or address"}, {Name: "address", Optional: true}},
		Doc: Doc{
			Summary:  "An internet address that prints as usual: of a 32-bit integer or 4 bytes (IPv4), or 16 bytes (IPv6). The family (AF_INET, AF_INET6) says which where the size does not.",
			Examples: []string{`begin { printf("%s %s\n", ntop(0x0100007f), ntop(pton("::1"))); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			at := len(call.Args) - 1
			if at == 1 && !wantInt(c, call, 0) {
				return types.TInvalid
			}
			switch t := call.typeOf(at); {
			case t.Kind == types.Invalid, t.Kind == types.Int:
			case (t.Kind == types.Array || t.Kind == types.Struct || t.Kind == types.String) && (t.Size == 4 || t.Size == 16):
			case t.Kind == types.Array || t.Kind == types.Struct || t.Kind == types.String:
				c.Errorf(call.Span, "ntop() argument must be 4 or 16 bytes in size")
				return types.TInvalid
			default:
				c.Errorf(call.Span, "ntop() expects an integer or array argument, got %s", className(t))
				return types.TInvalid
			}
			return inetType
		},
		Store: func(g Gen, call *Call, dst Dest) {
			a := &call.Args[len(call.Args)-1]
			size := a.Type.Size
			if a.Type.Kind == types.Int {
				size = 4
			}
			var family *ir.Value
			switch {
			case len(call.Args) == 2:
				family = g.Value(&call.Args[0])
			case size == 16:
				family = g.B().Const(afInet6)
			default:
				family = g.B().Const(afInet)
			}
			if a.Type.Kind == types.Int {
				v := g.Value(a)
				g.B().Store(dst.Ptr, dst.Off+8, 4, v)
			} else {
				copyObject(g, a, dst.Ptr, dst.Off+8, size)
			}
			b := g.B()
			b.Store(dst.Ptr, dst.Off, 8, family)
			b.Zero(dst.Ptr, dst.Off+8+int64(size), 16-size)
		},
		Format: func(_ Env, _ *types.Type, data []byte) value.Value {
			switch word(data, 0) {
			case afInet:
				return value.Str{S: netip.AddrFrom4([4]byte(data[8:12])).String()}
			case afInet6:
				return value.Str{S: netip.AddrFrom16([16]byte(data[8:24])).String()}
			}
			return value.Str{}
		},
	}
}

// copyObject copies the bytes of an argument that is an array, string or
// object, wherever it is.
func copyObject(g Gen, a *Arg, p *ir.Value, off int64, size int) {
	src, space := g.Ref(a)
	if space == types.NoSpace {
		g.B().Copy(p, off, src, size)
		return
	}
	g.Read(p, off, size, src, readable(g, space), a.Span.Text())
}

func pton() *Def {
	return &Def{
		Name:   "pton",
		Kind:   Function,
		Params: []Param{{Name: "address"}},
		Doc: Doc{
			Summary:  "The bytes of an internet address given as a literal: an array of 4 or 16.",
			Examples: []string{`begin { print(pton("192.168.0.1")); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			a := call.arg(0)
			if a == nil || !call.known(0) {
				return types.TInvalid
			}
			if a.Lit == nil || !a.Lit.IsStr {
				c.Errorf(call.Span, "pton() expects a string literal as its argument")
				return types.TInvalid
			}
			addr, err := netip.ParseAddr(a.Lit.Str)
			if err != nil || addr.Zone() != "" {
				c.Errorf(call.Span, "pton() expects a string argument of an IPv4/IPv6 address, got %s", a.Lit.Str)
				return types.TInvalid
			}
			call.Data = addr.AsSlice()
			return types.NewArray(types.TUint8, len(addr.AsSlice()))
		},
		Store: func(g Gen, call *Call, dst Dest) {
			data := call.Data.([]byte)
			g.B().Copy(dst.Ptr, dst.Off, g.Rodata(data), len(data))
			padTail(g, dst, len(data))
		},
	}
}

func macaddr() *Def {
	return &Def{
		Name:     "macaddr",
		Kind:     Function,
		TypeName: macType.Name,
		Params:   []Param{{Name: "bytes"}},
		Doc: Doc{
			Summary:  "A MAC address, of an array of 6 bytes.",
			Examples: []string{`fentry:arp_create { printf("%s\n", macaddr(args.dest_hw)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			t := call.typeOf(0)
			switch {
			case t.Kind == types.Invalid, t.Kind == types.Pointer:
			case call.Args[0].Lit != nil && call.Args[0].Lit.IsStr:
				c.Errorf(call.Span, "macaddr() does not support literal string arguments")
				return types.TInvalid
			case t.Kind != types.Array && t.Kind != types.String:
				c.Errorf(call.Span, "macaddr() only supports array or pointer arguments (%s provided)", className(t))
				return types.TInvalid
			case t.Size < 6:
				c.Errorf(call.Span, "macaddr() argument must be at least 6 bytes in size")
				return types.TInvalid
			}
			return macType
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			a := &call.Args[0]
			p := g.Temp(8)
			g.B().Store(p, 0, 8, g.B().Const(0))
			if a.Type.Kind == types.Pointer {
				g.Read(p, 0, 6, g.Value(a), readable(g, a.Type.Space), "macaddr")
			} else {
				copyObject(g, a, p, 0, 6)
			}
			return g.B().Load(p, 0, 8, false)
		},
		Format: func(_ Env, _ *types.Type, data []byte) value.Value {
			return value.Str{S: fmt.Sprintf("%02X:%02X:%02X:%02X:%02X:%02X", data[0], data[1], data[2], data[3], data[4], data[5])}
		},
	}
}

func bswap() *Def {
	return &Def{
		Name:   "bswap",
		Kind:   Function,
		Params: []Param{{Name: "n"}},
		Doc: Doc{
			Summary:  "An integer with its bytes in reverse order, such as a port number in network order.",
			Examples: []string{`begin { printf("%x\n", bswap((uint16)0x1234)); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			t := call.typeOf(0)
			if t.Kind == types.Invalid {
				return types.TUint64
			}
			if t.Kind != types.Int {
				c.Errorf(call.Span, "bswap() only supports integer arguments (%s provided)", className(t))
				return types.TInvalid
			}
			if t.Size == 1 && c.Final() {
				c.Warnf(call.Span, "bswap() of an integer of one byte does nothing")
			}
			return types.NewInt(t.Size, false)
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			x := g.Value(&call.Args[0])
			b := g.B()
			switch call.Type.Size {
			case 2:
				return b.Op(ir.OpBswap16, x)
			case 4:
				return b.Op(ir.OpBswap32, x)
			case 8:
				return b.Op(ir.OpBswap64, x)
			}
			return b.Extend(x, 1, false)
		},
	}
}
