package live

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gotrace/gotrace/tests/cases"
	"github.com/gotrace/gotrace/tests/schema"
	"github.com/gotrace/gotrace/tests/testkit"
)

var (
	gotrace  = flag.String("gotrace", "", "the `program` under test; built if not given")
	work     = flag.String("work", "", "the workload `program`; built if not given")
	given    = flag.String("fixtures", "", "the `directory` of the programs of testdata/params; built if not given")
	part     = flag.Int("part", -1, "of the long tables run the rows of this `part` only, 0 to 3; -1: all rows")
	seeds    = flag.Int("seeds", 1, "the `number` of random conversations for each protocol")
	thorough = flag.Bool("all", false, "repeat in each test what another has tested already")
	peer     = flag.Bool("peer", false, "the program under test is bpftrace: leave out what it does otherwise, and do not judge its stderr")
)

//go:embed testdata/*.txtar
var caseFiles embed.FS

func TestMain(m *testing.M) {
	if os.Getenv(faultEnv) != "" {
		fmt.Fprintln(os.Stderr, becomeFaulty())
		os.Exit(125)
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		return m.Run() // tests that need root are skipped with a message
	}
	dir, err := os.MkdirTemp("", "gotrace-live-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build builds the programs that the flags do not name.
func build(dir string) error {
	if *gotrace == "" {
		*gotrace = filepath.Join(dir, "gotrace")
		cmd := exec.Command("go", "build", "-o", *gotrace, "../../cmd/gotrace")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
	if *work == "" {
		*work = filepath.Join(dir, "gtwork")
		return BuildWorkload("testdata/work.c", *work)
	}
	return nil
}

// patience is the maximum duration of a script that should end by itself. Only a script
// that hangs takes that long, even on a busy and slow machine.
const patience = 3 * time.Minute

// result is the output and status of a finished gotrace.
type result struct {
	stdout, stderr string
	status         int
}

// attachedLine is the line that gotrace prints after all probes are attached, if the
// environment requests it.
const attachedLine = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"

// session is a running gotrace.
type session struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr syncBuffer
	done           chan error
}

// start runs gotrace with the given arguments.
func start(t *testing.T, args ...string) *session {
	t.Helper()
	return startCommand(t, exec.Command(*gotrace, args...))
}

// startCommand is start for a command that becomes gotrace.
func startCommand(t *testing.T, cmd *exec.Cmd) *session {
	t.Helper()
	needRoot(t)
	s := &session{t: t, cmd: cmd, done: make(chan error, 1)}
	if s.cmd.Env == nil {
		s.cmd.Env = os.Environ()
	}
	s.cmd.Env = append(s.cmd.Env, attachedLine+"=1")
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	// In a separate process group, signals for gotrace do not reach the test.
	if s.cmd.SysProcAttr == nil {
		s.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	s.cmd.SysProcAttr.Setpgid = true
	// Reading the rest of the output takes this long only if a child outlives
	// gotrace, which is an error.
	s.cmd.WaitDelay = patience / 2
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() { syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) })
	return s
}

// eventually waits until a condition is true. It fails the test after patience.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// waitFor waits until stdout contains text.
func (s *session) waitFor(text string) {
	s.t.Helper()
	if err := s.waitEnd(text); err != nil {
		s.t.Fatal(err)
	}
}

// waitEnd is waitFor, but returns an error if the text does not appear.
func (s *session) waitEnd(text string) error {
	deadline := time.Now().Add(patience)
	for !strings.Contains(s.stdout.String(), text) {
		select {
		case err := <-s.done:
			s.done <- err // for wait
			if strings.Contains(s.stdout.String(), text) {
				return nil
			}
			return fmt.Errorf("it ended (%v) before it printed %q\nstdout: %s\nstderr: %s", err, text, &s.stdout, &s.stderr)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it never printed %q\nstdout: %s\nstderr: %s", text, &s.stdout, &s.stderr)
		}
	}
	return nil
}

// attached waits until all probes are attached.
func (s *session) attached() { s.t.Helper(); s.waitFor(attachedLine) }

func (s *session) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// wait waits until gotrace ends.
func (s *session) wait() result {
	s.t.Helper()
	select {
	case err := <-s.done:
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
			s.t.Fatal(err)
		}
	case <-time.After(patience):
		s.t.Fatalf("no end after %v\nstdout: %s\nstderr: %s", patience, &s.stdout, &s.stderr)
	}
	status := s.cmd.ProcessState.ExitCode()
	if ws, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		status = 128 + int(ws.Signal())
	}
	out := strings.Replace(s.stdout.String(), attachedLine+"\n", "", 1)
	s.checkSchema(out)
	return result{out, s.stderr.String(), status}
}

// checkSchema compares complete lines of JSON, which the script's own processes may have
// written others between, with their schema.
func (s *session) checkSchema(out string) {
	s.t.Helper()
	if *peer || !slices.Contains(s.cmd.Args, "json") {
		return
	}
	begin, check := `{"type": `, schema.Results
	if i := slices.IndexFunc(s.cmd.Args, isSubcommand); i >= 0 {
		name := s.cmd.Args[i]
		switch check = func(line []byte) error { return schema.View(name, line) }; name {
		case "flows":
			begin = `{"flow":`
		case "requests":
		default:
			return
		}
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, begin) && strings.HasSuffix(line, "}\n") {
			if err := check([]byte(line)); err != nil {
				s.t.Error(err)
			}
		}
	}
}

// isSubcommand reports whether an argument is a command whose JSON is of its own form.
func isSubcommand(arg string) bool {
	return slices.Contains([]string{"flows", "requests", "policy", "explain"}, arg)
}

// trace runs gotrace to its end. Newer kernels skip events when a program is
// preempted, which gotrace reports. No exact result can be expected then, so
// trace runs it once more.
func trace(t *testing.T, args ...string) (r result) {
	t.Helper()
	for range 5 {
		if r = start(t, args...).wait(); !strings.Contains(r.stderr, "Missed ") {
			break
		}
		t.Logf("again: %s", r.stderr)
	}
	return r
}

// doWork runs a program, usually the workload, without gotrace.
func doWork(t *testing.T, prog string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := exec.CommandContext(ctx, prog, args...).CombinedOutput(); err != nil {
		t.Fatalf("workload: %v\n%s", err, out)
	}
}

// missedEvents matches the report of events that the kernel skipped. They may belong to
// any process, so a test that depends on them has a wrong count.
var missedEvents = regexp.MustCompile(`(?m)^.*WARNING: Missed (\d+) events of .*$`)

// missed returns the number of events that the kernel skipped according to stderr.
func (r result) missed() (sum int) {
	for _, m := range missedEvents.FindAllStringSubmatch(r.stderr, -1) {
		n, _ := strconv.Atoi(m[1])
		sum += n
	}
	return sum
}

// quiet fails the test if stderr has a message that would worry a user.
func (r result) quiet(t *testing.T) {
	t.Helper()
	if !*peer && (strings.Contains(r.stderr, "ERROR") || strings.Contains(r.stderr, "WARNING") || strings.Contains(r.stderr, "panic")) {
		t.Errorf("stderr: %s", r.stderr)
	}
}

// quietButMissed is quiet for a script on a tracepoint that fires for the whole
// system, of whose events the kernel may skip some.
func (r result) quietButMissed(t *testing.T) {
	t.Helper()
	r.stderr = missedEvents.ReplaceAllString(r.stderr, "")
	r.quiet(t)
}

// complete reports whether gotrace saw all events, according to its output.
func (r result) complete() bool {
	return r.missed() == 0 && !strings.Contains(r.stdout, "lost_events")
}

// leftOut ends a test that never saw all events. Linux 7 and later preempt programs and then
// leave out events, so there the test is skipped if gotrace reports that. It fails on older
// kernels, and if gotrace itself lost events.
func (r result) leftOut(t *testing.T) {
	t.Helper()
	if !release().less(version{7, 0}) && !strings.Contains(r.stdout, "lost_events") {
		t.Skipf("the kernel left out events: %s", r.stderr)
	}
	t.Fatalf("events are missing: %s", r.stderr)
}

// attempts is the number of runs of a test that needs all events.
const attempts = 5

// native skips a part of a test in emulated guests, which are many times slower. It is
// for parts that do not depend on the kernel, since a native kernel runs them.
func native(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it runs on a native kernel")
	}
}

// elsewhere reports whether row i of a long table is left out here: a guest with
// another kernel runs it. A native kernel runs all rows.
func elsewhere(i int) bool { return *part >= 0 && i%4 != *part }

var needRoot = testkit.NeedRoot

// syncBuffer is a buffer that can be read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestCases runs the cases of testdata.
func TestCases(t *testing.T) {
	entries, err := caseFiles.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Run(strings.TrimSuffix(e.Name(), ".txtar"), func(t *testing.T) {
			path := "testdata/" + e.Name()
			data, err := caseFiles.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range parseCases(t, path, data) {
				if c.elsewhere(i) {
					continue
				}
				t.Run(c.Name, c.run)
			}
		})
	}
}

// elsewhere reports whether the case, number i of its file, is left out here. Of the two
// guests that run these tests, one runs a case that needs a feature, such as kprobes, which a
// native kernel may lack. They run a quarter of the cases that a native kernel can run too.
// Both run a case that depends on the version of the kernel.
func (c *liveCase) elsewhere(i int) bool {
	switch {
	case c.since != "":
		return false
	case len(c.needs) != 0:
		return *part >= 0 && i%2 != *part/2
	}
	return *part >= 0 && i%8 != *part
}

func (c *liveCase) run(t *testing.T) {
	needRoot(t)
	if c.long && testing.Short() {
		t.Skip("takes too long in an emulated guest")
	}
	if *peer && c.peer != "" {
		t.Skipf("bpftrace differs: %s", c.peer)
	}
	for _, need := range c.needs {
		if why := missing(need); why != "" {
			t.Skip(why)
		}
	}
	tooOld := c.since != "" && !*peer && release().less(parseRelease(c.since))

	expand := func(s string) string { return strings.ReplaceAll(s, "WORK", *work) }
	args := []string{"-e", expand(c.prog)}
	if c.work != "" {
		args = append(args, "-c", *work+" "+c.work)
	}
	for _, f := range c.flags {
		args = append(args, expand(f))
	}
	r := trace(t, args...)
	if tooOld {
		if r.status == 0 || !strings.Contains(r.stderr, c.since) {
			t.Errorf("%s: no message says that this kernel is older than %s:\n%s", c.At, c.since, r.stderr)
		}
		return
	}
	stdout := strings.ReplaceAll(r.stdout, *work, "WORK")
	switch {
	case *cases.Update && !c.match:
		c.Check(t, cases.Section{Name: "stdout", Text: strings.Trim(stdout, "\n")})
	default:
		if d := c.compare(stdout); d != "" {
			t.Errorf("%s: %s\nstderr:\n%s", c.At, d, r.stderr)
		}
	}
	if r.status != c.status {
		t.Errorf("%s: exit status %d, want %d\nstderr: %s", c.At, r.status, c.status, r.stderr)
	}
	if len(c.stderr) == 0 && !c.warns {
		// Of system calls these releases skip events of other processes.
		if !release().less(version{6, 19}) && !t.Failed() {
			r.quietButMissed(t)
		} else {
			r.quiet(t)
		}
	}
	for _, want := range c.stderr {
		if !*peer && !strings.Contains(r.stderr, expand(want)) {
			t.Errorf("%s: stderr does not say %q:\n%s", c.At, want, r.stderr)
		}
	}
}
