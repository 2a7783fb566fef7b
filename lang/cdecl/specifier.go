package cdecl

import "github.com/gotrace/gotrace/lang/types"

// tPlainChar is plain char. An array of it is a string.
var tPlainChar = &types.Type{Kind: types.Int, Name: "char", Size: 1, Signed: true}

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

// specifiers parses the part of a declaration before the declarators.
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
