package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/store"
)

func deleteEntry() *Def {
	return &Def{
		Name:   "delete",
		Kind:   Function,
		Traits: Traits{Acts: true},
		Params: []Param{{Name: "map", Kind: MapOrEntry, Map: store.Delete, Entry: store.Delete}, {Name: "key", Optional: true}},
		Doc: Doc{
			Summary:  "Removes an entry of a map at once: delete(@m, key), or delete(@m) for a map without keys. The result is true if there was an entry.",
			Examples: []string{`tracepoint:syscalls:sys_exit_read /@start[tid]/ { @ns = hist(nsecs - @start[tid]); delete(@start, tid); } tracepoint:syscalls:sys_enter_read { @start[tid] = nsecs; }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			if m := checkEntry(c, call); m == nil {
				return types.TInvalid
			}
			return types.TBool
		},
		Emit: func(g Gen, call *Call) *ir.Value {
			r := g.Delete(entry(call))
			return g.B().Op(ir.OpEq, r, g.B().Const(0))
		},
	}
}

// checkEntry checks the arguments that specify an entry of a map: (@m, key), (@m[key]),
// or (@m) for a map without keys. It returns nil after an error.
func checkEntry(c Checker, call *Call) *MapInfo {
	name := call.Def.Name
	a := call.arg(0)
	if a == nil {
		return nil
	}
	if a.Map == nil {
		c.Errorf(a.Span, "%s() expects a map argument", name)
		return nil
	}
	m := a.Map
	key := call.arg(1)
	switch {
	case key != nil && a.Key != nil:
		c.Errorf(key.Span, "%s() takes the key either in brackets or as its second argument", name)
		return nil
	case key != nil:
		if c.Final() && !m.Keyed {
			two := " with two arguments"
			if !call.Def.Params[1].Optional {
				two = ""
			}
			c.Errorf(call.Span, "call to %s()%s expects a map with explicit keys (non-scalar map)", name, two)
			return nil
		}
		key.KeyOf = m
	case a.Key == nil && c.Final() && m.Keyed:
		c.Errorf(call.Span, "call to %s() with a single argument expects a map without explicit keys (scalar map)", name)
		return nil
	}
	return m
}

// entry returns the map and the parts of the key that a checked call specifies. The key
// is nil for a map without keys.
func entry(call *Call) (*MapInfo, []Node) {
	a := &call.Args[0]
	switch {
	case a.Key != nil:
		return a.Map, a.Key
	case len(call.Args) > 1 && a.Map.Keyed:
		return a.Map, []Node{call.Args[1].Expr}
	}
	return a.Map, nil
}
