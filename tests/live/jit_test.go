package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestJIT walks the stacks of functions that an interpreter compiles while it runs and
// names in a perf map. The program calls getppid through known functions until it is killed,
// and sleeps in between, so that gotrace can make tables where there is one slow CPU. It
// calls umask when these have been compiled. When a later stack is deep, the tables are
// complete, and each further stack must be complete and have the functions in order.
func TestJIT(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it does not unwind by tables")
	}
	const calls = 300
	for _, c := range []struct {
		name     string
		commands []string // the first one that works is run
		check    []string // arguments of the command: prints True if the interpreter writes a map
		file     string
		text     string
		want     []string
	}{
		{
			name: "python", commands: []string{"python3 -X perf", "python3.12 -X perf", "python3.13 -X perf"},
			check: []string{"-c", "import sys; print(sys.is_stack_trampoline_active())"}, file: "chain.py",
			text: `
import os, time
def leaf(): return os.getppid()
class Square:
    def area(self): return leaf()
def outer(n): return [Square().area() for _ in range(n)]
outer(200)
os.umask(0o22)
while True:
    outer(100)
    time.sleep(0.1)
`,
			want: []string{"getppid", "py::leaf:", "py::Square.area:", "py::outer:", "py::<module>:", "_start"},
		},
		{
			name: "node", commands: []string{"node --perf-basic-prof --interpreted-frames-native-stack --no-opt"},
			check: []string{"-e", "console.log('True')"}, file: "chain.js",
			text: `
function leaf() { return process.ppid; }
class Square { area() { return leaf(); } }
function outer(n) { let sum = 0; for (let i = 0; i < n; i++) sum += new Square().area(); return sum; }
outer(2000);
process.umask(0o22);
const never = new Int32Array(new SharedArrayBuffer(4));
for (;;) { outer(100); Atomics.wait(never, 0, 0, 100); }
`,
			want: []string{"getppid", "leaf ", "area ", "outer ", "Builtins_JSEntry", "node::Start", "_start"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir()) // Node writes a log there
			command := ""
			for _, try := range c.commands {
				args := append(strings.Fields(try), c.check...)
				if out, err := exec.Command(args[0], args[1:]...).Output(); err == nil && strings.TrimSpace(string(out)) == "True" {
					command = try
					break
				}
			}
			if command == "" {
				t.Skip("there is no interpreter of this kind that writes a perf map")
			}
			path := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			r := trace(t, "-q", "-c", command+" "+path, "-e", fmt.Sprintf(`config = { user_stack = dwarf }
				tracepoint:syscalls:sys_enter_umask /pid == cpid/ { @on = 1; }
				tracepoint:syscalls:sys_enter_getppid /pid == cpid && @on/ {
					if (@n > 0 && @n <= %[1]d) { @stacks[ustack(127)] = count(); @n++; }
					if (@n > %[1]d) { exit(); }
					if (@n == 0 && len(ustack) > 10) { @n = 1; }
				}
				end { clear(@on); clear(@n); printf("%%d\n", cpid); }`, calls))
			var pid int
			fmt.Sscan(r.stdout, &pid)
			t.Cleanup(func() { os.Remove(fmt.Sprintf("/tmp/perf-%d.map", pid)) })
			whole := 0
			for _, entry := range strings.Split(r.stdout, "@stacks[")[1:] {
				frames, count, _ := strings.Cut(entry, "]: ")
				at := 0
				for _, line := range strings.Split(frames, "\n") {
					if at < len(c.want) && strings.Contains(line, c.want[at]) {
						at++
					}
				}
				var n int
				fmt.Sscan(count, &n)
				if at < len(c.want) || strings.Contains(frames, "[incomplete") {
					t.Errorf("%d stacks lack %q:%s", n, c.want[min(at, len(c.want)-1)], frames)
					continue
				}
				whole += n
			}
			if whole != calls {
				t.Errorf("%d whole stacks, want %d\n%s", whole, calls, r.stderr)
			}
		})
	}
}
