package live

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// addressed lists variables whose address a script takes: the statement that sets $v,
// an expression that reads it through a pointer P, and the output.
var addressed = []struct{ name, set, read, want string }{
	{"uint64", "$v = (uint64)5;", "*P", "5"},
	{"int32", "$v = (int32)-7;", "*P", "-7"},
	{"uint8", "$v = (uint8)200;", "*P", "200"},
	{"bool", "$v = true;", "*P", "true"},
	{"bytes", "$v = (uint64)0x0102030405060708;", "((uint8 *)P)[6]", "2"},
	{"string", `$v = "abcdefg";`, "*P", "abcdefg"},
	{"text", `$v = "abcdefg";`, "str((int8 *)P)", "abcdefg"},
	{"buffer", "$v = (uint32)0x41424344;", "buf(P, 4)", "DCBA"},
	{"tuple", `$v = (1, "xy", (uint64)9);`, "*P", "(1, xy, 9)"},
	{"array", "$v = (uint8[4])(uint32)0x01020304;", "*P", "[4,3,2,1]"},
	{"structure", "$v = (uint64)0xfffffffe00000001;", "*(struct pair *)P", "{ .a = 1, .b = -2 }"},
	{"member", "$v = (uint64)0xfffffffe00000001;", "((struct pair *)P).b", "-2"},
	{"pointer", "$i = (uint64)6; $v = &$i;", "**P", "6"},
}

// pointerKeepers lists statements after which $p points to $v.
var pointerKeepers = []struct{ name, stmts string }{
	{"direct", "$p = &$v;"},
	{"copied", "$q = &$v; $p = $q;"},
	{"in a branch", "$p = &$v; if (nsecs > 1) { $p = &$v; }"},
	{"of one of two", "$w = $v; $p = &$w; if (nsecs > 1) { $p = &$v; }"},
	{"chosen", "$p = nsecs > 1 ? &$v : &$v;"},
	{"in a tuple", "$t = (1, &$v); $p = $t.1;"},
	{"moved", "$p = &$v; $p += 1; $p -= 1;"},
	{"in a loop", "$p = &$v; for ($n : 0..3) { $p = &$v; }"},
}

// clobbers lists statements that need memory. N makes names unique.
var clobbers = []string{
	"",
	`@aN["abc"] = 3;`,
	"@bN[(uint64)77, (uint64)78] = count();",
	"@cN[comm] = hist(9);",
	"@dN = sum(77);",
	`@eN["x", 1] = "0123456789";`,
	"if (@fN[8] == 0) { @fN[1] = 1; }",
	"delete(@gN, 3); @gN[3] = 1;",
	"if (has_key(@hN, 12345)) { @hN[1] = 1; }",
	`printf("%s\n", "zz");`,
	"$zN = (1, 2, comm, 4); @iN[$zN] = 1;",
	"@jN[kstack(2)] = count();",
	"for ($k : 0..2) { @kN[$k] = $k; }",
}

// TestAddresses checks that the target of a pointer to a variable does not change
// between its uses. Each combination is a separate program, since a program that needs
// less memory reuses it sooner.
func TestAddresses(t *testing.T) {
	for i, v := range addressed {
		t.Run(v.name, func(t *testing.T) {
			if testing.Short() && i%4 != 0 {
				t.Skip("it runs on a native kernel")
			}
			var script, want strings.Builder
			n := 0
			script.WriteString("struct pair { int a; int b; }\nconfig = { print_maps_on_exit = false }\n")
			for i, keep := range pointerKeepers {
				if testing.Short() && i%3 != 0 {
					continue
				}
				for _, clobber := range clobbers {
					what := fmt.Sprintf("%s, %d", keep.name, n)
					read := strings.ReplaceAll(v.read, "P", "$p")
					clobber = strings.ReplaceAll(clobber, "N", fmt.Sprint(n))
					fmt.Fprintf(&script, "begin {\n\t%s\n\t%s\n\tprint((%q, %s));\n\t%s\n\tprint((%[3]q, %[4]s));\n}\n",
						v.set, keep.stmts, what, read, clobber)
					line := fmt.Sprintf("(%s, %s)\n", what, v.want)
					want.WriteString(line)
					if strings.HasPrefix(clobber, "printf") {
						want.WriteString("zz\n")
					}
					want.WriteString(line)
					n++
				}
			}
			script.WriteString("begin { exit(); }\n")
			r := trace(t, "-q", "-e", script.String())
			r.quiet(t)
			if diff := cmp.Diff(strings.Split(want.String(), "\n"), strings.Split(strings.TrimRight(r.stdout, "\n")+"\n", "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestOwnMemory checks that builtins that read text or bytes through a pointer to a
// variable do so in a probe whose arguments point to a process's memory.
func TestOwnMemory(t *testing.T) {
	bin := fixture(t, "shapes-O1")
	for _, c := range []struct{ name, stmts, expr, want string }{
		{"str", `$s = "hey";`, "str(&$s)", "hey"},
		{"str of a cast", `$s = "hey";`, "str((int8 *)&$s)", "hey"},
		{"str of a copy", `$s = "hey"; $p = (int8 *)&$s; $q = $p;`, "str($q)", "hey"},
		{"str from within", `$s = "hey"; $p = (int8 *)&$s;`, "str($p + 1)", "ey"},
		{"str with a length", `$s = "hey"; $n = 3;`, "str((int8 *)&$s, $n)", "he"},
		{"str of a member", `$v = (uint64)0x0000004443424100; $p = (struct chars *)&$v;`, "str($p.text)", "ABCD"},
		{"buf", `$x = (uint32)0x41424344;`, "buf(&$x, 4)", "DCBA"},
		{"buf of a member", `$v = (uint64)0x0000004443424100; $p = (struct chars *)&$v;`, "buf($p.text, 4)", "ABCD"},
		{"strlen", `$s = "hey";`, "strlen(str(&$s))", "3"},
		{"memcmp", `$s = "hey";`, `memcmp(&$s, "hey", 3)`, "0"},
		{"macaddr", `$m = (uint64)0x060504030201;`, "macaddr((uint8 *)&$m)", "01:02:03:04:05:06"},
		{"in a map", `$s = "hey"; @p = &$s;`, "str(@p)", "hey"},
		{"the process's", `$p = (int8 *)args.s->text;`, "str($p)", "hello"},
		{"pointer to the process's", `$s = args.s; $p = &$s;`, "(*$p)->n", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			script := fmt.Sprintf("struct chars { char first; char text[7]; }\nuprobe:BIN:take { %s print(%s); exit(); }\nend { clear(@p); }\n", c.stmts, c.expr)
			if !strings.Contains(script, "@p =") {
				script = strings.Replace(script, "end { clear(@p); }\n", "", 1)
			}
			prints(t, bin, script, c.want+"\n")
		})
	}
}
