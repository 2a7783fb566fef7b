package bpf

import (
	"fmt"
	"testing"

	"github.com/gotrace/gotrace/codegen/internal/irgen"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/opt"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/tests/cases"
	"github.com/gotrace/gotrace/tests/irtest"
)

// TestGolden compiles the IR of each testdata file. It optimizes the IR first if its
// header requires that.
func TestGolden(t *testing.T) {
	cases.Each(t, "testdata/*.txtar", []string{"optimise"}, func(t *testing.T, c *cases.Case) {
		m, err := irtest.Parse(c.Input(t, "ir"))
		if err != nil {
			t.Fatal(err)
		}
		if err := ir.Verify(m); err != nil {
			t.Fatal(err)
		}
		if c.Header("optimise") == "yes" {
			opt.Run(m)
		}
		before := m.String()
		out, err := Emit(m, Target{})
		if err != nil {
			t.Fatal(err)
		}
		if m.String() != before {
			t.Error("Emit changed its input")
		}
		c.Check(t, cases.Section{Name: "asm", Text: disassemble(out)})
	})
}

func BenchmarkEmit(b *testing.B) {
	for _, size := range []int{20, 80, 320} {
		m := irgen.Program(3, irgen.Config{Size: size})
		opt.Run(m)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			n := 0
			for b.Loop() {
				out, err := Emit(m, Target{})
				if err != nil {
					b.Fatal(err)
				}
				n = len(out.Progs[0].Lines)
			}
			b.ReportMetric(float64(n), "insns")
		})
	}
}

func BenchmarkOpt(b *testing.B) {
	m := irgen.Program(3, irgen.Config{Size: 80})
	for b.Loop() {
		opt.Run(m.Clone())
	}
}

func disassemble(out *Output) string { return object.Disassembly(out.Maps, out.Progs) }
