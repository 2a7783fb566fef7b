package tetragon

import (
	"testing"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/tests/cases"
)

// frozen returns the kernel for which policies are translated.
func frozen(t testing.TB) probes.Kernel {
	t.Helper()
	k, err := kernel.Frozen("../../../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// documents returns the documents of a text.
func documents(text string, diags *source.Diags) (docs []policy.Document) {
	docs = policy.Documents(source.NewFile("policy.yaml", text), diags)
	return docs
}

// TestGolden translates the policies of testdata. The case's header unsafe lets them act,
// and skip leaves out unsupported parts. The recorded script is the part after the macros
// and the reports about processes.
func TestGolden(t *testing.T) {
	k := frozen(t)
	t.Setenv("NETWORK", "10.1.0.0/16")
	cases.Each(t, "testdata/*.txtar", []string{"unsafe", "skip"}, func(t *testing.T, c *cases.Case) {
		var diags source.Diags
		docs := documents(c.Input(t, "policy.yaml"), &diags)
		script := ""
		if !diags.HasErrors() {
			m := &Machine{Namespaces: InitialNamespaces(), Failable: map[string]bool{}}
			terms := &policy.Terms{Kernel: k, Unsafe: c.Header("unsafe") != "", SkipUnsupported: c.Header("skip") != ""}
			if tr := Translate(docs, m, terms, &diags); tr != nil {
				script = tr.Script.Text[tr.preamble:]
			}
		}
		c.Check(t, cases.Section{Name: "script", Text: script}, cases.Section{Name: "diagnostics", Text: source.DiagError(diags.All()).Error()})
	})
}

// FuzzTranslate translates any text. It must neither panic nor hang.
func FuzzTranslate(f *testing.F) {
	cases.Seed(f, "testdata/*.txtar", "policy.yaml", "unsafe", "skip")
	k := frozen(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, unsafe := range []bool{false, true} {
			var diags source.Diags
			docs := documents(text, &diags)
			if diags.HasErrors() {
				return
			}
			Translate(docs, &Machine{Namespaces: InitialNamespaces()}, &policy.Terms{Kernel: k, Unsafe: unsafe}, &diags)
		}
	})
}
