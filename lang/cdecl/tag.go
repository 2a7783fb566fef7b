package cdecl

import (
	"fmt"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// tag returns the type named "struct x". If it is new, tag creates it without a
// definition.
func (u *Decls) tag(full string) *types.Type {
	if t := u.tags[full]; t != nil {
		return t
	}
	if t, ok := u.kernelType(full); ok {
		return t
	}
	t := &types.Type{Kind: types.Struct, Name: full}
	u.tags[full] = t
	return t
}

func (u *Decls) structSpec(keyword string) (*types.Type, bool) {
	u.nest++
	defer func() { u.nest-- }()
	if u.nest > maxNest {
		u.errorf(u.peek().span, "Declarations nested more than %d deep", maxNest)
		return nil, false
	}
	var a attrs
	u.attributes(&a)
	full := ""
	if u.peek().kind == tIdent {
		full = keyword + " " + u.next().text
	}
	u.attributes(&a)
	if !u.peek().is("{") {
		if full == "" {
			u.errorf(u.peek().span, "Expected a name or '{' after %s, found %s", keyword, describe(u.peek()))
			return nil, false
		}
		return u.tag(full), true
	}
	open := u.next()
	u.once(full, open.span)
	t := u.tags[full]
	if full == "" || t == nil || t.Comp != nil {
		t = &types.Type{Kind: types.Struct, Name: full}
		if full == "" {
			t.Name = keyword + " (anonymous)"
		}
	}
	if full != "" {
		u.tags[full] = t // before the members are parsed, as they may point to it
		u.names = append(u.names, full)
		if _, kernel := u.kernelType(full); kernel && u.replaces == "" && !u.header {
			u.replaces = full
			defer func() { u.replaces = "" }()
		}
	}
	var members []member
	for !u.accept("}") {
		if u.peek().kind == tEOF {
			u.errorf(open.span, "This '{' has no matching '}'")
			return nil, false
		}
		if u.accept(";") {
			continue
		}
		if !u.memberDecl(&members) {
			return nil, false
		}
	}
	u.attributes(&a)
	lay(t, keyword == "union", members, a)
	return t, true
}

// once reports a second definition of a type in the script. Headers may repeat
// definitions.
func (u *Decls) once(full string, at source.Span) {
	switch {
	case full == "" || u.header:
	case u.own[full]:
		u.errorf(at, "redefinition of '%s'", full)
	default:
		u.own[full] = true
	}
}

// member is a struct member that has no offset yet.
type member struct {
	name  string
	t     *types.Type
	bits  int // -1: not a bitfield
	align int // from an attribute
	pack  bool
	at    source.Span
}

func (u *Decls) memberDecl(out *[]member) bool {
	var typedef bool
	var a attrs
	base, ok := u.specifiers(&typedef, &a)
	if !ok {
		return false
	}
	if u.endsMember() { // an anonymous struct or union
		if base.Kind == types.Struct && base.Comp != nil { // struct x; alone declares no member
			*out = append(*out, member{t: base, bits: -1, align: a.align})
		}
		return true
	}
	for {
		m, ma := member{bits: -1, at: u.peek().span}, a
		m.t = base
		if !u.peek().is(":") {
			name, t, fn, ok := u.declarator(base, &ma)
			if !ok {
				return false
			}
			if fn || name.text == "" {
				u.errorf(m.at, "This is not a member declaration")
				return false
			}
			m.name, m.t, m.at = name.text, t, name.span
		}
		if u.accept(":") {
			from := u.pos
			for !u.peek().is(",") && !u.peek().is(";") && !u.peek().is("}") && !u.peek().is("__attribute__") && u.peek().kind != tEOF {
				u.next()
			}
			v, err := u.constExpr(u.toks[from:u.pos])
			if err != nil || v < 0 || v > int64(m.t.Size*8) {
				u.errorf(m.at, "The width of a bitfield must be a constant from 0 to the size of its type")
				return false
			}
			m.bits = int(v)
		}
		u.attributes(&ma)
		m.align, m.pack = ma.align, ma.packed
		if t, hint := u.incomplete(m.t); t != nil {
			u.errorHint(m.at, hint, "C declaration error: field has incomplete type '%s'", t)
			return false
		}
		*out = append(*out, m)
		if u.accept(",") {
			continue
		}
		if u.endsMember() {
			return true
		}
		u.errorf(u.peek().span, "Expected ';' after a member, found %s", describe(u.peek()))
		return false
	}
}

// incomplete returns the undefined type that a member of type t would contain, and a
// hint. It returns nil if there is none. A struct that the script defines in place of the
// kernel's cannot contain other kernel types. The script must define those too, or include
// headers that define them. But the headers may not exist on this machine.
func (u *Decls) incomplete(t *types.Type) (*types.Type, string) {
	for t.Kind == types.Array {
		t = t.Elem
	}
	if t.Kind == types.Struct && t.Comp == nil || t.Kind == types.Void {
		return t, ""
	}
	if u.replaces == "" || len(u.Missing)+len(u.included) > 0 || u.tags[t.Name] != nil {
		return nil, ""
	}
	if _, kernel := u.kernelType(t.Name); !kernel || t.Kind != types.Struct && t.Kind != types.Enum {
		return nil, ""
	}
	return t, fmt.Sprintf("this %s replaces the kernel's, so define %s too, or make the member a pointer", u.replaces, t)
}

// endsMember consumes the ";" after a member. As in C compilers, it is optional before
// the closing brace.
func (u *Decls) endsMember() bool { return u.accept(";") || u.peek().is("}") }

func (u *Decls) enumSpec() (*types.Type, bool) {
	var a attrs
	u.attributes(&a)
	full := "enum (anonymous)"
	named := false
	if u.peek().kind == tIdent {
		full, named = "enum "+u.next().text, true
	}
	if !u.peek().is("{") {
		if t := u.tags[full]; t != nil {
			return t, true
		}
		if t, ok := u.kernelType(full); ok {
			return t, true
		}
		return types.TUint32, true // a forward reference: only its size is known
	}
	if open := u.next(); named {
		u.once(full, open.span)
	}
	t := &types.Type{Kind: types.Enum, Name: full, Size: 4, Consts: &types.EnumDef{}}
	value := int64(0)
	var names []string
	for !u.accept("}") {
		name := u.next()
		if name.kind != tIdent {
			u.errorf(name.span, "Expected the name of an enum constant, found %s", describe(name))
			return nil, false
		}
		u.attributes(&a)
		if u.accept("=") {
			from, depth := u.pos, 0
			for u.peek().kind != tEOF && (depth > 0 || !u.peek().is(",") && !u.peek().is("}")) {
				if u.peek().is("(") {
					depth++
				} else if u.peek().is(")") {
					depth--
				}
				u.next()
			}
			v, err := u.constExpr(u.toks[from:u.pos])
			if err != nil {
				u.errorf(name.span, "Cannot evaluate enum constant %s: %v", name.text, err)
				return nil, false
			}
			value = v
		}
		t.Consts.Values = append(t.Consts.Values, types.EnumValue{Name: name.text, Value: value})
		u.consts[name.text] = Const{Int: value, Type: t}
		names = append(names, name.text)
		if value < 0 {
			t.Signed = true
		}
		if value > 1<<32-1 || value < -1<<31 {
			t.Size = 8
		}
		value++
		if !u.accept(",") && !u.peek().is("}") {
			u.errorf(u.peek().span, "Expected ',' or '}' in an enum, found %s", describe(u.peek()))
			return nil, false
		}
	}
	for _, n := range names { // size and sign are not known before
		c := u.consts[n]
		c.Type = t
		u.consts[n] = c
	}
	u.attributes(&a)
	if named {
		u.tags[full] = t
		u.names = append(u.names, full)
	}
	return t, true
}
