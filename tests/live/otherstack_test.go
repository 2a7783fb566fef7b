package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	pid := waiting(t, source, "-fomit-frame-pointer")
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

	// Both kinds of stacks in one program, which sleeps.
	r = trace(t, "-p", fmt.Sprint(pid), "-e", `iter:task {
		$k = kstack(3); @[$k] = count(); @[$k] = count(); @u[ustack(fp)] = count();
		printf("task %s", ustack(ctx.task)); printf("frames %d %d\n", len(kstack), len(kstack(curtask, 2)));
	} end { printf("stacks %d %d\n", len(@), len(@u)); }`)
	if !strings.Contains(r.stdout, "stacks 1 1\n") || !strings.Contains(r.stdout, "third+") || strings.Contains(r.stdout, "frames 0") || !strings.Contains(r.stdout, "bpf_iter_run_prog+") {
		t.Errorf("%s\n%s", r.stdout, r.stderr)
	}

	r = trace(t, "-e", `rawtracepoint:sched_wakeup_new { @ = ustack(args.p); }`)
	if want := "ustack(task) is not supported in rawtracepoint probes: the kernel lets only iterators, such as iter:task, read the memory of another process"; !strings.Contains(r.stderr, want) {
		t.Errorf("%s, want %s", r.stderr, want)
	}
}

// TestBareStack takes the stack of code that no table describes and that uses the frame
// pointer as an ordinary register.
func TestBareStack(t *testing.T) {
	native(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("the program is for amd64")
	}
	pid := waiting(t, `int main(int n, char **v) { char c[8]; extern long bare(char *); return bare(c) + n; }
__asm__("bare: mov %rsp, %r8; push %rbp; mov %rdi, %rsi; and $-64, %rsp; mov $8, %rbp; xor %eax, %eax; xor %edi, %edi;"
	"mov $1, %edx; syscall; mov -8(%r8), %rbp; mov %r8, %rsp; ret");`, "-s", "-fno-asynchronous-unwind-tables")
	r := trace(t, "-p", fmt.Sprint(pid), "-e", `iter:task { print(ustack(auto, ctx.task)); print(ustack(dwarf, ctx.task)); }`)
	if strings.Contains(r.stderr, "needs Linux") {
		t.Skip(r.stderr)
	}
	if strings.Count(r.stdout, "[incomplete: no unwind table for the code]") != 2 {
		t.Errorf("%s\n%s", r.stdout, r.stderr)
	}
}

// waiting compiles and starts a program, and returns its process ID. The program waits
// for input, which does not come before the end of the test.
func waiting(t *testing.T, source string, flags ...string) int {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "waits")
	gcc := exec.Command("gcc", append(flags, "-O2", "-o", bin, "-x", "c", "-")...)
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
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	pid := cmd.Process.Pid
	for { // until it is in read(0, ...)
		if call, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid)); err != nil || strings.HasPrefix(string(call), "0 0x0 ") {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return pid
}
