package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestOtherStacks takes the stacks of another process, which waits for input, from an
// iterator. The program is compiled without frame pointers.
func TestOtherStacks(t *testing.T) {
	native(t)
	const source = `#include <unistd.h>
#define OWN __attribute__((noinline, noclone))
OWN int third(char *c) { int n = read(0, c, 1); __asm__ volatile("" ::: "memory"); return n; }
OWN int second(int n) { char c[100]; n += third(c); __asm__ volatile("" ::: "memory"); return n; }
OWN int first(int n) { n += second(n); __asm__ volatile("" ::: "memory"); return n; }
int main(int n, char **v) { n += first(n); __asm__ volatile("" ::: "memory"); return n; }`
	bin := filepath.Join(t.TempDir(), "waits")
	gcc := exec.Command("gcc", "-O2", "-fomit-frame-pointer", "-o", bin, "-x", "c", "-")
	gcc.Stdin = strings.NewReader(source)
	if out, err := gcc.CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v %s", err, out)
	}
	cmd := exec.Command(bin)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	pid := cmd.Process.Pid
	for { // until it is in read(0, ...)
		if call, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid)); err != nil || strings.HasPrefix(string(call), "0 0x0 ") {
			break
		}
		time.Sleep(time.Millisecond)
	}
	r := trace(t, "-p", fmt.Sprint(pid), "-e", `iter:task {
		printf("kernel %s user %s", kstack(ctx.task), ustack(ctx.task));
		printf("lengths %d %d %d", len(kstack(ctx.task, 2)), len(ustack(ctx.task, 3)), len(ustack(ctx.task)) > 5);
	}`)
	if strings.Contains(r.stderr, "needs Linux") {
		t.Skip(r.stderr)
	}
	kernel, user, _ := strings.Cut(r.stdout, " user ")
	var got []string
	for _, line := range strings.Fields(user) {
		fun, _, _ := strings.Cut(line, "+")
		got = append(got, fun)
	}
	if i := slices.Index(got, "third"); i < 0 || !slices.Equal(got[i:min(i+4, len(got))], []string{"third", "second", "first", "main"}) ||
		!strings.Contains(kernel, "pipe_read") || !strings.Contains(user, "lengths 2 3 1") {
		t.Errorf("%s\n%s", r.stdout, r.stderr)
	}

	r = trace(t, "-e", `rawtracepoint:sched_wakeup_new { @ = ustack(args.p); }`)
	if want := "ustack(task) is not supported in rawtracepoint probes: the kernel lets only iterators, such as iter:task, read the memory of another process"; !strings.Contains(r.stderr, want) {
		t.Errorf("%s, want %s", r.stderr, want)
	}
}
