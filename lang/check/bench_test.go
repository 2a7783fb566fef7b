package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/attach"
	"github.com/gotrace/gotrace/lang/cdecl"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// BenchmarkMegabyte checks one block of a megabyte.
func BenchmarkMegabyte(b *testing.B) {
	var s strings.Builder
	s.WriteString("begin { $x = 0;\n")
	for i := 0; s.Len() < 1<<20-200; i++ {
		fmt.Fprintf(&s, "$v%d = $x + %d * 3; @m[%d, \"abc\"] = $v%d; if ($v%d > 5) { $x += 1; print((1, $x)); }\n", i, i, i, i, i)
	}
	s.WriteString("}\n")
	run(b, s.String())
}

// BenchmarkOneLiner checks a typical one-line script.
func BenchmarkOneLiner(b *testing.B) {
	run(b, "tracepoint:io:read { @[comm] = count(); }")
}

func run(b *testing.B, text string) {
	b.ReportAllocs()
	f := source.NewFile("bench", text)
	var diags source.Diags
	p := parse.File(f, fakeDefs(), &diags)
	if p == nil {
		b.Fatal(diags.Err())
	}
	in := Input{
		Source: p, Decls: cdecl.Parse(p.C, cdecl.Includes{}, &diags), Config: config.Default(),
		Invocation: session, Env: &probes.Env{Kernel: newFakeKernel()}, Defs: fakeDefs(),
	}
	in.Blocks = attach.Resolve(p, in.Env, in.Config, nil, false, &diags)
	b.ResetTimer()
	for b.Loop() {
		if Check(in, &diags) == nil {
			b.Fatal(diags.Err())
		}
	}
}
