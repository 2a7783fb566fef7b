// Package generate creates scripts from the compiler's own tables: every builtin, type
// and operator in every place where a script can use it, and in every kind of probe.
// Its tests check that a script that the checker accepts compiles, loads and ends, and
// prints the result of a plain Go model of the language.
package generate

import (
	"hash/fnv"
	"strings"
)

// program is a script of one probe, split into the parts that positions add to.
type program struct {
	decls  string // before the probe
	attach string
	pred   string // without slashes; "" if there is no predicate
	body   string
	unsafe bool // it must not run on this machine
}

func (p program) String() string {
	var b strings.Builder
	if p.decls != "" {
		b.WriteString(p.decls + "\n")
	}
	b.WriteString(p.attach + " ")
	if p.pred != "" {
		b.WriteString("/" + p.pred + "/ ")
	}
	b.WriteString("{ " + p.body + " }\n")
	return b.String()
}

// use is an expression and the program that it needs. The expression is valid after the
// program's body.
type use struct {
	name string // of the builtin, type or operator under test
	text string
	typ  string // its type as scripts write it; "" if it has no name or is unknown
	in   program
}

// position is a place where an expression may stand.
type position struct {
	name string
	// put returns the program with the use in that place. It returns an empty
	// program if the use does not fit.
	put func(u use) program
}

// then returns a position at the end of the body; X in text is the expression.
func then(name, text string) position {
	return position{name, func(u use) program {
		p := u.in
		p.body += " " + strings.ReplaceAll(text, "X", u.text)
		return p
	}}
}

// conversions lists conversions for format strings, with and without flags and
// widths.
var conversions = strings.Fields("%d %i %u %o %x %X %c %s %p %r %rx %rh %gr %f %e %-20s| %8.3s| %08d %hhd %hd %ld %llu %5c| %#x %+d")

// positions returns all positions, the simplest first.
func positions() []position {
	list := []position{
		then("statement", "X;"),
		then("discard", "_ = X;"),
		then("variable", "$v = X; print($v);"),
		then("unused variable", "$v = X;"),
		then("variable again", "$v = X; $v = X; print($v); if (cpu) { $v = X; } print(($v, 1));"),
		then("map", "@v = X; print(@v); $w = @v; print($w);"),
		then("map value", "@m[1] = X; print(@m[1]); print(@m); $w = @m[2]; print($w);"),
		then("map walk", "@m[1] = X; for ($kv : @m) { print($kv); print($kv.1); }"),
		then("map key", "@k[X] = 1; print(@k[X]); delete(@k, X); print(has_key(@k, X));"),
		then("counted key", "@k[X] = count(); @n[X]++; @s[X] += 2;"),
		then("second key", "@k[1, X] = 1; @j[X, \"ab\"] = 1; for ($kv : @k) { print($kv.0); print($kv.0.1); }"),
		then("key is a variable", "$v = X; @k[$v] = 1; for ($kv : @k) { $w = $kv.0; print($w); @k2[$w] = 1; }"),
		then("tuple", "$t = (1, X); print($t); print($t.1); @t = $t; print(@t.1);"),
		then("tuple of tuples", "$t = (X, (X, 1)); print($t.1.0); @t[$t] = $t; print(@t[$t].1);"),
		then("record", "$r = (a = X, b = 1); print($r); print($r.a); @r = $r; print(@r.a);"),
		then("comparison", "if (X == X) { print(1); } if (X != X) { print(2); }"),
		then("order", "if (X < X) { print(1); } if (X >= 1) { print(2); }"),
		then("compared variables", "$v = X; @v = X; if ($v == @v) { print(1); } if ((1, $v) == (1, @v)) { print(2); }"),
		then("compared with text", "if (X == \"abc\") { print(1); } if (\"a\" != X) { print(2); }"),
		then("condition", "if (X) { print(1); } else { print(2); } if (!X) { print(3); }"),
		then("and, or", "if (X && cpu) { print(1); } $o = X || X; print($o);"),
		then("while", "while (X) { break; }"),
		then("ternary condition", "$c = X ? 1 : 2; print($c); print(X ? \"yes\" : \"no\");"),
		then("ternary", "$c = cpu ? X : X; print($c); print(cpu ? X : X);"),
		then("if expression", "$c = if (cpu) { X } else { X }; print($c);"),
		then("block expression", "$c = { let $d = X; $d }; print($c);"),
		then("print", "print(X);"),
		then("print a tuple", "print((X, 1, X));"),
		then("compound", "$v = X; $v += 1; $v |= 2; @v = X; @v -= 3; @v <<= 1;"),
		then("increment", "$v = X; $v++; --$v; @v = X; @v++; --@v;"),
		then("loop body", "for ($i : 0..3) { $v = X; print($v); }"),
		then("long loop body", "for ($i : 0..300) { $v = X; print($v); @k[$i] = X; }"),
		then("while body", "$i = 0; while ($i < 3) { $i++; $v = X; @v = $v; print($v); }"),
		then("unroll body", "unroll (2) { $v = X; print($v); }"),
		then("walk body", "@z[1] = 2; for ($kv : @z) { $v = X; print($v); @m[$kv.0] = X; }"),
		then("variable from outside a loop", "$v = X; for ($i : 0..300) { @m[$i] = $v; print($v); }"),
		then("loop bound", "for ($i : 0..X) { @v = $i; } for ($i : X..3) { @v = $i; }"),
		then("index", "print(X[0]);"),
		then("element of a variable", "$v = X; print($v[0]); @v = X; print(@v[1]);"),
		then("member", "print(X.pid);"),
		then("member of a tuple", "print(X.0); print(X.1);"),
		then("dereference", "print(*X);"),
		then("type", "print(sizeof(X)); if comptime (is_str(X)) { print(1); }"),
		then("declared", "let $d = X; print($d); let $e : typeof(X) = X; print($e);"),
		then("comptime", "if comptime (X) { print(1); }"),
		then("exit status", "exit(X);"),
		then("return", "if (cpu > 5) { return; } print(X); return;"),
		{"predicate", func(u use) program {
			p := u.in
			if p.body != "" { // the expression may need it
				return program{}
			}
			if p.pred != "" {
				p.pred = "(" + p.pred + ") && "
			}
			p.pred += u.text
			p.body = "print(1);"
			return p
		}},
		{"function", func(u use) program {
			if u.typ == "" {
				return program{}
			}
			p := u.in
			p.decls += " fn same($a : " + u.typ + ") : " + u.typ + " { return $a; }"
			p.body += " print(same(" + u.text + ")); $f = same(" + u.text + "); print($f);"
			return p
		}},
		{"macro", func(u use) program {
			p := u.in
			p.decls += " macro twice(x) { (x, x) }"
			p.body += " $m = twice(" + u.text + "); print($m.1);"
			return p
		}},
	}
	for _, c := range conversions {
		list = append(list, then("printf "+c, `printf("<`+c+`>\n", X); printf("%s `+c+`\n", "a", X);`))
	}
	return list
}

// drawn reports whether sample n of every contains the program with that text.
// The choice depends on the text alone, so a new builtin does not change the
// samples of the others.
func drawn(text string, n, every int) bool {
	h := fnv.New32a()
	h.Write([]byte(text))
	return int(h.Sum32()>>4)%every == n%every
}
