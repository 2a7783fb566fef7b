package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// goldenCase is one file of the corpus.
type goldenCase struct {
	path, name string
	archive    *txtar.Archive
	source     string
	kernel     string
	args       []string
	options    map[string]string
	unsafe     bool
	warnings   bool
	asm        bool // record the instructions too
}

func readCases(t *testing.T) []*goldenCase {
	t.Helper()
	paths, err := filepath.Glob("*/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no corpus", err)
	}
	var cases []*goldenCase
	for _, p := range paths {
		a, err := txtar.ParseFile(p)
		if err != nil {
			t.Fatal(err)
		}
		c := &goldenCase{path: p, name: strings.TrimSuffix(filepath.ToSlash(p), ".txtar"), archive: a, kernel: usualKernel, options: map[string]string{}}
		for line := range strings.Lines(string(a.Comment)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			words := strings.Fields(value)
			switch key {
			case "args":
				c.args = words
			case "options":
				for _, w := range words {
					k, v, _ := strings.Cut(w, "=")
					c.options[k] = v
				}
			case "flags":
				c.unsafe = slices.Contains(words, "unsafe")
				c.warnings = slices.Contains(words, "warnings")
				c.asm = slices.Contains(words, "asm")
			case "kernel":
				c.kernel = strings.TrimSpace(value)
			}
		}
		source, ok := c.section(SourceFile)
		if !ok {
			t.Fatalf("%s has no section %s", p, SourceFile)
		}
		c.source = source
		cases = append(cases, c)
	}
	return cases
}

func (c *goldenCase) section(name string) (string, bool) {
	for _, f := range c.archive.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

// check compares the sections of a compilation with those recorded, or records
// them.
func (c *goldenCase) check(t *testing.T, got []txtar.File, update bool) {
	t.Helper()
	for i, f := range got {
		if len(f.Data) > 0 && f.Data[len(f.Data)-1] != '\n' {
			got[i].Data = append(f.Data, '\n')
		}
	}
	if update {
		c.archive.Files = append([]txtar.File{{Name: SourceFile, Data: []byte(c.source)}}, got...)
		if err := os.WriteFile(c.path, txtar.Format(c.archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	names := map[string]bool{SourceFile: true}
	for _, f := range got {
		names[f.Name] = true
		want, ok := c.section(f.Name)
		switch {
		case !ok:
			t.Errorf("%s: section %q is not there; it should be:\n%s", c.path, f.Name, f.Data)
		case want != string(f.Data):
			t.Errorf("%s: section %q (- recorded, + now):\n%s", c.path, f.Name, difference(want, string(f.Data)))
		}
	}
	for _, f := range c.archive.Files {
		if !names[f.Name] {
			t.Errorf("%s: section %q is no longer made", c.path, f.Name)
		}
	}
}

// difference lists the lines that a has and b has not ("-") and the other way
// round ("+"), in order, without those they share.
func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	// common[i][j] is the length of the longest common subsequence of x[i:], y[j:].
	common := make([][]int32, len(x)+1)
	for i := range common {
		common[i] = make([]int32, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out strings.Builder
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && common[i+1][j] >= common[i][j+1]:
			fmt.Fprintf(&out, "-%s\n", x[i])
			i++
		default:
			fmt.Fprintf(&out, "+%s\n", y[j])
			j++
		}
	}
	return out.String()
}

func TestDifference(t *testing.T) {
	if got, want := difference("a\nb\nc\nd", "a\nx\nc\nd\ne"), "-b\n+x\n+e\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := difference("same", "same"); got != "" {
		t.Errorf("%q", got)
	}
}
