package symbols

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const ending = `
#include <stdio.h>
__attribute__((noinline)) int plain(int x) { __asm__ volatile(""); return x + 1; }
int main(void) {
	printf("%p\n", (void *)plain);
	fflush(stdout);
	getchar();
	return plain(1) == 0;
}
`

// TestEndedContainer names an address of a process that has ended, with the mount
// namespace and the only copy of its program.
func TestEndedContainer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Skipf("needs %s", args[0])
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "p.c"), []byte(ending), 0o644); err != nil {
		t.Fatal(err)
	}
	run("gcc", "-O1", "-static", "-o", "p", "p.c")
	inside := filepath.Join(dir, "inside")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, script string }{
		{"mount namespace", `mount -t tmpfs none ` + inside + ` && cp p ` + inside + `/only && exec ` + inside + `/only`},
		{"root directory", `mount -t tmpfs none ` + inside + ` && cp p ` + inside + `/only && exec chroot ` + inside + ` /only`},
		{"deleted file", `cp p once && exec 3<once && rm once && exec /proc/self/fd/3`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-ec", c.script)
			cmd.Dir = dir
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // its mounts are private
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Skip(err)
			}
			var plain uint64
			if _, err := fmt.Fscanf(bufio.NewReader(out), "0x%x\n", &plain); err != nil {
				in.Close()
				cmd.Wait()
				t.Fatal(err)
			}
			logged, listed := NewUser(View{}), NewUser(View{}) // how they learn of its mappings
			for _, m := range Executable("/proc", cmd.Process.Pid) {
				logged.Mapped(cmd.Process.Pid, m)
			}
			listed.Add(ReadMaps("/proc", cmd.Process.Pid))
			logged.AwaitFiles(time.After(time.Minute))
			listed.AwaitFiles(time.After(time.Minute))
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			for _, u := range []*User{logged, listed} {
				defer u.Close()
				u.Ended(cmd.Process.Pid)
				if list := u.Lookup(cmd.Process.Pid, plain); len(list) != 1 || list[0].Name != "plain" {
					t.Errorf("%#x is %+v (listed: %v)", plain, list, u == listed)
				}
			}
		})
	}
}

// TestHeldFiles wants more files than may be open at a time.
func TestHeldFiles(t *testing.T) {
	k := keeper{proc: "/proc", devices: &Devices{}, held: map[fileID]*os.File{}}
	defer k.close()
	for i := range maxHeld + 10 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		k.hold(fileID{inode: fmt.Sprint(i)}, f)
	}
	if len(k.held) != maxHeld || len(k.order) != maxHeld {
		t.Errorf("%d files are open", len(k.held))
	}
	if k.held[fileID{inode: "9"}] != nil || k.held[fileID{inode: "10"}] == nil {
		t.Error("not the oldest files were closed")
	}
}
