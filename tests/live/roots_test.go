package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestGenerated takes stacks through functions that a program generates and names in a map
// file or in a jitdump file.
func TestGenerated(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	turn := 0
	for _, names := range []string{"map", "dump"} {
		for _, by := range []string{"fp", "dwarf", "auto"} {
			if turn++; elsewhere(turn) {
				continue
			}
			t.Run(names+"/"+by, func(t *testing.T) {
				bin := fixture(t, "generated")
				checkPlace(t, by, placeProbe, "leaf made_inner made_middle made_outer run main", 20, "-c", bin+" "+names)
				for _, name := range []string{"perf-*.map", "jit-*.dump"} {
					removeDead(t, filepath.Join("/tmp", name))
				}
			})
		}
	}
}

// removeDead removes the files of a pattern whose numbers are of processes that have ended.
func removeDead(t *testing.T, pattern string) {
	t.Helper()
	files, _ := filepath.Glob(pattern)
	for _, name := range files {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(name), strings.Replace(filepath.Base(pattern), "*", "%d", 1), &pid); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			os.Remove(name)
		}
	}
}

// startIn starts a program in namespaces and a root directory of its own. It runs until the
// test ends.
func startIn(t *testing.T, root, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	return runs(t, cmd)
}

// runs starts a command, which runs until the test ends, and returns its ID.
func runs(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return fmt.Sprint(cmd.Process.Pid)
}

// TestOwnRoot takes stacks of programs that have a root directory and a C library of their
// own, while they run.
func TestOwnRoot(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	native(t)
	turn := 0
	for _, libc := range []string{"root-glibc", "root-musl"} {
		for _, by := range []string{"dwarf", "auto"} {
			if turn++; elsewhere(turn) {
				continue
			}
			t.Run(libc+"/"+by, func(t *testing.T) {
				pid := startIn(t, tree(t, libc), "/app/places", "none")
				checkPlace(t, by, placeProbe, "leaf outer run main", 20, "-p", pid)
			})
		}
	}
}

// TestUnloaded takes stacks through libraries that are loaded and unloaded again. The next
// library may get the same addresses. At the end all stacks have the right names.
func TestUnloaded(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	native(t)
	for i, libc := range []string{"root-glibc", "root-musl"} {
		if elsewhere(i) {
			continue
		}
		t.Run(libc, func(t *testing.T) {
			pid := startIn(t, tree(t, libc), "/app/loads")
			r := trace(t, "-p", pid, "-e", fmt.Sprintf(`config = { user_stack = dwarf } uprobe:/proc/%s/root/app/loads:mark {
				if (len(ustack) > 3) { @[arg0, ustack] = count(); @n++; }
				if (@n > 8) { exit(); }
			}`, pid))
			found := map[string]bool{}
			for _, entry := range strings.Split(r.stdout, "@[")[1:] {
				if strings.Contains(entry, "[incomplete: table missing: not made yet]") {
					continue // as documented; the others must be right
				}
				number, frames, _ := strings.Cut(entry, ",")
				frames, _, _ = strings.Cut(frames, "]:")
				var got []string
				for _, line := range strings.Fields(frames) {
					name, _, _ := strings.Cut(line, "+")
					got = append(got, name)
				}
				want := []string{"mark", "inner" + number, "outer" + number, "uses", "main"}
				if len(got) < len(want) || !slices.Equal(got[:len(want)], want) || strings.Contains(frames, "[incomplete") {
					t.Errorf("%q, want %q", got, want)
				}
				found[number] = true
			}
			if len(found) != 2 {
				t.Errorf("stacks of %d libraries: %s\n%s", len(found), r.stdout, r.stderr)
			}
			r.quiet(t)
		})
	}
}

// TestOtherPrograms takes stacks of programs whose file has been replaced since they started,
// and of those that run as another user because of the file's mode.
func TestOtherPrograms(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	turn := 0
	for _, by := range []string{"fp", "dwarf", "auto"} {
		for _, how := range []string{"replaced", "setuid"} {
			if turn++; elsewhere(turn) {
				continue
			}
			t.Run(how+"/"+by, func(t *testing.T) {
				text, err := os.ReadFile(fixture(t, map[string]string{"fp": "places-fp", "dwarf": "places-O2", "auto": "places-O2"}[by]))
				if err != nil {
					t.Fatal(err)
				}
				dir, err := os.MkdirTemp("/tmp", "gotrace-program-") // other users may pass it
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(dir) })
				bin := filepath.Join(dir, "program")
				if err := os.WriteFile(bin, text, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(bin, "none")
				if how == "setuid" {
					const owner, user = 1, 65534
					if err := os.Chown(bin, owner, owner); err != nil {
						t.Fatal(err)
					}
					if err := os.Chmod(bin, 0o755|os.ModeSetuid); err != nil {
						t.Fatal(err)
					}
					cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
				}
				pid := runs(t, cmd)
				if how == "replaced" {
					other := filepath.Join(dir, "other")
					if err := os.WriteFile(other, []byte("another program"), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.Rename(other, bin); err != nil {
						t.Fatal(err)
					}
				}
				checkPlace(t, by, placeProbe, "leaf outer run main", 20, "-p", pid)
			})
		}
	}
}

// TestPartOfStack leaves out the innermost frames of stacks, and limits the number of the
// others.
func TestPartOfStack(t *testing.T) {
	if *peer {
		t.Skip("the peer leaves out no frames")
	}
	native(t)
	for i, by := range []string{"fp", "dwarf", "auto"} {
		if elsewhere(i) {
			continue
		}
		t.Run(by, func(t *testing.T) {
			bin := fixture(t, "places-fp")
			r := trace(t, "-q", "-p", runs(t, exec.Command(bin, "none")), "-e", fmt.Sprintf(`config = { user_stack = %s } %s {
				if (len(ustack) > 3) {
					printf("part %%s", ustack(2, 1)); printf("part %%s", ustack(perf, 127, 2));
					printf("none %%s", ustack(3, 200)); printf("kernel %%d ", len(kstack) - len(kstack(127, 2)));
					print(len(ustack(127)) - len(ustack(127, 3))); exit();
				}
			}`, by, placeProbe))
			var got []string
			for _, word := range strings.Fields(r.stdout) {
				if name, _, frame := strings.Cut(word, "+"); frame || word == "part" || word == "none" || word == "kernel" || len(word) == 1 {
					got = append(got, name)
				}
			}
			text := strings.Join(got, " ")
			if !strings.HasPrefix(text, "part outer run part run main ") || !strings.HasSuffix(text, " none kernel 2 3") {
				t.Errorf("%s\n%s%s", text, r.stdout, r.stderr)
			}
		})
	}
}
