package cdecl

// attrs holds the attributes that change a layout.
type attrs struct {
	packed bool
	align  int
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

// attributes parses any number of __attribute__((…)), _Alignas and asm labels.
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

// alignment parses "(n)". If there is none, it returns def.
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
