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
	"github.com/gotrace/gotrace/tests/shapes"
)

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
	for _, s := range shapes.All {
		t.Run(s.Name, func(t *testing.T) {
			measure := func(n int) (insns, bytes float64) {
				text := s.Text(n)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				obj := compileFor(t, k, text, nil)
				runtime.ReadMemStats(&after)
				for _, p := range obj.Programs {
					insns += float64(len(p.Insns))
					if calls := replacedCalls(p); calls > 400 {
						t.Errorf("%d lines: %s has %d calls that the kernel replaces", n, p.Name, calls)
					}
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

// replaced are the functions whose calls the kernel replaces by other instructions. For
// each of them it moves the rest of the program, which takes longest in a large program.
var replaced = []asm.BuiltinFunc{asm.FnMapLookupElem, asm.FnGetSmpProcessorId, asm.FnGetCurrentTask, asm.FnGetCurrentTaskBtf, asm.FnJiffies64}

func replacedCalls(p *object.Program) (n int) {
	for _, in := range p.Insns {
		if in.IsBuiltinCall() && slices.Contains(replaced, asm.BuiltinFunc(in.Constant)) {
			n++
		}
	}
	return n
}

// BenchmarkStages measures the time of each stage of the compiler, on scripts of a
// thousand lines, in nanoseconds per line.
func BenchmarkStages(b *testing.B) {
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		b.Fatal(err)
	}
	const lines = 1000
	for _, s := range shapes.All {
		text := s.Text(lines)
		b.Run(s.Name, func(b *testing.B) {
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
	for _, s := range shapes.All {
		if s.Loads == 0 {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			few := verified(t, compileFor(t, k, s.Text(s.Loads/5), nil))
			many := verified(t, compileFor(t, k, s.Text(s.Loads), nil))
			if many > 5*few*3/2 {
				t.Errorf("%d lines: the verifier processes %d instructions, %d lines: %d", s.Loads/5, few, s.Loads, many)
			}
		})
	}
}

// TestSharedChanges compiles programs that would have more functions than the kernel
// accepts if the changes of every map shared one: their loops and functions come first.
func TestSharedChanges(t *testing.T) {
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct{ name, decl, other string }{
		{"loops", "", "for ($k : @loop) { @s = sum(1); }\n"},
		{"loops in a function", "fn f($x : uint64) : uint64 {\n" + strings.Repeat("for ($k : @loop) { @s = sum($k.0); }\n", 180) + "return $x; }\n", ""},
	} {
		t.Run(s.name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString(s.decl)
			b.WriteString("begin { @loop[1] = 1;\n" + strings.Repeat(s.other, 180))
			for m := range 40 {
				b.WriteString(strings.Repeat(fmt.Sprintf("@a%d[nsecs] = 5;\n", m), 64))
				b.WriteString(strings.Repeat(fmt.Sprintf("@b%d[nsecs] += 5;\n", m), 16))
			}
			if s.decl != "" {
				b.WriteString("@s = sum(f(5));\n")
			}
			b.WriteString("}")
			compileFor(t, k, b.String(), nil)
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

// TestAssignments runs programs with so many assignments to a map that they call a
// function for them, and reads every value back.
func TestAssignments(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("running programs needs root")
	}
	const lines = 100
	for _, c := range []struct{ name, key, typ string }{
		{"word", "%d", "int64"},
		{"thread", "tid", "int64"},
		{"byte", "%d", "int8"},
		{"signed", "(int64)-%d", "int32"},
		{"tuple", `%d, "abc", (uint8)7`, "int16"},
		{"long key", `%d, "abc", "defghijklmnopqrstuvwxyzabcdefghijklm"`, "int64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var text strings.Builder
			text.WriteString("begin {\n")
			for i := range lines {
				key := strings.Replace(c.key, "%d", fmt.Sprint(i), 1)
				fmt.Fprintf(&text, "@m[%s] = (%s)(%d - 50); if (@m[%s] == %d) { @right++; }\n", key, c.typ, i, key, i-50)
			}
			text.WriteString("}")
			got, err := inKernel(t, kernel.Live(), &scriptgen.Script{Text: text.String()})
			if errors.Is(err, unix.EPERM) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			if got["@right"] != lines {
				t.Errorf("%d of %d are right", got["@right"], lines)
			}
			calls := slices.ContainsFunc(compileFor(t, kernel.Live(), text.String(), nil).Programs[0].Funcs, func(f object.Func) bool { return strings.HasPrefix(f.Name, "add") })
			if calls != (c.name != "long key") {
				t.Errorf("assignments call a function: %v", calls)
			}
		})
	}
}

// TestPointerAssignments loads a program that assigns a kernel pointer so often that other
// values would be passed to a function, which takes no pointers. A loop uses the pointer
// too, so that it is in memory.
func TestPointerAssignments(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("loading programs needs root")
	}
	var text strings.Builder
	text.WriteString("begin { $t = curtask; @on[1] = 1; for ($kv : @on) { @n = $t->pid; }\n")
	for i := range 100 {
		fmt.Fprintf(&text, "@m[%d] = $t;\n", i)
	}
	text.WriteString("if (@m[1] == @m[99] && @m[1] == $t) { @right++; } }")
	got, err := inKernel(t, kernel.Live(), &scriptgen.Script{Text: text.String()})
	if errors.Is(err, unix.EPERM) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got["@right"] != 1 {
		t.Errorf("the pointers that were stored are not right")
	}
}

// TestCrowded compiles scripts with few and with many attach points, all in one function. Many
// use links, since the kernel detaches perf events from uprobes one after another.
func TestCrowded(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		release string
		kind    string
		points  int
		multi   bool
	}{
		{"6.12", "uprobe", 15, false},
		{"6.12", "uprobe", 16, true},
		{"6.12", "uprobe", 300, true},
		{"6.12", "uretprobe", 16, true},
		{"6.1", "uprobe", 300, false},
	} {
		k, err := kernel.Frozen("../tests/kernels/" + c.release + ".zip")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for i := range c.points {
			fmt.Fprintf(&b, "%s:%s:\"runtime.main\" { @a%d = count(); }\n", c.kind, self, i)
		}
		found := 0
		for _, p := range compileFor(t, k, b.String(), nil).Programs {
			for _, pt := range p.Points {
				found++
				if pt.Multi != c.multi {
					t.Errorf("Linux %s, %d attach points of %s: one has multi = %t", c.release, c.points, c.kind, pt.Multi)
				}
			}
		}
		if found < c.points {
			t.Errorf("Linux %s, %d attach points of %s: %d points", c.release, c.points, c.kind, found)
		}
	}
}
