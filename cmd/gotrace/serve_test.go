package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/gotrace/gotrace/runtime/output"
)

// TestServeOptions checks that options that gotrace serve does not support are errors.
func TestServeOptions(t *testing.T) {
	for _, option := range [][]string{
		{"-c", "true"}, {"-p", "1"}, {"-o", "/dev/null"}, {"-f", "json"}, {"--every", "1s"}, {"--live"}, {"--stats"}, {"--html", "x"},
	} {
		out, errs, status := gotrace(t, append([]string{"serve", t.TempDir(), "--once"}, option...)...)
		if status != statusError || out != "" || !strings.Contains(errs, option[0]+" is not for gotrace serve") {
			t.Errorf("%q: status %d, %q %q", option, status, out, errs)
		}
	}
	fs := newFlags(&options{noFeature: map[string]bool{}, dump: map[string]bool{}})
	for _, name := range notServed {
		if fs.Lookup(name) == nil {
			t.Errorf("there is no flag --%s", name)
		}
	}
}

// TestServeLines checks the combined output of two scripts, also if a script ends in the
// middle of a line.
func TestServeLines(t *testing.T) {
	var out bytes.Buffer
	all := &lines{mu: &sync.Mutex{}, w: &out}
	sink := func(name string) output.Sink {
		l := all.named(name)
		return noMaps{output.NewText(output.NewWriter(l, output.None), l, output.Style{}), l}
	}
	a, b := sink("a.bt"), sink("b.bt")
	a.Printf("printf", "one\ntw")
	b.Printf("printf", "\nthree")
	a.Printf("printf", "o\n")
	b.End()
	a.End()
	if got, want := out.String(), "a.bt: one\na.bt: two\nb.bt: three\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
