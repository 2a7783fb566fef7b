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
// their texts. In probes, those of most other errors are about the machine.
var reporters = map[string][]string{"builtins": all, "lang": all, "probes": {"usage"}}

// unshown lists the messages that no test can trigger on every machine, with the
// reason.
var unshown = map[string]string{
	"%s: cannot read %s: %v":                                 "the traced file goes away after it was found",
	"%s does not exist: the probe has no arguments":          "no known kernel has such a raw tracepoint",
	"The C section expands to more than %d tokens":           "it takes 300 MB",
	"buf() takes no length for %s, which has its own":        "it takes a program in Go or Rust",
	"goid cannot be used here: %s":                           "it takes a program in Go",
	"usdt_set: %v":                                           "it takes a program with such a probe",
	"usdt_set: the number of the argument must be a literal": "it takes a program with such a probe",

	"%s of %s takes its arguments from the stack: the program was built with a release before Go 1.17":                                                                                                 "it takes an old release of Go",
	"%s cannot be used here: a copy of %s in %s starts with a loop or with an instruction that takes no breakpoint, so the probe is at the instruction before, which does not have the parameters yet": "it takes a program with such a copy; TestInlinedCopies has one",
	"the kernel puts no breakpoint on %s of %s":                                     "it takes a function that starts with a rare instruction",
	"the kernel puts no breakpoint on the instruction there":                        "it takes a static probe over a rare instruction",
	"%s: no cgroups of version 2 are mounted: mount -t cgroup2 none /sys/fs/cgroup": "it takes a machine without cgroups of version 2",
	"the kernel would overwrite data of the program there: Linux 6.18 to 7.1 replace the five-byte nop by a call, without regard to what the function keeps below its stack pointer. Trace the start of the function, or another instruction": "only kernels of these releases do that",
	"which function %s is in %s is not known: the kernel's file with symbols is not installed (vmlinux-%s, of the package with its debug information); %s#1, %[1]s#2 … select one by number":                                                  "it takes a kernel with several functions of a name",
	"-p with iterators needs the kernel's BTF of struct task_struct":                                                          "iterators need BTF, which has that struct",
	"%s of %s is one of several implementations, chosen when a program is loaded, which could not be found: name one of them": "it takes a program whose choice cannot be read",
	"the kernel puts no breakpoint on the instruction there; uprobe:%s:%s+OFFSET can probe a later one":                       "it takes a function that starts with a rare instruction",
	"args cannot be used here: %s is part of a function that the compiler split, and does not receive its parameters":         "it takes a program with such a function",
	"%s cannot be used here: the debug info of %s does not describe %s":                                                       "it takes a program with debug info of only some of its files",
	"uretprobe on %s of %s is not possible: address %#x is not in the code":                                                   "it takes a damaged program",
	"%s: address %#x is not in the code of %s":                                                                                "it takes a damaged program",
	"several functions of %s are %s: name one of them, as gotrace -l '%s' lists them":                                         "it takes a program in C++",
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
		name := calledName(call)
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
func expectations(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
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
	expected := expectations(t, "..")
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

// calledName returns the name of the function or method that a call names, or "".
func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
