package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
)

func kaddr() *Def {
	return &Def{
		Name:   "kaddr",
		Kind:   Function,
		Params: []Param{{Name: "symbol"}},
		Doc: Doc{
			Summary:  "Address of a kernel symbol.",
			Examples: []string{`begin { printf("%p\n", kaddr("vfs_read")); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			name, ok := wantString(c, call, 0)
			if !ok {
				return types.TInvalid
			}
			addr, ok := c.Kernel().Symbol(name)
			if !ok {
				c.Errorf(call.Span, "Failed to resolve kernel symbol: %s", name)
				return types.TInvalid
			}
			call.Lit = addrLit(addr)
			return types.TUint64
		},
		Emit: emitLit,
	}
}

func addrLit(addr uint64) *Lit { return &Lit{Int: int64(addr), Unsigned: int64(addr) < 0} }
