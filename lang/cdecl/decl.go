package cdecl

import (
	"fmt"

	"github.com/gotrace/gotrace/lang/types"
)

// maxNest is the maximum nesting depth of declarations.
const maxNest = 100

//go:noinline
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

//go:noinline
func (u *Decls) next() token {
	t := u.peek()
	if u.pos < len(u.toks) {
		u.pos++
	}
	return t
}

//go:noinline
func (u *Decls) accept(text string) bool {
	if u.peek().is(text) {
		u.pos++
		return true
	}
	return false
}

// declarations parses all tokens. After an error it continues after the next
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
		return true // the ';' after the last definition may be missing
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

//go:noinline
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
