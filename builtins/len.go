package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/store"
)

func length() *Def {
	return &Def{
		Name:   "len",
		Kind:   Function,
		Params: []Param{{Name: "value", Kind: MapOrEntry, Map: store.Count, Entry: store.Read}},
		Doc: Doc{
			Summary:  "Number of entries of a map, of frames of a stack, or of bytes of a buffer: len(kstack).",
			Examples: []string{`tracepoint:syscalls:sys_enter_read { @[comm] = count(); } interval:s:1 { print(len(@)); }`, `profile:hz:99 { @depth = hist(len(kstack)); }`},
		},
		Check: checkLen,
		Emit: func(g Gen, call *Call) *ir.Value {
			a := &call.Args[0]
			if wholeMapArg(a) {
				return g.MapLen(a.Map)
			}
			if a.Type.Kind == types.Buffer {
				return g.B().Load(g.Addr(a), 0, 4, false)
			}
			if storesFrames(a.Type) {
				return countBuildIDs(g, a.Type, g.Addr(a))
			}
			if counted(a) {
				return stackLen(g, a.Type, 0)
			}
			return storedStackLen(g, g.Value(a))
		},
	}
}

func checkLen(c Checker, call *Call) *types.Type {
	a := call.arg(0)
	if a == nil {
		return types.TInvalid
	}
	if wholeMapArg(a) {
		switch {
		case !c.Final():
		case !a.Map.Keyed:
			c.Errorf(call.Span, "call to len() expects a map with explicit keys (non-scalar map)")
			return types.TInvalid
		case !c.Kernel().Has(probes.FeatForEachMap):
			needs(c, call.Span, "len() of a map", probes.FeatForEachMap)
			return types.TInvalid
		}
		return types.TInt64
	}
	t := call.typeOf(0)
	if t.Kind == types.Buffer {
		return types.TInt64
	}
	if t.Kind == types.Opaque && (t.Name == kstackName || t.Name == ustackName) {
		if !storesFrames(t) && !counted(a) {
			c.StackLens(true)
		}
		return types.TInt64
	}
	if t.Kind != types.Invalid && c.Final() {
		c.Errorf(call.Span, "call to len() expects a map, ustack, kstack or buffer")
	}
	return types.TInvalid
}

// counted reports whether len takes a stack only to count its frames: the argument is a
// call for the current kernel stack, from its innermost frame on. User stacks may be unwound
// in other ways.
func counted(a *Arg) bool {
	return a.Made && a.Type.Name == kstackName
}

// stackLen counts the frames of the current stack. It lets the kernel write them to
// scratch memory, because programs cannot read what get_stackid stores.
func stackLen(g Gen, t *types.Type, flags int64) *ir.Value {
	size := 8 * int(t.Params[1])
	b := g.B()
	if size == 0 {
		return b.Const(0)
	}
	n := b.Call(ir.GetStack, g.Ctx(), g.Temp(size), b.Const(int64(size)), b.Const(flags))
	// If the result is negative, there is no stack: use 0.
	n = b.Op(ir.OpAnd, n, b.Op(ir.OpXor, b.Op(ir.OpSar, n, b.Const(63)), b.Const(-1)))
	return b.Op(ir.OpShr, n, b.Const(3))
}

// storedStackLen returns the number of frames that a stack's word contains.
func storedStackLen(g Gen, word *ir.Value) *ir.Value {
	b := g.B()
	n := b.Op(ir.OpAdd, b.Op(ir.OpShr, word, b.Const(stackLenShift)), b.Const(1))
	kept := b.Op(ir.OpULe, b.Extend(word, 4, false), b.Const(lastStack))
	return b.Op(ir.OpMul, n, kept)
}
