// All is the whole test run, with all of its set-up:
//
//	go run ./tests/all [-only STEP,...]
//
// It checks the source (gofmt, go vet, staticcheck), runs the unit tests and
// the golden corpus with the race detector, then the live tests on this
// machine's kernel and on each kernel of package vm. What it needs beyond Go it
// installs where it may (root, on Debian); what it had to leave out it says at
// the end. The last line counts: "N passed, N failed, N skipped". The exit
// status is 1 if anything failed.
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
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gotrace/gotrace/tests/live"
	"github.com/gotrace/gotrace/tests/vm"
)

func main() {
	only := flag.String("only", "", "run only these `steps`, comma-separated: source, unit, live, 5.10, 6.1, 6.12, 7")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := &run{ctx: ctx, start: time.Now()}
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
	dir   string // for what is built

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
	if r.wants("source") {
		r.source()
	}
	compiler := r.compiler()
	if r.wants("unit") {
		r.unit(compiler)
	}
	if compiler {
		r.live()
	} else {
		r.leave("live tests: their workload is a C program, and there is no C compiler")
	}
	return r.ctx.Err()
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
}

// unit runs every package's tests but the live ones.
func (r *run) unit(race bool) {
	out, err := r.output("go", "list", "./...")
	if err != nil {
		r.report("unit tests", 0, err, out)
		return
	}
	args := []string{"test", "-json"}
	if race {
		args = append(args, "-race")
	} else {
		r.leave("race detector: it needs a C compiler")
	}
	for _, p := range strings.Fields(out) {
		if !strings.HasSuffix(p, "/tests/live") {
			args = append(args, p)
		}
	}
	r.step("unit tests and golden corpus", func(c *counter) error {
		cmd := exec.CommandContext(r.ctx, "go", args...)
		cmd.Stderr = c
		cmd.Stdout = c
		return cmd.Run()
	})
}

// live runs the live tests on this kernel and on the others.
func (r *run) live() {
	var steps []string
	for _, k := range vm.Kernels() {
		steps = append(steps, k.Name)
	}
	if !slices.ContainsFunc(append(steps, "live"), r.wants) {
		return
	}
	gotrace, test, work := filepath.Join(r.dir, "gotrace"), filepath.Join(r.dir, "live.test"), filepath.Join(r.dir, "gtwork")
	r.check("build for the live tests", func() (string, error) {
		out, err := r.first(
			[]string{"go", "build", "-trimpath", "-ldflags=-s -w", "-o", gotrace, "./cmd/gotrace"},
			[]string{"go", "test", "-c", "-o", test, "./tests/live"})
		if err == nil {
			err = live.BuildWorkload("tests/live/testdata/work.c", work)
		}
		return out, err
	})
	if _, err := os.Stat(work); err != nil {
		return
	}
	command := []string{test, "-test.v=test2json", "-gotrace", gotrace, "-work", work}
	if r.wants("live") {
		r.liveHere(command)
	}
	if slices.ContainsFunc(steps, r.wants) {
		r.liveGuests(command)
	}
}

func (r *run) liveHere(command []string) {
	if os.Geteuid() != 0 {
		r.leave("live tests on this kernel: they need root")
		return
	}
	mount()
	r.step("live tests on this kernel", func(c *counter) error {
		return r.convert(c, func(w *os.File) error {
			cmd := exec.CommandContext(r.ctx, command[0], command[1:]...)
			cmd.Dir = "tests/live"
			cmd.Stdout, cmd.Stderr = w, w
			return cmd.Run()
		})
	})
}

// liveGuests runs the live tests in guests, two at a time.
func (r *run) liveGuests(command []string) {
	if err := vm.Setup(); err != nil {
		r.leave("live tests on other kernels: %v", err)
		return
	}
	guest := slices.Clone(command)
	var files []vm.File
	for i, arg := range command {
		if filepath.IsAbs(arg) {
			guest[i] = "/usr/bin/" + filepath.Base(arg)
			files = append(files, vm.File{Src: arg, Dst: guest[i]})
		}
	}
	guest = append(guest, "-test.short")
	slots := make(chan bool, 2)
	var wg sync.WaitGroup
	for _, k := range vm.Kernels() {
		if !r.wants(k.Name) {
			continue
		}
		slots <- true
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := k.Image(); err != nil {
				r.leave("live tests on Linux %s: %v", k.Name, err)
				return
			}
			r.step("live tests on Linux "+k.Name, func(c *counter) error {
				return r.convert(c, func(w *os.File) error {
					g := vm.Guest{Kernel: k, Files: files, Command: guest, Out: w, Timeout: 6 * time.Minute}
					status, err := g.Run(r.ctx)
					if err == nil && status != 0 {
						err = fmt.Errorf("exit status %d", status)
					}
					return err
				})
			})
		})
	}
	wg.Wait()
}

// convert feeds what a test binary prints through the tool that makes events of
// it.
func (r *run) convert(c *counter, test func(w *os.File) error) error {
	in, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(r.ctx, "go", "tool", "test2json", "-p", "live")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, c, c
	if err := cmd.Start(); err != nil {
		return err
	}
	in.Close()
	err = test(w)
	w.Close()
	return errors.Join(err, cmd.Wait())
}

// compiler reports whether there is a C compiler that links statically, after
// trying to install one.
func (r *run) compiler() bool {
	if _, err := exec.LookPath("gcc"); err == nil {
		return true
	}
	if err := vm.Install("gcc", "libc6-dev"); err != nil {
		r.leave("C compiler: %v", err)
		return false
	}
	return true
}

// mount makes the tracing file system available; an error shows in the tests.
func mount() {
	if _, err := os.Stat("/sys/kernel/tracing/events"); err == nil {
		return
	}
	if err := syscall.Mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, ""); err != nil {
		fmt.Println("mounting tracefs:", err)
	}
}

// check runs something that passes or fails as a whole.
func (r *run) check(name string, f func() (string, error)) {
	start := time.Now()
	out, err := f()
	r.report(name, time.Since(start), err, out)
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

// step runs many tests and counts them.
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
	for _, reason := range c.skipReasons() {
		fmt.Printf("      skipped %s\n", reason)
	}
}

// leave notes that something could not be run at all.
func (r *run) leave(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leftOut = append(r.leftOut, fmt.Sprintf(format, args...))
}

// summary prints the end of the report and reports success.
func (r *run) summary() bool {
	for _, what := range r.leftOut {
		fmt.Println("left out:", what)
	}
	fmt.Printf("in %s\n", time.Since(r.start).Round(time.Second))
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed == 0
}

// first runs commands in turn, without cgo, up to one that fails.
func (r *run) first(commands ...[]string) (string, error) {
	for _, c := range commands {
		cmd := exec.CommandContext(r.ctx, c[0], c[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
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
