package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/procstat"
)

// choice is a flag that selects processes, and the way to start a crowd that it
// selects.
type choice struct {
	name string
	// flag returns the flag for a process that was started with set applied.
	flag  func(t *testing.T, c crowd) []string
	set   func(t *testing.T, cmd *exec.Cmd)
	later func(t *testing.T, pid int) // a step after the start of the crowd; nil: none
	// parent is set if the crowd is a child of a shell that the flag selects too.
	parent bool
}

const testUID = 54321

func choices() []choice {
	id := strings.Repeat("0123456789abcdef", 4)
	inCgroup := func(name, flag, val string) choice {
		dir := ""
		return choice{
			name: strings.TrimPrefix(flag, "--"),
			later: func(t *testing.T, pid int) {
				dir = makeCgroup(t, name)
				joinCgroup(t, makeCgroup(t, name+"/below"), pid)
			},
			flag: func(*testing.T, crowd) []string {
				if val == "" {
					return []string{flag, dir}
				}
				return []string{flag, val}
			},
		}
	}
	return []choice{
		{
			name: "follow", parent: true,
			set: func(t *testing.T, cmd *exec.Cmd) {
				if why := missing("sh"); why != "" {
					t.Skip(why)
				}
				cmd.Args = append([]string{"sh", "-c", `"$@"; exit $?`, "sh"}, cmd.Args...)
				cmd.Path = "/bin/sh"
			},
			flag: func(_ *testing.T, c crowd) []string { return []string{"--follow", "-p", fmt.Sprint(c.parent)} },
		},
		{
			name: "comm",
			set: func(t *testing.T, cmd *exec.Cmd) {
				cmd.Path = filepath.Join(t.TempDir(), "ourcrowd")
				if err := os.Symlink(*work, cmd.Path); err != nil {
					t.Fatal(err)
				}
			},
			flag: func(*testing.T, crowd) []string { return []string{"--comm", "ourcrowd"} },
		},
		{
			name: "uid",
			set: func(t *testing.T, cmd *exec.Cmd) {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: testUID}}
				// Another user may not pass the directories that lead to the program.
				dir, err := os.MkdirTemp("/tmp", "gotrace-uid-")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { os.RemoveAll(dir) })
				cmd.Path = filepath.Join(dir, "gtwork")
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				// A copy would be another file to a uprobe.
				if err := os.WriteFile(cmd.Path, nil, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := syscall.Mount(*work, cmd.Path, "", syscall.MS_BIND, ""); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { syscall.Unmount(cmd.Path, syscall.MNT_DETACH) })
			},
			flag: func(*testing.T, crowd) []string { return []string{"--uid", fmt.Sprint(testUID)} },
		},
		inCgroup("gotrace-test", "--cgroup", ""),
		inCgroup("gotrace-test.service", "--unit", "gotrace-test"),
		inCgroup("docker-"+id+".scope", "--container", id[:12]),
	}
}

// cgroupRoot returns the directory of the version 2 hierarchy.
func cgroupRoot(t *testing.T) string {
	t.Helper()
	root, err := cgroups.Version2("/proc")
	if err != nil {
		root = filepath.Join("/tmp", "gotrace-cgroup2")
		if err := os.MkdirAll(root, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("none", root, "cgroup2", 0, ""); err != nil {
			t.Skipf("no cgroups: %v", err)
		}
	}
	return root
}

// makeCgroup creates a cgroup that is removed when the test ends.
func makeCgroup(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(cgroupRoot(t), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeCgroup(t, dir) })
	return dir
}

// removeCgroup ends the processes in a cgroup and removes it.
func removeCgroup(t *testing.T, dir string) {
	var err error
	eventually(t, dir+" can be removed", func() bool {
		if err = syscall.Rmdir(dir); err != syscall.EBUSY {
			return true
		}
		procs, _ := os.ReadFile(dir + "/cgroup.procs")
		for _, text := range strings.Fields(string(procs)) {
			if pid, err := strconv.Atoi(text); err == nil {
				syscall.Kill(pid, syscall.SIGKILL)
				syscall.Wait4(pid, nil, 0, nil) // if it is ours
			}
		}
		return false
	})
	if err != nil && err != syscall.ENOENT {
		t.Errorf("%s: %v", dir, err)
	}
}

func joinCgroup(t *testing.T, dir string, pid int) {
	t.Helper()
	if err := os.WriteFile(dir+"/cgroup.procs", []byte(fmt.Sprint(pid)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// startChosen starts a crowd as c requires it.
func startChosen(t *testing.T, c choice) crowd {
	t.Helper()
	cmd := exec.Command(*work, "crowd", fmt.Sprint(crowdThreads), fmt.Sprint(crowdCalls))
	if c.set != nil {
		c.set(t, cmd)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() })
	ours := crowd{pid: pid}
	if c.parent {
		ours.parent, ours.pid = pid, onlyChild(t, pid)
	}
	waitThreads(t, ours.pid, crowdThreads+1)
	if c.later != nil {
		c.later(t, ours.pid)
	}
	ours.end = func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	return ours
}

// onlyChild waits until a process has a child, and returns its ID.
func onlyChild(t *testing.T, parent int) (child int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d has a child", parent), func() bool {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", parent)); err != nil {
			t.Fatal(err)
		}
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, dir := range dirs {
			if stat, ok := procstat.Read(dir); ok && stat.Int(procstat.Parent) == int64(parent) {
				child, _ = strconv.Atoi(filepath.Base(dir))
			}
		}
		return child != 0
	})
	return child
}

// TestChosen checks each flag that selects processes with each kind of probe. The
// probes must run for all threads of the selected processes and of their children, and
// for no other process.
func TestChosen(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no such flags")
	}
	table := confinements(t)
	for i, by := range choices() {
		for j, k := range probes.Kinds() {
			c := table[k.Name]
			if elsewhere(i + j) {
				continue
			}
			if testing.Short() && (by.name == "container" || by.name == "unit") && k.Name != "tracepoint" {
				continue // the program is that of --cgroup
			}
			if c.probe != "" && (k.Since == "" || !release().less(parseRelease(k.Since))) {
				t.Run(by.name+"/"+k.Name, func(t *testing.T) { c.runChosen(t, by) })
			}
		}
	}
}

func (c confinement) runChosen(t *testing.T, by choice) {
	if c.needs != "" {
		if why := missing(c.needs); why != "" {
			t.Skip(why)
		}
	}
	ours, other := startChosen(t, by), startCrowd(t)
	flags := by.flag(t, ours)
	if c.says != "" {
		r := trace(t, append(flags, "--dry-run", "-e", c.probe+" { @ = count(); }")...)
		applies := c.inCgroup && strings.Contains("--cgroup --container --unit", flags[0])
		if strings.Contains(r.stderr, "has no effect on "+strings.SplitN(c.probe, ":", 2)[0]+" probes") == applies {
			t.Errorf("with %v, stderr is:\n%s", flags, r.stderr)
		}
		ours.end()
		return
	}
	object := c.object
	if object == "" {
		object = "pid"
	}
	s := start(t, append(flags, "-e", c.probe+" { @["+object+"] = count(); }")...)
	s.attachedOr(c.also)
	r := c.watch(s, func() {
		other.end()
		ours.end()
		if by.name != "follow" && c.object == "" { // else the session ends by itself
			s.signal(syscall.SIGINT)
		}
	})
	c.checkChosen(t, r, ours)
}

// checkChosen compares the counts of the crowd's process, and of its child, with the
// expected ones.
func (c confinement) checkChosen(t *testing.T, r result, ours crowd) {
	t.Helper()
	children, got, missed := 0, 0, r.missed()
	for line := range strings.Lines(strings.TrimSpace(r.stdout)) {
		var pid, n int
		if _, err := fmt.Sscanf(line, "@[%d]: %d", &pid, &n); err != nil {
			t.Errorf("line %q", line)
		}
		switch {
		case pid == ours.pid:
			got = n
		case pid == ours.parent:
		default:
			if children++; c.runs > 0 && (n > crowdCalls || n < crowdCalls-missed) || c.object != "" {
				t.Errorf("%d events of process %d", n, pid)
			}
		}
	}
	if got == 0 || c.runs > 0 && (got > c.runs || got < c.runs-missed) || children > 1 || c.runs > 0 && c.object == "" && children != 1 {
		t.Errorf("%d events of process %d instead of %d, and of %d others:\n%s%s", got, ours.pid, c.runs, children, r.stdout, r.stderr)
	}
	r.quietButMissed(t)
}

// forks returns the number of processes that TestFollow starts.
func forks() int {
	if missing("kprobe") == "" { // an emulated machine
		return 500
	}
	return 10000
}

// TestFollow checks that --follow traces every process from its creation, however it is
// created, and no other process.
func TestFollow(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no --follow")
	}
	n := forks()
	script := "uprobe:" + *work + ":gt_relative { @u = count(); } usdt:" + *work + `:gt:crowd { @wrong = count(); }
		tracepoint:syscalls:sys_enter_getpgid { @t = count(); } rawtracepoint:sys_enter /args.id == 121/ { @r = count(); }`
	strangers := func() {
		if err := exec.Command(*work, "forks", "100").Run(); err != nil {
			t.Error(err)
		}
	}
	check := func(t *testing.T, r result) {
		t.Helper()
		var counts [3]int
		if _, err := fmt.Sscanf(strings.TrimSpace(r.stdout), "@r: %d\n@t: %d\n@u: %d", &counts[0], &counts[1], &counts[2]); err != nil {
			t.Errorf("%q: %v", r.stdout, err)
		}
		for i, got := range counts {
			if got > n || got < n-r.missed() {
				t.Errorf("@%c is %d, want %d\n%s%s", "rtu"[i], got, n, r.stdout, r.stderr)
			}
		}
		r.quietButMissed(t)
	}
	t.Run("command", func(t *testing.T) {
		s := start(t, "--follow", "-c", fmt.Sprintf("%s forks %d", *work, n), "-e", script)
		s.attached()
		strangers()
		check(t, s.wait())
	})
	t.Run("process", func(t *testing.T) {
		cmd := exec.Command(*work, "forks", fmt.Sprint(n), "wait")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() })
		s := start(t, "--follow", "-p", fmt.Sprint(cmd.Process.Pid), "-e", script)
		s.attached()
		stdin.Close()
		strangers()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		check(t, s.wait())
	})
}

// TestFollowDaemon checks that a session with --follow lasts until the last process has
// ended, even if its parent has ended before.
func TestFollowDaemon(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no --follow")
	}
	if why := missing("sh"); why != "" {
		t.Skip(why)
	}
	r := trace(t, "--follow", "-c", fmt.Sprintf(`/bin/sh -c '( (%[1]s sleep 1500; exec %[1]s say >/dev/null) & )'`, *work),
		"-e", `tracepoint:sched:sched_process_exec { @[comm] = count(); }`)
	if want := "@[sh]: 1\n@[gtwork]: 2"; strings.TrimSpace(r.stdout) != want {
		t.Errorf("got %q, want %q\n%s", r.stdout, want, r.stderr)
	}
}

// TestCgroupRemoved checks that a session ends with the cgroup that it traces, and that
// a later cgroup of the same name is not mistaken for it.
func TestCgroupRemoved(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no --cgroup")
	}
	for _, probe := range []string{"tracepoint:syscalls:sys_enter_getpgid", "cgroup_skb:egress"} {
		dir := makeCgroup(t, "gotrace-test")
		s := start(t, "--cgroup", dir, "-e", probe+" { @ = count(); }")
		s.attached()
		removeCgroup(t, dir)
		makeCgroup(t, "gotrace-test")
		if r := s.wait(); r.status != 0 || !strings.Contains(r.stderr, dir+" was removed") {
			t.Errorf("%s: status %d, stderr %s", probe, r.status, r.stderr)
		}
	}
}

// TestEventsOfCgroup checks that --cgroup attaches probes at a cgroup to the one that it
// selects, if that is below the probe's: they see its events and those of the cgroups below
// it. A probe at another cgroup sees all events of that.
func TestEventsOfCgroup(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no such flag")
	}
	if why := missing("sh"); why != "" {
		t.Skip(why)
	}
	dir, within, other := makeCgroup(t, "gotrace-events"), makeCgroup(t, "gotrace-events/below"), makeCgroup(t, "gotrace-others")
	script := `cgroup_skb:egress /pkt.udp.dport == 4747/ { @none = count(); }
		cgroup_skb:ROOT:egress /pkt.udp.dport == 4747/ { @root = count(); }
		cgroup_skb:ROOT/gotrace-events/below:egress /pkt.udp.dport == 4747/ { @within = count(); }
		cgroup_skb:ROOT/gotrace-others:egress /pkt.udp.dport == 4747/ { @other = count(); }
		sock_ops:ROOT /ctx.op == 3 && ctx.family == 2/ { @ops = count(); }
		cgroup_sock_addr:connect4 { @addr[comm] = count(); }`
	s := start(t, "--cgroup", dir, "-e", strings.ReplaceAll(script, "ROOT", cgroupRoot(t)))
	s.attached()
	for i, at := range []string{cgroupRoot(t), dir, within, other} {
		const run = `echo $$ >"$1/cgroup.procs"; exec "$2" refused 4747 "$3" 10`
		if out, err := exec.Command("sh", "-c", run, "sh", at, *work, fmt.Sprint(1<<i)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	// Datagrams: 2 of the cgroup, 4 of that below it, 8 of the other one.
	const want = "@addr[gtwork]: 2 @none: 6 @ops: 2 @other: 8 @root: 6 @within: 4"
	if got := strings.Join(strings.Fields(r.stdout), " "); got != want {
		t.Errorf("printed %s, want %s", got, want)
	}
	const warning = "--cgroup has no effect on cgroup_skb probes"
	if strings.Count(r.stderr, "WARNING") != 1 || !strings.Contains(r.stderr, warning) {
		t.Errorf("stderr has not one warning, %q:\n%s", warning, r.stderr)
	}
}

// TestOwners checks the builtins for the owner of the current task's cgroup: as keys,
// where aggregations of several cgroups of one owner are merged, in printf, in
// comparisons, and after the cgroup was removed.
func TestOwners(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no such builtins")
	}
	id := strings.Repeat("0123456789abcdef", 4)
	uid := "0a1b2c3d_1111_2222_3333_444455556666"
	parts := []string{"gotrace-test.service", "kubepods-pod" + uid + ".slice", "crio-" + id + ".scope", "below"}
	var dirs []string
	for i := range parts {
		dirs = append(dirs, makeCgroup(t, filepath.Join(parts[:i+1]...)))
	}
	crowds := []crowd{startCrowd(t), startCrowd(t), startCrowd(t)}
	joinCgroup(t, dirs[0], crowds[0].pid)
	joinCgroup(t, dirs[2], crowds[1].pid)
	joinCgroup(t, dirs[3], crowds[2].pid)
	s := start(t, "-e", `tracepoint:syscalls:sys_enter_getpgid /pid == $1 || pid == $2 || pid == $3/ {
			@[container, pod, unit] = count();
			if (@n[pid]++ == 0) { printf("%s %s %s\n", container, pod, unit); }
			@unit = @unit + (unit == "gotrace-test" ? 1 : 0); @in += container == "`+id[:20]+`" ? 1 : 0; @out += container != "`+id+`" ? 1 : 0;
			@pod += "`+strings.ReplaceAll(uid, "_", "-")+`" == pod ? 1 : 0;
		} END { clear(@n); }`, fmt.Sprint(crowds[0].pid), fmt.Sprint(crowds[1].pid), fmt.Sprint(crowds[2].pid))
	s.attached()
	for _, c := range crowds {
		c.end()
	}
	for _, dir := range []string{dirs[3], dirs[2], dirs[1], dirs[0]} {
		removeCgroup(t, dir)
	}
	s.signal(syscall.SIGINT)
	r := s.wait()
	pod, scope, all := strings.ReplaceAll(uid, "_", "-"), parts[2], crowdThreads*crowdCalls
	want := fmt.Sprintf(`- - gotrace-test.service
%[1]s %[2]s %[3]s
%[1]s %[2]s %[3]s

@[-, -, gotrace-test.service]: %[4]d
@[%[1]s, %[2]s, %[3]s]: %[5]d
@in: %[5]d
@out: %[4]d
@pod: %[5]d
@unit: %[6]d`, id[:12], pod, scope, all, 2*all, 3*all)
	squeeze := func(text string) string {
		return strings.ReplaceAll(strings.TrimSpace(strings.ReplaceAll(text, attachedLine+"\n", "")), "\n\n\n", "\n\n")
	}
	if n := r.missed(); n > 0 {
		t.Skipf("the kernel skipped %d events, so the counts cannot be exact", n)
	}
	if got := squeeze(r.stdout); got != squeeze(want) {
		t.Errorf("got %s\nwant %s\n%s", got, want, r.stderr)
	}
}

// TestChosenErrors checks the errors for flags that select nothing.
func TestChosenErrors(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no such flags")
	}
	makeCgroup(t, "gotrace-test.service")
	id := strings.Repeat("fedcba9876543210", 4)
	makeCgroup(t, "docker-"+id+".scope")
	makeCgroup(t, "docker-"+id[:60]+"0000.scope")
	for _, c := range []struct{ args, want string }{
		{"--follow", "--follow needs -p or -c"},
		{"--comm 1234567890123456", `write "123456789012345"`},
		{"--comm ", "--comm needs a value"},
		{"--uid nosuchuser", `there is no user "nosuchuser"`},
		{"--uid 4294967296", `there is no user "4294967296"`},
		{"--cgroup /no/such", "there is no cgroup /no/such"},
		{"--cgroup /etc", "there is no cgroup /etc"},
		{"--cgroup cgroup.procs", "is a file of a cgroup"},
		{"--unit gotrace-tset", "did you mean 'gotrace-test.service'?"},
		{"--container " + id[:59], "2 running containers are called"},
		{"--container nosuchname", `no container "nosuchname" runs`},
		{"--container ../../etc", `no container "../../etc" runs`},
		{"--follow -p 4194303", "Failed to attach to pid: 4194303: No such process"},
	} {
		flag, val, found := strings.Cut(c.args, " ")
		args := []string{flag}
		if found {
			args = append(args, strings.SplitN(val, " ", 2)...)
		}
		r := trace(t, append(args, "-e", "tracepoint:syscalls:sys_enter_getpgid { @ = count(); }")...)
		if r.status != 1 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: status %d, want %q in:\n%s", c.args, r.status, c.want, r.stderr)
		}
	}
}
