package main

import (
	"strings"
	"testing"
)

// TestServeOptions checks that options that gotrace serve would not obey are errors.
func TestServeOptions(t *testing.T) {
	for _, option := range [][]string{{"-c", "true"}, {"-o", "/dev/null"}, {"--every", "1s"}, {"--stats"}, {"--max-overhead", "2%"}} {
		out, errs, status := gotrace(t, append([]string{"serve", t.TempDir(), "--once"}, option...)...)
		if status != statusError || out != "" || !strings.Contains(errs, option[0]) || !strings.Contains(errs, "not for gotrace serve") {
			t.Errorf("%q: status %d, %q %q", option, status, out, errs)
		}
	}
}
