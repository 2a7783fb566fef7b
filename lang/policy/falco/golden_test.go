package falco

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/tests/cases"
)

const kernels = "../../../tests/kernels/"

func frozen(t testing.TB, name string) probes.Kernel {
	t.Helper()
	k, err := kernel.Frozen(kernels + name + ".zip")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func documents(text string, diags *source.Diags) (docs []policy.Document) {
	docs = policy.Documents(source.NewFile("rules.yaml", text), diags)
	for _, d := range docs {
		if !Recognises(d) {
			diags.Errorf(d.Root.At, "these are no rules")
			return nil
		}
	}
	return docs
}

// TestGolden translates the rules of testdata. The result is each rule with its events,
// the rest of its condition for each, and the filters of the programs.
func TestGolden(t *testing.T) {
	k := frozen(t, "6.12")
	cases.Each(t, "testdata/*.txtar", nil, func(t *testing.T, c *cases.Case) {
		var diags source.Diags
		var rules strings.Builder
		docs := documents(c.Input(t, "rules.yaml"), &diags)
		if !diags.HasErrors() {
			if p := Translate(docs, EveryRule(), &policy.Terms{Kernel: k}, &diags); p != nil {
				describeProgram(&rules, p)
			}
		}
		c.Check(t, cases.Section{Name: "rules", Text: rules.String()}, cases.Section{Name: "diagnostics", Text: source.DiagError(diags.All()).Error()})
	})
}

func describeProgram(b *strings.Builder, p *Program) {
	for _, r := range p.Rules {
		fmt.Fprintf(b, "%s %q %v\n", r.Priority, r.Name, r.Tags)
	}
	for _, w := range p.Watched {
		fmt.Fprintf(b, "%s", w.Event.Name)
		if x := filterOf(w, false); x != unknown {
			fmt.Fprintf(b, " /%s/", x)
		}
		if x := filterOf(w, true); x != filterOf(w, false) {
			fmt.Fprintf(b, " path /%s/", x)
		}
		fmt.Fprintf(b, " %v\n", w.names)
		for _, r := range w.Rules {
			fmt.Fprintf(b, "    %s: %s\n", r.Name, show(r.Condition))
		}
	}
}

// show returns a condition as text.
func show(x Expr) string {
	list := func(l []Expr, op string) string {
		var parts []string
		for _, y := range l {
			parts = append(parts, show(y))
		}
		return "(" + strings.Join(parts, op) + ")"
	}
	switch x := x.(type) {
	case *And:
		return list(x.List, " and ")
	case *Or:
		return list(x.List, " or ")
	case *Not:
		return "not " + show(x.X)
	case *Check:
		s := x.Left.String() + " " + x.Op
		if x.Mod != "" {
			s += " " + x.Mod
		}
		if x.Right != nil {
			return s + " " + x.Right.String()
		}
		if x.Op != "exists" {
			s += fmt.Sprintf(" %q", x.Texts)
		}
		return s
	}
	return fmt.Sprint(x)
}

// allEvents has a rule for every type of events, and needs every value.
func allEvents() string {
	var names []string
	for _, e := range Events.Get() {
		names = append(names, e.Name)
	}
	return `
- rule: all
  desc: d
  condition: evt.type in (` + strings.Join(names, ", ") + `) and (fd.name contains x or evt.is_open_read=true or proc.cwd = /x or fs.path.name = x or thread.pfmajor > 1
     or fd.is_upper_layer = true or evt.buffer contains x or proc.env[X] = y or proc.nthreads > 1 or proc.fdlimit > 1 or fd.types intersects (ipv4))
  output: "%evt.args %fd.sip"
  priority: INFO
`
}

// TestKernels compiles a script with every type of events for every kernel.
func TestKernels(t *testing.T) {
	for _, name := range []string{"5.10", "6.1", "6.12", "6.18", "7"} {
		t.Run(name, func(t *testing.T) {
			k := frozen(t, name)
			for _, text := range []string{allEvents(), `
- rule: opens
  desc: d
  condition: evt.type in (open, openat, openat2, creat) and evt.is_open_read=true and fd.typechar='f' and fd.num>=0 and proc.name in (a, b) and evt.rawres >= 0
    and (fd.name in (/etc/a, /etc/b) or fd.directory in (/etc/x) or fd.name startswith /y/ or fd.name endswith z or fd.filename = q or fd.nameraw contains ../)
  output: "%fd.name"
  priority: INFO
`} {
				var diags source.Diags
				p := Translate(documents(text, &diags), EveryRule(), &policy.Terms{Kernel: k}, &diags)
				if err := diags.Err(); err != nil {
					t.Fatal(err)
				}
				compileScript(t, k, p.Script())
			}
		})
	}
}

func compileScript(t testing.TB, k probes.Kernel, f *source.File) {
	t.Helper()
	var diags source.Diags
	obj, err := codegen.Compile(f, codegen.Request{Env: &probes.Env{Kernel: k}, Invocation: &builtins.Invocation{}}, &diags)
	if err == nil {
		err = diags.Err()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, f.Text)
	}
	for _, s := range obj.Sites {
		if s.Kind == object.OutOfBounds {
			t.Errorf("an array of the kernel may be too short: %+v", s)
		}
	}
}

// FuzzRules translates any text. Scripts of accepted texts must compile.
func FuzzRules(f *testing.F) {
	k := frozen(f, "6.12")
	f.Add("- list: a\n  items: [b, a]\n- macro: m\n  condition: proc.name in (a) or m\n- rule: r\n  desc: d\n  condition: m and not fd.name glob '[' or val(evt.res) = x\n  output: \"%proc.aname[3] %toupper(fd.name)\"\n  priority: 3\n")
	f.Add("- rule: r\n  desc: d\n  condition: evt.type=connect and fd.sip in (1.2.3.4) and fd.snet != 10.0.0.0/8\n  output: x\n  priority: INFO\n  exceptions:\n  - {name: e, fields: [proc.name, fd.name], comps: [=, startswith], values: [[a, /b]]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		var diags source.Diags
		docs := documents(text, &diags)
		if diags.HasErrors() {
			return
		}
		if p := Translate(docs, EveryRule(), &policy.Terms{Kernel: k}, &diags); p != nil {
			compileScript(t, k, p.Script())
		}
	})
}

// TestLarge translates conditions with more parts than programs test.
func TestLarge(t *testing.T) {
	var parts, names []string
	for i := range maxParts + 1 {
		parts, names = append(parts, fmt.Sprintf("proc.name = x%d", i)), append(names, fmt.Sprintf("x%d", i))
	}
	for _, condition := range []string{strings.Join(parts, " or "), "proc.name in (" + strings.Join(names, ", ") + ")", "not (" + strings.Join(parts, " or ") + ")"} {
		var diags source.Diags
		rules := "- rule: r\n  desc: d\n  condition: evt.type=open and (" + condition + ")\n  output: o\n  priority: INFO\n"
		p := Translate(documents(rules, &diags), EveryRule(), &policy.Terms{Kernel: frozen(t, "6.12")}, &diags)
		if err := diags.Err(); err != nil {
			t.Fatal(err)
		}
		if x := filterOf(p.Watched[0], true); x != unknown {
			t.Errorf("%.40s: a filter of %d bytes", condition, len(x))
		}
	}
}
