package cilium

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/tests/cases"
)

// prefix parses prefixes.
func prefix(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// labelled returns the labels that a text lists.
func labelled(text string) Labels {
	l, err := ParseLabels(text)
	if err != nil {
		panic(err)
	}
	return l
}

func TestParseLabels(t *testing.T) {
	for text, want := range map[string]string{
		"app=web, k8s:name = x,alone": "<nil>",
		"app=web,=x":                  "'=x' is not a label: write NAME=VALUE",
		"":                            "'' is not a label: write NAME=VALUE",
	} {
		if _, err := ParseLabels(text); fmt.Sprint(err) != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// testMachine is a machine with two cgroups, and two peers on other machines.
func testMachine() *Machine {
	return &Machine{
		Endpoints: []*Endpoint{
			{Name: "host", Dir: "/cg", ID: 1, Host: true, Labels: labelled("reserved:host,node=here")},
			{Name: "web", Dir: "/cg/web", ID: 11, Level: 1, Labels: labelled("app=web,tier=front")},
			{Name: "db", Dir: "/cg/box/db", ID: 12, Level: 2, Labels: labelled("app=db,k8s:io.kubernetes.pod.namespace=store"), Addrs: prefix("10.9.0.2/32", "fd09::2/128")},
			{Name: "dns", Labels: labelled("k8s-app=kube-dns,k8s:io.kubernetes.pod.namespace=kube-system"), Addrs: prefix("10.96.0.10/32")},
			{Name: "other node", Labels: labelled("reserved:remote-node,node=there"), Addrs: prefix("192.0.2.9/32")},
		},
		Host:     prefix("127.0.0.0/8", "::1/128", "192.0.2.1/32"),
		Cluster:  prefix("10.0.0.0/8"),
		Entities: map[string][]netip.Prefix{"kube-apiserver": prefix("10.96.0.1/32")},
		Services: map[string][]netip.Prefix{"store/db": prefix("10.97.0.5/32")},
	}
}

// TestGolden translates the policies of testdata. The case's header unsafe lets them drop
// packets.
func TestGolden(t *testing.T) {
	cases.Each(t, "testdata/*.txtar", []string{"unsafe", "skip"}, func(t *testing.T, c *cases.Case) {
		var diags source.Diags
		docs := documents(c.Input(t, "policy.yaml"), &diags)
		script := ""
		if !diags.HasErrors() {
			terms := &policy.Terms{Unsafe: c.Header("unsafe") != "", SkipUnsupported: c.Header("skip") != ""}
			p := Read(docs, terms, &diags)
			list := Resolve(p, testMachine(), &diags)
			if !diags.HasErrors() && len(list) > 0 {
				script = formatted(t, Translate(list, terms.Unsafe, &diags).File)
			}
		}
		c.Check(t, cases.Section{Name: "script", Text: script}, cases.Section{Name: "diagnostics", Text: source.DiagError(diags.All()).Error()})
	})
}

// FuzzTranslate translates any text. It must neither panic nor hang, and what it accepts
// must be a script.
func FuzzTranslate(f *testing.F) {
	cases.Seed(f, "testdata/*.txtar", "policy.yaml", "unsafe", "skip")
	f.Fuzz(func(t *testing.T, text string) {
		for _, unsafe := range []bool{false, true} {
			var diags source.Diags
			docs := documents(text, &diags)
			if diags.HasErrors() {
				return
			}
			p := Read(docs, &policy.Terms{Unsafe: unsafe}, &diags)
			list := Resolve(p, testMachine(), &diags)
			if list == nil {
				list = Example(p, testMachine(), &diags)
			}
			if !diags.HasErrors() && len(list) > 0 {
				formatted(t, Translate(list, unsafe, &diags).File)
			}
		}
	})
}

// documents returns the documents of a text.
func documents(text string, diags *source.Diags) (docs []policy.Document) {
	docs = policy.Documents(source.NewFile("policy.yaml", text), diags)
	for _, d := range docs {
		if !Recognises(d) {
			diags.Errorf(d.Root.At, "this is not a policy")
			return nil
		}
	}
	return docs
}

// formatted returns a script as the formatter prints it.
func formatted(t *testing.T, f *source.File) string {
	t.Helper()
	var diags source.Diags
	tree := parse.File(f, builtins.NewRegistry(builtins.All()), &diags)
	if err := diags.Err(); err != nil {
		t.Fatalf("%v\n%s", err, f.Text)
	}
	var b bytes.Buffer
	if err := ast.Fprint(&b, tree); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
