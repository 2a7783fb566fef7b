package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

func clearMap() *Def {
	return wholeMap("clear", Doc{
		Summary:  "Removes all entries of a map. User space does it shortly after the call, so values that are added between an earlier print() and the removal are lost.",
		Examples: []string{`tracepoint:syscalls:sys_enter_read { @[comm] = count(); } interval:s:1 { print(@); clear(@); }`},
	}, func(env Env, name string) error { return env.Maps().Clear(name) })
}

func zeroMap() *Def {
	return wholeMap("zero", Doc{
		Summary:  "Sets all values of a map to zero and keeps the keys. User space does it shortly after the call, so values that are added between an earlier print() and the zeroing are lost.",
		Examples: []string{`tracepoint:syscalls:sys_enter_read { @[comm] = count(); } interval:s:1 { print(@); zero(@); }`},
	}, func(env Env, name string) error { return env.Maps().Zero(name) })
}

// wholeMap returns an action that user space performs on a map.
func wholeMap(name string, doc Doc, do func(env Env, name string) error) *Def {
	return &Def{
		Name:   name,
		Kind:   Action,
		Params: []Param{{Name: "map", Kind: MapArg, Map: store.Whole | store.Reset}},
		Doc:    doc,
		Check:  fixed(types.TVoid),
		Emit: func(g Gen, call *Call) *ir.Value {
			g.Event(call, nil, []any{call.Args[0].Map.Name}, nil)
			return nil
		},
		Records: Records{
			Sends:  []Sent{{Lits: []any{""}}},
			Handle: func(env Env, rec *object.Record) error { return do(env, rec.Lits[0].(string)) },
		},
	}
}
