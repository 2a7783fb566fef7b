package builtins

import (
	"fmt"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/decode"
)

// inUserspaceProbe reports whether the probe is in the code of a program or library.
func inUserspaceProbe(c Checker) bool {
	ctx := c.Context()
	return ctx != nil && ctx.Func.User
}

// kindName returns the name of the probe's kind.
func kindName(c Checker) string {
	if ctx := c.Context(); ctx != nil {
		return ctx.Kind.Name
	}
	return "function"
}

// kindShown returns the kind's name as the builtin probetype returns it.
func kindShown(c Checker) string {
	if ctx := c.Context(); ctx != nil {
		return ctx.Kind.Shown()
	}
	return "function"
}

// needs reports that what requires feature f, which the kernel lacks.
func needs(c Checker, s source.Span, what string, f probes.Feature) {
	c.Errorf(s, "%s", probes.Needs(c.Kernel(), what, f))
}

// needsTask reports an error if the builtin reads the current task and the probe has
// none. It returns whether the probe has one.
func needsTask(c Checker, call *Call) bool {
	ctx := c.Context()
	if ctx == nil || ctx.InTask {
		return true
	}
	c.Errorf(call.Span, "%s cannot be used in %s probes: they do not run on behalf of a task", call.Def.Name, ctx.Kind.Name)
	return false
}

// CheckArity reports a wrong number of arguments. It does not use their types.
func (d *Def) CheckArity(c Checker, call *Call) bool {
	least, most := 0, len(d.Params)
	for _, p := range d.Params {
		if !p.Optional && !p.Variadic {
			least++
		}
		if p.Variadic {
			most = -1
		}
	}
	n := len(call.Args)
	if n >= least && (most < 0 || n <= most) {
		return true
	}
	var want string
	switch {
	case least == most && most == 0:
		want = "requires no arguments"
	case least == most:
		want = "requires " + plural(least)
	case n < least:
		want = "requires at least " + plural(least)
	default:
		want = "takes up to " + plural(most)
	}
	c.Errorf(call.Span, "%s() %s (%d provided)", d.Name, want, n)
	return false
}

//go:noinline
func plural(n int) string {
	if n == 1 {
		return "one argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

// CheckParams reports arguments that are not a literal or a map although their
// parameter requires one.
func (d *Def) CheckParams(c Checker, call *Call) bool {
	ok := true
	for i := range call.Args {
		a := &call.Args[i]
		switch d.Param(i).Kind {
		case Literal:
			if a.Lit == nil && c.Final() {
				c.Errorf(call.Span, "%s: invalid %s value (must be a literal)", d.Name, d.Param(i).Name)
				ok = false
			}
		case MapArg:
			if a.Map == nil {
				c.Errorf(a.Span, "%s() expects a map argument", d.Name)
				ok = false
			}
		}
	}
	return ok
}

// Param returns the parameter of argument i.
//
//go:noinline
func (d *Def) Param(i int) Param {
	if i >= len(d.Params) {
		return d.Params[len(d.Params)-1]
	}
	return d.Params[i]
}

// arg returns argument i, or nil if it was not given.
//
//go:noinline
func (call *Call) arg(i int) *Arg {
	if i >= len(call.Args) {
		return nil
	}
	return &call.Args[i]
}

// typeOf returns the type of argument i. It is TInvalid if the argument is missing, its
// type is not known yet, or its type is wrong and has been reported.
//
//go:noinline
func (call *Call) typeOf(i int) *types.Type {
	if a := call.arg(i); a != nil && a.Type != nil {
		return a.Type
	}
	return types.TInvalid
}

// known reports whether the type of argument i is known. If it is unknown after types
// have settled, the reason has already been reported.
//
//go:noinline
func (call *Call) known(i int) bool { return call.typeOf(i).Kind != types.Invalid }

// className returns the class of a type, as errors about arguments name it.
//
//go:noinline
func className(t *types.Type) string {
	switch t.Kind {
	case types.Void, types.Invalid:
		return "none"
	case types.Int:
		return "int"
	case types.String:
		return "string"
	case types.Buffer:
		return "buffer"
	case types.Pointer:
		return "pointer"
	case types.Array:
		return "array"
	case types.Struct:
		return "struct"
	case types.Tuple:
		return "tuple"
	case types.Record:
		return "record"
	case types.Bool:
		return "bool"
	case types.Enum:
		return "enum"
	}
	return t.Name
}

// wantInt checks that argument i is an integer, or an aggregation that can be
// read as one.
func wantInt(c Checker, call *Call, i int) bool {
	t := call.typeOf(i)
	if t.IsInteger() || t.Castable || t.Kind == types.Invalid {
		return true
	}
	if c.Final() {
		c.Errorf(call.Span, "%s() only supports int arguments (%s provided)", call.Def.Name, className(t))
	}
	return false
}

// wantAddress checks that argument i is an integer or a pointer.
func wantAddress(c Checker, call *Call, i int) bool {
	t := call.typeOf(i)
	if t.IsInteger() || t.Kind == types.Pointer || t.Kind == types.Invalid {
		return true
	}
	if c.Final() {
		c.Errorf(call.Span, "%s() expects an integer or pointer argument (%s provided)", call.Def.Name, className(t))
	}
	return false
}

// wantString checks that argument i is a string literal and returns it.
func wantString(c Checker, call *Call, i int) (string, bool) {
	a := call.arg(i)
	if a == nil {
		return "", false
	}
	if a.Lit == nil || !a.Lit.IsStr {
		if c.Final() && call.known(i) {
			c.Errorf(call.Span, "%s() expects a string literal (%s provided)", call.Def.Name, className(a.Type))
		}
		return "", false
	}
	return a.Lit.Str, true
}

// AggType returns the type of d's values. They take size bytes and contain signed or
// unsigned integers.
//
//go:noinline
func (d *Def) AggType(size int, signed bool, params ...int64) *types.Type {
	t := &types.Type{Kind: types.Agg, Name: d.TypeName, Twin: d.UnsignedType, Size: size, Signed: signed, Params: params, Castable: d.Result != nil, Copyable: d.Scalar != nil && d.Result == nil}
	if !signed && d.UnsignedType != "" {
		t.Name, t.Twin = t.Twin, t.Name
	}
	return t
}

// fixed returns the Check of a builtin that always has type t.
//
//go:noinline
func fixed(t *types.Type) func(Checker, *Call) *types.Type {
	return func(Checker, *Call) *types.Type { return t }
}

// argSpan returns the position of argument i, or that of the call if the argument is
// missing.
func (call *Call) argSpan(i int) source.Span {
	if a := call.arg(i); a != nil {
		return a.Span
	}
	return call.Span
}

// kindOf returns the name of the checked probe's kind in quotes, or other if
// there is no probe.
func kindOf(c Checker, other string) string {
	if ctx := c.Context(); ctx != nil && ctx.Kind != nil {
		return "'" + ctx.Kind.Name + "'"
	}
	return other
}

// wantStr checks that argument i is a string.
func wantStr(c Checker, call *Call, i int) bool {
	t := call.typeOf(i)
	if t.Kind == types.String || t.Kind == types.Invalid || decode.IsText(t) {
		return true
	}
	if c.Final() {
		name := call.operator()
		if call.Def.Operator == "" {
			name += "()"
		}
		c.Errorf(call.Span, "%s only supports string arguments (%s provided)", name, className(t))
	}
	return false
}

// litStr returns the characters of argument i if it is a string known at compile time.
func (call *Call) litStr(i int) (string, bool) {
	if a := call.arg(i); a != nil && a.Lit != nil && a.Lit.IsStr {
		return chars(a.Lit.Str), true
	}
	return "", false
}

// wantSize checks that argument i is a number of bytes known at compile time, and returns
// it.
func wantSize(c Checker, call *Call, i int) (int, bool) {
	a := call.arg(i)
	if a == nil {
		return 0, false
	}
	if a.Lit == nil || a.Lit.IsStr || a.Lit.IsBool || a.Lit.Int < 1 || a.Lit.Int > maxBytes {
		if c.Final() {
			c.Errorf(a.Span, "%s() expects a number of bytes from 1 to %d here", call.Def.Name, maxBytes)
		}
		return 0, false
	}
	return int(a.Lit.Int), true
}

// maxBytes is the maximum size in bytes of a buffer whose size the script gives.
const maxBytes = 16384
