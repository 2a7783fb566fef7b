package kernel

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/runtime/outline"
)

// declare returns the C declaration of an object with a type and a name. If spaced is
// set, it puts a blank between the stars and the name, as in lists of arguments.
func (b *blob) declare(id uint32, name string, spaced bool) string {
	return b.declareAt(id, name, spaced, 0)
}

func (b *blob) declareAt(id uint32, name string, spaced bool, depth int) string {
	before, after := b.parts(id, depth)
	sep := " "
	if strings.HasSuffix(before, "*") && !spaced || name == "" {
		sep = ""
	}
	return before + sep + name + after
}

// parts returns the text before and after the name in a declaration.
func (b *blob) parts(id uint32, depth int) (before, after string) {
	r, ok := b.raw(id)
	if id == 0 || !ok || depth > maxDepth {
		return "void", ""
	}
	in := r.fromBlob
	switch r.kind {
	case kindInt, kindFloat, kindTypedef:
		return in.str(r.name), ""
	case kindStruct, kindUnion, kindFwd, kindEnum, kindEnum64:
		if r.name == 0 {
			return strings.Fields(in.tagName(&r, id))[0] + " {...}", ""
		}
		return in.tagName(&r, id), ""
	case kindVolatile, kindConst, kindRestrict:
		word := map[int]string{kindVolatile: "volatile", kindConst: "const", kindRestrict: "restrict"}[r.kind]
		before, after = b.parts(r.size, depth+1)
		if strings.HasSuffix(before, "*") {
			return before + " " + word, after
		}
		return word + " " + before, after
	case kindTypeTag:
		return b.parts(r.size, depth+1)
	case kindPtr:
		before, after = b.parts(r.size, depth+1)
		switch {
		case strings.HasPrefix(after, "(") || strings.HasPrefix(after, "["):
			return before + " (*", ")" + after
		case strings.HasSuffix(before, "*"):
			return before + "*", after
		}
		return before + " *", after
	case kindArray:
		before, after = b.parts(in.order.Uint32(r.extra), depth+1)
		return before, fmt.Sprintf("[%d]", in.order.Uint32(r.extra[8:])) + after
	case kindFuncProto:
		before, after = b.parts(r.size, depth+1)
		var list []string
		for j := 0; j < r.vlen; j++ {
			p := r.extra[8*j:]
			if pid := in.order.Uint32(p[4:]); pid == 0 {
				list = append(list, "...")
			} else {
				// Function parameters of functions use up the depth faster.
				list = append(list, b.declareAt(pid, in.str(in.order.Uint32(p)), false, depth+maxDepth/3))
			}
		}
		if len(list) == 0 {
			list = []string{"void"}
		}
		return before, "(" + strings.Join(list, ", ") + ")" + after
	}
	return "void", ""
}

// declaration returns the C definition of a struct, union, enum or typedef.
func (s *btfSet) declaration(name string) (string, error) {
	in, id := s.lookup(name)
	if id == 0 {
		return "", outline.Errorf("type %s: %w", name, ErrNotFound)
	}
	var w bytes.Buffer
	fmt.Fprintf(&w, "%s: ", in.module)
	in.define(&w, id, 0)
	w.WriteString(";")
	return w.String(), nil
}

// maxDeclaration is the maximum size in bytes of the text of a definition. The longest
// one in the kernel has about 30,000 bytes.
const maxDeclaration = 1 << 18

func (b *blob) define(w *bytes.Buffer, id uint32, level int) {
	r, ok := b.raw(id)
	if !ok || level > maxDepth || w.Len() > maxDeclaration {
		return
	}
	in := r.fromBlob
	head := strings.SplitN(in.tagName(&r, id), " ", 2)[0]
	if r.name != 0 {
		head += " " + in.str(r.name)
	}
	tabs := strings.Repeat("\t", level)
	switch r.kind {
	case kindStruct, kindUnion:
		fmt.Fprintf(w, "%s {\n", head)
		for j := 0; j < r.vlen; j++ {
			m := r.extra[12*j:]
			mid, mname, off := in.order.Uint32(m[4:]), in.str(in.order.Uint32(m)), in.order.Uint32(m[8:])
			w.WriteString(tabs + "\t")
			if inner, arrays := b.anonymousIn(mid); inner != 0 {
				b.define(w, inner, level+1)
				if mname != "" {
					w.WriteString(" " + mname + arrays)
				}
			} else {
				w.WriteString(b.declare(mid, mname, false))
			}
			if width := off >> 24; r.flag && width > 0 {
				fmt.Fprintf(w, ": %d", width)
			}
			w.WriteString(";\n")
		}
		w.WriteString(tabs + "}")
	case kindEnum, kindEnum64:
		fmt.Fprintf(w, "%s {\n", head)
		for _, c := range b.typ(id).Consts.Values {
			fmt.Fprintf(w, "%s\t%s = %d,\n", tabs, c.Name, c.Value)
		}
		w.WriteString(tabs + "}")
	case kindTypedef:
		if inner, arrays := b.anonymousIn(r.size); inner != 0 {
			w.WriteString("typedef ")
			b.define(w, inner, level)
			w.WriteString(" " + in.str(r.name) + arrays)
			return
		}
		w.WriteString("typedef " + b.declare(r.size, in.str(r.name), false))
	default:
		w.WriteString(b.declare(id, "", false))
	}
}

// anonymousIn returns the anonymous struct, union or enum that is the type of a member,
// or the element of its array type.
func (b *blob) anonymousIn(id uint32) (inner uint32, arrays string) {
	for range maxDepth {
		r, ok := b.raw(id)
		if !ok {
			return 0, ""
		}
		switch r.kind {
		case kindArray:
			arrays += fmt.Sprintf("[%d]", r.fromBlob.order.Uint32(r.extra[8:]))
			id = r.fromBlob.order.Uint32(r.extra)
			continue
		case kindVolatile, kindConst:
			id = r.size
			continue
		case kindStruct, kindUnion, kindEnum, kindEnum64:
			if r.name == 0 {
				return id, arrays
			}
		}
		return 0, ""
	}
	return 0, ""
}
