package builtins

import (
	"net/netip"

	"github.com/gotrace/gotrace/lang/types"
)

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
				c.Errorf(call.Span, "pton() expects a valid IPv4/IPv6 address, got %s", a.Lit.Str)
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
