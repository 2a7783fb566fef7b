package check

import (
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// call checks name(args). Macros have been expanded by now.
func (c *checker) call(e *ast.Call) *types.Type {
	name := e.Fn.Text
	if f := c.funcs[name]; f != nil {
		return c.callFn(f, e)
	}
	d := c.builtin(name)
	if d == nil {
		for _, a := range e.Args {
			if _, isName := a.(*ast.Ident); !isName {
				c.argument(a)
			}
		}
		c.errorHint(e.Span(), c.unknownHint(name, c.nearestName(name)), "Unknown function: '%s'", name)
		return types.TInvalid
	}
	if d.Kind == builtins.Aggregation {
		for _, a := range e.Args {
			c.argument(a)
		}
		c.errorHint(e.Span(), "@name = "+name+"(…);", "%s() must be assigned directly to a map", name)
		return types.TInvalid
	}
	return c.invoke(d, e, name, e.Args)
}

// builtin returns the builtin with a name. __builtin_name refers to it even if a macro
// has the same name.
func (c *checker) builtin(name string) *builtins.Def {
	if d := c.defs.Lookup(name); d != nil {
		return d
	}
	if bare, ok := strings.CutPrefix(name, "__builtin_"); ok {
		return c.defs.Lookup(bare)
	}
	return nil
}

// argument checks an argument whose parameter is unknown.
func (c *checker) argument(e ast.Expr) {
	switch e := e.(type) {
	case *ast.TypeArg:
		c.written(e.Type)
	case *ast.Map:
		c.useMap(e)
	default:
		c.expr(e)
	}
}

// invoke checks a use of a builtin and records it in the tables.
func (c *checker) invoke(d *builtins.Def, e ast.Expr, name string, args []ast.Expr) *types.Type {
	call := &builtins.Call{Def: d, Name: strings.TrimPrefix(name, "__builtin_"), Span: e.Span(), From: c.called.Chain(),
		Constant: c.constant > 0, InPred: c.inPred && c.constant == 0}
	c.info.Calls[e] = call
	if d.Args {
		c.variant.shaped = true
	}
	if d.Unsafe && !c.sess.Unsafe {
		// Users' tests of bpftrace scripts depend on this wording.
		if d.Handle != nil {
			c.errorHint(e.Span(), "run with --unsafe", "%s() is an unsafe function being used in safe mode", name)
		} else {
			c.errorf(e.Span(), "%s() is unsafe. To use you need the --unsafe flag", name)
		}
	}
	if d.NotInLoop && c.depth() > 0 && !(d.Ends && c.called != nil) {
		c.errorf(e.Span(), "'%s' builtin is not allowed in a for-loop", name)
		return types.TInvalid
	}
	if ctx := c.Context(); d.Handle != nil && !d.InPinned && ctx != nil && ctx.Pinned {
		c.warnf(e.Span(), "%s() has no effect in a pinned iterator, which runs after the script has ended", name)
	}
	known := c.arguments(d, call, args)
	defer func() { c.asked = false }()
	if !d.CheckArity(c, call) || !d.CheckParams(c, call) {
		return types.TInvalid
	}
	if known != nil {
		return known
	}
	if d.Unstable && !c.unstable(d.Name, call.Span) {
		return types.TInvalid
	}
	t := d.Check(c, call)
	c.argsUsed(call)
	if t = c.current(t); t == nil {
		t = types.TVoid
	}
	if d.OnlyMembers && t.Kind == types.Pointer && c.memberOf != e {
		return c.onlyMembers(e, t.Elem)
	}
	c.recorded(call)
	call.Type = t
	if c.final {
		c.variant.calls = append(c.variant.calls, call)
	}
	if call.Later != "" {
		c.info.Later[e] = &Later{X: ExprOf(call.Args[0].Expr), Expr: call.Later}
	}
	if call.Lit != nil {
		c.info.Lits[e] = call.Lit
		if t.Kind == types.Int {
			call.Type = t
			if types.Equal(t, literalType(call.Lit.Int, call.Lit.Unsigned)) {
				return literalType(call.Lit.Int, call.Lit.Unsigned)
			}
		}
	}
	return t
}

// argsUsed records the keys and the assignments to variables that Check has found among
// the arguments of a call.
func (c *checker) argsUsed(call *builtins.Call) {
	for i := range call.Args {
		a := &call.Args[i]
		if a.KeyOf != nil {
			c.useKey(a.KeyOf, a.Type, a.Span)
		}
		if n, ok := a.Expr.(*ast.Var); ok && a.Assigned != nil {
			c.declareVar(n, a.Assigned)
		}
	}
}

// useKey records that a call uses a map with a key of the given type.
func (c *checker) useKey(m *builtins.MapInfo, key *types.Type, s source.Span) {
	for _, st := range c.order {
		if st.info == m {
			if invalid(key) || !c.setKeyed(st, true, s) {
				return
			}
			c.joinKey(st, key, s, nil)
			return
		}
	}
}

// declareVar records that a call assigns a value of type t to a variable.
func (c *checker) declareVar(n *ast.Var, t *types.Type) {
	v := c.find(n.Name)
	if v == nil {
		v = c.declare(n, n.Span(), byAssign)
	}
	c.use(n, v)
	c.assign(v, t, nil, n.Span(), n.Span())
	c.info.Types[n] = c.varType(v)
}

// arguments checks the arguments of a call against the parameters of d. If an argument
// has no type, it returns the type to use for the call; otherwise it returns nil.
func (c *checker) arguments(d *builtins.Def, call *builtins.Call, args []ast.Expr) *types.Type {
	var result *types.Type
	p := 0
	for _, e := range args {
		kind := builtins.Expr
		c.asText, c.long = nil, nil
		if p < len(d.Params) && d.Params[p].Long {
			c.long = e
		}
		if p < len(d.Params) && d.Params[p].Text {
			c.asText = leftmostParam(e)
		}
		if p < len(d.Params) {
			// A mode can be omitted even if later arguments are present.
			for p+1 < len(d.Params) && d.Params[p].Kind == builtins.NameArg && d.Params[p].Optional && !c.isWord(e) {
				p++
			}
			kind = d.Params[p].Kind
			if !d.Params[p].Variadic {
				p++
			}
		}
		a := c.argOrRange(d, len(call.Args), kind, e)
		if last := len(d.Params) - 1; last >= 0 {
			at := p - 1
			if p <= last && d.Params[p].Variadic {
				at = p
			}
			switch param := d.Params[min(max(at, 0), last)]; {
			case param.Chars && !keepsChars(&param, a.Type, args[1:]):
				a = c.text(a)
			case param.Counted && a.Map == nil:
				a = c.counted(a)
			case param.Address:
				a.Type = c.recordedAddress(e, a.Type)
			}
		}
		call.Args = append(call.Args, a)
		if invalid(a.Type) && kind != builtins.NameArg && kind != builtins.VarArg {
			if a.Type == unknown || result == nil {
				result = orInvalid(a.Type)
			}
		}
	}
	return result
}

// argOrRange checks argument i, which may be a range if the builtin takes one.
func (c *checker) argOrRange(d *builtins.Def, i int, kind builtins.ParamKind, e ast.Expr) builtins.Arg {
	ranges := len(d.Params) > 0 && d.Param(i).Ranges
	arg := func(e ast.Expr) builtins.Arg {
		if c.listed = nil; ranges {
			c.listed = e
		}
		return c.arg(kind, e)
	}
	r, ok := e.(*ast.Range)
	if !ok || !ranges {
		return arg(e)
	}
	a, to := arg(r.From), arg(r.To)
	a.Span, a.To = r.Span(), &to
	if invalid(to.Type) {
		a.Type = to.Type
	}
	return a
}

// text returns str() of a if a is a pointer to characters, an array of small
// integers, a string that may have no NUL, or one with a length. Otherwise it returns a itself.
func (c *checker) text(a builtins.Arg) builtins.Arg {
	switch t := a.Type; t.Kind {
	case types.Pointer, types.Array:
		if t.Elem == nil || t.Elem.Kind != types.Int || t.Elem.Size != 1 {
			return a
		}
	case types.String:
		if !t.Full {
			return a
		}
	default:
		if !t.IsCounted(types.CountedText) {
			return a
		}
	}
	return c.arg(builtins.Expr, c.strOf(ExprOf(a.Expr)))
}

// counted returns the text of a if a is a string with a length or an interface of Go.
// Otherwise it returns a itself.
func (c *checker) counted(a builtins.Arg) builtins.Arg {
	switch {
	case a.Type == nil:
	case a.Type.IsCounted(types.CountedText):
		return c.arg(builtins.Expr, c.strOf(ExprOf(a.Expr)))
	case a.Type.IsDynamic() && c.Context() != nil:
		return c.arg(builtins.Expr, c.callOf("__builtin_"+c.defs.Interface().Name, ExprOf(a.Expr)))
	}
	return a
}

// strOf returns the call str(e), which replaces e.
func (c *checker) strOf(e ast.Expr) ast.Expr { return c.callOf("__builtin_str", e) }

// callOf returns the call of a builtin with e, which replaces e.
//
//go:noinline
func (c *checker) callOf(name string, e ast.Expr) ast.Expr {
	return c.implied(e, func() ast.Expr {
		at := ast.At{Pos: e.Span()}
		return &ast.Call{At: at, Fn: ast.Name{At: at, Text: name}, Args: []ast.Expr{e}}
	})
}

// implied returns the expression that replaces n. mk creates it the first time.
//
//go:noinline
func (c *checker) implied(n ast.Node, mk func() ast.Expr) ast.Expr {
	e := c.info.Implied[n]
	if e == nil {
		e = mk()
		c.info.Implied[n] = e
	}
	return e
}

// isWord reports whether e is a bare name that is not evaluated, such as the name of a
// mode.
func (c *checker) isWord(e ast.Expr) bool {
	n, ok := e.(*ast.Ident)
	if !ok {
		return false
	}
	if _, isConst := c.c.Const(n.Name); isConst {
		return false
	}
	d := c.builtin(n.Name)
	return d == nil || d.Kind != builtins.Variable
}

func (c *checker) arg(kind builtins.ParamKind, e ast.Expr) builtins.Arg {
	a := builtins.Arg{Span: e.Span(), Expr: e}
	switch kind {
	case builtins.MapArg, builtins.MapOrEntry:
		if c.mapArg(kind, e, &a) {
			return a
		}
	case builtins.VarArg:
		if v, ok := e.(*ast.Var); ok {
			if old := c.find(v.Name); old != nil {
				c.use(v, old)
				a.Type = old.Type
				c.info.Types[v] = orInvalid(old.Type)
			}
			return a
		}
		c.errorf(e.Span(), "Expected a variable to assign here")
		a.Type = types.TInvalid
		return a
	case builtins.TypeParam:
		switch t := e.(type) {
		case *ast.TypeArg:
			a.Type = c.written(t.Type)
			return a
		case *ast.Ident:
			if !c.isValueName(t.Name) {
				a.Type = c.namedType("", t.Name, t.Span())
				return a
			}
		}
		a.Type = c.typeOf(e)
		return a
	case builtins.NameArg:
		if n, ok := e.(*ast.Ident); ok {
			a.Word = n.Name
			return a
		}
	}
	a.Type = c.expr(e)
	a.Lit = c.info.Lits[e]
	if call := c.info.Calls[e]; call != nil {
		a.From = call.Def
	}
	switch e := e.(type) {
	case *ast.Cast:
		a.Cast = true
	case *ast.Ident:
		a.Made = true
	case *ast.Call:
		a.Made = len(e.Args) == 0
		if len(e.Args) == 1 {
			_, a.Made = e.Args[0].(*ast.IntLit)
		}
	}
	return a
}

// keepsChars reports whether an argument of type t stays a pointer to characters, because
// of the arguments after it.
func keepsChars(param *builtins.Param, t *types.Type, after []ast.Expr) bool {
	if param.Keep == nil {
		return false
	}
	texts := make([]string, len(after))
	for i, e := range after {
		lit, ok := e.(*ast.StrLit)
		if !ok {
			return false
		}
		texts[i] = lit.Value
	}
	return param.Keep(t, texts)
}

// ExprOf returns an argument's expression, or nil if the script does not contain it.
//
//go:noinline
func ExprOf(n builtins.Node) ast.Expr {
	e, _ := n.(ast.Expr)
	return e
}

// ExprsOf returns the expressions of the parts of a key, or nil if there is no key.
func ExprsOf(key []builtins.Node) []ast.Expr {
	if key == nil {
		return nil
	}
	exprs := make([]ast.Expr, len(key))
	for i, n := range key {
		exprs[i] = ExprOf(n)
	}
	return exprs
}

// mapArg sets an argument that is a map or an entry of a map.
func (c *checker) mapArg(kind builtins.ParamKind, e ast.Expr, a *builtins.Arg) bool {
	switch e := e.(type) {
	case *ast.Map:
		m := c.useMap(e)
		a.Map = m.info
		a.Type = c.wholeMap(m, e.Span())
		return true
	case *ast.Index:
		n, ok := e.X.(*ast.Map)
		if !ok || kind != builtins.MapOrEntry {
			return false
		}
		m, fits := c.element(e)
		a.Map = m.info
		a.Type = c.wholeMap(m, n.Span())
		if fits {
			a.Key = make([]builtins.Node, len(e.Args))
			for i, part := range e.Args {
				a.Key[i] = part
			}
		} else {
			a.Type = types.TInvalid
		}
		c.info.Types[e] = orInvalid(a.Type)
		return true
	}
	return false
}

// wholeMap returns the type of a map's values for a map that is passed as an argument.
func (c *checker) wholeMap(m *mapState, span source.Span) *types.Type {
	switch {
	case !invalid(m.info.Value):
		return m.info.Value
	case m.wrong:
		return types.TInvalid
	case !c.final:
		return unknown
	}
	c.undefinedMap(m, span)
	return types.TInvalid
}
