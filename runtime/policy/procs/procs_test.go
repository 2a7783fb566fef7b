package procs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/lang/policy/procs"
	"github.com/gotrace/gotrace/runtime/value"
)

// processes writes a /proc with processes: the name, the parent and the command line of
// each.
func processes(t *testing.T, list map[int][3]string) string {
	t.Helper()
	root := t.TempDir()
	for pid, p := range list {
		dir := filepath.Join(root, fmt.Sprint(pid))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"stat":     fmt.Sprintf("%d (%s) S %s 11 12 34816 0 %s%d\n", pid, p[0], p[1], strings.Repeat("0 ", 13), 100+pid),
			"cmdline":  p[2],
			"loginuid": "1000",
			"status":   "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNSpid:\t9\t21\nNSpgid:\t9\t22\nNSsid:\t9\t23\nCapEff:\t00000000000000ff\nCapPrm:\t1\nCapInh:\t2\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("/bin/"+p[0]+" (deleted)", dir+"/exe"); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestSeed(t *testing.T) {
	table := New(processes(t, map[int][3]string{1: {"init", "0", "init\x00"}, 7: {"a) (b", "1", "a\x00-x y\x00\x00"}}))
	table.Seed()
	got := *table.Get(7)
	want := Process{PID: 7, Parent: 1, Start: 1070e6, Comm: "a) (b", Path: "/bin/a) (b", Args: []string{"a", "-x y", ""},
		UID: 2, GID: 6, LoginUID: 1000, TTY: 136 << 20, Session: 12, Group: 11, VPID: 21, VSession: 23, VGroup: 22,
		Caps: 0xff, Permitted: 1, Inheritable: 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p := table.ParentOf(&got); p == nil || p.Comm != "init" {
		t.Errorf("parent %v", p)
	}
	if p := table.Get(8); p != nil {
		t.Errorf("a process that does not exist: %v", p)
	}
}

func exec(pid, parent int, comm, args string) value.Tuple {
	v := make(value.Tuple, procs.ExecValues)
	for i := range v {
		v[i] = value.Uint(0)
	}
	v[0], v[procs.ExecPID], v[procs.ExecParent] = value.Int(procs.ExecID), value.Int(pid), value.Int(parent)
	v[procs.ExecComm], v[procs.ExecPath] = value.Str{S: comm}, value.Str{S: "/bin/" + comm}
	v[procs.ExecArgs], v[procs.ExecEnv], v[procs.ExecCwd] = value.Bytes(args), value.Str{}, value.Str{S: "/"}
	v[procs.ExecStart], v[procs.ExecMemfd] = value.Uint(2e9), value.Bool(false)
	return v
}

func fork(child, parent, maker int) value.Tuple {
	return value.Tuple{value.Int(procs.ForkID), value.Int(child), value.Int(parent), value.Int(maker), value.Uint(3e9), value.Int(child)}
}

// TestReports follows processes through their life.
func TestReports(t *testing.T) {
	table := New(processes(t, map[int][3]string{1: {"init", "0", "init\x00"}, 50: {"late", "1", ""}}))
	names := func(pid int32) string {
		var list []string
		p := table.Get(pid)
		if p == nil {
			return "none"
		}
		list = append(list, p.Comm+" "+strings.Join(p.Args, "|"))
		table.Ancestors(p, func(p *Process) bool { list = append(list, p.Comm); return true })
		return strings.Join(list, " < ")
	}
	for i, step := range []struct {
		v    value.Value
		kind Kind
		pid  int32
		want string
	}{
		{exec(10, 1, "sshd", "sshd\x00-D\x00"), Exec, 10, "sshd sshd|-D < init"},
		{fork(11, 10, 10), Fork, 11, "sshd sshd|-D < sshd < init"},
		{exec(11, 10, "bash", "-bash\x00"), Exec, 11, "bash -bash < sshd < init"},
		{value.Tuple{value.Int(procs.NameID), value.Int(11), value.Str{S: "renamed"}}, Name, 11, "renamed -bash < sshd < init"},
		{value.Tuple{value.Int(procs.NameID), value.Int(12), value.Str{S: "thread"}}, Name, 12, "none"},
		{fork(13, 10, 11), Fork, 13, "renamed -bash < sshd < init"}, // CLONE_PARENT
		{value.Tuple{value.Int(procs.ExitID), value.Int(11)}, Exit, 11, "none"},
		{value.Tuple{value.Int(procs.ExitID), value.Int(99)}, Exit, 13, "renamed -bash < sshd < init"},
		{value.Tuple{value.Int(3), value.Int(4)}, None, 50, "late  < init"},
		{value.Tuple{value.Int(procs.ExecID), value.Int(4)}, None, 4, "none"},
		{value.Str{S: "x"}, None, 4, "none"},
	} {
		if kind, _ := table.Add(step.v); kind != step.kind {
			t.Errorf("step %d: kind %d, want %d", i, kind, step.kind)
		}
		if got := names(step.pid); got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}

func TestMemfd(t *testing.T) {
	table := New(t.TempDir())
	v := exec(10, 1, "x", "x\x00")
	v[procs.ExecMemfd], v[procs.ExecPath] = value.Bool(true), value.Str{S: "/memfd:x y (deleted)"}
	_, p := table.Add(v)
	if p.Path != "memfd:x y" || !p.File.Memfd {
		t.Errorf("path %q", p.Path)
	}
}
