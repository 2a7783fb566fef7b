package live

import (
	"runtime"
	"strings"
	"testing"
)

// TestRegSet changes the argument of a function and then its result.
func TestRegSet(t *testing.T) {
	if *peer {
		t.Skip("bpftrace has no reg_set()")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("the script names registers of amd64")
	}
	r := trace(t, "--unsafe", "-q", "-c", *work+" call square 3", "-e", strings.ReplaceAll(`
uprobe:WORK:gt_square /arg0 == 2/ { reg_set("di", 7); printf("%d of %d, ", arg0, reg("di")); }
uretprobe:WORK:gt_square { printf("%d", (int32)retval); reg_set("ax", 100); printf(" %d\n", retval); }
`, "WORK", *work))
	if strings.Contains(r.stderr, "reg_set needs Linux 6.19") {
		t.Skip(r.stderr)
	}
	const want = "0 100\n1 100\n7 of 7, 49 100"
	if strings.TrimSpace(r.stdout) != want || r.status != 0 {
		t.Errorf("status %d, printed\n%swant\n%s\n%s", r.status, r.stdout, want, r.stderr)
	}
}
