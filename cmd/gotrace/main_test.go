package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/spf13/pflag"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/tests/testkit"
)

// If this variable is set, the test binary runs as the command, so that tests can
// check signals and exit statuses.
const asCommand = "GOTRACE_TEST_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Path, _ = os.Executable()
	cmd.Env = append(os.Environ(), asCommand+"=1", "BPFTRACE_COLOR=never")
	return cmd
}

// gotrace runs the command until it exits.
func gotrace(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	done := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	defer done.Stop()
	err := cmd.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		args string
		want func(o *options)
	}{
		{"-e|begin{}", func(o *options) { o.script = "begin{}" }},
		{"f.bt|1|x", func(o *options) { o.file = "f.bt"; o.params = []string{"1", "x"} }},
		{"-", func(o *options) { o.file = "-" }},
		{"-q|f.bt|a|--|--n=5|--flag|b", func(o *options) {
			o.quiet, o.file, o.params = true, "f.bt", []string{"a", "b"}
			o.scriptOpts = map[string]string{"n": "5", "flag": builtins.OptionGiven}
		}},
		{"-e|x|-p|0x10|-f|json|-B|none|-k", func(o *options) {
			o.script, o.pid, o.format, o.formatGiven, o.buffer, o.warnings = "x", 16, "json", true, output.None, true
		}},
		{"-l", func(o *options) { o.list, o.search = true, "*:*" }},
		{"-lv|kprobe:x", func(o *options) { o.list, o.verbose, o.search = true, true, "kprobe:x" }},
		{"-d|ast,codegen-opt|--dump|asm|-e|x", func(o *options) {
			o.script, o.dump = "x", map[string]bool{"ast": true, "opt": true, "asm": true}
		}},
		{"--test|-e|x", func(o *options) { o.script, o.mode = "x", "test" }},
		{"--fmt|--check|x.bt", func(o *options) { o.file, o.mode, o.fmt, o.check = "x.bt", "format", true, true }},
		{"--no-feature|kprobe_multi,uprobe_multi|-e|x", func(o *options) {
			o.script, o.noFeature = "x", map[string]bool{"kprobe_multi": true, "uprobe_multi": true}
		}},
		{"-I|a|-I|b|--include|c.h|-e|x", func(o *options) {
			o.script, o.includeDirs, o.includeFiles = "x", []string{"a", "b"}, []string{"c.h"}
		}},
		{"-b|--verify-llvm-ir|--debuginfo|/x|-e|x", func(o *options) { o.script, o.debugInfo, o.verify = "x", "/x", true }},
		{"--debuginfo|/x:/y|--debuginfo=/z|-e|x", func(o *options) { o.script, o.debugInfo = "x", "/x:/y:/z" }},
		{"-V", func(o *options) { o.version = true }},
	} {
		want := &options{
			format: "text", buffer: output.Line,
			scriptOpts: map[string]string{}, noFeature: map[string]bool{}, dump: map[string]bool{},
		}
		c.want(want)
		got, err := parseFlags(strings.Split(c.args, "|"))
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		got.given = nil // tested by TestTool
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v\nwant\n%+v", c.args, got, want)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	if out, _, status := gotrace(t, "-h"); status != 0 || out != usage() {
		t.Errorf("-h: %d %q", status, out)
	}
	if out, _, status := gotrace(t, "--version"); status != 0 || out != "gotrace "+version()+"\n" {
		t.Errorf("--version: %d %q", status, out)
	}
	if got := versionText("/usr/bin/bpftrace"); !strings.HasPrefix(got, "bpftrace "+language) {
		t.Error(got)
	}
	if out, errs, status := gotrace(t); status != 1 || out != "" || errs != usage() {
		t.Errorf("no arguments: %d %q %q", status, out, errs)
	}
	if out, errs, status := gotrace(t, "--nosuch"); status != 1 || out != "" || !strings.Contains(errs, "USAGE:") {
		t.Errorf("--nosuch: %d %q %q", status, out, errs)
	}
	// Every visible flag has an explanation in the help text.
	newFlags(&options{}).VisitAll(func(f *pflag.Flag) {
		line := "    --" + f.Name
		if f.Shorthand != "" {
			line = "    -" + f.Shorthand
		}
		i := strings.Index(usage(), "\n"+line)
		if f.Hidden != (i < 0) {
			t.Errorf("the help text on --%s: line at %d, hidden %v", f.Name, i, f.Hidden)
		}
		if !f.Hidden && strings.Trim(f.Usage, "`") == "" {
			t.Errorf("--%s has no explanation", f.Name)
		}
	})
	options, _, _ := strings.Cut(usage(), "EXAMPLES:")
	for line := range strings.Lines(options) {
		if len(strings.TrimRight(line, "\n")) > usageWidth {
			t.Errorf("a long line: %q", line)
		}
	}
}

// TestErrors checks that an invalid command line is reported and attaches nothing.
func TestErrors(t *testing.T) {
	testkit.NeedRoot(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-e", "begin { $x = ; }"}, "stdin:1:"},
		{[]string{"/dev/zero"}, "which is the limit for a script"},
		{[]string{os.TempDir()}, "Is a directory"},
		{[]string{"/no/such/file.bt"}, "failed to open file '/no/such/file.bt': No such file or directory"},
		{[]string{"-c", "/no/such/program", "-e", "begin { }"}, "Failed to fork child: Path '/no/such/program' does not exist or is not executable"},
		{[]string{"-c", "/etc/passwd", "-e", "begin { }"}, "Failed to fork child: Path '/etc/passwd' does not exist or is not executable"},
		{[]string{"-c", "no-such-word x", "-e", "begin { }"}, "Failed to fork child: Path 'no-such-word' does not exist or is not executable"},
		{[]string{"-p", "4194304", "-e", "begin { }"}, "Failed to attach to pid: 4194304: No such process"},
		{[]string{"-o", "/no/such/dir/out", "-e", "begin { }"}, `Failed to open output file: "/no/such/dir/out": No such file or directory`},
		{[]string{"-o", os.TempDir(), "-e", "begin { }"}, "Is a directory"},
		{[]string{"-e", "begin { }", "--", "--what=1"}, "unexpected program command line options: --what"},
		{[]string{"--probe-filter", "(", "-e", "begin { }"}, "--probe-filter"},
		{[]string{"-e", "tracepoint:no:such { }"}, "tracepoint"},
	} {
		out, errs, status := gotrace(t, c.args...)
		if status != 1 || out != "" || !strings.Contains(errs, c.want) || !strings.Contains(errs, "ERROR") || strings.Contains(errs, "Attached") {
			t.Errorf("%q: status %d, stdout %q, stderr %q; want %q", c.args, status, out, errs, c.want)
		}
	}
}

func TestExitStatus(t *testing.T) {
	testkit.NeedRoot(t)
	out, _, status := gotrace(t, "-q", "-e", `begin { printf("x"); exit(3); } end { printf("e\n"); }`)
	if status != 3 || out != "xe\n\n\n" {
		t.Errorf("status %d, stdout %q", status, out)
	}
	// The exit status of the -c command is not returned.
	if _, _, status := gotrace(t, "-q", "-c", "false", "-e", "interval:s:100 { }"); status != 0 {
		t.Errorf("status %d with a command that fails", status)
	}
}

// TestSignals checks that a signal ends the session, which prints its results, even
// if a second one arrives at the same time: timeout(1) and others signal the process
// and then its group.
func TestSignals(t *testing.T) {
	testkit.NeedRoot(t)
	for sig, also := range map[os.Signal]os.Signal{syscall.SIGINT: syscall.SIGTERM, syscall.SIGTERM: syscall.SIGHUP, syscall.SIGHUP: syscall.SIGINT} {
		if signal.Ignored(sig) { // as under nohup: child processes inherit it
			t.Logf("%v is ignored here", sig)
			continue
		}
		cmd := command("-q", "-e", `begin { @a = 1; } interval:s:1000 { } end { printf("end\n"); }`)
		cmd.Env = append(cmd.Env, "__BPFTRACE_NOTIFY_PROBES_ATTACHED=1")
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, _ := out.Read(buf)
		if got := string(buf[:n]); got != "__BPFTRACE_NOTIFY_PROBES_ATTACHED\n" {
			t.Errorf("first line %q", got)
		}
		// A stopped process finds both when it continues.
		for _, s := range []os.Signal{syscall.SIGSTOP, sig, also, syscall.SIGCONT} {
			cmd.Process.Signal(s)
		}
		var rest bytes.Buffer
		rest.ReadFrom(out)
		cmd.Wait()
		if rest.String() != "end\n\n\n@a: 1\n" || cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("%v: %q, %v", sig, rest.String(), cmd.ProcessState)
		}
	}
}

// TestKilled checks that the -c command ends with gotrace, even if gotrace is
// killed.
func TestKilled(t *testing.T) {
	testkit.NeedRoot(t)
	cmd := command("-q", "-c", "sh -c 'echo started; exec sleep 1000'", "-e", `interval:s:1000 { }`)
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := out.Read(buf); string(buf[:n]) != "started\n" {
		t.Errorf("the command printed %q (%v)", buf[:n], err)
	}
	cmd.Process.Kill()
	// The command holds the write end of the pipe too, so the pipe closes when both
	// have ended.
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, out)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the command is still there")
	}
	cmd.Process.Wait()
}

func TestScriptFile(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	exe, _ := os.Executable()
	if err := os.Symlink(exe, filepath.Join(dir, "gotrace")); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "hello.bt")
	text := "#!/usr/bin/env -S gotrace -q\nbegin { printf(\"%s %d\\n\", str($1), $2); }\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "hello", "42")
	cmd.Env = append(os.Environ(), asCommand+"=1", "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "hello 42\n\n\n" {
		t.Errorf("%v: %q", err, out)
	}
}

func TestOutputFile(t *testing.T) {
	testkit.NeedRoot(t)
	file := filepath.Join(t.TempDir(), "out.json")
	out, _, status := gotrace(t, "-f", "json", "-o", file, "-e", `begin { printf("x"); @ = 5; }`)
	data, err := os.ReadFile(file)
	want := `{"type": "attached_probes", "count": 1, "data": {"probes": 1}}
{"type": "printf", "data": "x"}
{"type": "map", "data": {"@": 5}}
`
	if err != nil || status != 0 || out != "" || string(data) != want {
		t.Errorf("status %d, stdout %q, error %v, file %q", status, out, err, data)
	}
}

func TestFormat(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "a.bt")
	os.WriteFile(script, []byte("begin{printf(\"x\");}"), 0o640)
	formatted, _, status := gotrace(t, "--fmt", script)
	if status != 0 || !strings.HasPrefix(formatted, "begin") {
		t.Fatalf("status %d, %q", status, formatted)
	}
	if _, _, status := gotrace(t, "--fmt", "--check", script); status != 1 {
		t.Errorf("--check of a file that is not formatted: %d", status)
	}
	if _, _, status := gotrace(t, "--fmt", "-o", script, script); status != 0 {
		t.Errorf("writing back: %d", status)
	}
	data, _ := os.ReadFile(script)
	st, _ := os.Stat(script)
	if string(data) != formatted || st.Mode().Perm() != 0o640 {
		t.Errorf("written back: %v %q", st.Mode(), data)
	}
	if _, _, status := gotrace(t, "--fmt", "--check", script); status != 0 {
		t.Errorf("--check of a formatted file: %d", status)
	}
}

// TestOutputLost checks that a failed write ends the session and is reported.
func TestOutputLost(t *testing.T) {
	testkit.NeedRoot(t)
	for _, prog := range []string{`interval:ms:1 { printf("x\n"); }`, `begin { @ = 1; }`} {
		out, errs, status := gotrace(t, "-q", "-o", "/dev/full", "-e", prog)
		if status != 1 || out != "" || errs != "ERROR: cannot write the output: no space left on device\n" {
			t.Errorf("%s: status %d, stdout %q, stderr %q", prog, status, out, errs)
		}
	}
}

func TestInclude(t *testing.T) {
	testkit.NeedRoot(t)
	header := filepath.Join(t.TempDir(), "x.h")
	if err := os.WriteFile(header, []byte("#define ANSWER 42\nstruct odd { char c; int i; };\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, errs, status := gotrace(t, "-q", "--include", header, "-e", `begin { printf("%d %d\n", ANSWER, sizeof(struct odd)); }`)
	if status != 0 || out != "42 8\n\n\n" {
		t.Errorf("status %d, %q %s", status, out, errs)
	}
	if _, errs, status := gotrace(t, "--include", "/no/such.h", "-e", `begin { }`); status != 1 || !strings.Contains(errs, "/no/such.h was not found") {
		t.Errorf("status %d, %s", status, errs)
	}
}

// TestTestMode checks that only tests run between the begin and end probes, and
// that no maps are printed.
func TestTestMode(t *testing.T) {
	testkit.NeedRoot(t)
	const script = `begin { @n = 1; printf("begin\n"); } end { printf("end\n"); } interval:us:100 { printf("tick\n"); }
		test:good { if (@n == 1) { printf("set up\n"); return 0; } return 1; } test:bad { return 1; } bench:b { @n++; }`
	out, errs, status := gotrace(t, "--test", "-f", "json", "-e", script)
	want := regexp.MustCompile(`^{"type": "test_result", "data": {"good": {"duration": \d+, "passed": true, "output": "begin\\nset up\\n"}}}
{"type": "test_result", "data": {"bad": {"duration": \d+, "passed": false, "output": ""}}}
{"type": "printf", "data": "end\\n"}
$`)
	if status != 1 || !want.MatchString(out) || errs != "" {
		t.Errorf("status %d, %s %s", status, out, errs)
	}
	out, errs, status = gotrace(t, "--bench", "-f", "json", "-e", script)
	want = regexp.MustCompile(`^{"type": "printf", "data": "begin\\n"}
{"type": "benchmark_result", "data": {"b": {"average": \d+, "iters": \d+}}}
{"type": "printf", "data": "end\\n"}
$`)
	if status != 0 || !want.MatchString(out) || errs != "" {
		t.Errorf("status %d, %s %s", status, out, errs)
	}
}

// TestVerifierLog checks that the verifier's log is printed even if the verifier
// accepts the program.
func TestVerifierLog(t *testing.T) {
	testkit.NeedRoot(t)
	out, errs, status := gotrace(t, "-q", "-d", "verifier", "--dry-run", "-e", `begin { @ = 1; }`)
	if status != 0 || strings.TrimSpace(out) != "" || !strings.HasPrefix(errs, "== verifier: begin_1 ==\n") || !strings.Contains(errs, "\n0: ") || !strings.Contains(errs, "\nprocessed ") {
		t.Errorf("status %d, %q %q", status, out, errs)
	}
}

// TestBTFFile checks that the kernel's types are read from the file that
// BPFTRACE_BTF names.
func TestBTFFile(t *testing.T) {
	testkit.NeedRoot(t)
	junk := filepath.Join(t.TempDir(), "junk")
	os.WriteFile(junk, []byte("no BTF"), 0o644)
	for file, want := range map[string]string{"/no/such/file": "No such file", junk: "raw format", "/sys/kernel/btf/vmlinux": ""} {
		t.Setenv("BPFTRACE_BTF", file)
		out, errs, status := gotrace(t, "-q", "-e", `begin { print(sizeof(struct list_head)); }`)
		if want == "" && (status != 0 || !strings.HasPrefix(out, "16\n") || errs != "") ||
			want != "" && (status != 1 || !strings.Contains(errs, "BTF: failed to parse BTF from "+file) || !strings.Contains(errs, want)) {
			t.Errorf("%s: status %d, %q %q", file, status, out, errs)
		}
	}
}

// TestCompilerBench checks that modes which do not run the script need no
// privileges.
func TestCompilerBench(t *testing.T) {
	out, errs, status := gotrace(t, "--mode", "compiler-bench", "--verify-llvm-ir", "-e", `begin { printf("x"); }`)
	if status != 0 || errs != "" || !strings.HasPrefix(out, "Stage ") || !strings.Contains(out, "\nopt ") || !strings.Contains(out, "\ntotal ") {
		t.Errorf("status %d, %q %q", status, out, errs)
	}
}

// TestEmitELF checks that other tools can read the object file.
func TestEmitELF(t *testing.T) {
	testkit.NeedRoot(t)
	file := filepath.Join(t.TempDir(), "x.o")
	_, errs, status := gotrace(t, "--emit-elf", file, "-e", `tracepoint:syscalls:sys_enter_read { @[comm] = count(); } end { printf("%d\n", pid); }`)
	if status != 0 {
		t.Fatalf("status %d: %s", status, errs)
	}
	spec, err := ebpf.LoadCollectionSpec(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(spec.Programs) != 2 || len(spec.Maps) == 0 {
		t.Errorf("%d programs, %d maps", len(spec.Programs), len(spec.Maps))
	}
	for name, p := range spec.Programs {
		if len(p.Instructions) < 3 {
			t.Errorf("%s has %d instructions", name, len(p.Instructions))
		}
	}
}

func TestList(t *testing.T) {
	testkit.NeedRoot(t)
	out, _, status := gotrace(t, "-l", "tracepoint:syscalls:sys_enter_read")
	if status != 0 || out != "tracepoint:syscalls:sys_enter_read\n" {
		t.Errorf("status %d, %q", status, out)
	}
	out, _, _ = gotrace(t, "-lv", "tracepoint:syscalls:sys_enter_read")
	if !strings.HasPrefix(out, "tracepoint:syscalls:sys_enter_read\n    ") || !strings.Contains(out, "    size_t count\n") {
		t.Errorf("%q", out)
	}
	out, _, status = gotrace(t, "-l", "-e", "tracepoint:syscalls:sys_exit_rea*ahead { } begin { }")
	if status != 0 || out != "tracepoint:syscalls:sys_exit_readahead\nbegin\n" {
		t.Errorf("status %d, %q", status, out)
	}
	for search, want := range map[string]string{
		"tracepoint:sched:sched_process_exti": "nothing matches 'tracepoint:sched:sched_process_exti': did you mean 'sched:sched_process_exit'?",
		"struct task_strct":                   "nothing matches 'struct task_strct': did you mean 'task_struct'?",
		"enum bpf_mop_type":                   "did you mean 'bpf_map_type'?",
		"iter:tsk":                            "did you mean 'task'?",
		"begin:*":                             "nothing matches 'begin:*'\n",
		"profile:x":                           "nothing matches 'profile:x': Invalid rate of profile probe: invalid integer: x\n",
		"profile:foo:9":                       "foo is not an accepted unit of time",
		"software:page-falt:1":                "did you mean page-faults?",
		"hardware:cpu-cycle:1":                "did you mean cpu-cycles?",
		"watchpoint:0x1001:8:w":               "address must be a multiple of its length",
		"tc:no_such":                          "nothing matches 'tc:no_such'\n",
		"tc:lo:ingres":                        "ingres is not a direction",
		"cgroup_skb:ingres":                   "ingres is not a direction",
		"cgroup_sock_addr:conect4":            "conect4 is not a hook of cgroup_sock_addr",
		"netfilter:ip:inputt":                 "inputt is not a hook of netfilter",
		"kporbe:vfs_read":                     "there is no kind of probe with that name: did you mean 'kprobe'?\n",
	} {
		if out, errs, status := gotrace(t, "-l", search); status != 0 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("-l %s: %q, %q", search, out, errs)
		}
	}
	out, _, status = gotrace(t, "-l", "-e", "interval:s:$1 { }", "7")
	if status != 0 || out != "interval:s:7\n" {
		t.Errorf("parameters: status %d, %q", status, out)
	}
	for _, nothing := range []string{"struct no_such_thing", "tracepoint:no_such:*", "nosuchkind:x"} {
		if out, errs, status := gotrace(t, "-l", nothing); status != 0 || out != "" || !strings.Contains(errs, nothing) {
			t.Errorf("%s: status %d, %q %q", nothing, status, out, errs)
		}
	}
}

func TestInfo(t *testing.T) {
	testkit.NeedRoot(t)
	out, _, status := gotrace(t, "--info")
	for _, want := range []string{"System\n", "Kernel helpers\n", "Kernel features\n", "Probe types\n", "  btf: "} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("status %d, no %q in %s", status, want, out)
		}
	}
}

// TestManyErrors checks that only the first of thousands of errors are shown, with
// their total number.
func TestManyErrors(t *testing.T) {
	testkit.NeedRoot(t)
	_, errs, status := gotrace(t, "-e", "begin { "+strings.Repeat("nosuch(); ", 1000)+"}")
	if n := strings.Count(errs, "Unknown function: 'nosuch'"); status != 1 || n != maxDiags || !strings.Contains(errs, "ERROR: There are 900 more errors") {
		t.Errorf("status %d, %d errors\n%.300s", status, n, errs[max(0, len(errs)-300):])
	}
}

func TestPaint(t *testing.T) {
	f := source.NewFile("stdin", "begin { x }")
	d := source.Diag{Span: source.Span{File: f, Start: 8, End: 9}, Msg: "what is x"}
	want := "stdin:1:9-10: \x1b[31;1mERROR:\x1b[0;22m what is x\nbegin { x }\n        \x1b[31;1m~\x1b[0;22m\n"
	if got := paint(d, d.Render()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
