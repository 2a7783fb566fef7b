package symbols

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gotrace/gotrace/tests/testkit"
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
	testkit.NeedRoot(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.c"), []byte(ending), 0o644); err != nil {
		t.Fatal(err)
	}
	testkit.Run(t, dir, "gcc", "-O1", "-static", "-o", "p", "p.c")
	inside := filepath.Join(dir, "inside")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, before, script, after string
		short                       bool // the process ends before its files are opened
	}{
		{name: "deleted later", before: `cp p q`, script: `exec ./q`, after: `rm q`},
		{name: "deleted later, short", before: `cp p q`, script: `exec ./q`, after: `rm q`, short: true},
		{name: "replaced later", before: `cp p q; cp /bin/true r`, script: `exec ./q`, after: `mv r q`},
		{name: "unmounted later", before: `mkdir m; mount -t tmpfs none m; cp p m/q`, script: `exec m/q`, after: `umount m`},
		{name: "unmounted later, short", before: `mount -t tmpfs none m; cp p m/q`, script: `exec m/q`, after: `umount m`, short: true},
		{name: "mount namespace", script: `mount -t tmpfs none ` + inside + ` && cp p ` + inside + `/only && exec ` + inside + `/only`},
		{name: "root directory", script: `mount -t tmpfs none ` + inside + ` && cp p ` + inside + `/only && exec chroot ` + inside + ` /only`},
		{name: "deleted file", script: `cp p once && exec 3<once && rm once && exec /proc/self/fd/3`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-ec", c.script)
			cmd.Dir = dir
			if c.before != "" {
				testkit.Run(t, dir, "sh", "-ec", c.before)
			} else {
				cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // its mounts are private
			}
			in, out := testkit.Start(t, cmd)
			var plain uint64
			if _, err := fmt.Fscanf(bufio.NewReader(out), "0x%x\n", &plain); err != nil {
				in.Close()
				cmd.Wait()
				t.Fatal(err)
			}
			end := func() {
				in.Close()
				if err := cmd.Wait(); err != nil {
					t.Fatal(err)
				}
			}
			logged, listed := NewUser(View{}), NewUser(View{}) // how they learn of its mappings
			maps, found := Executable("/proc", cmd.Process.Pid), ReadMaps("/proc", cmd.Process.Pid)
			if c.short {
				end()
			}
			for _, m := range maps {
				logged.Mapped(cmd.Process.Pid, m)
			}
			listed.Add(found)
			logged.AwaitFiles(time.After(time.Minute))
			listed.AwaitFiles(time.After(time.Minute))
			if !c.short {
				end()
			}
			if c.after != "" {
				testkit.Run(t, dir, "sh", "-ec", c.after)
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

// TestUnmountElsewhere unmounts the file systems of a program and of its perf map in their own
// mount namespace after the program has ended. The names are there all the same.
func TestUnmountElsewhere(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.c"), []byte(ending), 0o644); err != nil {
		t.Fatal(err)
	}
	testkit.Run(t, dir, "gcc", "-O1", "-static", "-o", "p", "p.c")
	cmd := exec.Command("sh", "-ec", `mkdir root; mount -t tmpfs none root; mkdir root/tmp; mount -t tmpfs none root/tmp; cp p root/
		sh -ec 'printf "%x 100 jitted\n" 16 > root/tmp/perf-$$.map; echo $$; exec chroot root /p'
		umount root/tmp; umount root`)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS} // its mounts are private
	cmd.Stderr = os.Stderr
	in, out := testkit.Start(t, cmd)
	var pid int
	var plain uint64
	if _, err := fmt.Fscanf(bufio.NewReader(out), "%d\n0x%x\n", &pid, &plain); err != nil {
		in.Close()
		cmd.Wait()
		t.Fatal(err)
	}
	u := NewUser(View{})
	defer u.Close()
	for _, m := range append(Executable("/proc", pid), Mapping{Start: 0x10, End: 0x100, Path: "//anon"}) {
		u.Mapped(pid, m)
	}
	u.AwaitFiles(nil)
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the file systems could not be unmounted: %v", err)
	}
	u.Ended(pid)
	for addr, want := range map[uint64]string{plain: "plain", 0x11: "jitted"} {
		if list := u.Lookup(pid, addr); len(list) != 1 || list[0].Name != want {
			t.Errorf("%#x is %+v, want %s", addr, list, want)
		}
	}
}

// TestHeldFiles wants more files than may be open at a time. Those that can only be opened
// through their process stay open.
func TestHeldFiles(t *testing.T) {
	k := keeper{proc: "/proc", devices: &Devices{}, held: map[fileID]*os.File{}}
	defer k.close()
	const own = 40 // can be opened by their path
	for i := range maxHeld + 10 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		k.hold(fileID{inode: fmt.Sprint(i)}, f, i >= 20 && i < 20+own)
	}
	if len(k.held) != maxHeld || len(k.order) != maxHeld-30 || len(k.ours) != own-10 {
		t.Errorf("%d files are open, %d of them with a path", len(k.held), len(k.ours))
	}
	if k.held[fileID{inode: "29"}] != nil || k.held[fileID{inode: "30"}] == nil || k.held[fileID{inode: "0"}] == nil {
		t.Error("not the oldest files with a path were closed")
	}
	for i := range own {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		k.hold(fileID{inode: fmt.Sprint(-1 - i)}, f, false)
	}
	if len(k.held) != maxHeld || len(k.ours) != 0 || k.held[fileID{inode: "9"}] != nil || k.held[fileID{inode: "10"}] == nil {
		t.Errorf("%d files are open, %d of them with a path, or not the oldest were closed", len(k.held), len(k.ours))
	}
}

// TestDeletedIsSameFile checks that a file is the same before and after it is deleted. So a
// file that is held open under one path is found under the other.
func TestDeletedIsSameFile(t *testing.T) {
	u := NewUser(View{})
	defer u.Close()
	there, gone := fileID{path: "/memfd:code", inode: "7"}, fileID{path: "/memfd:code (deleted)", inode: "7"}
	if u.intern(there) != u.intern(gone) {
		t.Error("the file has another identity after it was deleted")
	}
}
