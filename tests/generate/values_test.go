package generate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/tests/schema"
)

// A known is an expression and its value as print() and as JSON show it.
type known struct {
	use
	shown string
	json  any
}

// number is the integer n of type typ, written as text.
func number(text, typ string, n any) known {
	s := fmt.Sprint(n)
	k := known{use: use{name: typ, text: text, typ: typ, in: begin}, shown: s}
	k.json = json.Number(s)
	// Readers of JSON have 53 bits, so larger integers are strings.
	double := new(big.Float).SetPrec(53)
	switch n := n.(type) {
	case int64:
		double.SetInt64(n)
	case uint64:
		double.SetUint64(n)
	}
	if double.Acc() != big.Exact {
		k.json = s
	}
	return k
}

// integers returns the limits of each width and sign, and results of operators
// on them.
func integers() []known {
	var list []known
	for bits := 8; bits <= 64; bits *= 2 {
		low, high := int64(-1)<<(bits-1), int64(1)<<(bits-1)-1
		signed, unsigned := fmt.Sprintf("int%d", bits), fmt.Sprintf("uint%d", bits)
		for _, n := range []int64{0, 1, -1, low, low + 1, high, 100} {
			k := number(fmt.Sprintf("(%s)%d", signed, n), signed, n)
			if n == math.MinInt64 {
				k.text = "(int64)(-9223372036854775807 - 1)"
			}
			list = append(list, k)
			// The value of a variable is not known at compile time.
			v := k
			v.text, v.in.body = "$n", "let $n : "+signed+"; $n = "+k.text+"; if (cpu > 100000) { $n = ("+signed+")5; }"
			list = append(list, v)
		}
		max := uint64(math.MaxUint64) >> (64 - bits)
		for _, n := range []uint64{0, 1, max, max - 1, max/2 + 1} {
			list = append(list, number(fmt.Sprintf("(%s)%d", unsigned, n), unsigned, n))
			v := number("$n", unsigned, n)
			v.in.body = "let $n : " + unsigned + "; $n = (" + unsigned + ")" + fmt.Sprint(n) + "; if (cpu > 100000) { $n = (" + unsigned + ")5; }"
			list = append(list, v)
		}
		// A cast truncates a wider number.
		wide := number("("+signed+")$wide", signed, int64(0x1234567890abcdef)<<(64-bits)>>(64-bits))
		wide.in.body = "$wide = (uint64)0x1234567890abcdef; if (cpu > 100000) { $wide = 1; }"
		list = append(list, wide)
		wide = number("("+unsigned+")$wide", unsigned, uint64(0x1234567890abcdef)<<(64-bits)>>(64-bits))
		wide.in.body = "$wide = (uint64)0x1234567890abcdef; if (cpu > 100000) { $wide = 1; }"
		list = append(list, wide)
	}
	return append(list, operated()...)
}

// operated returns results of each operator on 64-bit numbers, computed by Go.
func operated() []known {
	var list []known
	numbers := []int64{0, 1, -1, 7, -7, 63, math.MaxInt64, math.MinInt64 + 1, 1 << 32}
	for _, a := range numbers {
		for _, b := range numbers {
			x, y := uint64(a), uint64(b)
			add := func(op, typ string, n any) {
				k := number("($a "+op+" $b)", typ, n)
				k.name = op
				decl := func(name string, n int64) string {
					if typ == "uint64" {
						return fmt.Sprintf("let %s : uint64 = (uint64)%d; ", name, uint64(n))
					}
					return fmt.Sprintf("let %s : int64 = (int64)%d; ", name, n)
				}
				k.in.body = decl("$a", a) + decl("$b", b) + "if (cpu > 100000) { $a = 3; $b = 3; }"
				list = append(list, k)
			}
			add("+", "int64", a+b)
			add("-", "int64", a-b)
			add("*", "int64", a*b)
			add("&", "int64", a&b)
			add("|", "int64", a|b)
			add("^", "int64", a^b)
			add("+", "uint64", x+y)
			add("*", "uint64", x*y)
			add("&", "uint64", x&y)
			add("^", "uint64", x^y)
			if b != 0 {
				add("/", "int64", a/b)
				add("%", "int64", a%b)
				add("/", "uint64", x/y)
				add("%", "uint64", x%y)
			}
			if b >= 0 && b < 64 {
				add("<<", "int64", a<<b)
				add(">>", "int64", a>>b)
				add("<<", "uint64", x<<y)
				add(">>", "uint64", x>>y)
			}
			for op, holds := range map[string]bool{"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b} {
				add(op, "int64", holds)
				list[len(list)-1].json, list[len(list)-1].typ = holds, "bool"
			}
			for op, holds := range map[string]bool{"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y} {
				add(op, "uint64", holds)
				list[len(list)-1].json, list[len(list)-1].typ = holds, "bool"
			}
		}
	}
	return list
}

// others returns values of all other types.
func others() []known {
	var list []known
	add := func(name, text, typ, shown string, data any) {
		list = append(list, known{use{name: name, text: text, typ: typ, in: begin}, shown, data})
	}
	after := func(name, body, text, shown string, data any) {
		// Rename variables and maps: the carriers use the same names.
		own := regexp.MustCompile(`([$@])([a-z]+)`)
		body, text = own.ReplaceAllString(body, "${1}own${2}"), own.ReplaceAllString(text, "${1}own${2}")
		list = append(list, known{use{name: name, text: text, in: program{attach: "begin", body: body}}, shown, data})
	}
	add("bool", "true", "bool", "true", true)
	add("bool", "(bool)0", "bool", "false", false)
	for _, s := range []string{"", "a", "seven77", "eight888", "nine99999", "a, b: [c]", `"quoted" \ back`, "tab\tand\nline", "é 日本 \U0001f600", strings.Repeat("long ", 12)} {
		add("string", quote(s), "", s, s)
		after("string", "$s = "+quote(s)+";", "$s", s, s)
		after("string", "@s[7] = "+quote(s)+";", "@s[7]", s, s)
	}
	n := func(s string) json.Number { return json.Number(s) }
	add("tuple", `((int8)-1, "ab", (uint64)18446744073709551615)`, "", "(-1, ab, 18446744073709551615)", []any{n("-1"), "ab", "18446744073709551615"})
	add("tuple", `(1, (2, ("x", true)))`, "", "(1, (2, (x, true)))", []any{n("1"), []any{n("2"), []any{"x", true}}})
	add("record", `(a = (int16)-5, b = "y")`, "", "{ .a = -5, .b = y }", map[string]any{"a": n("-5"), "b": "y"})
	add("array", "(uint8[4])(uint32)0xff020304", "uint8[4]", "[4,3,2,255]", []any{n("4"), n("3"), n("2"), n("255")})
	add("array", "(int16[4])0x7fff8000ffff0001", "int16[4]", "[1,-1,-32768,32767]", []any{n("1"), n("-1"), n("-32768"), n("32767")})
	add("array", "(uint32[2])(uint64)0x80000000ffffffff", "uint32[2]", "[4294967295,2147483648]", []any{n("4294967295"), n("2147483648")})
	after("element", "$a = (int16[4])0x7fff8000ffff0001;", "$a[2]", "-32768", n("-32768"))
	after("buffer", `$b = buf("a\n\\", 3);`, "$b", `a\x0a\`, []any{n("97"), n("10"), n("92")})
	add("pointer", "(struct task_struct *)0x1234", "struct task_struct *", "0x1234", n("4660"))
	list = append(list, known{use{"enum", "(enum colour)7", "enum colour", program{decls: "enum colour { RED = 1, BLUE = 7 };", attach: "begin"}}, "BLUE", n("7")})
	add("address", "ntop((uint32)0x0100007f)", "", "127.0.0.1", "127.0.0.1")
	add("address", `ntop(pton("fe80::1"))`, "", "fe80::1", "fe80::1")
	add("word", "strerror(2)", "", "No such file or directory", "No such file or directory")
	add("call", "(uint8)bswap((uint8)0x12)", "uint8", "18", n("18"))
	add("call", "bswap((uint32)0x12345678)", "uint32", "2018915346", n("2018915346"))
	add("call", `strstr("haystack", "stack")`, "", "3", n("3"))
	after("call", `$h = "haystack"; if (cpu > 100000) { $h = "x"; }`, `strstr($h, "stack")`, "3", n("3"))
	after("call", `$h = "haystack"; if (cpu > 100000) { $h = "x"; }`, `strlen($h)`, "8", n("8"))
	after("call", `$h = "haystack"; if (cpu > 100000) { $h = "x"; }`, `str($h, 4)`, "hays", "hays")
	list = append(list,
		known{use{"function", "f((int8)-3)", "", program{decls: "fn f($a : int8) : int64 { return $a * 2; }", attach: "begin"}}, "-6", n("-6")},
		known{use{"function", "f(1)", "", program{decls: `fn f($a : int64) : string[8] { if ($a > 0) { return "yes"; } return "no"; }`, attach: "begin"}}, "yes", "yes"},
		known{use{"macro", "m(2, 3)", "", program{decls: "macro m(x, y) { x * 10 + y }", attach: "begin"}}, "23", n("23")},
	)
	for _, a := range []struct {
		body, text, shown string
	}{
		{"@c = count(); @c = count();", "(int64)@c", "2"},
		{"@c = sum(-3); @c = sum(5);", "(int64)@c", "2"},
		{"@c = sum((uint8)250); @c = sum((uint8)250);", "(uint64)@c", "500"},
		{"@c = min(-3); @c = min(5);", "(int64)@c", "-3"},
		{"@c = max(-3); @c = max(-5);", "(int64)@c", "-3"},
		{"@c = max((uint64)18446744073709551615); @c = max((uint64)1);", "(@c == 18446744073709551615)", "true"},
		{"@c = avg(-3); @c = avg(-6);", "(int64)@c", "-4"},
		{"@c[3] = sum(5); @c[3] = sum(6); @c[4] = sum(1);", "(int64)@c[3]", "11"},
		{"@n = 5; @n++; @n += 3; @n--; @n <<= 2;", "@n + 0", "32"},
		{"@n[1] = 5; @n[1]++; @n[2] += 3;", "@n[1] * 10 + @n[2]", "63"},
		{"$t = 0; for ($i : 0..10) { if ($i == 2) { continue; } if ($i == 7) { break; } $t += $i; }", "$t", "19"},
		{"$t = 0; for ($i : 0..1000) { $t += $i; }", "$t", "499500"},
		{"$t = 0; $i = 10; while ($i > 0) { $i--; $t += $i; }", "$t", "45"},
		{"$t = 0; unroll (5) { $t = $t * 2 + 1; }", "$t", "31"},
		{"@m[1] = 2; @m[3] = 4; $t = 0; for ($kv : @m) { $t += $kv.0 * $kv.1; }", "$t", "14"},
		{`@m["a"] = 1; @m["b"] = 2; delete(@m["a"]); @m["c"] = 3;`, `len(@m) * 10 + has_key(@m, "a")`, "20"},
	} {
		data := any(n(a.shown))
		if a.shown == "true" {
			data = true
		}
		after("computed", a.body, a.text, a.shown, data)
	}
	return list
}

// carrier stores or passes on a value and then prints it. V stands for the printed
// value.
type carrier struct {
	name, code string
	want       string // text; V is the value
	kind       string // of the JSON line
	data       func(v any) any
	only       func(k known) bool
}

// quote returns s as a string of the language.
func quote(s string) string {
	return `"` + strings.NewReplacer("\\", `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s) + `"`
}

func same(v any) any { return v }

func named(k known) bool { return k.typ != "" }

func carriers() []carrier {
	n := func(s string) json.Number { return json.Number(s) }
	value := func(name, code string) carrier { return carrier{name, code, "V\n", "value", same, nil} }
	list := []carrier{
		value("print", "print(X);"),
		value("variable", "$v = X; print($v);"),
		value("variable of two ways", "$v = X; if (cpu > 100000) { $v = X; } print($v);"),
		value("declared", "let $v = X; print($v);"),
		value("read of a map", "@v = X; $w = @v; print($w); clear(@v);"),
		value("ternary", "$t = cpu < 100000 ? X : X; print($t);"),
		value("if", "$t = if (cpu < 100000) { X } else { X }; print($t);"),
		value("block", "$t = { let $q = X; $q }; print($t);"),
		value("loop", "for ($i : 0..1) { $v = X; print($v); }"),
		value("callback", "$v = X; for ($i : 0..300) { if ($i == 299) { print($v); } }"),
		value("element", `$t = ("a", (X, "b")); print($t.1.0);`),
		value("field", `$r = (q = "a", w = X); print($r.w);`),
		value("key", "@k[X] = 1; for ($kv : @k) { print($kv.0); } clear(@k);"),
		value("second key", `@k["a", X] = 1; for ($kv : @k) { print($kv.0.1); } clear(@k);`),
		value("value of a walk", "@k[1] = X; for ($kv : @k) { print($kv.1); } clear(@k);"),
		value("element in a map", "@t = (1, X); print(@t.1); clear(@t);"),
		value("variable as value", "$v = X; @m[1] = $v; $w = @m[1]; print($w); clear(@m);"),
		{"tuple", "print((1, X, \"z\"));", "(1, V, z)\n", "value", func(v any) any { return []any{n("1"), v, "z"} }, nil},
		{"tuple of variables", "$v = X; $w = ($v, $v); print($w);", "(V, V)\n", "value", func(v any) any { return []any{v, v} }, nil},
		{"record", "print((q = X, w = 1));", "{ .q = V, .w = 1 }\n", "value", func(v any) any { return map[string]any{"q": v, "w": n("1")} }, nil},
		{"tuple in a tuple", "print(((X, 1), (2, X)));", "((V, 1), (2, V))\n", "value", func(v any) any { return []any{[]any{v, n("1")}, []any{n("2"), v}} }, nil},
		{"record in a tuple", "print((1, (q = X, w = X)));", "(1, { .q = V, .w = V })\n", "value", func(v any) any { return []any{n("1"), map[string]any{"q": v, "w": v}} }, nil},
		{"tuple in a record", "print((q = (X, 1), w = X));", "{ .q = (V, 1), .w = V }\n", "value", func(v any) any { return map[string]any{"q": []any{v, n("1")}, "w": v} }, nil},
		{"record in a record", "print((q = (a = X, b = 1), w = X));", "{ .q = { .a = V, .b = 1 }, .w = V }\n", "value", func(v any) any {
			return map[string]any{"q": map[string]any{"a": v, "b": n("1")}, "w": v}
		}, nil},
		{"tuples in a map", "@n[5] = (X, (X, 2)); print(@n); clear(@n);", "@n[5]: (V, (V, 2))\n", "map", func(v any) any {
			return map[string]any{"@n": map[string]any{"5": []any{v, []any{v, n("2")}}}}
		}, nil},
		{"map", "@v = X; print(@v); clear(@v);", "@v: V\n", "map", func(v any) any { return map[string]any{"@v": v} }, nil},
		{"map of maps", "@m[5] = X; print(@m); clear(@m);", "@m[5]: V\n", "map", func(v any) any { return map[string]any{"@m": map[string]any{"5": v}} }, nil},
		{"equal", "$v = X; @v = X; if ($v == @v) { print(1); } if ($v != @v) { print(2); } clear(@v);", "1\n", "value", func(any) any { return n("1") }, func(k known) bool {
			return k.name != "address" && k.name != "word" && k.name != "record" && k.name != "enum"
		}},
		{"count", "@k[X] = count(); @k[X] = count(); print(len(@k)); clear(@k);", "1\n", "value", func(any) any { return n("1") }, nil},
		{"deleted", "@k[X] = 1; delete(@k, X); print(has_key(@k, X)); clear(@k);", "false\n", "value", func(any) any { return false }, nil},
		{"macro", "print(same(X));", "V\n", "value", same, nil},
	}
	return append(list, carrier{"function", "", "V\n", "value", same, named})
}

// newer matches scripts that need a kernel of 5.19 or newer: walks over maps,
// long loops, aggregations in expressions.
var newer = regexp.MustCompile(`for \(\$kv|len\(|0\.\.[0-9]{3}`)

// script passes k through every carrier. If old is set, it omits those that old kernels
// do not support.
func (k known) script(old bool) (text string, want []carrier) {
	p := k.in
	p.decls += " macro same(x) { x }"
	var code strings.Builder
	for _, c := range carriers() {
		if c.only != nil && !c.only(k) || old && newer.MatchString(c.code) {
			continue
		}
		body := strings.ReplaceAll(c.code, "X", k.text)
		if c.name == "function" {
			p.decls += " fn id($a : " + k.typ + ") : " + k.typ + " { return $a; }"
			body = "print(id(" + k.text + "));"
		}
		// A block of its own, and maps of its own.
		id := fmt.Sprint(len(want))
		for _, m := range []string{"v", "k", "m", "t"} {
			if strings.Contains(c.want, "@"+m) {
				continue
			}
			body = strings.NewReplacer("@"+m+" ", "@"+m+id+" ", "@"+m+"[", "@"+m+id+"[", "@"+m+")", "@"+m+id+")", "@"+m+",", "@"+m+id+",", "@"+m+";", "@"+m+id+";", "@"+m+".", "@"+m+id+".").Replace(body)
		}
		code.WriteString("if (1) { " + body + " }\n")
		want = append(want, c)
	}
	p.body += "\n" + code.String()
	config := "config = { print_maps_on_exit=0 }\n"
	if strings.Contains(p.decls, "enum") { // C definitions come first
		return strings.Replace(p.String(), "}; ", "};\n"+config, 1), want
	}
	return config + p.String(), want
}

// TestValues prints known values in every way and compares text and JSON with
// the model.
func TestValues(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loading programs needs root")
	}
	k := kernel.Live()
	var list []known
	for _, v := range integers() {
		if *all || drawn(v.in.body+v.text, *sample, 25) {
			list = append(list, v)
		}
	}
	list = append(list, others()...)
	if testing.Short() {
		n, every := partOf(*sample, 12)
		list = slices.DeleteFunc(list, func(v known) bool { return !drawn(v.in.body+v.text, n, every) })
	}
	printed, old := 0, k.Release().Less(probes.Version{Major: 5, Minor: 19})
	for _, v := range list {
		if old && (newer.MatchString(v.in.body) || newer.MatchString(v.text) || v.name == "computed") {
			continue
		}
		text, want := v.script(old)
		var sum tally
		obj := sum.compile(t, k, text)
		if obj == nil {
			t.Errorf("%srefused: %v", text, sum.refused)
			continue
		}
		var plain, jsonText bytes.Buffer
		w := output.NewWriter(&plain, output.Full)
		if err := play(obj, output.NewText(w, io.Discard, output.Style{}), true); err != nil {
			t.Errorf("%s%v", text, err)
			continue
		}
		w.Flush()
		obj = sum.compile(t, k, text)
		w = output.NewWriter(&jsonText, output.Full)
		if err := play(obj, output.NewJSON(w, output.Style{}), true); err != nil {
			t.Errorf("%s%v", text, err)
			continue
		}
		w.Flush()
		var lines strings.Builder
		for _, c := range want {
			lines.WriteString(strings.ReplaceAll(c.want, "V", v.shown))
		}
		// A blank line follows each map, and two follow the end.
		if got, want := blank(plain.String()), blank(lines.String()); got != want {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", text, got, want)
		}
		checkJSON(t, text, jsonText.Bytes(), v, want)
		printed += len(want)
	}
	t.Logf("%d values, each printed in text and JSON, in %d ways all in all", len(list), printed)
}

// blank returns text without its blank lines.
func blank(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			b.WriteString(line)
		}
	}
	return b.String()
}

// checkJSON compares lines of JSON with the expected lines for v.
func checkJSON(t *testing.T, text string, got []byte, v known, want []carrier) {
	if err := schema.Results(got); err != nil {
		t.Errorf("%s\n%v", text, err)
	}
	d := json.NewDecoder(bytes.NewReader(got))
	d.UseNumber()
	next := func() (line struct {
		Type string
		Data any
	}) {
		for line.Type == "" || line.Type == "attached_probes" {
			if err := d.Decode(&line); err != nil {
				t.Errorf("%s\n%v in\n%s", text, err, got)
				return
			}
		}
		return line
	}
	for _, c := range want {
		line := next()
		if line.Type == "" {
			return
		}
		if data := c.data(v.json); line.Type != c.kind || !reflect.DeepEqual(line.Data, data) {
			t.Errorf("%s\n%s: JSON has %s %#v, want %s %#v", text, c.name, line.Type, line.Data, c.kind, data)
		}
	}
}
