package live

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
)

// TestStats checks the output of --stats for a probe that runs a known number of times.
func TestStats(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no --stats")
	}
	const calls = 1000
	r := trace(t, "--stats", "-c", fmt.Sprintf("%s call square %d", *work, calls), "-e",
		"uprobe:"+*work+":gt_square { @ = count(); } uprobe:"+*work+":gt_struct { @never = count(); } begin { @b = 1; }")
	r.quiet(t)
	lines := regexp.MustCompile(`(?m)^ *(\d+) +(\d+|-) +(\d+) +(\d+\.\d\d)%  (uprobe:.*|begin)$`).FindAllStringSubmatch(r.stderr, -1)
	if len(lines) != 2 {
		t.Fatalf("stderr:\n%s", r.stderr)
	}
	for i, want := range []struct {
		runs int
		name string
	}{{calls, "gt_square"}, {0, "gt_struct"}} {
		l := lines[i]
		_, err := strconv.Atoi(l[2])
		if l[1] != fmt.Sprint(want.runs) || l[3] != "0" || l[5] != "uprobe:"+*work+":"+want.name || (err != nil) != (want.runs == 0) {
			t.Errorf("want %d runs of %s: %q", want.runs, want.name, l[0])
		}
	}
}
