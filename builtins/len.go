package builtins

import (
	"github.com/gotrace/gotrace/builtins/stacks"
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
				return stacks.Len(g, int(a.Type.Params[1]), 0)
			}
			return stacks.StoredLen(g.B(), g.Value(a))
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
