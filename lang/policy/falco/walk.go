package falco

import "strings"

// each calls f with every comparison and every name of a macro in a condition.
func each(x Expr, f func(Expr)) {
	switch x := x.(type) {
	case *And:
		for _, y := range x.List {
			each(y, f)
		}
	case *Or:
		for _, y := range x.List {
			each(y, f)
		}
	case *Not:
		each(x.X, f)
	case *Check, *Ref:
		f(x)
	}
}

// EachCheck calls f with every comparison of a condition.
func EachCheck(x Expr, f func(*Check)) {
	each(x, func(x Expr) {
		if c, ok := x.(*Check); ok {
			f(c)
		}
	})
}

// eachRef calls f with every name of a macro in a condition.
func eachRef(x Expr, f func(*Ref)) {
	each(x, func(x Expr) {
		if r, ok := x.(*Ref); ok {
			f(r)
		}
	})
}

// mayBe reports whether a term is a parameter with that name, or with a number.
func (t *Term) mayBe(param string) bool {
	return (t.Field.Name == "evt.arg" || t.Field.Name == "evt.rawarg") && (t.Arg == param || strings.Trim(t.Arg, "0123456789") == "")
}

// eachTerm calls f with every field of a term.
func (t *Term) eachTerm(f func(*Term)) {
	if t.Field != nil {
		f(t)
	}
	for _, a := range t.Args {
		a.eachTerm(f)
	}
}
