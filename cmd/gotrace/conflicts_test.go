package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// values are values for the flags that need one.
var values = map[string]string{
	"every": "1s", "for": "1s", "max-overhead": "2%", "emit-elf": "x", "prometheus": "127.0.0.1:0", "otlp": "127.0.0.1:9", "mode": "test",
}

// TestConflicts checks each pair of a flag that starts no session and a flag for a
// session.
func TestConflicts(t *testing.T) {
	arg := func(name string) []string {
		fs := newFlags(&options{noFeature: map[string]bool{}, dump: map[string]bool{}})
		switch v, ok := values[name]; {
		case ok:
			return []string{"--" + name, v}
		case fs.Lookup(name).Value.Type() == "bool":
			return []string{"--" + name}
		}
		return []string{"--" + name, "x"}
	}
	run := func(names ...string) (errs string) {
		var args []string
		for _, name := range names {
			args = append(args, arg(name)...)
		}
		_, errs, status := gotrace(t, append(args, "-e", "begin { @ = 1; }")...)
		if status != statusError || !strings.Contains(errs, "USAGE: ") {
			t.Errorf("%q: status %d, %q", names, status, errs)
		}
		return errs
	}
	kinds := []string{"info", "list", "fmt", "emit-elf"}
	for i, a := range kinds {
		for _, b := range kinds[:i] {
			run(a, b)
		}
		for _, b := range append(fileFlags, sessionFlags...) {
			run(a, b)
		}
	}
	for _, b := range fileFlags {
		for _, a := range []string{"dry-run", "test", "bench", "mode"} {
			if errs := run(a, b); !strings.Contains(errs, "--"+b+" needs a session") {
				t.Errorf("%s, %s: %q", a, b, errs)
			}
		}
	}
	run("spans")
	run("spans", "prometheus")
}

// TestFiles checks that files of results have names, and that each has its own.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	const script = "begin { exit(); }"
	for name, text := range map[string]string{"script.bt": script, "old": "old"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"link": "old", "dangling": "new", "scriptlink": "script.bt"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	var cases []fileCase
	files := append([]string{"output", "emit-elf"}, fileFlags...)
	for _, flag := range append([]string{"prometheus", "otlp"}, files...) {
		cases = append(cases, fileCase{[]string{"--" + flag, "", "script.bt"}, "--" + flag + " needs a value"})
	}
	for i, a := range files {
		for _, script := range []string{"script.bt", "./script.bt", "scriptlink", filepath.Join(dir, "script.bt")} {
			cases = append(cases, fileCase{[]string{"--" + a, "script.bt", script}, "the script and --" + a + " have the same file script.bt"})
		}
		for _, b := range files[i+1:] {
			if a == "emit-elf" || b == "emit-elf" {
				continue // no session
			}
			for _, names := range [][2]string{{"new", "new"}, {"new", "./new"}, {"old", "link"}, {"link", "old"}, {"new", "dangling"}} {
				cases = append(cases, fileCase{[]string{"--" + a, names[0], "--" + b, names[1], "script.bt"}, "--" + a + " and --" + b + " have the same file " + names[1]})
			}
		}
	}
	for _, c := range cases {
		if _, err := parseFlags(c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
	for _, args := range [][]string{
		{"--svg", "/dev/null", "--html", "/dev/null", "script.bt"}, {"--svg", "-", "-o", "old", "-"}, {"--svg", "a", "--html", "b", "-o", "c", "script.bt"},
	} {
		if _, err := parseFlags(args); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"dangling", "link", "old", "script.bt", "scriptlink"}; !slices.Equal(names, want) {
		t.Errorf("the directory has %q, want %q", names, want)
	}
	if text, _ := os.ReadFile("script.bt"); string(text) != script {
		t.Errorf("the script is %q", text)
	}
}

type fileCase struct {
	args []string
	want string
}
