package cdecl

import "github.com/gotrace/gotrace/lang/types"

// declarator parses a declarator around base. It returns the name (zero if the
// declarator is abstract), the type, and whether it declares a function. It adds the
// attributes of the declared object to a.
func (u *Decls) declarator(base *types.Type, a *attrs) (token, *types.Type, bool, bool) {
	u.nest++
	defer func() { u.nest-- }()
	if u.nest > maxNest {
		u.errorf(u.peek().span, "Declarations nested more than %d deep", maxNest)
		return token{}, nil, false, false
	}
	u.attributes(a)
	for u.accept("*") {
		var ofPointer attrs
		base = types.NewPointer(base, types.NoSpace)
		for qualifiers.Get()[u.peek().text] || u.peek().is("__attribute__") || u.peek().is("__restrict") || u.peek().is("__restrict__") || u.peek().is("restrict") {
			if qualifiers.Get()[u.peek().text] {
				u.next()
			} else {
				u.attributes(&ofPointer)
			}
		}
	}
	var name token
	inner := -1
	switch t := u.peek(); {
	case t.kind == tIdent:
		name = u.next()
	case t.is("(") && u.pos+1 < len(u.toks) && (u.toks[u.pos+1].is("*") || u.toks[u.pos+1].is("(") || u.toks[u.pos+1].kind == tIdent && !u.startsType(u.toks[u.pos+1])):
		inner = u.pos + 1
		u.skipParens()
	}
	u.attributes(a)
	fn := false
	var dims []int
	for {
		if u.peek().is("(") {
			u.skipParens()
			fn = true
			base = &types.Type{Kind: types.Void, Name: "function"}
			u.attributes(a)
			continue
		}
		if !u.peek().is("[") {
			break
		}
		u.next()
		from := u.pos
		for depth := 0; u.peek().kind != tEOF && (depth > 0 || !u.peek().is("]")); {
			t := u.next()
			if t.is("[") {
				depth++
			} else if t.is("]") {
				depth--
			}
		}
		n := int64(0)
		if bound := u.toks[from:u.pos]; len(bound) > 0 && !(len(bound) == 1 && qualifiers.Get()[bound[0].text]) {
			v, err := u.constExpr(bound)
			if err != nil || v < 0 || v > 1<<28 {
				if !fn && name.text != "" && u.nest == 1 && u.header {
					v = 0 // a parameter or object of a header; its size is not needed
				} else {
					u.errorf(bound[0].span, "The length of this array is not a constant, or it is too large")
					return name, nil, false, false
				}
			}
			n = v
		}
		if !u.accept("]") {
			u.errorf(u.peek().span, "Expected ']', found %s", describe(u.peek()))
			return name, nil, false, false
		}
		dims = append(dims, int(n))
	}
	for i := len(dims) - 1; i >= 0; i-- {
		if base == tPlainChar {
			base = types.NewChars(dims[i])
			continue
		}
		base = types.NewArray(base, dims[i])
	}
	if inner >= 0 {
		after := u.pos
		u.pos = inner
		n, t, f, ok := u.declarator(base, a)
		if !ok {
			return n, nil, false, false
		}
		u.accept(")")
		u.pos = after
		return n, t, f, true
	}
	return name, base, fn, true
}

// typeName parses a type name as in sizeof.
func (u *Decls) typeName() (*types.Type, bool) {
	var td bool
	var a attrs
	base, ok := u.specifiers(&td, &a)
	if !ok {
		return nil, false
	}
	_, t, _, ok := u.declarator(base, &a)
	return t, ok
}
