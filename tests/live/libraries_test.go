package live

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// libraryRoots builds a program with a library, and root directories with copies of both.
// The second root has another build of the library.
func libraryRoots(t *testing.T) (program string, roots [2]string) {
	t.Helper()
	native(t)
	needRoot(t)
	if *peer {
		t.Skip("bpftrace traces one file")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	// Separate directories, which other users and roots may pass.
	dir, err := os.MkdirTemp("/tmp", "gotrace-library-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	lib, other := filepath.Join(dir, "libgttest.so.1"), filepath.Join(dir, "other")
	program = filepath.Join(dir, "main")
	src := "testdata/library/"
	build := []string{"gcc", "-O2", "-shared", "-fPIC", "-Wl,-soname,libgttest.so.1", "-Wl,--build-id", "-o"}
	doWork(t, build[0], append(build[1:len(build):len(build)], lib, src+"lib.c")...)
	doWork(t, build[0], append(build[1:len(build):len(build)], other, "-DPAD=3", src+"lib.c")...)
	doWork(t, "gcc", "-O1", "-o", program, src+"main.c", lib, "-Wl,-rpath,$ORIGIN:/app")
	text, err := exec.Command("ldd", program).Output()
	if err != nil {
		t.Skip(err)
	}
	needed := regexp.MustCompile(`/\S+`).FindAllString(string(text), -1)
	for i := range roots {
		roots[i] = filepath.Join(dir, fmt.Sprint("root", i))
		files := map[string]string{program: "/app/main", lib: "/app/libgttest.so.1"}
		if i == 1 {
			delete(files, lib)
			files[other] = "/app/libgttest.so.1"
		}
		for _, path := range needed {
			if !strings.HasPrefix(path, dir) {
				files[path] = path
			}
		}
		for from, to := range files {
			data, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			to = filepath.Join(roots[i], to)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, data, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return program, roots
}

// caller is a program that has mapped a library and waits for go.
type caller struct {
	*exec.Cmd
	stdin io.WriteCloser
}

// startCaller starts a program that calls the library n times, and waits until it has
// mapped the library. The program has separate namespaces and its own root, unless root
// is "".
func startCaller(t *testing.T, program, root string, n int) *caller {
	t.Helper()
	c := &caller{Cmd: exec.Command(program, fmt.Sprint(n))}
	if root != "" {
		c.Path = "/app/main"
		c.Dir = "/"
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	}
	var err error
	if c.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatal(line, err)
	}
	return c
}

// call lets the program make its calls, and waits for its end.
func (c *caller) call(t *testing.T) {
	t.Helper()
	c.stdin.Write([]byte{1})
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// libraryScripts lists scripts for calls 0 … n-1 by processes with n of 5, 7 and 11.
var libraryScripts = []struct{ script, want string }{
	{`uprobe:libgttest:gtcall { @n = count(); @sum = sum(arg0); @text[str(arg1)] = count(); }`, "@n: 23\n@sum: 86\n@text[abc]: 23"},
	{`uretprobe:libgttest.so.1:gtcall { @sum = sum(retval); }`, "@sum: 2317"},
	{`uprobe:libgttest.so:gtcall { @start[tid] = nsecs; } uretprobe:libgttest:gtcall /@start[tid]/ { @n = count(); delete(@start[tid]); }`, "@n: 23"},
	{`uprobe:libgttest:gtc* { @n = count(); }`, "@n: 23"},
	{`uprobe:libgttest:gtcall { @first[tid] = 1; } uprobe:libgttest:gtcall /@first[tid]/ { @n = count(); delete(@first[tid]); }`, "@n: 23"},
	{`usdt:libgttest:gtlib:called { @sum = sum(arg0); }`, "@sum: 86"},
	{`usdt:libgttest:called { @n = count(); }`, "@n: 23"},
}

// TestLibraries traces functions and static probes of a library in all processes that have
// it. The processes have it at the usual path and in another root. A process that starts
// later has another build of it in a third root.
func TestLibraries(t *testing.T) {
	program, roots := libraryRoots(t)
	for _, c := range libraryScripts {
		t.Run(c.script, func(t *testing.T) {
			early := []*caller{startCaller(t, program, "", 5), startCaller(t, program, roots[0], 7)}
			s := start(t, "-v", "-e", c.script)
			s.attached()
			late := startCaller(t, program, roots[1], 11)
			eventually(t, "it is attached in the other root", func() bool {
				return strings.Contains(s.stderr.String(), fmt.Sprintf("/app/libgttest.so.1 of process %d\n", late.Process.Pid))
			})
			for _, p := range append(early, late) {
				p.call(t)
			}
			s.signal(syscall.SIGINT)
			if r := s.wait(); strings.TrimSpace(r.stdout) != c.want || r.status != 0 || strings.Contains(r.stderr, "WARNING") {
				t.Errorf("status %d, printed\n%s\nwant\n%s\n%s", r.status, r.stdout, c.want, r.stderr)
			}
		})
	}
}

// TestLibraryOfProcess traces a library in one process that has it at another path.
func TestLibraryOfProcess(t *testing.T) {
	program, roots := libraryRoots(t)
	other, ours := startCaller(t, program, roots[0], 7), startCaller(t, program, roots[1], 11)
	s := start(t, "-p", fmt.Sprint(ours.Process.Pid), "-e", libraryScripts[0].script)
	s.attached()
	other.call(t)
	ours.call(t)
	if r := s.wait(); strings.TrimSpace(r.stdout) != "@n: 11\n@sum: 55\n@text[abc]: 11" {
		t.Errorf("printed %s\n%s", r.stdout, r.stderr)
	}
}

// TestReplacedLibrary traces a library in a process. Its path now has another build, or
// no file.
func TestReplacedLibrary(t *testing.T) {
	for _, c := range []struct{ name, target string }{
		{"by name", "libgttest"},
		{"by path", "LIBRARY"},
		{"by pattern", "libgt*"},
		{"of all files", "**"},
		{"static", "usdt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			program, _ := libraryRoots(t)
			ours := startCaller(t, program, "", 7)
			lib := filepath.Join(filepath.Dir(program), "libgttest.so.1")
			if err := os.Rename(filepath.Join(filepath.Dir(program), "other"), lib); err != nil {
				t.Fatal(err)
			}
			script := fmt.Sprintf("uprobe:%s:gtcall { @n = count(); @sum = sum(arg0); }", strings.ReplaceAll(c.target, "LIBRARY", lib))
			if c.target == "usdt" {
				script = "usdt:libgttest:gtlib:called { @n = count(); @sum = sum(arg0); }"
			}
			s := start(t, "-p", fmt.Sprint(ours.Process.Pid), "-e", script)
			s.attached()
			ours.call(t)
			if r := s.wait(); strings.TrimSpace(r.stdout) != "@n: 7\n@sum: 21" {
				t.Errorf("printed %s\n%s", r.stdout, r.stderr)
			}
		})
	}
}

// TestNothingYet checks the warning if all files are searched for a function and none has
// it.
func TestNothingYet(t *testing.T) {
	native(t)
	needRoot(t)
	if *peer {
		t.Skip("bpftrace has no such probes")
	}
	name := filepath.Base(*work)
	for _, c := range []struct {
		args string
		want string // "": no warning
	}{
		{"-e uprobe:**:gt_misspelt{}", "no process has a function gt_misspelt yet"},
		{"-e uprobe:**:gt_misspelt,uprobe:**:malloc{}", "no process has a function gt_misspelt yet"},
		{"-e uretprobe:**:gt_misspelt{}", "no process has a function gt_misspelt yet"},
		{"-c " + *work + " -e uprobe:**/" + name + ":gt_strinq{}", "did you mean 'gt_string'?"},
		{"-p " + fmt.Sprint(os.Getpid()) + " -e uprobe:**:gt_misspelt{}", fmt.Sprintf("process %d has no function gt_misspelt yet", os.Getpid())},
		{"-c " + *work + " -e uprobe:**:gt_string{}", ""},
		{"-e tls:data{@=count()}", ""},
		{"--no-warnings -e uprobe:**:gt_misspelt{}", ""},
	} {
		r := trace(t, append([]string{"--dry-run"}, strings.Fields(c.args)...)...)
		if got := strings.Contains(r.stderr, " yet\n"); r.status != 0 || got != (c.want != "") || !strings.Contains(r.stderr, c.want) || strings.Count(r.stderr, "WARNING") > 1 {
			t.Errorf("%s: status %d, want %q in\n%s", c.args, r.status, c.want, r.stderr)
		}
	}
}

// TestLibraryOfOtherBuild checks that a script which depends on the debug information of
// a library does not trace another build, and says so.
func TestLibraryOfOtherBuild(t *testing.T) {
	program, roots := libraryRoots(t)
	ours, other := startCaller(t, program, "", 5), startCaller(t, program, roots[1], 11)
	s := start(t, "-e", `uprobe:libgttest:gtcall { if (uaddr("gtcall")) { @n = count(); } }`)
	s.attached()
	ours.call(t)
	other.call(t)
	s.signal(syscall.SIGINT)
	if r := s.wait(); strings.TrimSpace(r.stdout) != "@n: 5" || !strings.Contains(r.stderr, "libgttest.so.1 in another root or directory is not traced, as it is another build") {
		t.Errorf("printed %s\n%s", r.stdout, r.stderr)
	}
}
