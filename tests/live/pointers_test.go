package live

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pointerSources lists pointers P to a struct of type T, which has the members I, an
// integer, C, an array of characters, and N, a pointer to another object of the type.
var pointerSources = []struct{ name, probe, decl, p, t, i, c, n string }{
	{"trusted", "rawtracepoint:sched_switch", "", "args.next", "struct task_struct *", "pid", "comm", "real_parent"},
	{"task", "tracepoint:sched:sched_switch", "", "curtask", "struct task_struct *", "pid", "comm", "real_parent"},
	{"walked", "rawtracepoint:sched_switch", "", "args.next->real_parent", "struct task_struct *", "pid", "comm", "parent"},
	{"address", "tracepoint:sched:sched_switch", "", "(struct task_struct *)(uint64)curtask", "struct task_struct *", "pid", "comm", "parent"},
	{"kptr", "uprobe:WORK:gt_square", "", "kptr((struct task_struct *)arg0)", "struct task_struct *", "pid", "comm", "parent"},
	{"user", "uprobe:WORK:gt_square", "struct gt_obj { int i; char c[8]; struct gt_obj *n; };", "(struct gt_obj *)arg0", "struct gt_obj *", "i", "c", "n"},
	{"uptr", "tracepoint:syscalls:sys_enter_read", "struct gt_obj { int i; char c[8]; struct gt_obj *n; };", "uptr((struct gt_obj *)args.buf)", "struct gt_obj *", "i", "c", "n"},
	{"result", "uretprobe:WORK:gt_square", "struct gt_obj { int i; char c[8]; struct gt_obj *n; };", "(struct gt_obj *)retval", "struct gt_obj *", "i", "c", "n"},
	{"argument", "tracepoint:syscalls:sys_enter_openat", "struct gt_obj { int i; char c[8]; struct gt_obj *n; };", "(struct gt_obj *)args.filename", "struct gt_obj *", "i", "c", "n"},
	{"register", "uprobe:WORK:gt_square", "struct gt_obj { int i; char c[8]; struct gt_obj *n; };", "(struct gt_obj *)reg(\"sp\")", "struct gt_obj *", "i", "c", "n"},
}

// pointerWays lists ways in which a pointer is passed to its use: the expression for the
// pointer, and statements before and after the use.
var pointerWays = []struct{ name, before, expr, after string }{
	{"itself", "", "(P)", ""},
	{"variable", "$v = P;", "$v", ""},
	{"variable of two", "$v = P; if (nsecs > 5) { $v = P->N; }", "$v", ""},
	{"map", "@m = P;", "@m", ""},
	{"map element", "@e[1] = P;", "@e[1]", ""},
	{"key", "@k[P] = 1; for ($kv : @k) { @f = $kv.0; }", "@f", ""},
	{"tuple", "", "(1, P).1", ""},
	{"tuple in a variable", "$t = (1, P);", "$t.1", ""},
	{"tuple in a map", "@t = (1, P);", "@t.1", ""},
	{"record", "$r = (x=1, y=P);", "$r.y", ""},
	{"ternary", "", "(nsecs > 5 ? P : P->N)", ""},
	{"if", "$i = if (nsecs > 5) { P } else { P->N };", "$i", ""},
	{"cast", "$c = (uint64)P;", "((T)$c)", ""},
	{"parameter", "", "same(P)", ""},
	{"member", "", "P->N->N", ""},
	{"loop", "let $l : T = P; for ($n : 0..3) { $l = $l->N; }", "$l", ""},
	{"while", "$w = P; $o = 0; while ($w != 0) { $w = $w->N; $o++; if ($o > 4) { break; } }", "$w", ""},
	{"in a while", "$x = P; $o = 0; while ($o < 2) {", "$x", "$o++; }"},
	{"later in a while", "let $x : T = (T)0; $o = 0; while ($o < 2) { if ($o == 1) {", "$x", "} $x = P; $o++; }"},
	{"exchanged in a while", "let $x : T = (T)0; $z = P; $o = 0; while ($o < 2) { if ($o == 1) {", "$x", "} $x = $z; $o++; }"},
	{"in two whiles", "let $x : T = (T)0; $o = 0; while ($o < 2) { $j = 0; while ($j < 2) { if ($o == 1 && $j == 1) {", "$x", "} $x = P; $j++; } $o++; }"},
	{"in a condition", "let $x : T = (T)0; $o = 0; while (((uint64)$x & 1) == 0 && $o < 2) { if ($o == 1) {", "$x", "} $x = P; $o++; }"},
	{"in a range", "$x = P; for ($n : 0..1) {", "$x", "}"},
	{"later in a range", "$z = P; let $x : T = (T)0; for ($n : 0..2) { if ($n == 1) {", "$x", "} $x = $z; }"},
	{"in a loop over a map", "$x = P; @one[1] = 1; for ($kv : @one) {", "$x", "}"},
	{"whose address is taken", "$x = P; $a = &$x; print($a != 0);", "$x", ""},
}

// pointerUses lists uses of a pointer X.
var pointerUses = []string{
	"print(X);", `printf("%p %d\n", X, X);`, "print((X, 1));", "@u = X;", "@u2[X] = 1;", "@s[1, X] = count();", "print(X == 0);", "if (X) { print(1); }", "print(!X);",
	"print(X->I);", "print(X->C);", "print(X->N->I);", "print(X->C[1]);", "print(X->N);", "print(*X);", "$y = *X; print($y.I);", "@o = *X;", "@o2[1] = X->C;", "@h = hist(X->I);", "@q[X->C] = sum(X->I);",
	"print(str(X->C));", "print(str(X));", "print(str(X, 8));", "print(str(X->C, X->I));", "print(buf(X, 8));", "print(buf(X->C, X->I));", "print(strlen(X->C));",
	`print(strncmp(X->C, "ab", 2));`, `print(strncmp(str(X), X->C, 4));`, `print(strcontains(X->C, "a"));`, `print(X->C == "ab");`, `print(strstr(X->C, "a"));`,
	"print(ksym(X));", "print(usym(X));", "print(kptr(X));", "print(uptr(X));", "print(macaddr(X->C));", "print(ntop(X->I));", "print(memcmp(X, X, 4));",
	"print((uint64)X);", "print((uint64)X & 0xff);", "print(X + 1);", "print(*(uint8 *)X);", "print(((uint8 *)X)[2]);", "print(sizeof(*X));", `print(offsetof(T, I));`, "print(bswap((uint64)X));",
	"print((uint64)X / 3);", "print((uint64)X % 5);", "print((uint64)X * 3);", "print((uint64)X - 4);", "print((uint64)X >> 4);", "print((uint64)X << 1);", "print((uint64)X | 1);", "print(~(uint64)X);", "print(-(int64)X);", "print((int8)X);",
	"print(X - 1);", "print((uint64)(X + 1) / 2);", "$y2 = X; $y2++; print((uint64)$y2 / 2);", "$y3 = (uint64)X; $y3 += 5; print($y3 * 2);", "print((nsecs > 5 ? (uint64)X : 0) * 2);", "print((uint64)X < 5);", "@u3[(uint64)X / 2] = 1;",
	"@mn = min((uint64)X);", "@sm = sum((uint64)X & 7);", "@lh = lhist((uint64)X & 7, 0, 8, 1);", "@av = avg((uint64)X & 7);", "@pl += (uint64)X & 7;",
}

// pointerValues lists integers computed from a pointer X that is equal to P, and their values.
var pointerValues = [][2]string{
	{"((uint64)X + 1) - (uint64)P", "1"}, {"((uint64)X >> 4) - ((uint64)P >> 4)", "0"}, {"((uint64)X / 3) - ((uint64)P / 3)", "0"},
	{"((uint64)X * 3) - ((uint64)P * 3)", "0"}, {"((uint64)X & 0xffff) - ((uint64)P & 0xffff)", "0"}, {"~(uint64)X ^ ~(uint64)P", "0"},
	{"-(int64)X + (int64)P", "0"}, {"(uint64)(X + 1) - (uint64)P == sizeof(*X)", "1"}, {"(uint64)P - (uint64)(X - 1) == sizeof(*X)", "1"},
	{"(uint64)X < (uint64)P + 1", "1"}, {"X <= P", "1"}, {"X > P", "0"}, {"X == P", "1"}, {"X != 0", "1"}, {"!X", "0"}, {"X && (uint64)X > 5", "1"},
	{"(uint32)X == (uint32)P", "1"}, {"(int8)X == (int8)P", "1"}, {"(nsecs > 0 ? X : (T)0) == P", "1"}, {"(nsecs > 0 ? (uint64)X : 0) - (uint64)P", "0"},
	{"X->I == P->I", "1"}, {"(uint64)X->N - (uint64)P->N", "0"}, {"double((uint64)X) - 2 * (uint64)P", "0"},
}

// TestPointerMatrix loads every use of every pointer, passed in every way, and checks
// that the kernel's verifier accepts them.
func TestPointerMatrix(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it refuses some")
	}
	for i, s := range pointerSources {
		for j, w := range pointerWays {
			// Two sources in every way, every source in some.
			some := slices.Contains([]string{"itself", "variable", "map", "tuple", "if"}, w.name)
			if s.name != "trusted" && s.name != "user" && !some {
				continue
			}
			if testing.Short() && (s.name == "user") == some {
				continue // in emulation
			}
			if elsewhere(i + j) {
				continue
			}
			t.Run(s.name+"/"+w.name, func(t *testing.T) {
				script := func(uses []string) string {
					before := w.before
					if strings.Contains(before, "for (") && strings.Contains(s.p, "arg") { // arguments cannot be used in a loop
						before = "$p = P; " + strings.ReplaceAll(before, "P", "$p")
					}
					var b strings.Builder
					fmt.Fprintln(&b, s.decl)
					fmt.Fprintln(&b, "macro same(x) { x }")
					fmt.Fprintf(&b, "%s {\n%s\n%s\n%s\n}\n", s.probe, before, strings.Join(uses, "\n"), w.after)
					r := strings.NewReplacer("X", strings.NewReplacer("P", "("+s.p+")", "N", s.n, "T", s.t).Replace(w.expr), "P", "("+s.p+")", "->I", "->"+s.i, ".I", "."+s.i, ", I)", ", "+s.i+")", "->C", "->"+s.c, "->N", "->"+s.n, "WORK", *work, "T", s.t)
					return r.Replace(b.String())
				}
				uses := slices.DeleteFunc(slices.Clone(pointerUses), func(u string) bool {
					return s.decl == "" && strings.Contains(u, "*X") && !strings.Contains(u, ")X") && !strings.Contains(u, "sizeof") // a task is too large to copy
				})
				if r := trace(t, "--dry-run", "-e", script(uses)); r.status == 0 {
					return
				}
				for _, u := range uses {
					if r := trace(t, "--dry-run", "-e", script([]string{strings.ReplaceAll(u, "offsetof(T", "offsetof(*X")})); strings.Contains(r.stderr, " needs Linux ") {
						t.Skip(firstLine(errors.New(r.stderr)))
					} else if r.status != 0 {
						t.Errorf("%s\n%s", u, r.stderr)
					}
				}
			})
		}
	}
}

// TestPointerValues computes integers from kernel pointers that are passed in every way.
func TestPointerValues(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it refuses some")
	}
	for i, p := range []string{"curtask", "curtask->group_leader", "(struct task_struct *)(uint64)curtask"} {
		for j, w := range pointerWays {
			if strings.Contains(w.before+w.expr, "N") || elsewhere(i+j) {
				continue
			}
			t.Run(p+"/"+w.name, func(t *testing.T) {
				var body, want strings.Builder
				for k, v := range pointerValues {
					fmt.Fprintf(&body, "printf(\"%d: %%d\\n\", %s);\n", k, v[0])
					fmt.Fprintf(&want, "%d: %s\n", k, v[1])
				}
				script := "macro same(x) { x }\nfn double($x : uint64) : uint64 { return $x * 2; }\nbegin {\n" + w.before + "\nif (X != 0) {\n" + body.String() + "}\n" + w.after + "\nexit(); }"
				r := strings.NewReplacer("X", strings.NewReplacer("P", p, "T", "struct task_struct *").Replace(w.expr), "P", p, "->I", "->pid", "->N", "->real_parent", "T", "struct task_struct *")
				got := trace(t, "-e", r.Replace(script))
				if strings.Contains(got.stderr, " needs Linux ") {
					t.Skip(firstLine(errors.New(got.stderr)))
				}
				if out := got.stdout; got.status != 0 || !strings.Contains(out, want.String()) {
					t.Errorf("status %d, want\n%s\ngot\n%s\n%s\n%s", got.status, want.String(), out, got.stderr, r.Replace(script))
				}
			})
		}
	}
}
