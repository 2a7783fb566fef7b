package plan_test

import (
	"fmt"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// TestKeyNames checks the names that the parts of keys get from the script.
func TestKeyNames(t *testing.T) {
	for script, want := range map[string]string{
		`begin { @x[comm, pid] = count(); }`:                                     "[comm pid]",
		`begin { @x[(comm, tid)] = count(); }`:                                   "[comm tid]",
		`begin { $fd = 3; @x[$fd] = count(); }`:                                  "[fd]",
		`begin { @x[1, "a"] = count(); @x[cpu, comm] = count(); }`:               "[cpu comm]",
		`begin { @x[curtask.pid + 1] = count(); }`:                               "[]",
		`begin { @x[curtask.pid] = count(); }`:                                   "[pid]",
		`begin { @x[(uint64)pid] = count(); }`:                                   "[pid]",
		`begin { @x[str(curtask.comm)] = count(); }`:                             "[comm]",
		`begin { @x = count(); }`:                                                "[]",
		`config = { label = "@x[a,b]" } begin { @x[comm, pid] = count(); }`:      "[a b]",
		`config = { metric = "@x = reads" } begin { @x[1] = count(); }`:          "[] reads",
		`config = { label = "@x[a] @y[b]" } begin { @x[1] = 1; @y[2] = @x[1]; }`: "[a]",
	} {
		k, err := frozen()
		if err != nil {
			t.Fatal(err)
		}
		var diags source.Diags
		obj, err := codegen.Compile(source.NewFile("stdin", script), codegen.Request{Env: &probes.Env{Kernel: k}, Invocation: &builtins.Invocation{}}, &diags)
		if err != nil || diags.HasErrors() {
			t.Fatalf("%s: %v, %v", script, err, diags.Err())
		}
		m := obj.Maps[0]
		got := fmt.Sprint(m.KeyNames)
		if m.MetricName != "" {
			got += " " + m.MetricName
		}
		if got != want {
			t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
}
