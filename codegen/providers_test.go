package codegen_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// TestProviders checks, for every event that system calls cause and on every kernel,
// that the event can be used and that each argument has its declared type. The live
// tests do so for all events.
func TestProviders(t *testing.T) {
	events := lang.Events(builtins.NewRegistry(builtins.All()))
	if len(events) < 10 {
		t.Fatalf("%d events", len(events))
	}
	for _, release := range []string{"5.10", "6.1", "6.12", "6.18", "7"} {
		frozen, err := kernel.Frozen(filepath.Join("..", "tests", "kernels", release+".zip"))
		if err != nil {
			t.Fatal(err)
		}
		k := syscallKernel{frozen}
		for _, e := range events {
			// The frozen kernels do not have the types of socket addresses.
			if !bySyscalls(e) || e.Name.Text == "net:connect" {
				continue
			}
			name := e.Name.Text
			var uses strings.Builder
			for _, a := range e.Args {
				fmt.Fprintf(&uses, "print(args.%s); static_assert(%s, \"type\");\n", a.Name.Text, hasType(a))
			}
			useEvent(t, k, release, name, fmt.Sprintf("config = { unstable_typeinfo = enable } %s { print(args); @[probe] = count();\n%s}", name, uses.String()))
		}
	}
}

func bySyscalls(e *ast.Event) bool {
	return !slices.ContainsFunc(e.Places, func(p *ast.Place) bool { return p.Points[0].Parts[1] != "syscalls" })
}

// syscallKernel is a frozen kernel with the tracepoints of all system calls. The other
// frozen kernels have only those that the corpus uses.
type syscallKernel struct{ probes.Kernel }

func (k syscallKernel) Tracepoint(category, event string) (*probes.TraceFormat, error) {
	if side, _, _ := strings.Cut(event, "_"); category == "syscalls" && side == "sys" {
		event = strings.Join(strings.SplitN(event, "_", 3)[:2], "_") + "_openat"
	}
	return k.Kernel.Tracepoint(category, event)
}

// hasType returns a condition for the declared type of an argument.
func hasType(a *ast.EventArg) string {
	if typ := ast.String(a.Type); typ != "string" {
		return fmt.Sprintf("typeinfo(args.%s).full_type == typeinfo(%s).full_type", a.Name.Text, typ)
	}
	return fmt.Sprintf("is_str(args.%s)", a.Name.Text)
}

func useEvent(t *testing.T, k probes.Kernel, release, what, script string) {
	t.Helper()
	var diags source.Diags
	obj, err := codegen.Compile(source.NewFile("stdin", script), codegen.Request{Env: &probes.Env{Kernel: k}}, &diags)
	switch {
	case err != nil:
		t.Errorf("%s: %s: %v", release, what, err)
	case obj == nil:
		t.Errorf("%s: %s: %v", release, what, diags.Err())
	}
}
