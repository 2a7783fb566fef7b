package cdecl

import (
	"cmp"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// tPlainChar is plain char. An array of it is a string.
var tPlainChar = &types.Type{Kind: types.Int, Name: "char", Size: 1, Signed: true}

var qualifiers = lazy.Table[map[string]bool]{New: func() map[string]bool {
	return map[string]bool{
		"const": true, "volatile": true, "static": true, "inline": true, "extern": true, "register": true,
		"__inline": true, "__inline__": true, "__const": true, "__volatile__": true, "__extension__": true,
		"_Noreturn": true, "_Thread_local": true, "__thread": true, "__signed__": false,
	}
}}

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

// basicType collects the words of a basic type, such as "unsigned long int", in any
// order.
type basicType struct {
	words, long                          int // number of words, and of those that mean long; double counts as one long
	unsigned, signed, short, char, float bool
}

// add adds w. It returns false if w is not part of the name of a basic type.
func (b *basicType) add(w token) bool {
	switch w.text {
	case "unsigned":
		b.unsigned = true
	case "signed", "__signed__", "__signed":
		b.signed = true
	case "short":
		b.short = true
	case "long":
		b.long++
	case "int":
	case "char":
		b.char = true
	case "float":
		b.float = true
	case "double", "_Float128", "__float128":
		b.float = true
		b.long++
	default:
		return false
	}
	b.words++
	return true
}

// typ returns the type, or nil if no word was added. Floating-point numbers become
// arrays of bytes.
func (b *basicType) typ() *types.Type {
	switch {
	case b.float:
		size := 4 << min(b.long, 2)
		return &types.Type{Kind: types.Array, Name: "float", Elem: types.TUint8, Len: size, Size: size}
	case b.char && b.unsigned:
		return types.TUint8
	case b.char && b.signed:
		return types.TInt8
	case b.char:
		return tPlainChar
	case b.short:
		return types.NewInt(2, !b.unsigned)
	case b.long > 0:
		return types.NewInt(8, !b.unsigned)
	case b.words > 0:
		return types.NewInt(4, !b.unsigned)
	}
	return nil
}

// specifiers parses the part of a declaration before the declarators.
func (u *Decls) specifiers(typedef *bool, a *attrs) (*types.Type, bool) {
	var t *types.Type
	var basic basicType
	start := u.peek()
	for {
		u.attributes(a)
		w := u.peek()
		if w.kind != tIdent {
			break
		}
		switch {
		case w.is("typedef"):
			*typedef = true
		case qualifiers.Get()[w.text], basic.add(w):
		case w.is("_Bool") || w.is("bool") && t == nil && basic.words == 0 && u.typedefs["bool"] == nil:
			t = types.TBool
		case w.is("void"):
			t = types.TVoid
		case w.is("__int128"):
			t = types.NewArray(types.TUint64, 2)
		case w.is("struct"), w.is("union"), w.is("enum"), w.is("typeof"), w.is("__typeof__"), w.is("_Atomic"):
			var ok bool
			if t, ok = u.taggedType(); !ok {
				return nil, false
			}
			continue
		case t != nil || basic.words > 0:
			return cmp.Or(t, basic.typ()), true
		default:
			var ok bool
			if t, ok = u.namedType(w.text); !ok {
				u.errorf(w.span, "Unknown type name '%s'", w.text)
				return nil, false
			}
		}
		u.next()
	}
	if t = cmp.Or(t, basic.typ()); t == nil {
		u.errorf(start.span, "Expected a declaration, found %s", describe(start))
	}
	return t, t != nil
}

// taggedType parses a type that starts with a keyword: struct, union, enum, or typeof.
// It skips the operand of typeof.
func (u *Decls) taggedType() (*types.Type, bool) {
	w := u.next()
	switch w.text {
	case "struct", "union":
		return u.structSpec(w.text)
	case "enum":
		return u.enumSpec()
	}
	u.skipParens()
	return types.TInt64, true
}

var stdInts = lazy.Table[map[string]*types.Type]{New: func() map[string]*types.Type {
	return map[string]*types.Type{
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
}}

func (u *Decls) namedType(name string) (*types.Type, bool) {
	if t, ok := u.typedefs[name]; ok {
		return t, true
	}
	if t, ok := stdInts.Get()[name]; ok {
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
