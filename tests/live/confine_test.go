package live

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gotrace/gotrace/probes"
)

// crowd is a process that waits, and then causes the events of all kinds of probes,
// crowdCalls times in each of crowdThreads threads.
type crowd struct {
	pid    int
	end    func() // makes it continue and waits for its end
	parent int    // process that started it and is traced with it; 0: none
}

const (
	crowdThreads = 2
	crowdCalls   = 50
)

func startCrowd(t *testing.T) crowd {
	t.Helper()
	return startCrowdOf(t, "crowd", crowdThreads+1)
}

// startCrowdOf starts a crowd by the given subcommand of the workload, and waits until it
// has its threads.
func startCrowdOf(t *testing.T, subcommand string, threads int) crowd {
	t.Helper()
	needRoot(t)
	cmd := exec.Command(*work, subcommand, fmt.Sprint(crowdThreads), fmt.Sprint(crowdCalls))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	waitThreads(t, cmd.Process.Pid, threads)
	return crowd{pid: cmd.Process.Pid, end: func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}}
}

// waitThreads waits until a process has n threads.
func waitThreads(t *testing.T, pid, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d has %d threads", pid, n), func() bool {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(tasks) == n
	})
}

// confinement describes how to test a kind of probe with -p: the probe, its
// requirements, and how often it runs for a crowd.
type confinement struct {
	probe  string // the probe and its predicate
	needs  string // see missing
	object string // expression for the process id that must be that of -p; "": pid
	runs   int    // 0: at least once
	also   string // error with which a kernel may refuse it if hardware or set-up is missing
	says   string // message on stderr if -p cannot apply
	alone  bool   // a warning tells that the child's events are missing

	inCgroup bool // flags that select a cgroup apply even if says is set
}

// confinements returns an entry for every kind of probe. Kinds that do not depend on a
// process run as often as without -p, and their entries have only the name.
func confinements(t *testing.T) map[string]confinement {
	all := crowdThreads * crowdCalls
	return map[string]confinement{
		"begin": {}, "end": {}, "self": {}, "test": {}, "bench": {}, "interval": {},

		"kprobe":        {probe: "kprobe:__x64_sys_getpgid", needs: "kprobe", runs: all},
		"kretprobe":     {probe: "kretprobe:__x64_sys_getpgid", needs: "kprobe", runs: all},
		"fentry":        {probe: "fentry:__x64_sys_getpgid", needs: "fentry", runs: all},
		"fexit":         {probe: "fexit:__x64_sys_getpgid", needs: "fentry", runs: all},
		"lsm":           {probe: "lsm:task_getpgid", needs: "fentry", runs: all, also: "without BPF among its security modules"},
		"tracepoint":    {probe: "tracepoint:syscalls:sys_enter_getpgid", runs: all},
		"rawtracepoint": {probe: "rawtracepoint:sys_enter /args.id == 121/", runs: all},
		"uprobe":        {probe: "uprobe:" + *work + ":gt_relative", runs: all, alone: true},
		"uretprobe":     {probe: "uretprobe:" + *work + ":gt_relative", runs: all, alone: true},
		"usdt":          {probe: "usdt:" + *work + ":gt:crowd", runs: all, alone: true},
		"software":      {probe: "software:page-faults:1"},
		"hardware":      {probe: "hardware:cpu-cycles:100000", also: "no such counter"},
		"profile":       {probe: "profile:hz:999"},
		"watchpoint":    {probe: fmt.Sprintf("watchpoint:%#x:8:w", addressOf(t, "gt_watched")), runs: all, also: "no hardware watchpoints"},
		"iter":          {probe: "iter:task", object: "ctx.task.tgid", runs: crowdThreads + 1},
		"xdp":           {probe: "xdp:lo", says: "-p has no effect on xdp probes"},
		"tc":            {probe: "tc:lo:ingress", says: "-p has no effect on tc probes"},
		"cgroup_skb":    {probe: "cgroup_skb:" + cgroupMount() + ":ingress", inCgroup: true, says: "-p has no effect on cgroup_skb probes"},
		"netfilter":     {probe: "netfilter:ip:input", says: "-p has no effect on netfilter probes"},
		"sock_ops":      {probe: "sock_ops:" + cgroupMount(), inCgroup: true, says: "-p has no effect on sock_ops probes"},
		"sk_lookup":     {probe: "sk_lookup", says: "-p has no effect on sk_lookup probes"},
		"fmod_ret":      {probe: "fmod_ret:security_task_getpgid", needs: "fentry", runs: all},

		"cgroup_sock_addr": {probe: "cgroup_sock_addr:connect4", runs: all},
	}
}

// addressOf returns the address of a symbol of the workload, which runs at the
// addresses in its file.
func addressOf(t *testing.T, name string) uint64 {
	t.Helper()
	f, err := elf.Open(*work)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		if s.Name == name {
			return s.Value
		}
	}
	t.Fatalf("the workload has no %s", name)
	return 0
}

// TestConfined checks -p: probes of every kind run for all threads of that
// process and for no other process, even if that runs the same program or is
// its child.
func TestConfined(t *testing.T) {
	needRoot(t)
	table := confinements(t)
	for _, k := range probes.Kinds() {
		c, ok := table[k.Name]
		if !ok {
			t.Errorf("there is no entry for %s with -p", k.Name)
		}
		if c.probe != "" && (k.Since == "" || !release().less(parseRelease(k.Since))) {
			t.Run(k.Name, c.run)
		}
	}
}

func (c confinement) run(t *testing.T) {
	if c.says != "" {
		if *peer {
			t.Skip("it has no such probes")
		}
		r := trace(t, "-p", fmt.Sprint(os.Getpid()), "--dry-run", "-e", c.probe+" { @ = count(); }")
		if !strings.Contains(r.stderr, c.says) {
			t.Errorf("stderr does not say %q:\n%s", c.says, r.stderr)
		}
		return
	}
	if c.needs != "" {
		if why := missing(c.needs); why != "" {
			t.Skip(why)
		}
	}
	ours, other := startCrowd(t), startCrowd(t)
	object := c.object
	if object == "" {
		object = "pid"
	}
	s := start(t, "-p", fmt.Sprint(ours.pid), "-e", c.probe+" { @["+object+"] = count(); }")
	s.attachedOr(c.also)
	r := c.watch(s, func() {
		other.end()
		ours.end()
	})
	if c.alone && !*peer {
		r = r.withoutForkWarning(t)
	}
	c.check(t, r, ours.pid)
}

// withoutForkWarning removes the warning that probes did not run in the child of a crowd,
// which must be there.
func (r result) withoutForkWarning(t *testing.T) result {
	t.Helper()
	before, warning, found := strings.Cut(r.stderr, " probes run in the process alone: not in the processes that it forked, of which there were 1\n")
	_, after, hint := strings.Cut(warning, "HINT: with --follow they also run there\n")
	if !found || !hint {
		t.Errorf("stderr does not mention the fork:\n%s", r.stderr)
	}
	r.stderr = before[:strings.LastIndexByte(before, '\n')+1] + after
	return r
}

// watch causes the events by calling end, which ends the crowds, and waits for the end of
// the session. An iterator ends by itself, and the crowds' threads must exist until then.
func (c confinement) watch(s *session, end func()) result {
	s.t.Helper()
	if c.object == "" {
		end()
		return s.wait()
	}
	r := s.wait()
	end()
	return r
}

// attachedOr waits until all probes are attached. It skips the test if they are
// refused for the given reason.
func (s *session) attachedOr(reason string) {
	s.t.Helper()
	if err := s.waitEnd(attachedLine); err != nil && reason != "" && strings.Contains(s.stderr.String(), reason) {
		s.t.Skip(s.stderr.String())
	} else if err != nil {
		s.t.Fatal(err)
	}
}

// check compares the count of a crowd's probe with the expected one.
func (c confinement) check(t *testing.T, r result, pid int) {
	t.Helper()
	got := strings.TrimSpace(r.stdout)
	if c.runs == 0 {
		var n int
		fmt.Sscanf(got, fmt.Sprintf("@[%d]: %%d", pid), &n)
		if n < 1 || strings.Count(got, "@") != 1 {
			t.Errorf("stdout %q: want process %d alone\n%s", got, pid, r.stderr)
		}
	} else {
		n := 0
		_, err := fmt.Sscanf(got, fmt.Sprintf("@[%d]: %%d", pid), &n)
		if err != nil || strings.Count(got, "@") != 1 || n > c.runs || n < c.runs-r.missed() {
			t.Errorf("stdout %q: want %d events of process %d alone\n%s", got, c.runs, pid, r.stderr)
		}
	}
	r.quietButMissed(t)
}

// TestConfinedWithoutMain checks -p with a process whose main thread has ended: probes
// run for its other threads, which have their names.
func TestConfinedWithoutMain(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it misses the other threads")
	}
	table := confinements(t)
	for _, kind := range []string{"kprobe", "fentry", "tracepoint", "rawtracepoint", "uprobe", "uretprobe", "usdt", "software", "profile", "watchpoint"} {
		t.Run(kind, func(t *testing.T) {
			c := table[kind]
			if c.needs != "" {
				if why := missing(c.needs); why != "" {
					t.Skip(why)
				}
			}
			ours, other := startCrowdOf(t, "headless", crowdThreads+2), startCrowd(t)
			eventually(t, "the main thread has ended", func() bool {
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", ours.pid))
				return err == nil && strings.Contains(string(text), "State:\tZ")
			})
			script := c.probe + " { @[pid] = count(); }"
			if kind == "uprobe" {
				script = c.probe + " { @[pid] = count(); @name[func] = count(); }"
			}
			s := start(t, "-p", fmt.Sprint(ours.pid), "-e", script)
			s.attachedOr(c.also)
			other.end()
			ours.end()
			r := s.wait()
			if kind == "uprobe" {
				text, found := strings.CutSuffix(strings.TrimSpace(r.stdout), fmt.Sprintf("@name[gt_relative]: %d", c.runs))
				if !found {
					t.Errorf("stdout %q: want the name of gt_relative", r.stdout)
				}
				r.stdout = text
			}
			c.check(t, r, ours.pid)
		})
	}
}

// TestFollowedCommand checks --follow with -c: probes of every kind run for all threads of
// the command and for its child, and for no other process, even if that runs the same
// program.
func TestFollowedCommand(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("it has no --follow")
	}
	table := confinements(t)
	for i, k := range probes.Kinds() {
		c := table[k.Name]
		if c.probe == "" || c.says != "" || c.object != "" || elsewhere(i) || k.Since != "" && release().less(parseRelease(k.Since)) {
			continue
		}
		if testing.Short() && c.needs == "" {
			continue // tested on the host
		}
		t.Run(k.Name, func(t *testing.T) {
			if c.needs != "" {
				if why := missing(c.needs); why != "" {
					t.Skip(why)
				}
			}
			if k.Name == "watchpoint" {
				c.runs = 0 // the kernel also writes there, when it clears the command's memory
			}
			other := startCrowd(t)
			s := start(t, "--follow", "-c", fmt.Sprintf("%s crowd %d %d", *work, crowdThreads, crowdCalls),
				"-e", fmt.Sprintf("%s { @[pid == %d] = count(); @own[pid == cpid] = count(); }", c.probe, other.pid))
			s.attachedOr(c.also)
			other.end()
			r := s.wait()
			text := strings.Join(strings.Fields(r.stdout), " ")
			var all, child, own int
			if c.runs == 0 {
				if !strings.HasPrefix(text, "@[false]: ") || !strings.Contains(text, "@own[true]: ") || strings.Contains(text, "@[true]") {
					t.Errorf("%s\n%s", text, r.stderr)
				}
			} else if _, err := fmt.Sscanf(text, "@[false]: %d @own[false]: %d @own[true]: %d", &all, &child, &own); err != nil ||
				all > c.runs+crowdCalls || all < c.runs+crowdCalls-r.missed() || child > crowdCalls || own > c.runs {
				t.Errorf("%s: want %d events of the command and %d of its child\n%s", text, c.runs, crowdCalls, r.stderr)
			}
			r.quietButMissed(t)
		})
	}
}

// TestConfinedInNamespace repeats TestConfined in a pid namespace, where
// process ids differ from those of the kernel.
func TestConfinedInNamespace(t *testing.T) {
	needRoot(t)
	if why := missing("sh"); why != "" {
		t.Skip(why)
	}
	table := confinements(t)
	for _, kind := range []string{"tracepoint", "rawtracepoint", "uprobe", "software"} {
		t.Run(kind, func(t *testing.T) {
			c := table[kind]
			// The crowds wait until the probes are attached. gotrace reports
			// that through a pipe, and the reader of the pipe then releases
			// them.
			script := fmt.Sprintf(`mount -t proc proc /proc || exit 77
mkfifo "$1/go" "$1/go2"
%[1]s crowd %[2]d %[3]d <"$1/go" & ours=$!
%[1]s crowd %[2]d %[3]d <"$1/go2" & other=$!
exec 5>"$1/go" 6>"$1/go2"
{ %[4]s -p $ours -e '%[5]s { @[pid] = count(); }' 5>&- 6>&-; } | while read line; do
	case $line in
	%[6]s) exec 6>&-; exec 5>&- ;;
	*) echo "$line" ;;
	esac
done &
exec 5>&- 6>&-
wait
echo "$ours"`, *work, crowdThreads, crowdCalls, *gotrace, c.probe, attachedLine)
			var out []byte
			var stderr *syncBuffer
			for range 5 { // again if the kernel skipped events, which others cause too
				cmd := exec.Command("sh", "-c", script, "sh", t.TempDir())
				cmd.Env = append(os.Environ(), attachedLine+"=1")
				stderr = &syncBuffer{}
				cmd.Stderr = stderr
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
				var err error
				out, err = cmd.Output()
				if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 77 {
					t.Skip("/proc cannot be mounted")
				}
				if err != nil {
					t.Fatalf("%v\n%s", err, stderr)
				}
				if !missedEvents.MatchString(stderr.String()) {
					break
				}
			}
			var pid int
			lines := strings.Fields(string(out))
			fmt.Sscan(lines[len(lines)-1], &pid)
			text := strings.TrimSuffix(strings.TrimSpace(string(out)), fmt.Sprint(pid))
			r := result{stdout: text, stderr: stderr.String()}
			if c.alone {
				r = r.withoutForkWarning(t)
			}
			c.check(t, r, pid)
		})
	}
}
