package codegen_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/codegen/internal/scriptgen"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
)

// shapes are scripts of n lines, each long in a different way.
var shapes = []struct {
	name  string
	loads int // number of lines of the script that is also loaded
	text  func(n int) string
}{
	{"sum", 10000, body(func(i int) string { return "@m[1] = sum(args.count + 1);" })},
	{"stores", 5000, body(func(i int) string { return fmt.Sprintf("@m[%d] = args.count;", i) })},
	{"threads", 1000, body(func(i int) string { return fmt.Sprintf("@m%d[tid] = %d;", i%40, i) })},
	{"current task", 0, body(func(i int) string { return fmt.Sprintf("if (curtask.tgid == %d) { @a%d[cpu] = jiffies; }", i, i%9) })},
	{"keys", 1000, body(func(i int) string { return fmt.Sprintf("@m[%d] = count();", i) })},
	{"counters", 5000, body(func(i int) string { return fmt.Sprintf("@m%d = count();", i%50) })},
	{"slots", 0, body(func(i int) string { return fmt.Sprintf("@m%d = args.count;", i) })},
	{"stats", 1000, body(func(i int) string { return fmt.Sprintf("@m[%d, comm] = stats(args.count);", i%10) })},
	{"hist", 1000, body(func(i int) string { return fmt.Sprintf("@m[pid] = hist(args.count + %d);", i) })},
	{"printf", 10000, body(func(i int) string { return fmt.Sprintf(`printf("%d %%d %%s\n", args.count, comm);`, i) })},
	{"if", 10000, body(func(i int) string { return fmt.Sprintf("if (args.count == %d) { @a = %d; }", i, i) })},
	{"vars", 0, body(func(i int) string { return fmt.Sprintf("$v%d = args.count + %d; @x = $v%d;", i, i, max(i-5, 0)) })},
	{"accum", 0, body(func(i int) string {
		return fmt.Sprintf("$a = (uint64)3 + args.count; $a = $a * 3 + args.count; if ($a > %d) { $a = $a - %d; } @z = $a;", i, i)
	})},
	{"elseif", 0, func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read {\n")
		for i := range n {
			fmt.Fprintf(&b, "if (args.count == %d) { @a = %d; } else ", i, i)
		}
		b.WriteString("{ @a = 0; } }")
		return b.String()
	}},
	{"expr", 0, func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read { @a = args.count\n")
		for i := range n {
			fmt.Fprintf(&b, "+ (args.count ^ %d)\n", i)
		}
		b.WriteString("; }")
		return b.String()
	}},
	{"and", 0, func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read { @a = args.count > 0\n")
		for i := range n {
			fmt.Fprintf(&b, "&& args.count != %d\n", i)
		}
		b.WriteString("; }")
		return b.String()
	}},
	{"game", 400, game},
	{"str", 1000, body(func(i int) string { return fmt.Sprintf(`@s[%d] = str(args.buf, 32);`, i%7) })},
	{"probes", 0, func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "interval:us:%d { @a[%d] = count(); }\n", i+100, i)
		}
		return b.String()
	}},
	{"maps", 0, body(func(i int) string { return fmt.Sprintf("@m%d[pid] = %d;", i, i) })},
	{"loop", 1000, body(func(int) string { return "for ($i : 0..3) { @l += $i; }" })},
	{"while", 1000, body(func(i int) string {
		return fmt.Sprintf("$i%d = 0; while ($i%d < 4) { $i%d++; @w = $i%d; }", i, i, i, i)
	})},
	{"tern", 3000, body(func(i int) string { return fmt.Sprintf("@t = args.count > %d ? 1 : @t + 2;", i) })},
	{"strcmp", 1000, body(func(i int) string { return fmt.Sprintf(`if (comm == "name%d") { @c = %d; }`, i, i) })},
	{"map copy", 1000, body(func(i int) string { return fmt.Sprintf("@a[%d] = @b[%d];", i%9, i%7) })},
	{"key from a map", 1000, body(func(i int) string { return fmt.Sprintf("@a[@b[%d]] = @c[pid];", i%7) })},
	{"arithmetic", 1000, body(func(i int) string {
		return fmt.Sprintf("@a = @a * %d + args.count / %d - (args.count %% %d);", i+2, i+3, i+4)
	})},
	{"helper", 3000, body(func(i int) string { return fmt.Sprintf("if (pid == %d) { @a = %d; }", i, i) })},
	{"ternary strings", 1000, body(func(i int) string { return fmt.Sprintf(`@s[%d] = args.count == %d ? "a%d" : "b%d";`, i%5, i, i, i) })},
	{"nested ternary strings", 0, func(n int) string {
		var b strings.Builder
		b.WriteString("tracepoint:syscalls:sys_enter_read { @s = ")
		for i := range n {
			fmt.Fprintf(&b, "args.count == %d ? \"s%d\" : ", i, i)
		}
		b.WriteString("\"none\"; }")
		return b.String()
	}},
	{"string variables", 500, body(func(i int) string { return fmt.Sprintf(`$s%d = str(args.buf, 32); @s[$s%d] = count();`, i, i) })},
	{"print", 1000, body(func(i int) string { return fmt.Sprintf(`print((args.count, %d, comm));`, i) })},
	{"stacks", 200, body(func(i int) string { return fmt.Sprintf("@s[%d, kstack] = count();", i) })},
	{"delete", 500, body(func(i int) string { return fmt.Sprintf("@m[%d] = nsecs; delete(@m, %d);", i%8, i%7) })},
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

// compileFor compiles text for a kernel, with max_probes and max_bpf_progs raised.
// timed may be nil.
func compileFor(tb testing.TB, k probes.Kernel, text string, timed func(stage string, took time.Duration)) *object.Object {
	tb.Helper()
	diags := &source.Diags{}
	req := request(k, func(c *config.Config) {
		c.MaxStrlen, c.MaxProbes, c.MaxBPFProgs, c.OnStackLimit = 64, 1<<20, 1<<20, 32
	})
	req.Timed = timed
	obj, err := codegen.Compile(source.NewFile("stdin", text), req, diags)
	if err == nil {
		err = diags.Err()
	}
	if err != nil {
		msg := err.Error()
		tb.Fatal(msg[:min(len(msg), 1000)])
	}
	return obj
}

// TestLinear checks that neither the code nor the compiler's work grows faster than the
// script. Work is measured in bytes allocated: a pass that takes more than linear time
// nearly always allocates more than linear memory too.
func TestLinear(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	const few, many = 200, 1000
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			measure := func(n int) (insns, bytes float64) {
				text := s.text(n)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				obj := compileFor(t, k, text, nil)
				runtime.ReadMemStats(&after)
				for _, p := range obj.Programs {
					insns += float64(len(p.Insns))
				}
				return insns, float64(after.TotalAlloc - before.TotalAlloc)
			}
			measure(10) // the kernel's data is read only once
			i1, b1 := measure(few)
			i2, b2 := measure(many)
			const growth = 1.0 * many / few
			if i2 > 1.2*growth*i1 {
				t.Errorf("%d lines are %.0f instructions, %d are %.0f", few, i1, many, i2)
			}
			if b2 > 1.6*growth*b1 {
				t.Errorf("%d lines take %.0f bytes a line, %d take %.0f", few, b1/few, many, b2/many)
			}
		})
	}
}

// TestReplacedCalls counts the calls that the kernel replaces by other instructions. For
// each of them it moves the rest of the program, which takes longest in a large program.
func TestReplacedCalls(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	replaced := []asm.BuiltinFunc{asm.FnMapLookupElem, asm.FnGetSmpProcessorId, asm.FnGetCurrentTask, asm.FnGetCurrentTaskBtf, asm.FnJiffies64}
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			for _, p := range compileFor(t, k, s.text(1000), nil).Programs {
				n := 0
				for _, in := range p.Insns {
					if in.IsBuiltinCall() && slices.Contains(replaced, asm.BuiltinFunc(in.Constant)) {
						n++
					}
				}
				if n > 400 {
					t.Errorf("%s has %d", p.Name, n)
				}
			}
		})
	}
}

// BenchmarkStages measures the time of each stage of the compiler, on scripts of a
// thousand lines, in nanoseconds per line.
func BenchmarkStages(b *testing.B) {
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		b.Fatal(err)
	}
	const lines = 1000
	for _, s := range shapes {
		text := s.text(lines)
		b.Run(s.name, func(b *testing.B) {
			total := map[string]time.Duration{}
			for b.Loop() {
				compileFor(b, k, text, func(stage string, took time.Duration) { total[stage] += took })
			}
			for _, stage := range codegen.Stages() {
				b.ReportMetric(float64(total[stage].Nanoseconds())/float64(b.N)/lines, stage+"-ns/line")
			}
		})
	}
}

// TestManyLines loads thousands of lines in one probe. The work of the kernel's
// verifier must not grow faster than the script.
func TestManyLines(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("loading programs needs root")
	}
	k := kernel.Live()
	for _, s := range shapes {
		if s.loads == 0 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			few := verified(t, compileFor(t, k, s.text(s.loads/5), nil))
			many := verified(t, compileFor(t, k, s.text(s.loads), nil))
			if many > 5*few*3/2 {
				t.Errorf("%d lines: the verifier processes %d instructions, %d lines: %d", s.loads/5, few, s.loads, many)
			}
		})
	}
}

// verified loads obj and returns the number of instructions that the kernel's verifier
// processed, or 0 if the kernel does not report it.
func verified(t *testing.T, obj *object.Object) (n int) {
	coll, err := collection(obj)
	if errors.Is(err, unix.EPERM) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	for _, p := range coll.Programs {
		if info, err := p.Info(); err == nil {
			i, _ := info.VerifiedInstructions()
			n += int(i)
		}
	}
	return n
}

// TestFarJumps runs a program whose jumps, forward and back, cross more instructions
// than one jump can.
func TestFarJumps(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("running programs needs root")
	}
	const lines = 35_000
	add := func(name string) string { return strings.Repeat("@"+name+" += $i;\n", lines) }
	text := "begin { $i = 0; while ($i < 3) { $i++; if ($i == 2) {" + add("r0") + "} else {" + add("r1") + "} @r2++; } }"
	got, err := inKernel(t, kernel.Live(), &scriptgen.Script{Text: text})
	if errors.Is(err, unix.EPERM) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got["@r0"] != 2*lines || got["@r1"] != 4*lines || got["@r2"] != 3 {
		t.Errorf("%v", got)
	}
}

// TestParts runs programs with so many branches that they are cut into parts. Parts
// share variables, and a return in one ends the program.
func TestParts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("running programs needs root")
	}
	const lines = 1000
	for _, c := range []struct {
		name, open, line, close string
		ends                    int // the line at which it returns
	}{
		{"flat", "begin { $a = 0; $b = 1;", "", "@late = (int64)1; @a = $a; @b = $b; }", 0},
		{"returns", "begin { $a = 0; $b = 1;", "if ($a == 244650) { return; }", "@late = (int64)1; @a = $a; @b = $b; }", 699},
		{"in an if", "begin { $a = 0; $b = 1; if (nsecs > 0) {", "", "} @late = (int64)1; @a = $a; @b = $b; }", 0},
		{"text and loops", `begin { $a = 0; $b = 1; $s = "abc";`,
			`if ($s == "abd") { @wrong = (int64)1; } for ($i : 0..2) { $a += $i; } $w = 0; while ($w < 2) { $w++; } $a -= $w - 1;`,
			"@late = (int64)1; @a = $a; @b = $b; }", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var text strings.Builder
			text.WriteString(c.open + "\n")
			n := lines
			if c.ends > 0 {
				n = c.ends
			}
			var a, odd int64
			for i := range lines {
				fmt.Fprintf(&text, "$a += %d; if ($a %% 2 == 1) { @odd++; $b = $b ^ %d; }\n%s\n", i, i, c.line)
			}
			b := int64(1)
			for i := range n + min(c.ends, 1) {
				if a += int64(i); a%2 == 1 {
					odd++
					b ^= int64(i)
				}
			}
			text.WriteString(c.close)
			obj := compileFor(t, kernel.Live(), text.String(), nil)
			if got := len(obj.Programs[0].Funcs); got < 10 {
				t.Errorf("%d functions", got)
			}
			got, err := inKernel(t, kernel.Live(), &scriptgen.Script{Text: text.String()})
			if errors.Is(err, unix.EPERM) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]int64{"@odd": odd, "@late": 1, "@a": a, "@b": b}
			if c.ends > 0 {
				want["@late"], want["@a"], want["@b"] = 0, 0, 0
			}
			for name, n := range got {
				if n != want[name] {
					t.Errorf("%s is %d, want %d", name, n, want[name])
				}
			}
		})
	}
}
