package attach

import (
	"github.com/gotrace/gotrace/builtins"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/tests/cases"
)

// TestResolve resolves attach points on a frozen kernel and compares the results with
// testdata. The positional parameters are read and a:b.
func TestResolve(t *testing.T) {
	k, err := kernel.Frozen("../../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases.Read(t, "testdata/points.txtar", "missing", "filter").Cases {
		t.Run(c.Name, func(t *testing.T) {
			var diags source.Diags
			p := parse.File(source.NewFile("stdin", c.Input(t, "source.bt")), builtins.NewRegistry(nil), &diags)
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			cfg := config.Default()
			cfg.MaxProbes = 4
			if how := c.Header("missing"); how != "" {
				cfg.MissingProbes = how
			}
			env := &probes.Env{Kernel: k}
			if word := c.Header("filter"); word != "" {
				env.Filter = func(name string) bool { return strings.Contains(name, word) }
			}
			blocks := Resolve(p, env, cfg, []string{"read", "syscalls:sys_enter_write"}, &diags)
			var text strings.Builder
			for _, d := range diags.All() {
				text.WriteString(d.Render())
			}
			c.Check(t, cases.Section{Name: "blocks", Text: Text(blocks)}, cases.Section{Name: "diagnostics", Text: text.String()})
		})
	}
}
