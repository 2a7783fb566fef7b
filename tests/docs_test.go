package tests

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/probes"
)

// fileName matches the name of a Go file without a directory.
var fileName = regexp.MustCompile(`(?:^|[\s(])([a-z0-9_]+\.go)\b`)

// TestPackageComments checks that the files which a package comment names exist. A comment
// that names more than half of the package's files is a list, which must be complete.
func TestPackageComments(t *testing.T) {
	all := map[string][]string{} // the files of each package
	for _, f := range product(t) {
		dir := path.Dir(f.path)
		all[dir] = append(all[dir], path.Base(f.path))
	}
	lists := 0
	for _, f := range product(t) {
		dir, own := path.Split(f.path)
		dir = path.Clean(dir)
		for _, c := range f.Comments {
			for _, m := range fileName.FindAllStringSubmatch(c.Text(), -1) {
				if c != f.Doc && !slices.Contains(all[dir], m[1]) {
					t.Errorf("%s:%d names %s, which does not exist", f.path, f.line(c.Pos()), m[1])
				}
			}
		}
		named := map[string]bool{}
		for _, m := range fileName.FindAllStringSubmatch(f.Doc.Text(), -1) {
			named[m[1]] = true
		}
		var missing []string
		rest := len(named)
		for _, name := range all[dir] {
			switch {
			case named[name]:
				rest--
			case name != own:
				missing = append(missing, name)
			}
		}
		if rest > 0 {
			t.Errorf("the package comment of %s names %d files that do not exist", f.path, rest)
		}
		if 2*len(named) > len(all[dir]) {
			lists++
			if len(missing) > 0 {
				t.Errorf("the package comment of %s does not name %s", f.path, strings.Join(missing, ", "))
			}
		}
	}
	if lists < 4 {
		t.Errorf("only %d package comments list files", lists)
	}
}

// TestREADME checks the number of builtins and the list of probe kinds in the README.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`about (\d+) variables, functions`).FindSubmatch(text)
	if m == nil {
		t.Fatal("the README has no number of builtins")
	}
	if n, err := strconv.Atoi(string(m[1])); err != nil || max(n-len(builtins.All()), len(builtins.All())-n) > 5 {
		t.Errorf("the README says that there are about %s builtins, there are %d", m[1], len(builtins.All()))
	}
	for _, k := range probes.Kinds() {
		if !strings.Contains(string(text), "`"+k.Name+"`") {
			t.Errorf("the README does not name the kind %s", k.Name)
		}
	}
}
