package live

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"
)

// shapes lists parts of the object of testdata/params/shapes.c that S points to: an
// expression, its type in scripts ("" if it has no name), and the values in it.
var shapes = []struct {
	name, expr, typ string
	found           [][2]string // suffix of the expression, value
}{
	{"pointer", "S", "struct shape *", [][2]string{{"->n", "1"}, {"->in.a", "-2"}, {"->refs[1]->a", "-201"}, {"->ref->b", "302"}, {"->next->in.b", "79"}, {"->next->ref->a", "-201"}, {"->deep.to->b", "102"}, {"->points[2].a", "-13"}, {"->low", "-3"}, {"->text", "hello"}, {"->text[1]", "101"}}},
	{"object", "*S", "struct shape", [][2]string{{".n", "1"}, {".in.a", "-2"}, {".in", "{ .a = -2, .b = 3 }"}, {".refs[1]->a", "-201"}, {".ref->b", "302"}, {".next->in.b", "79"}, {".next->ref->a", "-201"}, {".deep.to->b", "102"}, {".deep.at.b", "5"}, {".points[2].a", "-13"}, {".nums[2]", "-8"}, {".low", "-3"}, {".high", "99"}, {".u.i", "67305985"}, {".u.c[2]", "3"}, {".text", "hello"}, {".text[1]", "101"}}},
	{"struct", "S->in", "struct point", [][2]string{{"", "{ .a = -2, .b = 3 }"}, {".a", "-2"}, {".b", "3"}}},
	{"nested", "S->deep", "struct deep", [][2]string{{".to->a", "-101"}, {".at.a", "-4"}, {".at", "{ .a = -4, .b = 5 }"}}},
	{"numbers", "S->nums", "int32[3]", [][2]string{{"", "[-6,7,-8]"}, {"[0]", "-6"}, {"[2]", "-8"}}},
	{"structs", "S->points", "struct point[3]", [][2]string{{"[0].a", "-9"}, {"[2].b", "14"}, {"[1]", "{ .a = -11, .b = 12 }"}}},
	{"pointers", "S->refs", "struct point *[2]", [][2]string{{"[0]->a", "-101"}, {"[1]->b", "202"}}},
	{"member pointer", "S->ref", "struct point *", [][2]string{{"->a", "-301"}, {"->b", "302"}}},
	{"pointer to pointer", "S->refref", "struct point **", [][2]string{{"[0]->a", "-301"}}},
	{"bitfield", "S->low", "int32", [][2]string{{"", "-3"}}},
	{"unsigned bitfield", "S->high", "uint32", [][2]string{{"", "99"}}},
	{"union", "S->u", "union either", [][2]string{{".i", "67305985"}, {".c[1]", "2"}}},
	{"text", "S->text", "string[6]", [][2]string{{"", "hello"}, {"[4]", "111"}}},
	{"element", "S->points[1]", "struct point", [][2]string{{".a", "-11"}}},
	{"pointer element", "S->refs[1]", "struct point *", [][2]string{{"->a", "-201"}}},
	{"next", "*S->next", "struct shape", [][2]string{{".n", "77"}, {".ref->b", "202"}, {".in.a", "-78"}}},
}

// shapeUses lists ways to pass on X, which is of type T: statements, and then the
// expression with the value of X. N makes names unique.
var shapeUses = []struct{ name, decl, stmts, expr string }{
	{"itself", "", "", "(X)"},
	{"variable", "", "$vN = X;", "$vN"},
	{"variable twice", "", "$vN = X; $wN = $vN;", "$wN"},
	{"typed variable", "", "let $tN : T = X;", "$tN"},
	{"declared variable", "", "let $dN : T; $dN = X;", "$dN"},
	{"outer variable", "", "let $oN : T; if (nsecs > 0) { $oN = X; }", "$oN"},
	{"tuple", "", "$uN = (1, X, 2);", "$uN.1"},
	{"tuple of tuples", "", "$uuN = (1, (2, X));", "$uuN.1.1"},
	{"record", "", "$rN = (x=1, y=X);", "$rN.y"},
	{"map", "", "@mN = X; $mN = @mN;", "$mN"},
	{"map element", "", "@eN[1] = X;", "@eN[1]"},
	{"map element in a variable", "", "@fN[1] = X; $fN = @fN[1];", "$fN"},
	{"tuple in a map", "", "@gN[1] = (X, 5);", "@gN[1].0"},
	{"record in a map", "", "@hN = (a=X, b=5);", "@hN.a"},
	{"map value in a loop", "", "@iN[1] = X; for ($kv : @iN) { @jN[7] = $kv.1; }", "@jN[7]"},
	{"map key", "", "@kN[X] = 1; for ($kv : @kN) { @lN[7] = $kv.0; }", "@lN[7]"},
	{"map key of several", "", "@nN[1, X] = 1; for ($kv : @nN) { @oN[7] = $kv.0.1; }", "@oN[7]"},
	{"ternary", "", "", "(nsecs > 0 ? X : X)"},
	{"if", "", "$yN = if (nsecs > 0) { X } else { X };", "$yN"},
	{"block", "", "$zN = { let $q = X; $q };", "$zN"},
	{"loop", "", "let $aN : T; for ($i : 0..3) { if ($i == 2) { $aN = X; } }", "$aN"},
	{"parameter", "fn pN($x : T) : T { return $x; }", "", "pN(X)"},
	{"parameter in a variable", "fn qN($x : T) : T { $y = $x; return $y; }", "$qN = qN(X);", "$qN"},
}

//go:embed testdata/params/shapes.c
var shapesSource string

// TestShapes stores parts of an object in every way and reads the values in them.
func TestShapes(t *testing.T) {
	bin := fixture(t, "shapes-O1")
	// The types come from the debug info, and once more from the script, under
	// other names.
	_, text, _ := strings.Cut(shapesSource, "struct point {")
	text, _, _ = strings.Cut("struct point {"+text, "\nstatic")
	rename := strings.NewReplacer("struct ", "struct my_", "union ", "union my_")
	for _, v := range []struct {
		name, defs, object string
		types              func(string) string
	}{
		{"debug info", "", "args.s", func(s string) string { return s }},
		{"script", rename.Replace(text), "((struct my_shape *)arg0)", func(s string) string { return rename.Replace(s) }},
	} {
		for i, u := range shapeUses {
			if testing.Short() && (i%2 == 0) == (v.name == "script") {
				continue // in emulation each use runs with one kind of types
			}
			t.Run(v.name+"/"+u.name, func(t *testing.T) { testShape(t, bin, v.defs, v.object, v.types, u.decl, u.stmts, u.expr) })
		}
	}
}

func testShape(t *testing.T, bin, defs, pointer string, typed func(string) string, decl, stmts, expr string) {
	first := pointer
	if strings.Contains(stmts, "for") { // args cannot be used in a loop
		pointer = "$s"
	}
	var fns, script, want, cleared strings.Builder
	for i, s := range shapes {
		r := strings.NewReplacer("X", strings.ReplaceAll(s.expr, "S", pointer), "T", typed(s.typ), "N", fmt.Sprint(i))
		fmt.Fprintln(&fns, r.Replace(decl))
		fmt.Fprintln(&script, "\t"+r.Replace(stmts))
		for _, f := range s.found {
			fmt.Fprintf(&script, "\tprint((%q, %s%s));\n", s.name+f[0], r.Replace(expr), f[0])
			fmt.Fprintf(&want, "(%s, %s)\n", s.name+f[0], f[1])
		}
		for _, name := range strings.Fields("@mN @eN @fN @gN @hN @iN @jN @kN @lN @nN @oN") {
			if strings.Contains(stmts, name) {
				fmt.Fprintf(&cleared, " clear(%s);", r.Replace(name))
			}
		}
	}
	prints(t, bin, fmt.Sprintf("%s\n%s\nuprobe:BIN:take {\n\t$s = %s;\n%s\texit();\n}\nend {%s }", defs, fns.String(), first, script.String(), cleared.String()), want.String())
}
