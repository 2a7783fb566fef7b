package main

import (
	"strings"
	"testing"
)

// TestServeOptions checks that options that gotrace serve would not obey are errors.
func TestServeOptions(t *testing.T) {
	for _, option := range [][]string{
		{"-c", "true"}, {"-p", "1"}, {"-o", "/dev/null"}, {"-f", "json"}, {"--every", "1s"}, {"--live"}, {"--stats"}, {"--max-overhead", "2%"}, {"--html", "x"},
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
