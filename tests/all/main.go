// All runs all tests and does their set-up:
//
//	go run ./tests/all [-nightly] [-only STEP,...] [-slow N] [-costs]
//
// It starts guests with the kernels of package vm, two at a time, and runs the live
// tests in them. Meanwhile it checks the source (gofmt, go vet, staticcheck), runs
// the live tests on this machine's kernel, and then the unit tests and the golden
// corpus, with the race detector where it can find something. A guest leaves out
// what takes long in emulation and does not depend on the kernel, and runs a quarter of the
// live tests, with a quarter of the rows of the long tables. With -nightly all run all tests
// and rows and load more of the generated programs, here too, the live tests run a second
// time with the race detector, and there are more guests. All installs the tools it needs
// beyond Go if it can (as root, on Debian). At the end it lists what it could not run, and
// prints "N passed, N failed, N skipped". The exit status is 1 if anything failed.
//
// With -costs it runs no tests, but records how much work the verifiers of these
// kernels have with the scripts of the golden corpus. A live test compares that.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gotrace/gotrace/tests/live"
	"github.com/gotrace/gotrace/tests/vm"
)

func main() {
	only := flag.String("only", "", "run only these `steps`, comma-separated: source, unit, live, 5.10, 6.1, 6.12, 7, and with -nightly its kernels")
	costs := flag.Bool("costs", false, "run no tests, but record the verifier's work for the golden corpus")
	nightly := flag.Bool("nightly", false, "run all live tests in the guests, and on more kernels")
	slow := flag.Int("slow", 0, "list the `number` of tests that took longest in each step")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &run{ctx: ctx, start: time.Now(), kernels: vm.Kernels(), nightly: *nightly, slow: *slow, costs: *costs}
	if *nightly {
		r.kernels = append(r.kernels, vm.Nightly()...)
	}
	if *only != "" {
		r.only = strings.Split(*only, ",")
	}
	if err := r.all(); err != nil {
		fmt.Println("FAIL:", err)
		r.failed++
	}
	if !r.summary() {
		stop()
		os.Exit(1)
	}
}

// run is one test run.
type run struct {
	ctx   context.Context
	start time.Time
	only  []string
	dir   string // directory of the built programs

	kernels []vm.Kernel // kernels of the guests
	nightly bool        // leave nothing out
	slow    int         // how many slow tests to list
	costs   bool        // record the verifier's work, and run no tests

	mu                      sync.Mutex
	passed, failed, skipped int
	leftOut                 []string
}

func (r *run) all() (err error) {
	if r.dir, err = os.MkdirTemp("", "gotrace-tests-"); err != nil {
		return err
	}
	defer os.RemoveAll(r.dir)
	if _, err := os.Stat("go.mod"); err != nil {
		return errors.New("start it in the top directory of the repository")
	}
	if r.costs {
		return errors.Join(r.recordCosts(), r.ctx.Err())
	}
	if err := shareBuilds(); err != nil {
		return err
	}
	compiler := r.compiler()
	if !compiler {
		r.leave("live tests: their workload is a C program, and there is no C compiler")
	}
	var command []string // of the live tests
	if compiler && (r.wants("live") || r.wantsGuest()) {
		command = r.buildLive()
	}
	var guests sync.WaitGroup
	if command != nil && r.wantsGuest() {
		guests.Go(r.guests)
	}
	if r.wants("source") {
		r.source()
	}
	if command != nil && r.wants("live") {
		r.liveHere("live tests on this kernel", command)
		if r.nightly {
			r.liveRaced(command)
		}
	}
	if r.wants("unit") {
		r.unit(compiler)
	}
	guests.Wait()
	return r.ctx.Err()
}

// shareBuilds sets the environment such that all steps build with the same settings, which
// are those of a release. Each package is then compiled once, and once more for the race
// detector.
func shareBuilds() error {
	return errors.Join(
		os.Setenv("CGO_ENABLED", "0"),
		os.Setenv("GOFLAGS", strings.TrimSpace(os.Getenv("GOFLAGS")+" -trimpath")))
}

func (r *run) wants(step string) bool {
	return len(r.only) == 0 || slices.Contains(r.only, step)
}

// source checks the source without running it.
func (r *run) source() {
	r.check("gofmt", func() (string, error) {
		out, err := r.output("gofmt", "-l", ".")
		if err == nil && out != "" {
			err = errors.New("these files are not formatted")
		}
		return out, err
	})
	r.check("go vet", func() (string, error) { return r.output("go", "vet", "./...") })
	r.check("staticcheck", func() (string, error) {
		tool := filepath.Join(r.dir, "staticcheck")
		if out, err := r.output("go", "build", "-C", "tests/tools", "-o", tool, "honnef.co/go/tools/cmd/staticcheck"); err != nil {
			return out, err
		}
		return r.output(tool, "./...")
	})
	r.check("size of the binary", r.binarySize)
}

// maxBinary is the maximum size of the stripped binary in bytes: 15 MiB. Before
// providers, operators on strings, packet hooks, flows and policies it had 11.9 million
// bytes.
const maxBinary = 15 << 20

// binarySize builds the binary like a release and compares its size with maxBinary.
func (r *run) binarySize() (string, error) {
	binary := filepath.Join(r.dir, "stripped")
	if out, err := r.output("env", "GOARCH=amd64", "go", "build", "-ldflags=-s -w", "-o", binary, "./cmd/gotrace"); err != nil {
		return out, err
	}
	st, err := os.Stat(binary)
	if err == nil && st.Size() > maxBinary {
		err = fmt.Errorf("it has %d bytes, and at most %d are allowed: docs/RATIONALE.md says what makes it grow", st.Size(), maxBinary)
	}
	return "", err
}

// raced matches the packages whose tests run with the race detector: packages that start
// goroutines or are used by several at a time. The detector also covers the packages that
// they use. For other tests it would only cost time: a decoder of damaged objects, for
// example, takes a minute more.
var raced = regexp.MustCompile(`^` + module + `/(cmd/gotrace|probes|probes/binary|probes/kernel|runtime|runtime/tracer|runtime/unwind|tests/all|tests/soak)$`)

// unit runs the tests of all packages except the live tests.
func (r *run) unit(race bool) {
	out, err := r.output("go", "list", "./...")
	if err != nil {
		r.report("unit tests", 0, err, out)
		return
	}
	if !race {
		r.leave("race detector: it needs a C compiler")
	}
	// A busy machine takes long; only a test that hangs takes an hour.
	// The source has been checked by go vet.
	plain, detected := []string{"test", "-json", "-timeout=1h", "-vet=off"}, []string{"test", "-json", "-timeout=1h", "-vet=off", "-race"}
	packages := strings.Fields(out)
	for _, p := range packages {
		switch {
		case strings.HasSuffix(p, "/tests/live"):
		case race && raced.MatchString(p):
			detected = append(detected, p)
		default:
			plain = append(plain, p)
		}
	}
	r.tests("unit tests", plain)
	if race {
		r.tests("with the race detector", detected)
	}
	if r.nightly {
		r.tests("generated programs", []string{"test", "-json", "-timeout=2h", "./tests/generate", "-run=^TestLoadsAndEnds$", "-more=8"})
	}
}

const module = "github.com/gotrace/gotrace"

// tests runs the go command and counts its tests.
func (r *run) tests(name string, args []string) {
	r.step(name, func(c *counter) error {
		cmd := exec.CommandContext(r.ctx, "go", args...)
		if slices.Contains(args, "-race") {
			cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		}
		cmd.Stderr = c
		cmd.Stdout = c
		return cmd.Run()
	})
}

// wantsGuest reports whether the tests of any guest are selected.
func (r *run) wantsGuest() bool {
	return slices.ContainsFunc(r.kernels, func(k vm.Kernel) bool { return r.wants(k.Name) })
}

// buildLive builds the programs of the live tests. It returns the command that runs
// them on this kernel, or nil if they cannot be built.
func (r *run) buildLive() []string {
	gotrace, test, work := r.in("gotrace"), r.in("live.test"), r.in("gtwork")
	built := r.check("build for the live tests", func() (string, error) {
		out, err := r.first(
			[]string{"go", "build", "-ldflags=-s -w", "-o", gotrace, "./cmd/gotrace"},
			[]string{"go", "test", "-c", "-o", test, "./tests/live"})
		return out, errors.Join(err, live.BuildWorkload("tests/live/testdata/work.c", work))
	})
	if !built {
		return nil
	}
	command := []string{test, "-test.v=test2json", "-gotrace", gotrace, "-work", work}
	if r.nightly {
		command = append(command, "-all")
	}
	return command
}

// in returns the path of a built program.
func (r *run) in(name string) string { return filepath.Join(r.dir, name) }

// liveRaced runs the shorter forms of the live tests with a gotrace that has the race
// detector, which makes it exit with a status that no test expects.
func (r *run) liveRaced(command []string) {
	raced := r.in("gotrace-raced")
	if r.check("build with the race detector", func() (string, error) {
		return r.output("env", "CGO_ENABLED=1", "go", "build", "-race", "-o", raced, "./cmd/gotrace")
	}) {
		command = append(slices.Clone(command), "-test.short", "-test.skip=^TestLoads$", "-gotrace="+raced)
		r.liveHere("live tests with the race detector", command)
	}
}

func (r *run) liveHere(name string, command []string) {
	if os.Geteuid() != 0 {
		r.leave("%s: they need root", name)
		return
	}
	mount()
	r.step(name, func(c *counter) error {
		return r.convert(c, func(w *os.File) error {
			cmd := exec.CommandContext(r.ctx, command[0], command[1:]...)
			cmd.Dir = "tests/live"
			cmd.Stdout, cmd.Stderr = w, w
			return cmd.Run()
		})
	})
}

// convert passes the output of a test binary through the tool that converts it
// to events.
func (r *run) convert(c *counter, test func(w *os.File) error) error {
	in, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(r.ctx, "go", "tool", "test2json", "-t", "-p", "live")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, c, c
	if err := cmd.Start(); err != nil {
		return err
	}
	in.Close()
	err = test(w)
	w.Close()
	return errors.Join(err, cmd.Wait())
}

// compiler reports whether there is a C compiler that links statically. It
// first tries to install one, the tools that read the object files of gotrace, and
// a terminal.
func (r *run) compiler() bool {
	_, err := exec.LookPath("gcc")
	found := err == nil
	var missing []string
	if !found {
		missing = append(missing, "gcc", "libc6-dev")
	}
	for pkg, file := range map[string]string{"libbpf-dev": "/usr/include/bpf/libbpf.h", "bpftool": "/usr/sbin/bpftool", "tmux": "/usr/bin/tmux"} {
		if _, err := os.Stat(file); err != nil {
			missing = append(missing, pkg)
		}
	}
	slices.Sort(missing)
	if err := vm.Install(missing...); err != nil {
		r.leave("%v", err)
		return found
	}
	return true
}

// mount mounts the tracing file system. Errors show in the tests.
func mount() {
	if _, err := os.Stat("/sys/kernel/tracing/events"); err == nil {
		return
	}
	if err := syscall.Mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, ""); err != nil {
		fmt.Println("mounting tracefs:", err)
	}
}

// check runs a step that passes or fails as a whole, and reports which.
func (r *run) check(name string, f func() (string, error)) bool {
	start := time.Now()
	out, err := f()
	r.report(name, time.Since(start), err, out)
	return err == nil
}

func (r *run) report(name string, d time.Duration, err error, out string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.passed++
		fmt.Printf("ok    %-32s %5.1fs\n", name, d.Seconds())
		return
	}
	r.failed++
	fmt.Printf("FAIL  %-32s %5.1fs  %v\n%s", name, d.Seconds(), err, out)
}

// step runs a step with many tests and counts them.
func (r *run) step(name string, f func(c *counter) error) {
	start := time.Now()
	c := newCounter()
	err := f(c)
	passed, failed, skipped := c.totals()
	if err != nil && failed == 0 { // it died outside of any test
		failed = 1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passed += passed
	r.failed += failed
	r.skipped += skipped
	verdict := "ok  "
	if failed > 0 {
		verdict = "FAIL"
	}
	fmt.Printf("%s  %-32s %5.1fs  %d passed, %d failed, %d skipped\n", verdict, name, time.Since(start).Seconds(), passed, failed, skipped)
	if failed > 0 {
		fmt.Printf("%s(%v)\n", c.failures(), err)
	}
	for _, test := range c.slowest(r.slow) {
		fmt.Printf("     %s\n", test)
	}
	for _, reason := range c.skipReasons() {
		fmt.Printf("      skipped %s\n", reason)
	}
}

// leave records that something could not be run.
func (r *run) leave(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leftOut = append(r.leftOut, fmt.Sprintf(format, args...))
}

// summary prints the end of the report and reports whether everything passed.
func (r *run) summary() bool {
	for _, what := range r.leftOut {
		fmt.Println("left out:", what)
	}
	fmt.Printf("in %s\n", time.Since(r.start).Round(time.Second))
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed == 0
}

// first runs commands in turn, until one fails.
func (r *run) first(commands ...[]string) (string, error) {
	for _, c := range commands {
		cmd := exec.CommandContext(r.ctx, c[0], c[1:]...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return string(out), fmt.Errorf("%s: %w", strings.Join(c, " "), err)
		}
	}
	return "", nil
}

func (r *run) output(name string, args ...string) (string, error) {
	cmd := exec.CommandContext(r.ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	return string(out) + stderr.String(), err
}
