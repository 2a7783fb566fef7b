package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
)

// countCalls counts calls of getpgid by all processes with the name that is unique to
// the workload of this test run.
var countCalls = fmt.Sprintf(`tracepoint:syscalls:sys_enter_getpgid /comm == "%s"/ { @ = count(); }`, ownName)

var ownName = fmt.Sprint("gt", os.Getpid())

// ownWork runs the workload under that name.
func ownWork(t *testing.T, args ...string) {
	t.Helper()
	link := filepath.Join(t.TempDir(), ownName)
	if err := os.Symlink(*work, link); err != nil {
		t.Fatal(err)
	}
	doWork(t, link, args...)
}

func TestSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			s := start(t, "-e", countCalls+` end { printf("end\n"); }`)
			s.attached()
			ownWork(t, "count", "321")
			s.signal(sig)
			r := s.wait()
			if got, want := strings.TrimSpace(r.stdout), "end\n\n\n@: 321"; got != want || r.status != 0 {
				t.Errorf("status %d, stdout %q, want %q\n%s", r.status, got, want, r.stderr)
			}
			r.quiet(t)
		})
	}
}

// TestCommand checks -c: only the command's process is traced, and the session ends
// with it.
func TestCommand(t *testing.T) {
	for _, c := range []struct {
		name, command string
		prog          string
		want          string
		status        int
	}{
		{"nothing is missed", "count 500", `tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ { @ = count(); }`, "@: 500", 0},
		{"its exit status is not ours", "exit 3", `begin { printf("x\n"); } interval:s:100 { }`, "x", 0},
		{"exit with a status", "sleep 1000000", `begin { exit(7); }`, "", 7},
		{"exit stops the command", "sleep 1000000", `interval:ms:20 { printf("bye\n"); exit(); }`, "bye", 0},
		{"its output is shown", "say", `interval:s:100 { }`, "said", 0},
		{"it is killed", "die 9", `end { printf("end\n"); }`, "end", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := trace(t, "-c", *work+" "+c.command, "-e", c.prog)
			if got := strings.TrimSpace(r.stdout); got != c.want || r.status != c.status {
				t.Errorf("status %d, stdout %q, want %d, %q\n%s", r.status, got, c.status, c.want, r.stderr)
			}
		})
	}
}

func TestCommandNotFound(t *testing.T) {
	r := trace(t, "-c", "/does/not/exist", "-e", countCalls)
	if r.status == 0 || !strings.Contains(r.stderr, "/does/not/exist") || strings.Contains(r.stdout, "@") {
		t.Errorf("status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
}

// sleeper starts a process that does nothing. It returns its ID and a function that
// ends it.
func sleeper(t *testing.T) (pid string, end func()) {
	t.Helper()
	needRoot(t)
	cmd := exec.Command(*work, "sleep", "1000000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() { cmd.Process.Kill(); cmd.Wait() })
	t.Cleanup(end)
	return strconv.Itoa(cmd.Process.Pid), end
}

// TestProcess checks -p: only that process is traced, and the session ends with it.
func TestProcess(t *testing.T) {
	pid, end := sleeper(t)
	s := start(t, "-p", pid, "-e", `begin { printf("begin\n"); } interval:s:1000 { } end { printf("end\n"); }`)
	s.attached()
	end()
	r := s.wait()
	if got := strings.TrimSpace(r.stdout); got != "begin\nend" || r.status != 0 {
		t.Errorf("status %d, stdout %q\n%s", r.status, got, r.stderr)
	}
	r = trace(t, "-p", "4194305", "-e", `begin { }`)
	if r.status == 0 {
		t.Errorf("a process that is not there: status 0\n%s", r.stderr)
	}
}

// TestProcessOnly checks that a uprobe with -p does not fire for other
// processes.
func TestProcessOnly(t *testing.T) {
	pid, end := sleeper(t)
	s := start(t, "-p", pid, "-e", "uprobe:"+*work+`:gt_square { @ = count(); } end { printf("end\n"); }`)
	s.attached()
	doWork(t, *work, "call", "square", "10")
	end()
	r := s.wait()
	if got := strings.TrimSpace(r.stdout); got != "end" && got != "end\n\n\n@: 0" {
		t.Errorf("stdout %q", got)
	}
}

// TestKilled checks that no maps of a script remain in the kernel after gotrace is
// killed.
func TestKilled(t *testing.T) {
	if *peer {
		t.Skip("its maps have other names")
	}
	name := fmt.Sprint("kill", os.Getpid())
	s := start(t, "-e", fmt.Sprintf(`
		tracepoint:syscalls:sys_enter_getpgid { @%[1]s[pid] = count(); printf("%%d\n", pid); }
		uprobe:%[2]s:gt_wild_* { @%[1]s[0] = count(); } uretprobe:%[2]s:gt_square { @%[1]s[1] = count(); }
		interval:ms:10 { @%[1]s[2] = count(); } profile:hz:99 { @%[1]s[3] = count(); }`, name, *work))
	s.attached()
	if n := mapsNamed(t, name); n == 0 {
		t.Fatal("the script's maps are not found while it runs")
	}
	s.signal(syscall.SIGKILL)
	s.wait()
	eventually(t, "no maps, and so no programs that use them", func() bool { return mapsNamed(t, name) == 0 })
}

// mapsNamed counts the kernel's maps with part in their names.
func mapsNamed(t *testing.T, part string) (n int) {
	t.Helper()
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		id = next
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue // the map is gone
		}
		if info, err := m.Info(); err == nil && strings.Contains(info.Name, part) {
			n++
		}
		m.Close()
	}
}

// TestScript runs a script file as a command, by its first line.
func TestScript(t *testing.T) {
	needRoot(t)
	if *peer {
		t.Skip("the name is ours")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "hello.bt")
	text := "#!" + *gotrace + "\n// A script.\nbegin { printf(\"hello\\n\"); exit(); }\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{path}, {*gotrace, path}} {
		out, err := exec.Command(argv[0], argv[1:]...).Output()
		if strings.TrimSpace(string(out)) != "hello" || err != nil {
			t.Errorf("%s: %q, %v", argv, out, err)
		}
	}
	// By its name, found by env on the PATH.
	text = strings.Replace(text, *gotrace, "/usr/bin/env gotrace", 1)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/usr/bin/env"); err != nil {
		if err := os.Symlink("/bin/busybox", "/usr/bin/env"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(*gotrace, filepath.Join(dir, "gotrace")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "hello.bt")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.Output()
	if strings.TrimSpace(string(out)) != "hello" || err != nil {
		t.Errorf("by its name: %q, %v", out, err)
	}
}

func TestScriptFromStdin(t *testing.T) {
	needRoot(t)
	cmd := exec.Command(*gotrace, "-")
	cmd.Stdin = strings.NewReader(`begin { printf("hello\n"); exit(); }`)
	out, err := cmd.Output()
	if strings.TrimSpace(string(out)) != "hello" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

func TestOutputFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	r := trace(t, "-o", path, "-c", *work+" count 12", "-e", `tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ { @ = count(); }`)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(strings.ReplaceAll(string(data), attachedLine, "")); got != "@: 12" || r.status != 0 {
		t.Errorf("status %d, file %q, stdout %q\n%s", r.status, got, r.stdout, r.stderr)
	}
	if got := strings.TrimSpace(r.stdout); got != "" {
		t.Errorf("stdout %q", got)
	}
}

// TestNotify checks that the line that test harnesses wait for is printed once, after
// all probes are attached, and only if the environment requests it.
func TestNotify(t *testing.T) {
	s := start(t, "-e", countCalls)
	s.attached()
	ownWork(t, "count", "5")
	s.signal(syscall.SIGINT)
	s.wait()
	if n := strings.Count(s.stdout.String(), attachedLine); n != 1 {
		t.Errorf("%d lines", n)
	}
	cmd := exec.Command(*gotrace, "-e", "begin { exit(); }")
	if out, err := cmd.Output(); err != nil || strings.Contains(string(out), attachedLine) {
		t.Errorf("unasked: %q, %v", out, err)
	}
}

// jsonLines parses every line of JSON output.
func jsonLines(t *testing.T, out string) (objects []map[string]any) {
	t.Helper()
	for line := range strings.Lines(out) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		objects = append(objects, o)
	}
	return objects
}

// TestJSON checks that with -f json every line of stdout is one object with its
// type.
func TestJSON(t *testing.T) {
	r := trace(t, "-f", "json", "-c", *work+" ramp 20", "-e", `
		begin { printf("text \"quoted\"\n"); print((1, "a")); print("s"); }
		tracepoint:syscalls:sys_enter_read /pid == cpid/ { @n = count(); @k[comm, args.count > 10] = sum(args.count); @h = hist(args.count); @l = lhist(args.count, 5, 15, 5); @s = stats(args.count); }`)
	byType := map[string][]any{}
	for _, o := range jsonLines(t, r.stdout) {
		kind, ok := o["type"].(string)
		if !ok {
			t.Fatalf("an object without a type: %v", o)
		}
		byType[kind] = append(byType[kind], o["data"])
	}
	compact := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for kind, want := range map[string]string{
		"attached_probes": `[{"probes":2}]`,
		"printf":          `["text \"quoted\"\n"]`,
		"value":           `[[1,"a"],"s"]`,
		"map":             `[{"@k":{"gtwork,false":55,"gtwork,true":155}},{"@n":20}]`,
		"hist": `[{"@h":[{"count":1,"max":1,"min":1},{"count":2,"max":3,"min":2},{"count":4,"max":7,"min":4},` +
			`{"count":8,"max":15,"min":8},{"count":5,"max":31,"min":16}]},` +
			`{"@l":[{"count":4,"max":4},{"count":5,"max":9,"min":5},{"count":5,"max":14,"min":10},{"count":6,"min":15}]}]`,
		"stats": `[{"@s":{"average":10,"count":20,"total":210}}]`,
	} {
		if got := compact(byType[kind]); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", kind, got, want)
		}
	}
}

// TestMapFull checks that a full map is reported once, and that its entries are
// correct.
func TestMapFull(t *testing.T) {
	r := trace(t, "-c", *work+" count 100", "-e", `
		config = { max_map_keys=10 }
		tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ { @k[args.pid] = count(); @v[args.pid] = 1; @all = count(); }`)
	for line, want := range map[string]int{"@k[": 10, "@v[": 10, "@all: 100": 1} {
		if got := strings.Count(r.stdout, line); got != want {
			t.Errorf("%d times %s, want %d\n%s", got, line, want, r.stdout)
		}
	}
	if *peer {
		return
	}
	for _, name := range []string{"@k", "@v"} {
		said := 0
		for line := range strings.Lines(r.stderr) {
			if strings.Contains(line, name) && strings.Contains(line, "full") {
				said++
			}
		}
		if said != 1 {
			t.Errorf("%d messages say that %s is full:\n%s", said, name, r.stderr)
		}
	}
	if !strings.Contains(r.stderr, "max_map_keys") {
		t.Errorf("stderr does not say what to do:\n%s", r.stderr)
	}
}

// TestLostEvents floods a ring buffer of one page. The number of printed events
// and the number reported as lost must add up.
func TestLostEvents(t *testing.T) {
	if *peer {
		t.Skip("it does not count them per script")
	}
	const n = 20000
	r := trace(t, "-c", *work+" count "+strconv.Itoa(n), "-e", `
		config = { perf_rb_pages=1 }
		tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ { printf("event %d\n", args.pid); }`)
	printed := strings.Count(r.stdout, "event ")
	lost := 0
	for line := range strings.Lines(r.stderr) {
		for i, word := range strings.Fields(line) {
			if word == "Lost" {
				k, _ := strconv.Atoi(strings.Fields(line)[i+1])
				lost += k
			}
		}
	}
	if printed+lost != n {
		t.Errorf("%d printed and %d lost of %d\n%s", printed, lost, n, r.stderr)
	}
}

// TestEventsInOrder checks that all events of a single thread are printed in
// order.
func TestEventsInOrder(t *testing.T) {
	r := trace(t, "-c", *work+" count 2000", "-e", `tracepoint:syscalls:sys_enter_getpgid /pid == cpid/ { printf("%d\n", args.pid); }`)
	var want strings.Builder
	for i := range 2000 {
		want.WriteString(strconv.Itoa(i) + "\n")
	}
	if strings.TrimSpace(r.stdout) != strings.TrimSpace(want.String()) {
		t.Errorf("stdout is not 0 to 1999:\n%.300s", r.stdout)
	}
	r.quiet(t)
}

// TestStringsInBurst sends strings at the rate of system calls. Each must be
// printed whole or reported as lost.
func TestStringsInBurst(t *testing.T) {
	n := 200000
	if testing.Short() {
		n = 5000
	}
	r := trace(t, "-c", *work+" open "+strconv.Itoa(n)+" /does/not/exist", "-e",
		`tracepoint:syscalls:sys_enter_openat /pid == cpid/ { printf("%s %s\n", comm, str(args.filename)); }`)
	printed := strings.Count(r.stdout, "gtwork /does/not/exist\n")
	if *peer {
		return // its ring buffer may be too small, and it does not say so per script
	}
	lost := 0
	for _, part := range strings.Split(r.stderr, "Lost ")[1:] {
		k, _ := strconv.Atoi(strings.Fields(part)[0])
		lost += k
	}
	if printed+lost != n {
		t.Errorf("%d printed and %d lost of %d\n%s", printed, lost, n, r.stderr)
	}
}

func TestVersionAndHelp(t *testing.T) {
	for _, c := range []struct{ flag, want string }{{"--version", "gotrace"}, {"-V", "gotrace"}, {"--help", "-e"}, {"-h", "-e"}, {"--info", "ernel"}} {
		if *peer {
			t.Skip("the name is ours")
		}
		out, err := exec.Command(*gotrace, c.flag).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v\n%s", c.flag, err, out)
		}
	}
}

// TestDryRun checks that a dry run attaches nothing and runs nothing.
func TestDryRun(t *testing.T) {
	r := trace(t, "--dry-run", "-e", `begin { printf("x\n"); } interval:s:1 { @ = count(); }`)
	if strings.TrimSpace(r.stdout) != "" || r.status != 0 {
		t.Errorf("status %d, stdout %q\n%s", r.status, r.stdout, r.stderr)
	}
}

// TestRefused checks the errors of scripts that cannot run: the position and the
// message, and that nothing is attached.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ prog, say string }{
		{"begin { @ = ; }", "stdin:1:13"},
		{"begin { nosuch(); }", "nosuch"},
		{"begin { printf(\"%d\\n\", nosuch); }", "nosuch"},
		{"tracepoint:syscalls:sys_enter_nosuch { }", "sys_enter_nosuch"},
		{"uprobe:" + *work + ":no_such_function { }", "no_such_function"},
		{"uprobe:/does/not/exist:f { }", "/does/not/exist"},
		{"nosuch:x { }", "nosuch"},
		{"begin { system(\"ls\"); }", "unsafe"},
		{"", ""},
	} {
		r := trace(t, "-e", c.prog)
		if r.status == 0 || !strings.Contains(r.stderr, c.say) || strings.Contains(r.stdout, "@") {
			t.Errorf("%s: status %d, stdout %q, stderr:\n%s", c.prog, r.status, r.stdout, r.stderr)
		}
	}
}

// TestForksOfCommand checks probes that the kernel binds to the process of -c. They do
// not run for the processes that it forks, and gotrace reports that if there were any.
func TestForksOfCommand(t *testing.T) {
	for _, c := range []struct {
		probe, work, want string
		says              bool
	}{
		{"uprobe:" + *work + ":gt_relative", "family 10 1", "@: 10", true},
		{"uretprobe:" + *work + ":gt_relative", "family 10 1", "@: 10", true},
		{"usdt:" + *work + ":gt:twice", "static 3", "@: 6", false},
		{"uprobe:" + *work + ":gt_square", "call square 5", "@: 5", false},
		{"tracepoint:syscalls:sys_enter_getpgid /pid == cpid/", "family 10 1", "@: 1", false},
	} {
		r := trace(t, "-c", *work+" "+c.work, "-e", c.probe+" { @ = count(); }")
		if got := strings.TrimSpace(r.stdout); got != c.want {
			t.Errorf("%s: %q, want %q\n%s", c.probe, got, c.want, r.stderr)
		}
		if says := strings.Contains(r.stderr, "processes that it forked, of which there were 1"); says != c.says && !*peer {
			t.Errorf("%s: stderr %q", c.probe, r.stderr)
		}
	}
}
