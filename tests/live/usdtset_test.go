package live

import (
	"runtime"
	"strings"
	"testing"
)

// TestUSDTSet overwrites arguments of USDT probes in memory. The bytes beside them stay.
func TestUSDTSet(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the script names a register of amd64")
	}
	bin := fixture(t, "usdt-O2")
	r := trace(t, "--unsafe", "-q", "-c", bin, "-e", strings.ReplaceAll(`
usdt:BIN:widths:i8 { $ok = usdt_set(2, 300); printf("%d %d %llx\n", $ok, arg2, *(uint64*)uptr(reg("si") + 8)); }
usdt:BIN:widths:u16 { $ok = usdt_set(2, 0x12345); printf("%d %llx %llx\n", $ok, arg2, *(uint64*)uptr(reg("si") + 8)); }
usdt:BIN:widths:i64 { $ok = usdt_set(2, -9); printf("%d %lld %d\n", $ok, arg2, arg0); }
`, "BIN", bin))
	if strings.Contains(r.stderr, "the kernel does not offer to overwrite the memory of processes: it is locked down") {
		t.Skip(r.stderr)
	}
	const want = "1 44 5a5a5a5a5a5a5a2c\n1 2345 5a5a5a5a5a5a2345\n1 -9 -5"
	if strings.TrimSpace(r.stdout) != want || r.status != 0 {
		t.Errorf("status %d, printed\n%swant\n%s\n%s", r.status, r.stdout, want, r.stderr)
	}
}
