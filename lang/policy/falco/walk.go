package falco

import "strings"

// EachCheck calls f with every comparison of a condition.
func EachCheck(x Expr, f func(*Check)) {
	switch x := x.(type) {
	case *And:
		for _, y := range x.List {
			EachCheck(y, f)
		}
	case *Or:
		for _, y := range x.List {
			EachCheck(y, f)
		}
	case *Not:
		EachCheck(x.X, f)
	case *Check:
		f(x)
	}
}

// eachRef calls f with every name of a macro in a condition.
func eachRef(x Expr, f func(*Ref)) {
	switch x := x.(type) {
	case *And:
		for _, y := range x.List {
			eachRef(y, f)
		}
	case *Or:
		for _, y := range x.List {
			eachRef(y, f)
		}
	case *Not:
		eachRef(x.X, f)
	case *Ref:
		f(x)
	}
}

// mayBe reports whether a term is a parameter of that name, or of a number.
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
