package tests

import (
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// all lists the functions that take the text of a message about a script or a policy.
var all = []string{"Errorf", "errorf", "ErrorHint", "errorHint", "Warnf", "warnf", "WarnHint", "usage", "fail", "wrong"}

// reporters has, for each directory whose messages need a test, the functions that take
// their texts. Those of probes are left out: most are about the machine.
var reporters = map[string][]string{"builtins": all, "lang": all}

// unshown lists the messages that no test can bring about on every machine, with the
// reason.
var unshown = map[string]string{
	"%s: cannot read %s: %v":                                 "the traced file goes away after it was found",
	"%s does not exist: the probe has no arguments":          "no known kernel has such a raw tracepoint",
	"The C section expands to more than %d tokens":           "it takes 300 MB",
	"buf() takes no length for %s, which has its own":        "it takes a program in Go or Rust",
	"goid cannot be used here: %s":                           "it takes a program in Go",
	"usdt_set: %v":                                           "it takes a program with such a probe",
	"usdt_set: the number of the argument must be a literal": "it takes a program with such a probe",
}

var conversion = regexp.MustCompile(`%(\[\d+\])?[-+# 0]*[0-9*]*(\.[0-9*]+)?[a-zA-Z%]`)

// fixedPart returns the longest part of a format without conversions.
func fixedPart(format string) string {
	longest := ""
	for _, part := range conversion.Split(format, -1) {
		if part = strings.TrimSpace(part); len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}

// messages returns the texts that a file passes to reporters, with their places.
func (p parsed) messages(reporters []string) map[string]token.Pos {
	list := map[string]token.Pos{}
	ast.Inspect(p.File, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := ""
		switch f := call.Fun.(type) {
		case *ast.Ident:
			name = f.Name
		case *ast.SelectorExpr:
			name = f.Sel.Name
		}
		if !slices.Contains(reporters, name) {
			return true
		}
		for _, a := range call.Args { // the message, and the hint
			if lit, ok := a.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && len(fixedPart(s)) >= 8 {
					list[s] = call.Pos()
				}
			}
		}
		return true
	})
	return list
}

// expectations returns the texts of all tests and of the files that they read.
func expectations(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return fs.SkipDir
		case d.IsDir(), path == filepath.Join("..", "tests", "messages_test.go"):
			return nil
		case strings.HasSuffix(path, "_test.go"), filepath.Ext(path) == ".txtar":
			data, err := os.ReadFile(path)
			b.Write(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestMessagesHaveTests checks that a test expects the longest part without conversions of
// each message about a script or a policy.
func TestMessagesHaveTests(t *testing.T) {
	expected := expectations(t)
	used := map[string]bool{}
	for _, f := range product(t) {
		dir, _, _ := strings.Cut(f.path, "/")
		if reporters[dir] == nil || f.Name.Name == "main" {
			continue
		}
		for text, pos := range f.messages(reporters[dir]) {
			part := fixedPart(text)
			shown := strings.Contains(expected, part) || strings.Contains(expected, strings.Trim(strconv.Quote(part), `"`))
			if unshown[text] != "" {
				used[text] = true
				if shown {
					t.Errorf("%s:%d: a test shows the message %q: remove it from the list", f.path, f.line(pos), text)
				}
				continue
			}
			if !shown {
				t.Errorf("%s:%d: no test shows the message %q: add a case to tests/golden/testdata/messages or to the tests of its package", f.path, f.line(pos), text)
			}
		}
	}
	for text := range unshown {
		if !used[text] {
			t.Errorf("there is no message %q: remove it from the list", text)
		}
	}
}
