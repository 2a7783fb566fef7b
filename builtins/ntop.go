package builtins

import (
	"net/netip"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/value"
)

// An inet is an address family (u64) and 16 bytes, of which an IPv4 address uses the
// first four.
const (
	afInet   = 2
	afInet6  = 10
	inetSize = 24
)

var inetType = &types.Type{Kind: types.Opaque, Name: "inet", Size: inetSize}

func ntop() *Def {
	return &Def{
		Name: "ntop",
		Kind: Function,
		TypeDef: TypeDef{
			TypeName: inetType.Name,
			TypeSize: inetType.Size,
			Format: func(_ Env, _ *types.Type, data []byte) value.Value {
				switch word(data, 0) {
				case afInet:
					return value.Str{S: netip.AddrFrom4([4]byte(data[8:12])).String()}
				case afInet6:
					return value.Str{S: netip.AddrFrom16([16]byte(data[8:24])).String()}
				}
				return value.Str{}
			},
		},
		Params: []Param{{Name: "family or address"}, {Name: "address", Optional: true}},
		Doc: Doc{
			Summary:  "An internet address from a 32-bit integer or 4 bytes (IPv4), or from 16 bytes (IPv6), printed in the usual form. If the size does not determine the family, pass AF_INET or AF_INET6.",
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
	}
}

// copyObject copies the bytes of an argument that is an array, string or object in any
// address space.
func copyObject(g Gen, a *Arg, p *ir.Value, off int64, size int) {
	src, space := g.Ref(a)
	if space == types.NoSpace {
		g.B().Copy(p, off, src, size)
		return
	}
	g.Read(p, off, size, src, readable(space), a.Span.Text())
}
