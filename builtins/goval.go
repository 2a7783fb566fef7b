package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/value"
)

// The layout of a goval_t: the part of the value in a Go interface that a program copies.
// The address of a string is 0 if the string was copied.
const (
	govalType  = 0 // address of the description of its type; 0: nil
	govalPID   = 8
	govalData  = 16 // 1 if the second word of the interface is not 0
	govalWords = 24 // first bytes of the value or, for a pointer, of the object that it points to
	govalSize  = 64 // number of them
	govalTexts = govalWords + govalSize
	govalShort = 128 // size of the second string

	itabType = 8 // offset of the type in struct itab
)

// goval defines goval. print and printf call it for an interface.
func goval() *Def {
	const name = "goval_t"
	return &Def{
		Name:   "goval",
		Kind:   Function,
		Traits: Traits{Dynamic: true},
		TypeDef: TypeDef{
			TypeName:    name,
			TypeSize:    govalTexts + govalShort + 8,
			UserSymbols: true,
			Format: func(env Env, _ *types.Type, data []byte) value.Value {
				return value.Str{S: goValueText(env, data)}
			},
		},
		Params: []Param{{Name: "interface"}},
		Doc: Doc{
			Summary: "The value in an interface of a Go program, such as an error: the text of a plain error, a string, a number, nil, or the type with the first 64 bytes of its members. " +
				"print() and printf() show interfaces in this form automatically.",
			Examples: []string{`uretprobe:./server:main.(*DB).Get { @[goval(retval.err)] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			switch t := call.typeOf(0); {
			case t.Kind == types.Invalid:
				return types.TInvalid
			case !t.IsDynamic():
				if c.Final() {
					c.Errorf(call.Span, "goval() expects an interface of a Go program (%s provided)", className(t))
				}
				return types.TInvalid
			}
			return &types.Type{Kind: types.Opaque, Name: name, Size: govalTexts + types.RoundUp(c.Config().MaxStrlen, 8) + govalShort}
		},
		Store: storeGoval,
	}
}

func storeGoval(g Gen, call *Call, dst Dest) {
	_, isIface := call.Args[0].Type.Field("tab")
	p := g.Addr(&call.Args[0])
	b := g.B()
	b.Zero(dst.Ptr, dst.Off, dst.Size)
	at := func(off int64) *ir.Value { return g.B().AddImm(dst.Ptr, dst.Off+off) }
	kind, data := b.Load(p, 0, 8, false), b.Load(p, 8, 8, false)
	b.If(kind, func() {
		b := g.B()
		if isIface {
			g.Read(dst.Ptr, dst.Off+govalType, 8, b.AddImm(kind, itabType), types.User, call.Def.Name)
		} else {
			b.Store(dst.Ptr, dst.Off+govalType, 8, kind)
		}
		g.B().Store(dst.Ptr, dst.Off+govalPID, 8, currentIDs(g, nil).pid())
		g.B().If(data, func() {
			b := g.B()
			b.Store(dst.Ptr, dst.Off+govalData, 8, b.Const(1))
			// The value may be shorter than the words, at the end of readable memory.
			for off := int64(0); off < govalSize; off += 16 {
				b.Call(ir.ReadUser, at(govalWords+off), b.Const(16), b.AddImm(data, off))
			}
			long := dst.Size - govalTexts - govalShort
			storeGoText(g, at(govalWords), at(govalTexts), long)
			storeGoText(g, at(govalWords+16), at(int64(govalTexts+long)), govalShort)
		})
	})
}

// storeGoText copies up to max bytes to dst. The two words at p are their address and
// their number. If it succeeds, it clears the address. The words may have any values, so
// a failure is not an error.
func storeGoText(g Gen, p, dst *ir.Value, max int) {
	b := g.B()
	src, n := b.Load(p, 0, 8, false), b.Load(p, 8, 8, false)
	b.If(n, func() {
		r := g.B().Call(ir.ReadUser, dst, bounded(g, n, max), src)
		g.B().Unless(r, func() { g.B().Store(p, 0, 8, g.B().Const(0)) })
	})
}

// goValueText returns the text of a goval_t.
func goValueText(env Env, data []byte) string {
	kind := word(data, govalType/8)
	if kind == 0 {
		return "nil"
	}
	v := binary.GoValue{Type: kind, Null: word(data, govalData/8) == 0, Words: data[govalWords:govalTexts]}
	texts := [2][]byte{data[govalTexts : len(data)-govalShort], data[len(data)-govalShort:]}
	for i := range v.Texts {
		addr, n := word(v.Words, 2*i), word(v.Words, 2*i+1)
		if addr == 0 || n == 0 {
			v.Texts[i], v.Known[i] = string(texts[i][:min(n, uint64(len(texts[i])))]), true
		}
	}
	return env.Symbols().GoValue(int(word(data, govalPID/8)), v)
}
