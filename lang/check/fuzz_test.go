package check

import (
	"strings"
	"testing"

	"github.com/gotrace/gotrace/tests/cases"
	corpus "github.com/gotrace/gotrace/tests/golden"
)

// FuzzCheck checks every script that parses. It must not panic, and two runs must
// produce the same diagnostics.
func FuzzCheck(f *testing.F) {
	for _, text := range corpus.Sources() {
		f.Add(text)
	}
	cases.Seed(f, "testdata/*.txtar", "source.bt")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "#") || len(text) > 4096 {
			return // another test reads the headers of this machine
		}
		p, diags := checkText("fuzz", text)
		if p == nil && !diags.HasErrors() {
			t.Fatal("refused without an error")
		}
		_, again := checkText("fuzz", text)
		a, b := diags.All(), again.All()
		if len(a) != len(b) {
			t.Fatalf("%d diagnostics, then %d", len(a), len(b))
		}
		for i := range a {
			if a[i].Msg != b[i].Msg || a[i].Hint != b[i].Hint || a[i].Span.Start != b[i].Span.Start {
				t.Fatalf("%v, then %v", a[i], b[i])
			}
		}
	})
}
