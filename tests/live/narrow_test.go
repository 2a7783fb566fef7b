package live

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNarrowStack takes stacks of a 32-bit process by frame pointers. The addresses have
// names, even after the process has ended, and no build ID of another file.
func TestNarrowStack(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	needRoot(t)
	dir := t.TempDir()
	bin, src := filepath.Join(dir, "narrow"), filepath.Join(dir, "narrow.c")
	const text = `
#define OWN __attribute__((noinline, noclone, used))
OWN long leaf(long n) { long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(132), "b"(n) : "memory"); return r; }
OWN long outer(long n) { long r = leaf(n); __asm__ volatile("" ::: "memory"); return r; }
void _start(void) { outer(424242); __asm__ volatile("int $0x80" :: "a"(1), "b"(0)); }
`
	if err := os.WriteFile(src, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-m32", "-O1", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", "-static", "-nostdlib", "-o", bin, src).CombinedOutput(); err != nil {
		t.Skipf("cannot build a 32-bit program: %v\n%s", err, out)
	}
	r := trace(t, "-c", bin, "-e", `tracepoint:raw_syscalls:sys_enter /comm == "narrow" && args.id == 132/ { @[ustack] = count(); @d[ustack(dwarf)] = count(); }`)
	for _, want := range []string{"leaf+", "outer+", "_start+", "[32-bit process]"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("no %q: %s\n%s", want, r.stdout, r.stderr)
		}
	}
}
