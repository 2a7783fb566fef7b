package live

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openKinds opens files of all kinds whose paths are made in different ways. It
// returns the kernel's own name of each descriptor.
func openKinds(t *testing.T) map[int]string {
	t.Helper()
	names := map[int]string{}
	keep := func(fd int, err error) {
		t.Helper()
		if errors.Is(err, unix.ENOSYS) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			t.Fatal(err)
		}
		names[fd] = name
	}
	dir := t.TempDir()
	open := func(name string, flags int) {
		t.Helper()
		keep(unix.Open(name, flags|unix.O_CLOEXEC, 0o600))
	}
	open("/", unix.O_RDONLY)
	open("/proc", unix.O_RDONLY)
	open("/proc/self/status", unix.O_RDONLY)
	open("/sys/kernel", unix.O_RDONLY)
	open("/dev/null", unix.O_RDONLY)
	for _, ns := range []string{"mnt", "net", "pid", "user", "uts"} {
		open("/proc/self/ns/"+ns, unix.O_RDONLY)
	}
	for _, name := range []string{"plain", "with space and \"quotes\"", strings.Repeat("n", 255)} {
		open(filepath.Join(dir, name), unix.O_CREAT|unix.O_RDWR)
	}
	gone := filepath.Join(dir, "gone")
	open(gone, unix.O_CREAT|unix.O_RDWR)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	for fd, name := range names {
		if name == gone {
			names[fd] += " (deleted)"
		}
	}
	deep := filepath.Join(dir, strings.Repeat("d/", 120))
	long := filepath.Join(dir, strings.Repeat(strings.Repeat("l", 200)+"/", 6))
	for _, d := range []string{deep, long} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
		open(d, unix.O_RDONLY)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	keep(pipe[0], nil)
	keep(pipe[1], nil)
	keep(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	keep(unix.EpollCreate1(unix.EPOLL_CLOEXEC))
	keep(unix.Eventfd(0, unix.EFD_CLOEXEC))
	keep(unix.MemfdCreate("in memory", unix.MFD_CLOEXEC))
	keep(unix.PidfdOpen(os.Getpid(), 0))
	return names
}

// TestPaths compares the paths of files with those in /proc, by the kernel's helper and
// by gotrace's own walk, complete and truncated to sizes.
func TestPaths(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no path() in tracepoints")
	}
	names := openKinds(t)
	const whole = 1024 // max_strlen
	// All but the iterators trace calls of fcntl with 4242000 + fd.
	ways := []struct{ name, needs, probe, fd, path string }{
		{"helper", "iter", "iter:task_file / ctx.task.tgid == %d / {", "ctx.fd", "ctx.file->f_path"},
		{"variable", "iter", "iter:task_file / ctx.task.tgid == %d / { $p = ctx.file->f_path;", "ctx.fd", "$p"},
		{"pointer", "iter", "iter:task_file / ctx.task.tgid == %d / { $p = (struct path *)((uint64)ctx.file + offsetof(struct file, f_path));", "ctx.fd", "$p"},
		{"map", "iter", "iter:task_file / ctx.task.tgid == %d / { @p = ctx.file->f_path;", "ctx.fd", "@p"},
		{"map element", "iter", "iter:task_file / ctx.task.tgid == %d / { @e[1, pid] = ctx.file->f_path;", "ctx.fd", "@e[1, pid]"},
		{"pointer to a variable", "iter", "iter:task_file / ctx.task.tgid == %d / { $v = ctx.file->f_path; $p = &$v;", "ctx.fd", "$p"},
		{"tuple", "iter", "iter:task_file / ctx.task.tgid == %d / { $t = (1, ctx.file->f_path);", "ctx.fd", "$t.1"},
		{"tracepoint", "", "tracepoint:syscalls:sys_enter_fcntl / pid == %d && args.arg / 1000 == 4242 / {", "args.fd", "curtask->files->fdt->fd[args.fd]->f_path"},
		{"file", "", "tracepoint:syscalls:sys_enter_fcntl / pid == %d && args.arg / 1000 == 4242 / {", "args.fd", "curtask->files->fdt->fd[args.fd]"},
		{"file of a hook", "fentry", "fentry:security_file_fcntl / pid == %d && args.arg / 1000 == 4242 / {", "args.arg % 1000", "args.file"},
		{"file as an argument", "kprobe", "kprobe:security_file_fcntl / pid == %d && arg2 / 1000 == 4242 / {", "arg2 % 1000", "(struct file *)arg0"},
		{"kprobe", "kprobe", "kprobe:security_file_fcntl / pid == %d && arg2 / 1000 == 4242 / {", "arg2 % 1000", "((struct file *)arg0)->f_path"},
		{"fentry", "fentry", "fentry:security_file_fcntl / pid == %d && args.arg / 1000 == 4242 / {", "args.arg % 1000", "args.file->f_path"},
		{"fexit", "fentry", "fexit:security_file_fcntl / pid == %d && args.arg / 1000 == 4242 / {", "args.arg % 1000", "args.file->f_path"},
	}
	for i, w := range ways {
		sizes := []int{100}
		if slices.Contains([]string{"helper", "variable", "tracepoint"}, w.name) {
			sizes = []int{1, 2, 9, 63, 64, 100, whole}
		}
		if testing.Short() { // in emulation
			sizes = []int{100, whole}
			if strings.HasPrefix(w.name, "file") {
				sizes = []int{whole}
			}
		}
		for j, size := range sizes {
			if len(sizes) > 1 && elsewhere(i+j) {
				continue
			}
			t.Run(fmt.Sprintf("%s of %d", w.name, size), func(t *testing.T) {
				if why := missing(w.needs); w.needs != "" && why != "" {
					t.Skip(why)
				}
				probe := fmt.Sprintf(w.probe, os.Getpid())
				script := fmt.Sprintf(`%s printf("%%d %%s\n", %s, path(%s, %d));`, probe, w.fd, w.path, size)
				keys := size < 512 // as large as keys are before Linux 5.11
				if keys {          // the path must be the same bytes as the string
					script += fmt.Sprintf(`@[path(%s, %d)] = 1; @[str("/dev/null", %d)] = 2;`, w.path, size, size+1)
				}
				run := func() result {
					s := start(t, "-e", script+" }")
					if w.needs != "iter" {
						s.attached()
						for fd := range names {
							unix.FcntlInt(uintptr(fd), unix.F_GETFD, 4242000+fd)
						}
						s.signal(unix.SIGINT)
					}
					return s.wait()
				}
				r := run()
				for range 5 { // as trace does
					if !strings.Contains(r.stderr, "Missed ") {
						break
					}
					r = run()
				}
				r.quiet(t)
				lines := strings.Split(r.stdout, "\n")
				for fd, name := range names {
					want := fmt.Sprintf("%d %s", fd, name[max(0, len(name)-(size-1)):])
					if !slices.Contains(lines, want) {
						t.Errorf("no line %q", want)
					}
				}
				if t.Failed() {
					t.Log(r.stdout)
				}
				if keys && size > len("/dev/null") && strings.Count(r.stdout, "@[/dev/null]") != 1 {
					t.Errorf("keys: %s", r.stdout)
				}
			})
		}
	}
}

// inFileSystem returns the path of an open file from the root of its file system,
// according to the table of mounts.
func inFileSystem(t *testing.T, fd int, name string) string {
	t.Helper()
	if !strings.HasPrefix(name, "/") { // a pipe has no mount
		return name
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(info), "mnt_id:")
	id := strings.Fields(rest)[0]
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); f[0] == id {
			return filepath.Join(f[3], strings.TrimPrefix(name, f[4]))
		}
	}
	return name // of an internal mount
}

// TestDentryPaths compares the paths of directory entries with the table of mounts.
func TestDentryPaths(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no path() of a dentry")
	}
	names := openKinds(t)
	s := start(t, "-e", fmt.Sprintf(`config = { max_strlen = 2048 } tracepoint:syscalls:sys_enter_fcntl /pid == %d && args.arg / 1000 == 4242/ {
		printf("%%d %%s\n", args.fd, path(curtask->files->fdt->fd[args.fd]->f_path.dentry)); }`, os.Getpid()))
	s.attached()
	for fd := range names {
		unix.FcntlInt(uintptr(fd), unix.F_GETFD, 4242000+fd)
	}
	s.signal(unix.SIGINT)
	r := s.wait()
	r.quietButMissed(t)
	lines := strings.Split(r.stdout, "\n")
	for fd, name := range names {
		if want := fmt.Sprintf("%d %s", fd, inFileSystem(t, fd, name)); !slices.Contains(lines, want) {
			t.Errorf("no line %q in %s", want, r.stdout)
		}
	}
}

// TestProgramPaths compares the path of a program that is executed with its name.
func TestProgramPaths(t *testing.T) {
	needRoot(t)
	if why := missing("fentry"); why != "" || *peer {
		t.Skip(why)
	}
	s := start(t, "-e", `fentry:security_bprm_check { printf("%d %s\n", pid, path(args.bprm)); }`)
	s.attached()
	var want []string
	for _, name := range []string{"sleep", "true"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(name, "0")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf("%d %s", cmd.Process.Pid, path))
	}
	s.signal(unix.SIGINT)
	r := s.wait()
	r.quiet(t)
	for _, line := range want {
		if !slices.Contains(strings.Split(r.stdout, "\n"), line) {
			t.Errorf("no line %q in %s", line, r.stdout)
		}
	}
}
