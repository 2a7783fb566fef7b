package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/tests/cases"
)

// TestDiagnostics checks the scripts of testdata/errors.txtar and compares the
// diagnostics.
func TestDiagnostics(t *testing.T) {
	for _, c := range cases.Read(t, "testdata/errors.txtar").Cases {
		_, diags := checkText("test", strings.TrimSuffix(c.Input(t, "source.bt"), "\n"))
		var b strings.Builder
		for _, d := range diags.All() {
			b.WriteString(expectation(d) + "\n")
		}
		c.Check(t, cases.Section{Name: "diagnostics", Text: b.String()})
	}
}

// expectation formats a diagnostic as one line: the line number in the script,
// the severity, the marked text in brackets, and the message.
func expectation(d source.Diag) string {
	line := 0
	if d.Span.IsValid() {
		line = d.Span.File.Position(d.Span.Start).Line
	}
	text := strings.ReplaceAll(d.Span.Text(), "\n", "⏎")
	s := fmt.Sprintf("%d: %s [%s] %s", line, d.Severity, text, d.Msg)
	for c := d.From; c != nil; c = c.From {
		s += fmt.Sprintf(" FROM [%s]", c.At.Text())
	}
	for _, n := range d.Notes {
		if n.Msg != "" {
			s += fmt.Sprintf(" NOTE [%s] %s", n.Span.Text(), n.Msg)
		}
	}
	if d.Hint != "" {
		s += " HINT " + d.Hint
	}
	return s
}

// TestFilter checks that --probe-filter drops attach points of all kinds except begin
// and end, without a diagnostic.
func TestFilter(t *testing.T) {
	p, diags := checkText("test", "begin { } end { } test:filtered, test:kept { } bench:filtered { }")
	if diags.HasErrors() || p == nil {
		t.Fatal(diags.All())
	}
	var names []string
	for _, prog := range p.Progs {
		for _, at := range prog.Points {
			names = append(names, at.Name)
		}
	}
	if got := strings.Join(names, " "); got != "begin end test:kept" {
		t.Errorf("left are %s", got)
	}
}

// typeless is a kernel without BTF.
type typeless struct{ *fakeKernel }

func (typeless) Type(string) (*types.Type, error)            { return nil, probes.ErrNoBTF }
func (typeless) EnumConst(string) (int64, *types.Type, bool) { return 0, nil, false }

// TestNoBTF checks that errors about missing types mention that the kernel has no BTF.
func TestNoBTF(t *testing.T) {
	for script, want := range map[string]string{
		`begin { $x = (struct path *)1; }`: `Cannot resolve unknown type "struct path"`,
		`begin { $x = 5; print($x.pid); }`: "Can not access field 'pid' on expression of type",
	} {
		_, diags := checkOn(typeless{newFakeKernel()}, "stdin", script)
		if all := diags.All(); len(all) == 0 || !strings.Contains(all[0].Msg, want) || all[0].Hint != probes.ErrNoBTF.Error() {
			t.Errorf("%s: %+v", script, all)
		}
	}
}
