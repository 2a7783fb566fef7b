package tetragon

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes/kernel"
)

// readTypes reads the key with the name of the file that has the types of the probed
// program.
func (h *hook) readTypes(n *yaml.Node) {
	path := h.p.text(n)
	if path == "" {
		return
	}
	find, err := kernel.TypesIn(path)
	if err != nil {
		h.p.diags.Errorf(n.At, "the types in '%s' cannot be read: %v", path, err)
	}
	h.typesIn = find
}

// inProgram follows a path of members in the memory of the program. It returns the
// expression of the last member and its type: a number, or the address of a text or a
// struct.
func (h *hook) inProgram(word string, s *spec) (string, *types.Type) {
	name := strings.TrimPrefix(strings.TrimPrefix(s.btf, "struct "), "union ")
	t, err := h.typesIn("struct " + name)
	if err != nil {
		t, err = h.typesIn("union " + name)
	}
	if name == "" {
		h.p.diags.Errorf(s.resolveAt, "'resolve' needs the type that it starts from: 'btfType'")
		return "", nil
	} else if err != nil {
		h.p.unsupported(s.btfAt, "the file of 'btfPath' has no type '%s'", name)
		return "", nil
	}
	at, offset := "(uint64)"+word, 0
	load := func(c string) string { return fmt.Sprintf("*(%s*)uptr(%s + %d)", c, at, offset) }
	// element selects an element of an array, or of the memory that a pointer points to.
	element := func(n int) {
		if t.Kind == types.Pointer {
			at, offset = load("uint64"), 0
		}
		t = t.Elem
		offset += n * t.Size
	}
	for _, part := range strings.FieldsFunc(s.resolve, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		n, err := strconv.ParseUint(part, 10, 16)
		switch {
		case err == nil && (t.Kind == types.Array || t.Kind == types.Pointer) && t.Elem.Size > 0:
			element(int(n))
			continue
		case err != nil && t.Kind == types.Pointer && t.Elem.Kind == types.Struct:
			element(0)
		}
		f, ok := types.Field{}, false
		if t.Kind == types.Struct && err != nil {
			f, ok = t.Field(part)
		}
		if !ok || f.BitSize != 0 {
			h.p.diags.Errorf(s.resolveAt, "'%s' has no member '%s' that can be read", t, part)
			return "", nil
		}
		t, offset = f.Type, offset+f.Off
	}
	switch {
	case t.Kind == types.Pointer:
		return load("uint64"), t
	case t.IsInteger():
		return load(map[bool]string{true: "int", false: "uint"}[t.Signed] + strconv.Itoa(8*t.Size)), t
	}
	return fmt.Sprintf("%s + %d", at, offset), t
}
