package yaml

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/lang/source"
)

// text returns a node in the flow style of YAML, each scalar with its position.
func text(n *Node) string {
	switch n.Kind {
	case Scalar:
		return fmt.Sprintf("%s@%s", n.Value, strings.TrimPrefix(n.At.String(), "f:"))
	case List:
		var items []string
		for _, it := range n.Items {
			items = append(items, text(it))
		}
		return "[" + strings.Join(items, " ") + "]"
	case Map:
		var fields []string
		for _, f := range n.Fields {
			fields = append(fields, f.Key+": "+text(f.Value))
		}
		return "{" + strings.Join(fields, ", ") + "}"
	}
	return "null"
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"scalars", "a: 1\nb: 'x y'\nc:\nd: ~\n", "{a: 1@1:4-5, b: x y@2:4-7, c: null, d: null}"},
		{"lists", "- a\n- [b, c]\n", "[a@1:3-4 [b@2:4-5 c@2:7-8]]"},
		{"documents", "a: 1\n---\n---\nb: 2\n", "{a: 1@1:4-5}\n{b: 2@4:4-5}"},
		{"alias", "a: &x [1]\nb: *x\n", "{a: [1@1:8-9], b: [1@1:8-9]}"},
		{"merge", "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n", "{a: {k: 1@1:11-12, l: 2@1:17-18}, b: {l: 3@4:6-7, k: 1@1:11-12}}"},
		{"merges", "a: &x {k: 1}\nb: &y {l: 2}\nc: {<<: [*x, *y]}\n", "{a: {k: 1@1:11-12}, b: {l: 2@2:11-12}, c: {k: 1@1:11-12, l: 2@2:11-12}}"},
		{"letters of several bytes", "é: [ü, b]\n", "{é: [ü@1:6-8 b@1:10-11]}"},
		{"block", "a: |\n  x\n  y\n", "{a: x\ny\n@1:4-5}"},
		{"nothing", "", ""},
		{"comment", "# nothing\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var diags source.Diags
			var got []string
			for _, n := range Read(source.NewFile("f", c.yaml), &diags) {
				got = append(got, text(n))
			}
			if err := diags.Err(); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, strings.Join(got, "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestHostile checks that bad files end with an error that describes the fault.
func TestHostile(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	deep := "a0: &a0 [x]\n"
	for i := 1; i < 300; i++ {
		deep += fmt.Sprintf("a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	for _, c := range []struct{ name, yaml, want string }{
		{"aliases without end", bomb, "ERROR: the file has more than 262144 values, with its aliases resolved"},
		{"aliases of aliases", deep, "ERROR: values are nested more than 200 deep"},
		{"cycle", "a: &x [*x]\n", "ERROR: the alias *x contains itself"},
		{"cycle of mappings", "a: &x\n  b: *x\n", "ERROR: the alias *x contains itself"},
		{"unknown alias", "b: 1\na: *x\n", "f:2:4-6: ERROR: this is not YAML: unknown anchor 'x' referenced"},
		{"nested", strings.Repeat("[", 300) + strings.Repeat("]", 300), "ERROR: values are nested more than 200 deep"},
		{"nested very deep", strings.Repeat("[", 1000000), "ERROR: this is not YAML: exceeded max depth of 10000"},
		{"large", strings.Repeat("a", MaxSize+1), "ERROR: the file is larger than 4 MB"},
		{"many values", "[" + strings.Repeat("1,", maxNodes+1) + "]", "ERROR: the file has more than 262144 lines and values"},
		{"many lines", strings.Repeat("- a\n", maxNodes+1), "ERROR: the file has more than 262144 lines and values"},
		{"many lines of old Macs", strings.Repeat("- a\r", maxNodes+1), "ERROR: the file has more than 262144 lines and values"},
		{"many documents", strings.Repeat("--- a\n", maxDocs+1), "ERROR: the file has more than 4096 documents"},

		{"same key", "a: 1\na: 2\n", "f:2:1-2: ERROR: the key 'a' is given twice"},
		{"list as a key", "[a]: 1\n", "f:1:1-2: ERROR: a key must be a single value"},
		{"merged scalar", "a:\n  <<: 1\n", "ERROR: only mappings can be merged with '<<'"},
		{"tab", "a:\n\tb: 1\n", "f:2:1-6: ERROR: this is not YAML: found character that cannot start any token"},
		{"control characters", "a: \x00\x01", "ERROR: this is not YAML: control characters are not allowed"},
		{"invalid UTF-8", "a: \xff\xfe", "ERROR: this is not YAML: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			var diags source.Diags
			start := time.Now()
			docs := Read(source.NewFile("f", c.yaml), &diags)
			t.Logf("took %v", time.Since(start))
			err := diags.Err()
			if err == nil {
				t.Fatalf("no error, %d documents", len(docs))
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not contain %q", err, c.want)
			}
			if docs != nil {
				t.Error("there is an error, but also documents")
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a: &x [1, {b: *x}]\n---\n- |\n  x\n")
	f.Fuzz(func(t *testing.T, text string) {
		var diags source.Diags
		for _, n := range Read(source.NewFile("f", text), &diags) {
			check(t, n)
		}
	})
}

// check checks that all positions are within the file.
func check(t *testing.T, n *Node) {
	if n.At.Start < 0 || n.At.End < n.At.Start || n.At.End > len(n.At.File.Text) {
		t.Fatalf("the span %d to %d is not in a text of %d bytes", n.At.Start, n.At.End, len(n.At.File.Text))
	}
	for _, it := range n.Items {
		check(t, it)
	}
	for _, f := range n.Fields {
		check(t, f.Value)
	}
}
