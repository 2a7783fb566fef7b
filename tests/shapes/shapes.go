// Package shapes has scripts that can have any number of lines. They are long in different
// ways. Tests check that the compiler's work and the code grow linearly with them, and
// tests/bench measures the time.
package shapes

import (
	"fmt"
	"strings"
)

// Shape is a kind of long script.
type Shape struct {
	Name  string
	Loads int // number of lines of the script that TestManyLines loads; 0: it loads none
	Most  int // maximum number of lines; 0: any number
	Text  func(n int) string
}

// All has all shapes.
var All = []Shape{
	{Name: "sum", Loads: 10000, Text: body(func(i int) string { return "@m[1] = sum(args.count + 1);" })},
	{Name: "stores", Loads: 5000, Text: body(func(i int) string { return fmt.Sprintf("@m[%d] = args.count;", i) })},
	{Name: "threads", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf("@m%d[tid] = %d;", i%40, i) })},
	{Name: "current task", Text: body(func(i int) string { return fmt.Sprintf("if (curtask.tgid == %d) { @a%d[cpu] = jiffies; }", i, i%9) })},
	{Name: "keys", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf("@m[%d] = count();", i) })},
	{Name: "counters", Loads: 5000, Text: body(func(i int) string { return fmt.Sprintf("@m%d = count();", i%50) })},
	{Name: "slots", Text: body(func(i int) string { return fmt.Sprintf("@m%d = args.count;", i) })},
	{Name: "stats", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf("@m[%d, comm] = stats(args.count);", i%10) })},
	{Name: "hist", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf("@m[pid] = hist(args.count + %d);", i) })},
	{Name: "printf", Loads: 10000, Text: body(func(i int) string { return fmt.Sprintf(`printf("%d %%d %%s\n", args.count, comm);`, i) })},
	{Name: "if", Loads: 10000, Text: body(func(i int) string { return fmt.Sprintf("if (args.count == %d) { @a = %d; }", i, i) })},
	{Name: "vars", Text: body(func(i int) string { return fmt.Sprintf("$v%d = args.count + %d; @x = $v%d;", i, i, max(i-5, 0)) })},
	{Name: "accum", Text: body(func(i int) string {
		return fmt.Sprintf("$a = (uint64)3 + args.count; $a = $a * 3 + args.count; if ($a > %d) { $a = $a - %d; } @z = $a;", i, i)
	})},
	{Name: "elseif", Most: 1000, Text: func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read {\n")
		for i := range n {
			fmt.Fprintf(&b, "if (args.count == %d) { @a = %d; } else ", i, i)
		}
		b.WriteString("{ @a = 0; } }")
		return b.String()
	}},
	{Name: "expr", Most: 1000, Text: func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read { @a = args.count\n")
		for i := range n {
			fmt.Fprintf(&b, "+ (args.count ^ %d)\n", i)
		}
		b.WriteString("; }")
		return b.String()
	}},
	{Name: "and", Most: 1000, Text: func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read { @a = args.count > 0\n")
		for i := range n {
			fmt.Fprintf(&b, "&& args.count != %d\n", i)
		}
		b.WriteString("; }")
		return b.String()
	}},
	{Name: "game", Loads: 400, Text: game},
	{Name: "str", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf(`@s[%d] = str(args.buf, 32);`, i%7) })},
	{Name: "probes", Text: func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "interval:us:%d { @a[%d] = count(); }\n", i+100, i)
		}
		return b.String()
	}},
	{Name: "maps", Text: body(func(i int) string { return fmt.Sprintf("@m%d[pid] = %d;", i, i) })},
	{Name: "loop", Loads: 1000, Text: body(func(int) string { return "for ($i : 0..3) { @l += $i; }" })},
	{Name: "while", Loads: 1000, Text: body(func(i int) string {
		return fmt.Sprintf("$i%d = 0; while ($i%d < 4) { $i%d++; @w = $i%d; }", i, i, i, i)
	})},
	{Name: "tern", Loads: 3000, Text: body(func(i int) string { return fmt.Sprintf("@t = args.count > %d ? 1 : @t + 2;", i) })},
	{Name: "strcmp", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf(`if (comm == "name%d") { @c = %d; }`, i, i) })},
	{Name: "map copy", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf("@a[%d] = @b[%d];", i%9, i%7) })},
	{Name: "key from a map", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf("@a[@b[%d]] = @c[pid];", i%7) })},
	{Name: "arithmetic", Loads: 1000, Text: body(func(i int) string {
		return fmt.Sprintf("@a = @a * %d + args.count / %d - (args.count %% %d);", i+2, i+3, i+4)
	})},
	{Name: "helper", Loads: 3000, Text: body(func(i int) string { return fmt.Sprintf("if (pid == %d) { @a = %d; }", i, i) })},
	{Name: "ternary strings", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf(`@s[%d] = args.count == %d ? "a%d" : "b%d";`, i%5, i, i, i) })},
	{Name: "nested ternary strings", Most: 1000, Text: func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read { @s = ")
		for i := range n {
			fmt.Fprintf(&b, "args.count == %d ? \"s%d\" : ", i, i)
		}
		b.WriteString("\"none\"; }")
		return b.String()
	}},
	{Name: "string variables", Loads: 500, Text: body(func(i int) string { return fmt.Sprintf(`$s%d = str(args.buf, 32); @s[$s%d] = count();`, i, i) })},
	{Name: "print", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf(`print((args.count, %d, comm));`, i) })},
	{Name: "stacks", Loads: 200, Text: body(func(i int) string { return fmt.Sprintf("@s[%d, kstack] = count();", i) })},
	{Name: "delete", Loads: 500, Text: body(func(i int) string { return fmt.Sprintf("@m[%d] = nsecs; delete(@m, %d);", i%8, i%7) })},
	{Name: "strings as keys", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf("@m%d[%d, comm] = sum(args.count);", i%50, i) })},
	{Name: "counted if", Loads: 3000, Text: body(func(i int) string { return fmt.Sprintf("if (args.count == %d) { @a = count(); }", i) })},
	{Name: "counters of many maps", Text: body(func(i int) string { return fmt.Sprintf("@m%d[%d] = count();", i%150, i) })},
	{Name: "lhist", Loads: 1000, Text: body(func(i int) string { return fmt.Sprintf("@l%d = lhist(args.count + %d, 0, 1000, 10);", i%9, i) })},
	{Name: "lhist of a thread", Loads: 1000, Text: body(func(i int) string {
		return fmt.Sprintf("@l%d[tid] = lhist(tid, %d, %d, 10);", i, i, 1000+2*i)
	})},
	{Name: "quantile", Text: body(func(i int) string { return fmt.Sprintf("@q[%d] = quantile(args.count, 50, 99);", i%9) })},
	{Name: "long ranges", Text: func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read {\n")
		for i := range n / 2 {
			fmt.Fprintf(&b, "let $v%d = args.count * %d + pid;\n", i, i)
		}
		for i := range n - n/2 {
			fmt.Fprintf(&b, "@x = @x + $v%d;\n", i%(n/2))
		}
		b.WriteString("}")
		return b.String()
	}},
	{Name: "nested if", Loads: 1000, Text: body(func(i int) string {
		return fmt.Sprintf("if (args.count > %d) { if (pid %% 2 == %d) { @a = %d; } else { if (args.fd == %d) { @b[%d] = 1; } } }", i, i%2, i, i, i%9)
	})},
	{Name: "tuples", Text: body(func(i int) string { return fmt.Sprintf("$t = (args.count, %d, pid); @t[$t.0, $t.1] = $t;", i) })},
	{Name: "predicates", Text: func(n int) string {
		var b strings.Builder
		for i := range n / 10 {
			fmt.Fprintf(&b, "tracepoint:syscalls:sys_enter_read /args.count == %d/ {\n%s}\n", i, strings.Repeat("@m[pid] = sum(args.count);\n", 9))
		}
		return b.String()
	}},
	{Name: "macros", Text: func(n int) string {
		var b strings.Builder
		for i := range n / 10 {
			fmt.Fprintf(&b, "macro f%d($x) { $x + %d }\n", i, i)
		}
		b.WriteString("tracepoint:syscalls:sys_enter_read {\n$c = args.count;\n")
		for i := range n - n/10 {
			fmt.Fprintf(&b, "@m[%d] = f%d($c);\n", i%100, i%(n/10))
		}
		b.WriteString("}")
		return b.String()
	}},
}

// game returns a program with many branches, loops and maps on a few variables.
func game(n int) string {
	var b strings.Builder
	b.WriteString("begin { @x = 5; @score = 0; @seed = 7; }\ninterval:ms:100 { @tick++; $x = @x; $y = @y; $rot = @rot; $piece = @piece; $ok = 1;\n")
	for i := range n {
		switch i % 8 {
		case 0:
			fmt.Fprintf(&b, "if ($piece == %d && $rot == %d) { $dx = %d; if (@cell[$x + $dx, $y + 1] != 0) { $ok = 0; } else if (@cell[$x, $y] == %d) { @near++; } }\n", i%7, i%4, i%3, i%9)
		case 1:
			fmt.Fprintf(&b, "for ($r : 0..4) { if (@cell[$r, %d] != 0) { @full[%d]++; } }\n", i%20, i%20)
		case 2:
			fmt.Fprintf(&b, "if (@tick %% %d == 0 && $y < %d) { @y = $y + 1; } else { @x = ($x + %d) %% 10; }\n", i%13+2, i%20, i%3)
		case 3:
			fmt.Fprintf(&b, `if (@score > %d) { printf("%%d %%s\n", @score, @full[%d] > 4 ? "full" : "----"); @level = %d; }`+"\n", i*100, i%20, i)
		case 4:
			fmt.Fprintf(&b, "@seed = (@seed * 1103515245 + %d) & 0x7fffffff; $rnd = (@seed >> 16) %% 7; if ($rnd == %d) { @next = $rnd; }\n", i, i%7)
		case 5:
			fmt.Fprintf(&b, "if ($ok == 1) { @cell[$x + %d, $y + %d] = %d; } else { @lock++; if (@lock > %d) { @piece = @next; @lock = 0; } }\n", i%4, i%3, i%7+1, i)
		case 6:
			fmt.Fprintf(&b, "$line%d = @full[%d]; if ($line%d >= 10) { delete(@full, %d); @score = @score + $line%d; @lines++; }\n", i, i%20, i, i%20, i)
		case 7:
			fmt.Fprintf(&b, "$i = 0; while ($i < 3) { if (@cell[$i, %d] == %d) { @hits[%d] = count(); } $i++; }\n", i%20, i%5, i%5)
		}
	}
	b.WriteString("}")
	return b.String()
}

func body(line func(i int) string) func(n int) string {
	return func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read {\n")
		for i := range n {
			b.WriteString(line(i))
			b.WriteByte('\n')
		}
		b.WriteString("}")
		return b.String()
	}
}
