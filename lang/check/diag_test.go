package check

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// TestDiagnostics holds the scripts of testdata/errors.txt against what is said
// about them. A line of a script is followed by what is expected of it:
//
//	begin { print($x); } ### ERROR [$x] Undefined or undeclared variable: $x
//
// In brackets is the text that the diagnostic points at.
func TestDiagnostics(t *testing.T) {
	const path = "testdata/errors.txt"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, chunk := range chunks(string(data)) {
		lines := strings.Split(chunk, "\n")
		for i, l := range lines {
			lines[i], _, _ = strings.Cut(l, " ###")
		}
		script := strings.Join(lines, "\n")
		_, diags := checkText("test", script)
		for _, d := range diags.All() {
			n := len(lines)
			if d.Span.IsValid() {
				n = d.Span.File.Position(d.Span.Start).Line
			}
			lines[n-1] += expectation(d)
		}
		got := strings.Join(lines, "\n")
		out = append(out, got)
		if got != chunk && !*update {
			t.Errorf("got:\n%s\nwant:\n%s", got, chunk)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(out, "\n---\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func expectation(d source.Diag) string {
	text := strings.ReplaceAll(d.Span.Text(), "\n", "⏎")
	s := fmt.Sprintf(" ### %s [%s] %s", d.Severity, text, d.Msg)
	if d.From.IsValid() {
		s += fmt.Sprintf(" FROM [%s]", d.From.Text())
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

// --probe-filter drops attach points of all kinds but begin and end, without a
// word.
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

// Where types are missing because the kernel tells of none, that is said.
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
