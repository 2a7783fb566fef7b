package builtins

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/store"
)

func printValue() *Def {
	return &Def{
		Name:   "print",
		Kind:   Action,
		Params: []Param{{Name: "value", Kind: MapOrEntry, Map: store.Whole, Entry: store.Read, Counted: true}, {Name: "top", Optional: true}, {Name: "div", Optional: true}},
		Doc: Doc{
			Summary: "Prints the current value of an expression on its own line, or a whole map, which user space reads shortly after the call. For a map, top limits the output to the largest entries, and div divides the values.",
			Examples: []string{
				`tracepoint:syscalls:sys_enter_openat { print((comm, str(args.filename))); }`,
				`tracepoint:syscalls:sys_enter_read { @[comm] = count(); } interval:s:1 { print(@, 5); clear(@); }`,
			},
		},
		Check: checkPrint,
		Emit: func(g Gen, call *Call) *ir.Value {
			a := &call.Args[0]
			if wholeMapArg(a) {
				g.Event(call, nil, []any{a.Map.Name, litOr(call.arg(1), 0), litOr(call.arg(2), 0)}, nil)
				return nil
			}
			t := a.Type.Decay()
			g.Send(call, []*Arg{a}, []*types.Type{t}, nil)
			return nil
		},
		Records: Records{
			Shows: true, ShowsNow: func(call *Call) bool { return len(call.Args) > 0 && wholeMapArg(&call.Args[0]) },
			Sends: []Sent{{Lits: []any{"", int64(0), int64(0)}}, {Args: []int{0}}},
			Handle: func(env Env, rec *object.Record) error {
				if len(rec.Lits) > 0 {
					return env.Maps().Print(rec.Lits[0].(string), rec.Lits[1].(int64), rec.Lits[2].(int64))
				}
				env.Out().Value(env.Decoder().Value(rec.Args[0].Type, rec.Arg(0)))
				return nil
			},
		},
	}
}

func wholeMapArg(a *Arg) bool { return a.Map != nil && a.Key == nil }

func litOr(a *Arg, n int64) int64 {
	if a == nil || a.Lit == nil {
		return n
	}
	return a.Lit.Int
}

func checkPrint(c Checker, call *Call) *types.Type {
	if !c.Final() || len(call.Args) == 0 {
		return types.TVoid
	}
	a := &call.Args[0]
	if !wholeMapArg(a) {
		if len(call.Args) > 1 {
			c.Errorf(call.Span, "Non-map print() only takes 1 argument, %d found", len(call.Args))
			return types.TVoid
		}
		checkPrintable(c, call, a)
		return types.TVoid
	}
	if a.Type == nil || a.Type.Kind == types.Void {
		c.Errorf(a.Span, "Undefined map: %s", a.Map.Name)
		return types.TVoid
	}
	for i, what := range []string{"", "top", "div"} {
		arg := call.arg(i)
		if i == 0 || arg == nil {
			continue
		}
		if arg.Lit != nil && arg.Lit.IsStr {
			c.Errorf(call.Span, "print() expects a int literal (string provided)")
			return types.TVoid
		}
		// As in bpftrace, a negative top prints everything.
		if arg.Lit == nil || arg.Lit.Int < 0 && what != "top" {
			c.Errorf(call.Span, "print: invalid %s value (must be non-negative literal)", what)
			return types.TVoid
		}
	}
	if agg := a.Map.Agg; len(call.Args) > 1 && agg != nil && agg.Def.Whole {
		c.Warnf(call.Span, "print()'s top and div arguments are ignored when used on %s() maps.", agg.Def.Name)
	}
	return types.TVoid
}

// checkPrintable reports an argument that cannot be sent to user space and printed. It
// returns whether it can.
func checkPrintable(c Checker, call *Call, a *Arg) bool {
	switch t := a.Type; {
	case t == nil || t.Kind == types.Invalid:
		return false
	case t.Kind == types.Void:
		c.Errorf(call.Span, "none type passed to %s() is not printable", call.Def.Name)
		return false
	case t.Kind == types.Agg && !t.Castable && !t.Copyable:
		if a.Map != nil && a.Key != nil {
			c.Errorf(call.Span, "Map type %s cannot print the value of individual keys. You must print the whole map.", t)
		} else {
			c.Errorf(call.Span, "Map type %s cannot be passed to %s(). Print the whole map instead.", t, call.Def.Name)
		}
		return false
	}
	return true
}
