package live

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUprobesDoNotHarm attaches to nops in functions that keep data below their stack
// pointer. Some kernels replace a five-byte nop by a call that overwrites this data:
// there the probe is refused. Elsewhere, and at other places, the counts are exact and
// the functions work. The workload ends with an error if one does not.
func TestUprobesDoNotHarm(t *testing.T) {
	if *peer {
		t.Skip("bpftrace attaches there")
	}
	needRoot(t)
	const uprobeCall = 336 // its error tells which kernel this is
	_, _, errno := unix.RawSyscall(uprobeCall, 0, 0, 0)
	for _, c := range []struct {
		script, want string
		refused      bool
	}{
		{"uprobe:WORK:gt_over5+5 { @ = count(); }", "@: 500", errno == unix.ENXIO},
		{"uprobe:WORK:gt_after5 { @ = count(); }", "@: 500", false},
		{"uprobe:WORK:gt_over10 { @ = count(); }", "@: 500", false},
		{"usdt:WORK:gt:over { @[usym(uaddr(\"gt_over10\"))] = sum(arg0); }", "@[gt_over10]: 125250", false},
		{"usdt:WORK:gt:over { @[func] = count(); } uretprobe:WORK:gt_after5 { @r = sum(retval); }", "@[gt_over10]: 500\n@r: 125250", false},
	} {
		r := trace(t, "-e", strings.ReplaceAll(c.script, "WORK", *work), "-c", *work+" redzone 500")
		if c.refused {
			if r.status == 0 || !strings.Contains(r.stderr, "would overwrite data of the program there") {
				t.Errorf("%s: status %d, stderr: %s", c.script, r.status, r.stderr)
			}
			continue
		}
		r.quiet(t)
		if got := strings.TrimSpace(r.stdout); got != c.want || r.status != 0 {
			t.Errorf("%s: status %d, printed %q, want %q\n%s", c.script, r.status, got, c.want, r.stderr)
		}
	}
}
