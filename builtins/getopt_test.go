package builtins

import "testing"

// TestOptionValues sets literals of each kind to what a command line can give.
func TestOptionValues(t *testing.T) {
	text, number, flag := Lit{Str: "x", IsStr: true}, Lit{Int: 7}, Lit{IsBool: true}
	c := &testChecker{}
	for _, test := range []struct {
		lit   Lit
		given string
		want  Lit
		err   string
	}{
		{text, OptionGiven, text, "expects a string"},
		{text, "", Lit{IsStr: true}, ""},
		{text, "true", Lit{Str: "true", IsStr: true}, ""},
		{number, OptionGiven, number, "expects an integer"},
		{number, "", number, "expects an integer"},
		{number, "x", number, "invalid integer"},
		{flag, OptionGiven, Lit{Int: 1, IsBool: true}, ""},
		{flag, "", Lit{Int: 1, IsBool: true}, ""},
		{flag, "On", Lit{Int: 1, IsBool: true}, ""},
		{flag, "0", Lit{IsBool: true}, ""},
		{flag, "maybe", flag, "expects a boolean (e.g. 'true')"},
	} {
		l := test.lit
		if err := l.set(c, test.given); err != test.err || l != test.want {
			t.Errorf("%+v set to %q: %+v, %q; want %+v, %q", test.lit, test.given, l, err, test.want, test.err)
		}
	}
}
