package cdecl

import (
	"fmt"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
)

// maxNest bounds how deep declarations nest.
const maxNest = 100

// tChar is plain char: an array of it is a string.
var tPlainChar = &types.Type{Kind: types.Int, Name: "char", Size: 1, Signed: true}

func (u *Decls) peek() token {
	if u.pos < len(u.toks) {
		return u.toks[u.pos]
	}
	t := token{}
	if n := len(u.toks); n > 0 {
		t.span = u.toks[n-1].span
	}
	return t
}

func (u *Decls) next() token {
	t := u.peek()
	if u.pos < len(u.toks) {
		u.pos++
	}
	return t
}

func (u *Decls) accept(text string) bool {
	if u.peek().is(text) {
		u.pos++
		return true
	}
	return false
}

// declarations reads all tokens. After an error it goes on behind the next
// semicolon of the top level.
func (u *Decls) declarations() {
	for u.pos < len(u.toks) {
		if u.accept(";") {
			continue
		}
		from := u.pos
		if !u.declaration() {
			u.recover(from)
		}
	}
}

func (u *Decls) recover(from int) {
	u.pos = max(u.pos, from+1)
	depth := 0
	for k := from; k < u.pos; k++ {
		depth += braceStep(u.toks[k])
	}
	for u.pos < len(u.toks) {
		t := u.next()
		depth += braceStep(t)
		if depth <= 0 && (t.is(";") || t.is("}") && !u.peek().is(";")) {
			return
		}
	}
}

func braceStep(t token) int {
	switch {
	case t.is("{"):
		return 1
	case t.is("}"):
		return -1
	}
	return 0
}

// attrs are the attributes that change a layout.
type attrs struct {
	packed bool
	align  int
}

func (u *Decls) declaration() bool {
	if u.accept("extern") && u.peek().kind == tString { // extern "C" {
		u.next()
		if u.accept("{") {
			return true
		}
	}
	if u.peek().is("__asm__") || u.peek().is("_Static_assert") || u.peek().is("static_assert") {
		u.skipTo(";")
		return true
	}
	typedef := false
	var a attrs
	base, ok := u.specifiers(&typedef, &a)
	if !ok {
		return false
	}
	if u.accept(";") || u.peek().kind == tEOF && u.pos > 0 && u.toks[u.pos-1].is("}") {
		return true // the ';' behind the last definition may be missing
	}
	for {
		name, t, fn, ok := u.declarator(base, &a)
		if !ok {
			return false
		}
		u.attributes(&a)
		if typedef && name.text != "" {
			if a.align > 0 && t.Kind == types.Struct && t.Comp != nil && t == base {
				a.align = 0
			}
			u.addTypedef(name.text, t)
		}
		switch {
		case fn && u.peek().is("{"):
			u.skipBraces()
			return true
		case u.accept("="):
			u.skipTo(";")
			return true
		case u.accept(","):
			continue
		case u.accept(";"):
			return true
		case u.peek().kind == tEOF && name.text == "":
			return true // the last definition of a C section needs no ';'
		}
		u.errorf(u.peek().span, "Expected ';' after a declaration, found %s", describe(u.peek()))
		return false
	}
}

func describe(t token) string {
	if t.kind == tEOF {
		return "the end"
	}
	return fmt.Sprintf("%q", t.text)
}

func (u *Decls) addTypedef(name string, t *types.Type) {
	if _, dup := u.typedefs[name]; !dup {
		u.names = append(u.names, name)
	}
	u.typedefs[name] = t
}

func (u *Decls) skipTo(end string) {
	depth := 0
	for u.pos < len(u.toks) {
		t := u.next()
		depth += braceStep(t)
		if depth <= 0 && t.is(end) {
			return
		}
	}
}

func (u *Decls) skipBraces() {
	depth := 0
	for u.pos < len(u.toks) {
		depth += braceStep(u.next())
		if depth == 0 {
			return
		}
	}
}

func (u *Decls) skipParens() {
	depth := 0
	for u.pos < len(u.toks) {
		t := u.next()
		if t.is("(") {
			depth++
		} else if t.is(")") {
			depth--
		}
		if depth == 0 {
			return
		}
	}
}

// attributes reads any __attribute__((…)), _Alignas and asm labels.
func (u *Decls) attributes(a *attrs) {
	for {
		t := u.peek()
		switch {
		case t.is("__attribute__") || t.is("__attribute"):
			u.next()
			depth := 0
			for u.pos < len(u.toks) {
				w := u.next()
				switch {
				case w.is("("):
					depth++
				case w.is(")"):
					depth--
				case w.is("packed") || w.is("__packed__"):
					a.packed = true
				case w.is("aligned") || w.is("__aligned__"):
					a.align = max(a.align, u.alignment(16))
				}
				if depth == 0 {
					break
				}
			}
		case t.is("_Alignas"):
			u.next()
			a.align = max(a.align, u.alignment(8))
		case t.is("__asm__") || t.is("asm") || t.is("__asm"):
			u.next()
			if u.peek().is("(") {
				u.skipParens()
			}
		case t.is("__extension__") || t.is("__restrict") || t.is("__restrict__") || t.is("restrict"):
			u.next()
		default:
			return
		}
	}
}

// alignment reads "(n)", or gives def where there is none.
func (u *Decls) alignment(def int) int {
	if !u.peek().is("(") {
		return def
	}
	from := u.pos + 1
	u.skipParens()
	v, err := u.constExpr(u.toks[from : u.pos-1])
	if err != nil || v <= 0 || v > 1<<20 || v&(v-1) != 0 {
		return def
	}
	return int(v)
}

var qualifiers = map[string]bool{
	"const": true, "volatile": true, "static": true, "inline": true, "extern": true, "register": true,
	"__inline": true, "__inline__": true, "__const": true, "__volatile__": true, "__extension__": true,
	"_Noreturn": true, "_Thread_local": true, "__thread": true, "__signed__": false,
}

func (u *Decls) startsType(t token) bool {
	if t.kind != tIdent {
		return false
	}
	switch t.text {
	case "struct", "union", "enum", "void", "char", "short", "int", "long", "unsigned", "signed", "float", "double", "_Bool", "const", "volatile", "__signed__":
		return true
	}
	_, ok := u.typedefs[t.text]
	return ok
}

// specifiers reads the part of a declaration before the declarators.
func (u *Decls) specifiers(typedef *bool, a *attrs) (*types.Type, bool) {
	var t *types.Type
	var long, words int
	var unsigned, signed, short, char, float bool
	start := u.peek()
	for {
		u.attributes(a)
		w := u.peek()
		switch {
		case w.kind != tIdent:
			goto done
		case w.is("typedef"):
			*typedef = true
		case qualifiers[w.text]:
		case w.is("unsigned"):
			unsigned = true
			words++
		case w.is("signed") || w.is("__signed__") || w.is("__signed"):
			signed = true
			words++
		case w.is("short"):
			short = true
			words++
		case w.is("long"):
			long++
			words++
		case w.is("int"):
			words++
		case w.is("char"):
			char = true
			words++
		case w.is("float"), w.is("double"), w.is("_Float128"), w.is("__float128"):
			float = true
			words++
			if !w.is("float") {
				long++
			}
		case w.is("_Bool") || w.is("bool") && t == nil && words == 0 && u.typedefs["bool"] == nil:
			t = types.TBool
		case w.is("void"):
			t = types.TVoid
		case w.is("struct") || w.is("union"):
			u.next()
			s, ok := u.structSpec(w.text)
			if !ok {
				return nil, false
			}
			t = s
			continue
		case w.is("enum"):
			u.next()
			e, ok := u.enumSpec()
			if !ok {
				return nil, false
			}
			t = e
			continue
		case w.is("typeof") || w.is("__typeof__") || w.is("_Atomic"):
			u.next()
			u.skipParens()
			t = types.TInt64
			continue
		case w.is("__int128"):
			t = types.NewArray(types.TUint64, 2)
		default:
			if t != nil || words > 0 {
				goto done
			}
			n, ok := u.namedType(w.text)
			if !ok {
				u.errorf(w.span, "Unknown type name '%s'", w.text)
				return nil, false
			}
			t = n
		}
		u.next()
	}
done:
	if t != nil {
		return t, true
	}
	switch {
	case float:
		size := 4 << min(long, 2)
		return &types.Type{Kind: types.Array, Name: "float", Elem: types.TUint8, Len: size, Size: size}, true
	case char && unsigned:
		return types.TUint8, true
	case char && signed:
		return types.TInt8, true
	case char:
		return tPlainChar, true
	case short:
		return types.NewInt(2, !unsigned), true
	case long > 0:
		return types.NewInt(8, !unsigned), true
	case words > 0:
		return types.NewInt(4, !unsigned), true
	}
	u.errorf(start.span, "Expected a declaration, found %s", describe(start))
	return nil, false
}

var stdInts = map[string]*types.Type{
	"int8_t": types.TInt8, "int16_t": types.TInt16, "int32_t": types.TInt32, "int64_t": types.TInt64,
	"uint8_t": types.TUint8, "uint16_t": types.TUint16, "uint32_t": types.TUint32, "uint64_t": types.TUint64,
	"__s8": types.TInt8, "__s16": types.TInt16, "__s32": types.TInt32, "__s64": types.TInt64,
	"__u8": types.TUint8, "__u16": types.TUint16, "__u32": types.TUint32, "__u64": types.TUint64,
	"s8": types.TInt8, "s16": types.TInt16, "s32": types.TInt32, "s64": types.TInt64,
	"u8": types.TUint8, "u16": types.TUint16, "u32": types.TUint32, "u64": types.TUint64,
	"size_t": types.TUint64, "ssize_t": types.TInt64, "uintptr_t": types.TUint64, "intptr_t": types.TInt64,
	"__builtin_va_list": types.TUint64,
	// the language's own names
	"uint8": types.TUint8, "uint16": types.TUint16, "uint32": types.TUint32, "uint64": types.TUint64,
	"int8": types.TInt8, "int16": types.TInt16, "int32": types.TInt32, "int64": types.TInt64,
}

func (u *Decls) namedType(name string) (*types.Type, bool) {
	if t, ok := u.typedefs[name]; ok {
		return t, true
	}
	if t, ok := stdInts[name]; ok {
		return t, true
	}
	return u.kernelType(name)
}

func (u *Decls) kernelType(name string) (*types.Type, bool) {
	if u.opts.Kernel == nil {
		return nil, false
	}
	t, err := u.opts.Kernel.Type(name)
	return t, err == nil && t != nil
}

// tag returns the type named "struct x", making it incomplete if it is new.
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
		u.tags[full] = t // before the members, which may point to it
		u.names = append(u.names, full)
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

// once notes that the script defines a type of that name, which it may do
// once. What headers say again is not judged.
func (u *Decls) once(full string, at source.Span) {
	switch {
	case full == "" || u.header:
	case u.own[full]:
		u.errorf(at, "redefinition of '%s'", full)
	default:
		u.own[full] = true
	}
}

// member is a struct member before it has an offset.
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
		if m.t.Kind == types.Struct && m.t.Comp == nil || m.t.Kind == types.Void {
			u.errorf(m.at, "Member '%s' has the incomplete type %s", m.name, m.t)
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

// endsMember consumes the ";" after a member. Before the closing brace it may be
// left out, as compilers let it.
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
		return types.TUint32, true // a forward reference: its size is all that is known
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
				u.errorf(name.span, "The value of enum constant %s is not understood: %v", name.text, err)
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
	for _, n := range names { // size and sign are known only now
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

// declarator reads a declarator around base: its name (zero if abstract), its
// type, and whether it declares a function. Attributes of what is declared are
// added to a.
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
		for qualifiers[u.peek().text] || u.peek().is("__attribute__") || u.peek().is("__restrict") || u.peek().is("__restrict__") || u.peek().is("restrict") {
			if qualifiers[u.peek().text] {
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
		if bound := u.toks[from:u.pos]; len(bound) > 0 && !(len(bound) == 1 && qualifiers[bound[0].text]) {
			v, err := u.constExpr(bound)
			if err != nil || v < 0 || v > 1<<28 {
				if !fn && name.text != "" && u.nest == 1 && u.header {
					v = 0 // a parameter or object of a header; its size is not needed
				} else {
					u.errorf(bound[0].span, "The length of this array is not a constant that fits")
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

// typeName reads a type name as in sizeof.
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
