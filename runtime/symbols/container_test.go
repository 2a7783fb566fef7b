package symbols

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gotrace/gotrace/tests/testkit"
)

// boxed prints the addresses of a function, of one of libc and of one that it
// pretends to have generated, and waits.
const boxed = `
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((noinline)) int plain(int x) { __asm__ volatile(""); return x + 1; }
int main(void) {
	char name[64];
	static char code[64];
	snprintf(name, sizeof name, "/tmp/perf-%d.map", getpid());
	FILE *f = fopen(name, "w");
	fprintf(f, "%lx 40 generated\n", 0x200000000ul);
	fclose(f);
	printf("%p %p %d\n", (void *)plain, (void *)qsort, getpid());
	fflush(stdout);
	getchar();
	return plain(1) == 0;
}
`

// TestContainer names addresses of a process that has its own root directory, libc and
// process IDs. Its debug file is found in its root.
func TestContainer(t *testing.T) {
	testkit.NeedRoot(t)
	loader, err := filepath.Glob("/lib/ld-musl-*.so.1")
	if err != nil || len(loader) != 1 {
		t.Skip("needs musl")
	}
	root := t.TempDir()
	run := func(line string) {
		t.Helper()
		cmd := exec.Command("sh", "-ec", line)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "p.c"), []byte(boxed), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("musl-gcc"); err != nil {
		t.Skip("needs musl-gcc")
	}
	run(`mkdir -p lib tmp app usr/lib/debug/app; cp ` + loader[0] + ` lib/
		musl-gcc -g -O1 -o app/only-here p.c
		objcopy --only-keep-debug app/only-here usr/lib/debug/app/p.debug
		objcopy --strip-all --add-gnu-debuglink=usr/lib/debug/app/p.debug app/only-here; rm p.c`)
	cmd := exec.Command("/app/only-here")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	in, out := testkit.Start(t, cmd)
	defer func() {
		in.Close()
		cmd.Wait()
	}()
	var plain, qsort uint64
	var inner int
	if _, err := fmt.Fscanf(io.Reader(out), "0x%x 0x%x %d\n", &plain, &qsort, &inner); err != nil {
		t.Fatal(err)
	}
	if inner != 1 {
		t.Errorf("the process has the ID %d in its namespace", inner)
	}
	u := NewUser(View{Debug: true})
	for _, c := range []struct {
		addr         uint64
		name, module string
		line         int
	}{
		{plain, "plain", root + "/app/only-here", 5},
		{qsort, "qsort", root + "/lib/" + filepath.Base(loader[0]), 0},
		{0x200000010, "generated", jitModule, 0},
	} {
		list := u.Lookup(cmd.Process.Pid, c.addr)
		f := list[len(list)-1]
		if f.Name != c.name || f.Module != c.module || f.Line != c.line || c.line > 0 && !strings.HasSuffix(f.File, "/p.c") {
			t.Errorf("%#x is %+v, want %s of %s", c.addr, f, c.name, c.module)
		}
	}
}
