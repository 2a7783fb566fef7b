package live

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// slicesNamed counts the slices or instants with a name in a file of --perfetto: the field for
// the name of an event is number 23.
func slicesNamed(data []byte, name string) int {
	return bytes.Count(data, append([]byte{0xba, 0x01, byte(len(name))}, name...))
}

// TestTimeline checks that the file of --perfetto has every call of a pair of probes, and
// everything that the script prints: for system calls with separate programs, for system
// calls that share one, and for functions of processes.
func TestTimeline(t *testing.T) {
	if *peer {
		t.Skip("the peer has no such option")
	}
	native(t)
	bin := fixture(t, "inlined")
	file := filepath.Join(t.TempDir(), "out")
	for _, c := range []struct{ script, name string }{
		{`tracepoint:syscalls:sys_enter_mmap /pid == cpid/ { @n = count(); } tracepoint:syscalls:sys_exit_mmap /pid == cpid/ { printf("hit\n"); }`, "mmap"},
		{`tracepoint:syscalls:sys_enter_m* /pid == cpid/ { if (probe == "tracepoint:syscalls:sys_enter_mmap") { @n = count(); printf("hit\n"); } } tracepoint:syscalls:sys_exit_m* /pid == cpid/ { }`, "mmap"},
		{`uprobe:` + bin + `:work { @n = count(); printf("hit\n") } uretprobe:` + bin + `:work { }`, "work"},
	} {
		r := trace(t, "--perfetto", file, "-e", c.script, "-c", bin)
		r.quiet(t)
		m := regexp.MustCompile(`@n: (\d+)`).FindStringSubmatch(r.stdout)
		data, err := os.ReadFile(file)
		if err != nil || m == nil {
			t.Fatalf("%s: %v\n%s", c.script, err, r.stdout)
		}
		if got := fmt.Sprint(slicesNamed(data, c.name)); got != m[1] || m[1] == "0" {
			t.Errorf("%s: %s slices of %s calls", c.script, got, m[1])
		}
		if got := fmt.Sprint(slicesNamed(data, "hit")); got != m[1] {
			t.Errorf("%s: %s instants of %s", c.script, got, m[1])
		}
	}
}
