package live

import (
	"bufio"
	"bytes"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestSuffixedFunctions probes kernel functions by the names without the suffixes that
// the compiler gave them. The message must name the existing function. On some kernels
// the types have such names although no function has them.
func TestSuffixedFunctions(t *testing.T) {
	if *peer {
		t.Skip("it is about our own messages")
	}
	if why := missing("kprobe"); why != "" {
		t.Skip(why)
	}
	f, err := os.Open("/sys/kernel/tracing/available_filter_functions")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	variants := map[string][]string{} // full names by names without a suffix
	symbols, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(f); s.Scan(); {
		name, _, _ := strings.Cut(s.Text(), " ")
		base, _, _ := strings.Cut(name, ".")
		variants[base] = append(variants[base], name)
	}
	tried := 0
	for _, suffix := range []string{".isra.0", ".constprop.0"} {
		for _, base := range slices.Sorted(maps.Keys(variants)) {
			names := variants[base]
			if len(names) != 1 || names[0] != base+suffix || bytes.Contains(symbols, []byte(" "+base+"\n")) {
				continue
			}
			tried++
			r := trace(t, "-e", "kprobe:"+base+" { exit(); }")
			if r.status == 0 || !strings.Contains(r.stderr, "'"+names[0]+"'") {
				t.Errorf("%s: status %d, the message does not name %s: %s", base, r.status, names[0], r.stderr)
			}
			break
		}
	}
	if tried == 0 {
		t.Skip("this kernel has no function with a suffix")
	}
}
