package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestTask compares the members of task with the data about a process in /proc.
func TestTask(t *testing.T) {
	if *peer {
		t.Skip("it has no task")
	}
	needRoot(t)
	dir, err := os.MkdirTemp("", "gotrace-task-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	cat := exec.Command("cat", "-", "an argument", "", "/dev/null")
	cat.Dir = dir
	cat.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 1234, Gid: 5678}}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	defer cat.Wait()
	defer in.Close()
	pid := cat.Process.Pid
	// The end of Start does not mean that the kernel has done all of the exec.
	eventually(t, "cat is executed", func() bool {
		return linkOf(t, fmt.Sprintf("/proc/%d/exe", pid)) != linkOf(t, "/proc/self/exe") && strings.TrimSpace(procText(t, pid, "comm")) == "cat"
	})
	want := membersOf(t, cat)
	if testing.Short() && release().less(version{5, 17}) {
		// The verifier follows each iteration of their loops, for minutes in emulation.
		for _, expr := range []string{"task.cwd", "task.ancestor(1).exe", `task.under("no such name")`, `task.under("cat")`} {
			delete(want, expr)
		}
	}
	var script strings.Builder
	script.WriteString("config = { max_strlen = 200 } tracepoint:syscalls:sys_exit_read /pid == $1/ {")
	for expr := range want {
		fmt.Fprintf(&script, ` print((%q, %s));`, strings.ReplaceAll(expr, `"`, "'"), expr)
	}
	script.WriteString(` print(("task.start", task.start / 10000000)); exit(); }`)
	s := start(t, "-e", script.String(), fmt.Sprint(pid))
	s.attached()
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	r := s.wait()
	r.quietButMissed(t)
	want["task.start"] = strings.Fields(after(t, fmt.Sprintf("/proc/%d/stat", pid)))[19]
	for expr, value := range want {
		if line := fmt.Sprintf("(%s, %s)\n", strings.ReplaceAll(expr, `"`, "'"), value); !strings.Contains(r.stdout, line) {
			t.Errorf("no line %q", line)
		}
	}
	if t.Failed() {
		t.Log(r.stdout)
	}
}

// procText returns a file about a process.
func procText(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// linkOf returns the file that a link leads to.
func linkOf(t *testing.T, path string) string {
	t.Helper()
	name, err := os.Readlink(path)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// membersOf returns the members of task for a process that this one has started, from /proc.
func membersOf(t *testing.T, cmd *exec.Cmd) map[string]string {
	pid, self := cmd.Process.Pid, os.Getpid()
	status := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `:\s+(\S+)`).FindStringSubmatch(procText(t, pid, "status"))
		if m == nil {
			t.Fatalf("no %s in the status", key)
		}
		return m[1]
	}
	caps, err := strconv.ParseUint(status("CapEff"), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(cmd.Args, " ")
	want := map[string]string{
		"task.pid": fmt.Sprint(pid), "task.tid": fmt.Sprint(pid), "task.comm": strings.TrimSpace(procText(t, pid, "comm")),
		"task.exe": linkOf(t, fmt.Sprintf("/proc/%d/exe", pid)), "task.cwd": cmd.Dir, "task.tty": "",
		"task.uid": "1234", "task.gid": "5678", "task.caps": fmt.Sprint(caps),
		"task.sid": fmt.Sprint(pid), "task.pgid": fmt.Sprint(pid), "task.cmdline": words,
		"task.parent.pid": fmt.Sprint(self), "task.ancestor(1).exe": linkOf(t, "/proc/self/exe"), "task.ancestor(0).pid": fmt.Sprint(pid),
		"task.ancestor(2).pid": fmt.Sprint(os.Getppid()), "task.parent.parent.pid": fmt.Sprint(os.Getppid()),
		`task.under("cat")`: "true", `task.under("no such name")`: "false",
		"task.parent.cmdline": strings.Join(os.Args, " "), "task.ancestor(0).cmdline": words,
		`task.parent.sid`: strings.Fields(after(t, "/proc/self/stat"))[3],
	}
	if name, err := os.ReadFile("/proc/self/comm"); err == nil {
		want[fmt.Sprintf(`task.under("%s")`, strings.TrimSpace(string(name)))] = "true"
	}
	if id, err := os.ReadFile(fmt.Sprintf("/proc/%d/loginuid", pid)); err == nil {
		want["task.loginuid"] = string(id)
	}
	for _, ns := range []string{"pid", "net", "mnt", "uts", "ipc", "user", "cgroup"} {
		if name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, ns)); err == nil {
			want["task.ns."+ns] = strings.TrimSuffix(name[strings.Index(name, "[")+1:], "]")
		}
	}
	return want
}

// after returns the text after the name of the program in a stat file of /proc.
func after(t *testing.T, stat string) string {
	t.Helper()
	b, err := os.ReadFile(stat)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[strings.LastIndexByte(string(b), ')')+1:])
}

// TestKernelTask checks the members of task for threads of the kernel, which have no
// program, and no words.
func TestKernelTask(t *testing.T) {
	if *peer {
		t.Skip("it has no task")
	}
	needRoot(t)
	s := start(t, "-e", `tracepoint:sched:sched_switch /task.pid != 0 && curtask.mm == 0/ { print((task.exe, task.cmdline, task.tty)); exit(); }`)
	s.attached()
	if r := s.wait(); strings.TrimSpace(r.stdout) != "(, , )" {
		t.Errorf("%q\n%s", r.stdout, r.stderr)
	}
}
