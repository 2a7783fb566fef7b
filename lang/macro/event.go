package macro

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
)

// The macros by which events pass values from one point to the next. Package lang adds
// them to scripts that use events.
const (
	keepMacro = "__event_keep"
	keptMacro = "__event_kept"
	takeMacro = "__event_take"

	// The same for values that are kept by a key other than the thread.
	keepByMacro = "__event_keep_by"
	takeByMacro = "__event_take_by"

	// keyedValues is the maximum number of values kept by a key. If there are more, the
	// oldest are removed.
	keyedValues = 65536
)

// eventProbe expands a probe of an event. In the block of the probe, the arguments of
// the event are members of the builtin for all arguments. Each use is replaced by the
// definition of the argument, as for a macro, so an argument that is not used costs
// nothing. In the definitions of arguments, the builtin has the arguments of the attach
// point, and the other arguments of the event are plain names.
type eventProbe struct {
	of    *ast.PlaceOf
	args  map[string]*macro
	saved []*ast.EventArg        // saved values in use, which the probe for the entry has to save
	used  map[*ast.EventArg]bool // values in use that are computed once
}

// eventArgs is the name of the builtin for all arguments in the user's block, where it
// has the arguments of the event, after the block has been visited. In the definitions
// of arguments it keeps its usual name, and has the arguments of the attach point.
var eventArgs = ast.OwnName("", 0)

func newEventProbe(of *ast.PlaceOf) *eventProbe {
	return &eventProbe{of: of, args: map[string]*macro{}, used: map[*ast.EventArg]bool{}}
}

// eventProbes expands a probe of an event to the probe itself and, if values of the entry
// are used, the probe for the entry before it.
func (c *script) eventProbes(d *ast.Probe) []ast.Decl {
	ev := newEventProbe(d.Of)
	x := c.newExpander()
	x.event = ev
	pred := x.user(d.Pred)
	x.walk.Block(d.Body)
	x.records(d.Body)
	d.Pred = nil
	if d.Of.Place.Before != nil || slices.ContainsFunc(d.Of.Place.Args, func(a *ast.EventArg) bool { return a.Once }) {
		x.values(d, pred)
		pred = nil
	} else if d.Of.Place.Pred != nil {
		d.Pred = x.inPlace(ast.Clone(d.Of.Place.Pred), d.Points[0].Span())
	}
	if len(ev.saved) == 0 {
		d.Pred = both(d.Pred, pred)
		return []ast.Decl{d}
	}
	return append(x.slots(d), x.entry(d), x.exit(d, pred))
}

// values completes d, a probe of a place that computes values once, or has several
// predicates. A value comes before the first predicate that uses it. The values that only the
// user's code uses come after all of them, and those that nothing uses are left out.
func (x *expander) values(d *ast.Probe, pred ast.Expr) {
	type stage struct {
		lets []ast.Stmt
		pred ast.Expr
	}
	var stages []stage
	var done []ast.Stmt
	add := func(pred ast.Expr) {
		lets := x.lets(d, done)
		done = append(done, lets...)
		stages = append(stages, stage{lets, pred})
	}
	later := x.event.used
	x.event.used = map[*ast.EventArg]bool{}
	for _, p := range append(slices.Clone(d.Of.Place.Before), d.Of.Place.Pred) {
		if p != nil {
			add(x.inPlace(ast.Clone(p), d.Points[0].Span()))
		}
	}
	maps.Copy(x.event.used, later)
	add(pred)
	for _, s := range slices.Backward(stages) {
		d.Body = guarded(s.lets, s.pred, d.Body)
	}
}

// lets returns the declarations of the values in use, and of those that they use, without
// those in done. A value can use only those above it.
func (x *expander) lets(d *ast.Probe, done []ast.Stmt) []ast.Stmt {
	var list []ast.Stmt
	for _, a := range slices.Backward(d.Of.Place.Args) {
		if !a.Once || !x.event.used[a] {
			continue
		}
		name := savedName(a)
		if slices.ContainsFunc(done, func(s ast.Stmt) bool { return s.(*ast.Let).Var.Name == name }) {
			continue
		}
		value := x.inPlace(ast.Clone(a.Value), d.Points[0].Span())
		list = append(list, &ast.Let{At: a.At, Var: &ast.Var{At: a.At, Name: name}, Value: value})
	}
	slices.Reverse(list)
	return list
}

// guarded returns a block that computes values and then, if the predicate is true, runs
// body. There may be no predicate.
func guarded(values []ast.Stmt, pred ast.Expr, body *ast.Block) *ast.Block {
	if len(values) == 0 && pred == nil {
		return body
	}
	var rest ast.Expr = body
	if pred != nil {
		rest = &ast.If{At: ast.At{Pos: pred.Span()}, Cond: pred, Then: body}
	}
	return &ast.Block{At: body.At, Stmts: append(values, &ast.ExprStmt{At: body.At, X: rest})}
}

// user expands the predicate of the user.
func (x *expander) user(pred ast.Expr) ast.Expr {
	if pred == nil {
		return nil
	}
	b := &ast.Block{Value: x.walk.Any(pred)}
	x.records(b)
	return b.Value
}

// both returns the conjunction of two predicates, each of which may be nil.
func both(a, b ast.Expr) ast.Expr {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return &ast.Binary{At: ast.At{Pos: b.Span()}, Op: "&&", OpPos: b.Span(), X: a, Y: b}
}

// entry returns the probe that saves the values that the probe d uses.
func (x *expander) entry(d *ast.Probe) *ast.Probe {
	out := &ast.Probe{At: d.At, Body: &ast.Block{At: d.Body.At}, Of: &ast.PlaceOf{Event: d.Of.Event, Place: d.Of.Place, Probe: d.Of.Probe, Entry: true}}
	for _, ap := range d.Of.Place.Entry {
		ap = ast.Clone(ap)
		ap.Pos, ap.Alias = d.Points[0].Pos, d.Of.Event.Name.Text
		out.Points = append(out.Points, ap)
	}
	if when := d.Of.Place.When; when != nil {
		out.Pred = x.inPlace(ast.Clone(when), d.Points[0].Span())
	}
	for _, a := range x.event.saved {
		value := x.inPlace(ast.Clone(a.Value), d.Points[0].Span())
		call := x.keep(d, keepMacro, keepByMacro, a, value)
		out.Body.Stmts = append(out.Body.Stmts, &ast.ExprStmt{At: a.At, X: call})
	}
	return out
}

// exit completes d, which uses saved values, and first removes them. If they were saved for
// the thread, it runs for threads that have passed the entry.
func (x *expander) exit(d *ast.Probe, pred ast.Expr) *ast.Probe {
	var taken []ast.Stmt
	for i, a := range x.event.saved {
		v := &ast.Var{At: a.At, Name: savedName(a)}
		if i == 0 && d.Of.Place.Key() == nil {
			d.Pred = both(x.call(x.keeper(keptMacro, a), keptMacro, []ast.Expr{x.slot(a)}), d.Pred)
		}
		taken = append(taken, &ast.Let{At: a.At, Var: v, Value: x.keep(d, takeMacro, takeByMacro, a)})
	}
	d.Body = guarded(taken, pred, d.Body)
	return d
}

// keep returns the expanded call of a macro for a saved value: of byThread, or if the place
// has a key, of byKey.
func (x *expander) keep(d *ast.Probe, byThread, byKey string, a *ast.EventArg, more ...ast.Expr) ast.Expr {
	name := byThread
	if key := d.Of.Place.Key(); key != nil {
		name = byKey
		more = append([]ast.Expr{x.inPlace(ast.Clone(key.Value), d.Points[0].Span())}, more...)
	}
	return x.call(x.keeper(name, a, more...), name, append([]ast.Expr{x.slot(a)}, more...))
}

// slots returns the declarations of the maps of values that are kept by a key.
func (x *expander) slots(d *ast.Probe) []ast.Decl {
	if d.Of.Place.Key() == nil {
		return nil
	}
	var list []ast.Decl
	for _, a := range x.event.saved {
		list = append(list, &ast.MapDecl{At: a.At, Map: x.slot(a), Type: ast.Name{At: a.At, Text: "lruhash"}, N: &ast.IntLit{At: a.At, Value: keyedValues}})
	}
	return list
}

// keeper returns a call of one of the macros that keep values.
func (x *expander) keeper(name string, a *ast.EventArg, more ...ast.Expr) *ast.Call {
	return &ast.Call{At: a.At, Fn: ast.Name{At: a.At, Text: name}, Args: append([]ast.Expr{x.slot(a)}, more...)}
}

// slot returns the map that holds a saved value for each thread. Scripts cannot name
// it.
func (x *expander) slot(a *ast.EventArg) *ast.Map {
	name := x.event.of.Event.Name.Text + "." + a.Name.Text
	if n := x.event.of.Number; n > 0 {
		name += fmt.Sprint(":", n)
	}
	return &ast.Map{At: a.At, Name: name}
}

func savedName(a *ast.EventArg) string { return ast.OwnName(a.Name.Text, 0) }

// inPlace expands code of the place itself, which can use the same names as the
// definitions of arguments. at is the position at which the user names the event.
func (x *expander) inPlace(e ast.Expr, at source.Span) ast.Expr {
	m := &macro{decl: &ast.Macro{At: ast.At{Pos: e.Span()}, Name: x.event.of.Event.Name, Body: &ast.Block{Value: e}}, own: map[string]bool{}, arg: true}
	x.c.inspectMacro(m)
	return x.run(m, at, nil)
}

// inArg reports whether the innermost expansion, or any of them if deep is set, is that
// of an argument of an event.
func (x *expander) inArg(deep bool) bool {
	if deep {
		return slices.ContainsFunc(x.chain, func(e *expansion) bool { return e.macro.arg })
	}
	in := x.inner()
	return in != nil && in.macro.arg
}

// eventIdent returns the replacement of a name in a probe of an event.
func (x *expander) eventIdent(e *ast.Ident) (ast.Expr, bool) {
	def := x.c.defs.Lookup(e.Name)
	allArgs := def != nil && def.AllArgs // it means the arguments of the attach point, even if an argument has this name
	if x.inArg(false) && !allArgs && x.event.of.ArgOf(e.Name) != nil {
		return x.eventArg(e, e.Name), true
	}
	if def == nil || !def.Args && !def.Ret {
		return nil, false
	}
	if x.inArg(true) {
		return e, true
	}
	if !def.AllArgs {
		x.c.diags.ErrorHint(e.Span(), "its arguments are: "+strings.Join(x.event.names(), ", "), "%s cannot be used in %s, which stands for different attach points on different kernels", e.Name, x.event.of.Event.Name.Text)
		return bad(e), true
	}
	e.Name = eventArgs
	return e, true
}

// eventField returns the replacement of a member of the builtin for all arguments.
func (x *expander) eventField(e *ast.Field) (ast.Expr, bool) {
	id, ok := e.X.(*ast.Ident)
	if !ok || id.Name != eventArgs {
		return nil, false
	}
	if !x.event.declares(e.Name.Text) {
		x.c.diags.ErrorHint(e.Name.Span(), source.DidYouMean(e.Name.Text, x.event.names()), "%s has no argument '%s'", x.event.of.Event.Name.Text, e.Name.Text)
		return bad(e), true
	}
	return x.eventArg(e, e.Name.Text), true
}

// eventArg expands a use of an argument.
func (x *expander) eventArg(e ast.Expr, name string) ast.Expr {
	a := x.event.of.ArgOf(name)
	if a.Once {
		x.event.used[a] = true
		return &ast.Var{At: ast.At{Pos: e.Span()}, Name: savedName(a)}
	}
	if slices.Contains(x.event.of.Place.Saved, a) {
		if !slices.Contains(x.event.saved, a) {
			x.event.saved = append(x.event.saved, a)
		}
		v := &ast.Var{At: ast.At{Pos: e.Span()}, Name: savedName(a)}
		return x.typed(v, name)
	}
	if a.Value == nil {
		x.c.diags.Errorf(e.Span(), "%s is not known in %s on this kernel, where it is %s", name, x.event.of.Event.Name.Text, x.event.of.Place.Points[0].Text)
		return bad(e)
	}
	m := x.event.args[name]
	if m == nil {
		value := x.typed(ast.Clone(a.Value), name)
		m = &macro{decl: &ast.Macro{At: a.At, Name: a.Name, Body: &ast.Block{At: a.At, Value: value}, Library: x.event.of.Event.Library}, own: map[string]bool{}, arg: true}
		x.c.inspectMacro(m)
		x.event.args[name] = m
	}
	for _, running := range x.chain {
		if running.macro == m {
			x.c.diags.Errorf(e.Span(), "The argument %s of %s depends on itself", name, x.event.of.Event.Name.Text)
			return bad(e)
		}
	}
	return x.run(m, e.Span(), nil)
}

// typed returns value as the type that the event declares for an argument, if that is a
// number or an address.
func (x *expander) typed(value ast.Expr, name string) ast.Expr {
	for _, a := range append(slices.Clone(x.event.of.Event.Args), x.event.of.Place.Args...) {
		if a.Name.Text == name && a.Type != nil && (len(a.Type.Suffixes) > 0 || strings.Contains(a.Type.Name, "int") || a.Type.Name == "bool") {
			return &ast.Cast{At: ast.At{Pos: value.Span()}, Type: ast.Clone(a.Type), X: value}
		}
	}
	return value
}

// records replaces the builtin for all arguments, if it is used as a whole, by a record
// of the arguments of the event.
func (x *expander) records(b *ast.Block) {
	r := ast.Rewriter{Expr: func(e ast.Expr) ast.Expr {
		id, ok := e.(*ast.Ident)
		if !ok || id.Name != eventArgs {
			return e
		}
		rec := &ast.Record{At: id.At}
		for _, a := range x.event.of.Event.Args {
			if x.event.of.ArgOf(a.Name.Text).Value == nil {
				continue
			}
			rec.Names = append(rec.Names, a.Name)
			rec.Elems = append(rec.Elems, x.eventArg(id, a.Name.Text))
		}
		return rec
	}}
	r.Block(b)
}

// declares reports whether the event declares an argument for scripts.
func (p *eventProbe) declares(name string) bool { return slices.Contains(p.names(), name) }

//go:noinline
func (p *eventProbe) names() []string {
	var list []string
	for _, a := range p.of.Event.Args {
		list = append(list, a.Name.Text)
	}
	return list
}

// mergePlaces joins the probes that one probe of the script has become if they are
// equal except for their attach points.
func mergePlaces(decls []ast.Decl) []ast.Decl {
	type key struct {
		probe *ast.Probe
		entry bool
		text  string
	}
	first := map[key]*ast.Probe{}
	var out []ast.Decl
	for _, d := range decls {
		p, ok := d.(*ast.Probe)
		if !ok || p.Of == nil {
			out = append(out, d)
			continue
		}
		k := key{p.Of.Probe, p.Of.Entry, ast.Shape(p.Pred) + "\n" + ast.Shape(p.Body)}
		if same := first[k]; same != nil {
			same.Points = append(same.Points, p.Points...)
			continue
		}
		first[k] = p
		out = append(out, p)
	}
	return out
}
