package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
	turn := 0
	// Until the tables of the C library are made, stacks end at its first function.
	probe := strings.TrimSuffix(placeProbe, "/") + " && len(ustack) > 5/"
	for _, libc := range []string{"root-glibc", "root-musl"} {
		for _, by := range []string{"dwarf", "auto"} {
			if turn++; elsewhere(turn) {
				continue
			}
			t.Run(libc+"/"+by, func(t *testing.T) {
				pid := startIn(t, tree(t, libc), "/app/places", "none")
				checkPlace(t, by, probe, "leaf outer run main", 20, "-p", pid)
			})
		}
	}
}

// TestUnloaded takes stacks through libraries that are loaded and unloaded again, at once or
// after a pause. The next library may get the same addresses. No stack uses the tables of another
// library, and at the end all stacks have the right names.
func TestUnloaded(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	turn := 0
	for _, libc := range []string{"root-glibc", "root-musl"} {
		for _, how := range []string{"at once", "later"} {
			if turn++; elsewhere(turn) {
				continue
			}
			t.Run(libc+"/"+how, func(t *testing.T) {
				args, n := []string{"again"}, 200
				if how == "later" {
					args, n = nil, 8
				}
				pid := startIn(t, tree(t, libc), "/app/loads", args...)
				r := trace(t, "-p", pid, "-e", fmt.Sprintf(`config = { user_stack = dwarf } uprobe:/proc/%s/root/app/loads:mark {
					@[arg0, ustack] = count();
					if (len(ustack) > 6) { @n++; }
					if (@n > %d) { exit(); }
				}`, pid, n))
				found := map[string]bool{}
				for _, entry := range strings.Split(r.stdout, "@[")[1:] {
					number, frames, _ := strings.Cut(entry, ",")
					found[checkFrames(t, frames, "mark", "inner"+number, "outer"+number, "uses", "main")] = true
				}
				delete(found, "")
				if len(found) != 2 {
					t.Errorf("stacks %v: %s\n%s", found, r.stdout, r.stderr)
				}
			})
		}
	}
}

// TestExecuted takes stacks of a process that executes programs with other frames at the same
// addresses. No stack uses the tables of the program before.
func TestExecuted(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	pid := runs(t, exec.Command(fixture(t, "execs-1"), fixture(t, "execs-2")))
	r := trace(t, "-p", pid, "-e", fmt.Sprintf(`config = { user_stack = dwarf } %s {
		@[comm, ustack] = count();
		if (len(ustack) > 5) { @n++; }
		if (@n > 200) { exit(); }
	}`, placeProbe))
	found := map[string]bool{}
	for _, entry := range strings.Split(r.stdout, "@[")[1:] {
		_, frames, _ := strings.Cut(entry, ",")
		number := regexp.MustCompile(`inner(\d)|$`).FindStringSubmatch(frames)[1]
		found[checkFrames(t, frames, "leaf", "inner"+number, "outer"+number, "main")] = true
	}
	delete(found, "")
	if len(found) != 2 {
		t.Errorf("stacks %v: %s\n%s", found, r.stdout, r.stderr)
	}
}

// checkFrames checks that a stack begins with the functions of want, and that it is complete or
// ends early because a table is missing. It returns the first frames of a complete stack.
func checkFrames(t *testing.T, frames string, want ...string) string {
	t.Helper()
	frames, _, _ = strings.Cut(frames, "]:")
	frames, incomplete, _ := strings.Cut(frames, "[incomplete: ")
	var got []string
	for _, line := range strings.Fields(frames) {
		name, _, _ := strings.Cut(line, "+")
		got = append(got, name)
	}
	known := want
	late := strings.HasPrefix(incomplete, "table missing: not made yet")
	if late {
		known = want[:min(len(got)-1, len(want))] // the last may have no name yet
	}
	if len(got) < len(known) || !slices.Equal(got[:len(known)], known) || incomplete != "" && !late {
		t.Errorf("%q [%s], want %q", got, incomplete, want)
	}
	if late {
		return ""
	}
	return strings.Join(want, " ")
}

// TestOtherPrograms takes stacks of programs whose file has been replaced or touched since
// they started, also in an overlay. It also takes stacks of programs that run as another user
// because of the file's mode.
func TestOtherPrograms(t *testing.T) {
	if *peer {
		t.Skip("the peer has few of the names")
	}
	turn := 0
	for _, by := range []string{"fp", "dwarf", "auto"} {
		for _, how := range []string{"replaced", "setuid", "touched", "overlay"} {
			if !*thorough && by != "dwarf" && (how == "touched" || how == "overlay") {
				continue // only tables depend on it
			}
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
				if how == "overlay" {
					cmd.Path = overlay(t, dir, "program")
				}
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
				if how == "touched" {
					touch(t, bin)
				}
				checkPlace(t, by, placeProbe, "leaf outer run main", 20, "-p", pid)
			})
		}
	}
}

// touch changes the time of modification of a file.
func touch(t *testing.T, name string) {
	t.Helper()
	if err := os.Chtimes(name, time.Time{}, time.Unix(1e9, 5)); err != nil {
		t.Fatal(err)
	}
}

// overlay mounts an overlay on a directory, touches a file there, so that it is copied, and
// returns its path.
func overlay(t *testing.T, dir, name string) string {
	t.Helper()
	for _, sub := range []string{"lower", "upper", "work", "all"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	all, lower := filepath.Join(dir, "all"), filepath.Join(dir, "lower")
	if err := os.Rename(filepath.Join(dir, name), filepath.Join(lower, name)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("overlay", all, "overlay", 0, "lowerdir="+lower+",upperdir="+dir+"/upper,workdir="+dir+"/work"); err != nil {
		t.Skip("no overlay can be mounted here: ", err)
	}
	t.Cleanup(func() { unix.Unmount(all, unix.MNT_DETACH) })
	touch(t, filepath.Join(all, name))
	return filepath.Join(all, name)
}

// TestPartOfStack leaves out the innermost frames of stacks, and limits the number of the
// others.
func TestPartOfStack(t *testing.T) {
	if *peer {
		t.Skip("the peer leaves out no frames")
	}
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
			if release().less(version{6, 12}) { // often no stack of the kernel, see TestStackForms
				text = strings.Replace(text, "kernel 0", "kernel 2", 1)
			}
			if !strings.HasPrefix(text, "part outer run part run main ") || !strings.HasSuffix(text, " none kernel 2 3") {
				t.Errorf("%s\n%s%s", text, r.stdout, r.stderr)
			}
		})
	}
}
