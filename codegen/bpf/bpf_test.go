package bpf

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/codegen/internal/irgen"
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/opt"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/tests/irtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden compiles the IR of each testdata file and compares the listing.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want, _ := strings.Cut(string(text), "-- asm --\n")
			m, err := irtest.Parse(strings.TrimPrefix(in, "-- ir --\n"))
			if err != nil {
				t.Fatal(err)
			}
			if err := ir.Verify(m); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(in, "-- ir --\n# optimised first\n") {
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
			got := disassemble(out)
			if *update {
				if err := os.WriteFile(file, []byte(in+"-- asm --\n"+got), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
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
