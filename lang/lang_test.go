package lang

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/attach"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
)

// write creates files in a directory that only the current user can write to.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// load parses a script in dir with everything it imports.
func load(t *testing.T, dir, text string, dirs ...string) (*ast.Program, *source.Diags) {
	t.Helper()
	diags := &source.Diags{}
	p := Parse(source.NewFile(filepath.Join(dir, "main.bt"), text), builtins.NewRegistry(nil), dirs, nil, diags)
	return p, diags
}

// names returns the names of the declarations of a program.
func names(p *ast.Program) string {
	var list []string
	for _, c := range p.C {
		list = append(list, "C:"+strings.TrimSpace(c.Text))
	}
	for _, d := range p.Decls {
		switch d := d.(type) {
		case *ast.Macro:
			list = append(list, "macro:"+d.Name.Text)
		case *ast.Probe:
			list = append(list, d.Points[0].Text)
		}
	}
	return strings.Join(list, " ")
}

func TestImports(t *testing.T) {
	dir := write(t, map[string]string{
		"a.bt":        `import "sub/b.bt"; macro a() { b() }`,
		"sub/b.bt":    `import "../a.bt"; import "c.h"; macro b() { 1 }`,
		"sub/c.h":     "#define C 1\n",
		"lib/one.bt":  "macro one() { 1 }",
		"lib/two.bt":  "end { }",
		"lib/notes":   "not to be read",
		"other/x.bt":  "macro x() { 1 }",
		"itself.bt":   `import "itself.bt"; macro i() { 1 }`,
		"empty/.keep": "",
	})
	tests := []struct{ script, want string }{
		{`import "a.bt"; begin { }`, "C:#define C 1 macro:b macro:a begin"},
		{`import "a.bt"; import "./a.bt"; import "sub/../a.bt"; begin { }`, "C:#define C 1 macro:b macro:a begin"},
		{`import "lib"; begin { }`, "macro:one end begin"},
		{`import "empty"; begin { }`, "begin"},
		{`import "x.bt"; begin { }`, "macro:x begin"},
		{`import "itself.bt"; begin { }`, "macro:i begin"},
		{`import "` + dir + `/lib/one.bt"; begin { }`, "macro:one begin"},
	}
	for _, tt := range tests {
		p, diags := load(t, dir, tt.script, filepath.Join(dir, "other"))
		if err := diags.Err(); err != nil {
			t.Errorf("%s: %v", tt.script, err)
			continue
		}
		if got := names(p); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.script, got, tt.want)
		}
	}
}

func TestImportErrors(t *testing.T) {
	files := map[string]string{
		"config.bt": "config = { max_strlen=5 }",
		"bad.bt":    "begin {",
		"c.bpf.c":   "int f(void) { return 1; }",
		"x.txt":     "",
		"large.h":   strings.Repeat(" ", 5<<20),
		"open.bt":   "begin { }",
		"open/a.bt": "begin { }",
	}
	for i := range 1001 {
		files[fmt.Sprintf("many/%d.h", i)] = ""
	}
	dir := write(t, files)
	for _, name := range []string{"open.bt", "open"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ script, file, want string }{
		{`import "nosuch.bt"; begin { }`, "main.bt", "Unable to find suitable path for import"},
		{`import "config.bt"; begin { }`, "config.bt", "invalid `config` within import"},
		{`import "bad.bt"; begin { }`, "bad.bt", "syntax: expected '}'"},
		{`import "c.bpf.c"; begin { }`, "main.bt", "c.bpf.c: C programs cannot be imported, as gotrace contains no C compiler: put the functions into the script: fn name($a : int64) : int64 { … }"},
		{`import "x.txt"; begin { }`, "main.bt", `unknown import type: "x.txt": a .bt or .h file, or a directory of them, can be imported`},
		{`import "large.h"; begin { }`, "main.bt", "large.h is not a file of at most 4194304 bytes"},
		{`import "many"; begin { }`, "main.bt", "The script imports more than 1000 files"},
		{`import "open.bt"; begin { }`, "main.bt", `skipping due to global write permissions: "DIR/open.bt": everyone can write to it and could run programs as you`},
		{`import "open"; begin { }`, "main.bt", "global write permissions"},
		{`import "open/a.bt"; begin { }`, "main.bt", "global write permissions"},
	}
	for _, tt := range tests {
		_, diags := load(t, dir, tt.script)
		list := diags.All()
		if len(list) != 1 || !strings.Contains(list[0].Msg+": "+list[0].Hint, strings.ReplaceAll(tt.want, "DIR", dir)) || filepath.Base(list[0].Span.File.Name) != tt.file {
			t.Errorf("%s: %v, want one error in %s: %s", tt.script, diags.Err(), tt.file, tt.want)
		}
	}
}

func frozen(t *testing.T) probes.Kernel {
	t.Helper()
	k, err := kernel.Frozen("../tests/kernels/6.12.zip")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestConfigure checks that settings in the environment take precedence, and that
// errors about them name the variable.
func TestConfigure(t *testing.T) {
	env := map[string]string{"BPFTRACE_MAX_STRLEN": "100"}
	getenv := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	script := source.NewFile("stdin", "config = { max_strlen=50; max_map_keys=7 } begin { $x = 1; }")
	var diags source.Diags
	p := Parse(script, builtins.NewRegistry(nil), nil, nil, &diags)
	if cfg := Configure(p, getenv, &diags); cfg.MaxStrlen != 100 || cfg.MaxMapKeys != 7 {
		t.Errorf("max_strlen is %d, max_map_keys %d", cfg.MaxStrlen, cfg.MaxMapKeys)
	}
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	env["BPFTRACE_MAX_PROBES"] = "many"
	Configure(p, getenv, &diags)
	want := "ERROR: BPFTRACE_MAX_PROBES: expecting a number, got many"
	if err := diags.Err(); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestReference(t *testing.T) {
	defs := builtins.NewRegistry(builtins.All())
	for file, write := range map[string]func(w io.Writer) error{
		"../builtins/REFERENCE.md": func(w io.Writer) error { return builtins.Reference(w, builtins.All(), Library(defs)) },
		"../docs/REFERENCE.md":     func(w io.Writer) error { return EventReference(w, defs) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, b.Bytes()) {
			t.Errorf("%s is out of date: run go generate ./builtins", file)
		}
	}
}

// TestEventDocs checks that each event and each of its arguments has a description.
func TestEventDocs(t *testing.T) {
	for _, e := range Events(builtins.NewRegistry(builtins.All())) {
		if !strings.HasSuffix(e.Doc, ".") {
			t.Errorf("%s: %q", e.Name.Text, e.Doc)
		}
		for _, a := range e.Args {
			if a.Doc == "" {
				t.Errorf("%s has no description of %s", e.Name.Text, a.Name.Text)
			}
		}
	}
}

// TestLibrary checks that the documentation of each macro starts with a call of it, and
// that a script contains only the library macros that it calls.
func TestLibrary(t *testing.T) {
	for _, m := range Library(builtins.NewRegistry(builtins.All())) {
		if !strings.HasPrefix(m.Doc, m.Use()+" ") || !strings.HasSuffix(m.Doc, ".") {
			t.Errorf("%s/%s: %q", m.Topic, m.Name, m.Doc)
		}
	}
	tests := []struct{ script, want string }{
		{"begin { $x = 1; }", "begin"},
		{"begin { $x = pid(); }", "begin"},
		{"begin { $x = ns_to_us(5); }", "begin macro:ns_to_us macro:ns_to_ms macro:ns_to_s"},
		{"macro ns_to_us(x) { 1 } begin { $x = ns_to_us(5); }", "macro:ns_to_us begin"},
	}
	for _, tt := range tests {
		p, diags := load(t, t.TempDir(), tt.script)
		if err := diags.Err(); err != nil {
			t.Fatal(err)
		}
		if got := names(p); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.script, got, tt.want)
		}
	}
	in := check.Input{
		Env: &probes.Env{Kernel: frozen(t)}, Defs: builtins.NewRegistry(nil), Config: config.Default(), Invocation: &builtins.Invocation{},
	}
	script := "begin { $a = abs(-5); $b = least(3, 4); $c = greatest($a, 9); $d = clamp($b, 0, 10); $e = percent($a, 0); $f = ns_to_s(5s); }"
	var diags source.Diags
	p := Parse(source.NewFile("stdin", script), in.Defs, nil, nil, &diags)
	in.Source, in.Decls = Expand(p, in.Env.Kernel, in.Defs, in.Invocation, &diags)
	in.Blocks = attach.Resolve(in.Source, in.Env, in.Config, nil, false, &diags)
	if check.Check(in, &diags) == nil {
		t.Error(diags.Err())
	}
}
