package main

import (
	"strings"
	"testing"
)

// values are arguments of the flags that need one.
var values = map[string]string{
	"every": "1s", "for": "1s", "max-overhead": "2%", "emit-elf": "x", "prometheus": "127.0.0.1:0", "otlp": "127.0.0.1:9", "mode": "test",
}

// TestConflicts checks each pair of a flag that starts no session and one about a session.
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
