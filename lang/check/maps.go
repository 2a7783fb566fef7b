package check

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// mapState is the state of a map in the checker. info is the part that other packages
// use.
type mapState struct {
	info   *builtins.MapInfo
	decl   *ast.MapDecl
	keyed  bool // info.Keyed is known
	listed bool // in checker.order
	wrong  bool // an expression without a type was assigned, which has been reported
}

// mapTypes holds the types of maps that a script can declare. The value is true if the
// map has a value for each CPU, which aggregations require.
var mapTypes = map[string]bool{"hash": false, "lruhash": false, "percpuhash": true, "percpulruhash": true}

// maxEntries is the maximum number of entries in a map declaration: the kernel counts
// entries in 32 bits.
const maxEntries = 1<<31 - 1

// sameNumber reports whether two declarations specify the same number of entries.
func sameNumber(a, b ast.Expr) bool {
	switch a := a.(type) {
	case *ast.IntLit:
		b, ok := b.(*ast.IntLit)
		return ok && a.Value == b.Value
	case *ast.Positional:
		b, ok := b.(*ast.Positional)
		return ok && a.N == b.N
	}
	return false
}

func (c *checker) declareMaps(p *ast.Program) {
	for _, d := range p.Decls {
		d, ok := d.(*ast.MapDecl)
		if !ok {
			continue
		}
		m := c.mapNamed(d.Map.Name, d.Map.Span())
		if m.decl != nil && m.decl.Type.Text == d.Type.Text && sameNumber(m.decl.N, d.N) {
			continue
		}
		if m.decl != nil {
			c.diags.Add(source.Diag{Span: d.Span(), Msg: m.info.Name + " is declared twice",
				Notes: [2]source.Note{{Span: m.decl.Span(), Msg: "This is the initial declaration."}}})
			continue
		}
		m.decl = d
		m.info.Span = d.Map.Span()
		if _, ok := mapTypes[d.Type.Text]; !ok {
			var names []string
			for name := range mapTypes {
				names = append(names, name)
			}
			slices.Sort(names)
			c.diags.ErrorHint(d.Span(), "Valid map types: "+strings.Join(names, ", "), "Invalid bpf map type: %s", d.Type.Text)
			continue
		}
		m.info.Decl = d.Type.Text
		n, ok := int64(0), false
		switch e := d.N.(type) {
		case *ast.IntLit:
			n, ok = int64(e.Value), e.Value <= maxEntries
		case *ast.Positional:
			if l := c.positional(e); !l.IsStr {
				n, ok = l.Int, !l.Unsigned
			}
		}
		if !ok || n < 1 || n > maxEntries {
			c.diags.Errorf(d.N.Span(), "%s needs a number of entries from 1 to %d", d.Type.Text, maxEntries)
			continue
		}
		m.info.Max = int(n)
	}
}

// mapNamed returns the map with a name. It creates the map if it is new. span is the
// position of the use.
func (c *checker) mapNamed(name string, span source.Span) *mapState {
	m := c.maps[name]
	if m == nil {
		m = &mapState{info: &builtins.MapInfo{Name: "@" + name, Span: span}}
		c.maps[name] = m
	}
	return m
}

// useMap records a use of a map.
//
//go:noinline
func (c *checker) useMap(n *ast.Map) *mapState {
	m := c.mapNamed(n.Name, n.Span())
	if !m.listed {
		m.listed = true
		c.order = append(c.order, m)
	}
	c.info.Maps[n] = m.info
	return m
}

// setKeyed records whether a use of m has a key. It reports a use that differs from
// earlier ones.
func (c *checker) setKeyed(m *mapState, keyed bool, span source.Span) bool {
	if !m.keyed {
		m.keyed, m.info.Keyed = true, keyed
		c.changed = true
		return true
	}
	switch {
	case keyed && !m.info.Keyed:
		c.errorf(span, "%s used as a map with an explicit key (non-scalar map), previously used without an explicit key (scalar map)", m.info.Name)
	case !keyed && m.info.Keyed:
		c.errorf(span, "%s used as a map without an explicit key (scalar map), previously used with an explicit key (non-scalar map)", m.info.Name)
	}
	return keyed == m.info.Keyed
}

// key joins the type of a key into m. span is the position of the use.
func (c *checker) key(m *mapState, args []ast.Expr, span source.Span) bool {
	if c.tooMany(len(args), span, "A key") {
		return false
	}
	elems := make([]*types.Type, len(args))
	ok := true
	for i, a := range args {
		elems[i] = c.value(a)
		ok = ok && !invalid(elems[i])
	}
	if !c.setKeyed(m, true, span) || !ok || len(args) == 0 {
		return false
	}
	t := elems[0]
	if len(elems) > 1 {
		t = types.NewTuple(elems...)
	}
	return c.joinKey(m, t, span, args)
}

// joinKey joins the type of a key into m. args are the parts of the key, or nil if they
// are not known.
func (c *checker) joinKey(m *mapState, t *types.Type, span source.Span, args []ast.Expr) bool {
	if bad := unfitKey(t); bad != nil {
		c.errorf(span, "Value '%s' cannot be used as a map key.", bad)
		return false
	}
	j, changed, ok := kept(m.info.Key, storedDeep(t))
	if !ok {
		got, want := c.named(t, m.info.Key)
		c.errorf(span, "Argument mismatch for %s: trying to access with arguments: '%s' when map expects arguments: '%s'", m.info.Name, got, want)
		return false
	}
	if changed {
		m.info.Key = j
		c.changed = true
	}
	if len(args) == 1 {
		c.warnLoss(j, t, args[0], args[0].Span())
	} else {
		for i, a := range args {
			if j.Kind == types.Tuple && i < len(j.Fields) {
				c.warnLoss(j.Fields[i].Type, t.Fields[i].Type, a, a.Span())
			}
		}
	}
	return true
}

// unfitKey returns the part of a key's type that is not allowed in a key, or nil.
func unfitKey(t *types.Type) *types.Type {
	return partOf(t, func(t *types.Type) bool {
		return t.Kind == types.Void || t.Kind == types.Agg || isContext(t)
	})
}

// isContext reports whether t points to the program's context.
func isContext(t *types.Type) bool { return t.Kind == types.Pointer && t.Space == types.Ctx }

// partOf returns t, or the first of the values in the tuple or record t, that is such a
// type, or nil.
func partOf(t *types.Type, such func(*types.Type) bool) *types.Type {
	if such(t) {
		return t
	}
	if t.Kind == types.Tuple || t.Kind == types.Record {
		for _, f := range t.Fields {
			if found := partOf(f.Type, such); found != nil {
				return found
			}
		}
	}
	return nil
}

// viewed reports whether programs only see the context through the kernel's verifier,
// so that its address means nothing.
func (c *checker) viewed() bool {
	ctx := c.context()
	return ctx != nil && ctx.Ctx.Word > 0
}

// storedDeep is like stored, but also converts the parts of tuples and records.
func storedDeep(t *types.Type) *types.Type {
	if t.Kind != types.Tuple && t.Kind != types.Record {
		return stored(t)
	}
	elems, names := make([]*types.Type, len(t.Fields)), make([]string, len(t.Fields))
	changed := false
	for i, f := range t.Fields {
		elems[i], names[i] = storedDeep(f.Type), f.Name
		changed = changed || elems[i] != f.Type
	}
	switch {
	case !changed:
		return t
	case t.Kind == types.Record:
		return types.NewRecord(names, elems)
	}
	return types.NewTuple(elems...)
}

// joinValue joins the type of a value into m.
func (c *checker) joinValue(m *mapState, t *types.Type, lit ast.Expr, at, value source.Span) {
	if invalid(t) {
		m.wrong = m.wrong || t != unknown
		return
	}
	if !c.storable(t, at, "map") {
		m.wrong = true
		return
	}
	if c.viewed() && partOf(t, isContext) != nil {
		c.errorf(at, "A map cannot keep a pointer to the program's context, which ends with the event")
		m.wrong = true
		return
	}
	j, changed, ok := kept(m.info.Value, storedDeep(t))
	if !ok {
		got, have := c.named(t, m.info.Value)
		c.errorf(at, "Type mismatch for %s: trying to assign value of type '%s' when map already has a type '%s'", m.info.Name, got, have)
		return
	}
	if changed {
		m.info.Value = j
		c.changed = true
	}
	c.warnLoss(j, t, lit, value)
}

// element resolves @m or @m[key] in an expression or as a target. It returns
// the map, and false if the use is wrong.
func (c *checker) element(e ast.Expr) (*mapState, bool) {
	switch e := e.(type) {
	case *ast.Map:
		m := c.useMap(e)
		return m, c.setKeyed(m, false, e.Span())
	case *ast.Index:
		n := e.X.(*ast.Map)
		m := c.useMap(n)
		return m, c.key(m, e.Args, e.Span())
	}
	return nil, false
}

// isElement reports whether e is @m or @m[key].
//
//go:noinline
func isElement(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Map:
		return true
	case *ast.Index:
		_, ok := e.X.(*ast.Map)
		return ok
	}
	return false
}

// readElement returns the type of @m or @m[key] as a value.
func (c *checker) readElement(e ast.Expr) *types.Type {
	m, ok := c.element(e)
	if !ok {
		return types.TInvalid
	}
	return c.elementValue(m)
}

// elementValue returns the type of a value read from m.
func (c *checker) elementValue(m *mapState) *types.Type {
	m.info.Read = true
	if !invalid(m.info.Value) {
		return m.info.Value.Decay()
	}
	if m.wrong {
		return types.TInvalid
	}
	if c.defaults {
		m.info.Value = types.TInt64
		c.changed = true
		return m.info.Value
	}
	return unknown
}

// giveDefaults sets the type of maps that are read but never assigned to an integer,
// and the size of strings that are only declared. It reports whether there were any.
func (c *checker) giveDefaults() bool {
	if c.unsized {
		return true
	}
	for _, m := range c.order {
		if m.info.Read && invalid(m.info.Value) && !m.wrong {
			return true
		}
	}
	return false
}

// checkStorage compares the declaration of a map with the values stored in it.
func (c *checker) checkStorage(m *mapState, span source.Span) {
	if m.info.Decl == "" || m.info.Value == nil {
		return
	}
	if perCPU, agg := mapTypes[m.info.Decl], m.info.Value.Kind == types.Agg; perCPU != agg {
		need := "hash"
		if agg {
			need = "percpuhash"
		}
		if span.File != nil { // the name alone
			span.End = min(span.End, span.Start+len(m.info.Name))
		}
		c.errorf(span, "Incompatible map types. Type from declaration: %s. Type from value/key type: %s", m.info.Decl, need)
	}
}
