// Command gotrace compiles scripts of the tracing language and runs them on
// this machine's kernel. What it does itself is little: it reads the command
// line (flags.go), asks the compiler for an object (compile.go), hands it to
// package runtime (session.go) and says in the user's words what went wrong
// (report.go). Nothing that one way of calling
// it does not need is done at the start: the time until all is attached counts.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"time"

	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
)

// language is the release of bpftrace whose scripts run unchanged.
const language = "v0.27.1"

// version returns the version that the binary was built from: a release, or the
// commit of a build in a checkout.
func version() string {
	const unknown = "v0.1.0-devel"
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return unknown
	}
	return info.Main.Version
}

// versionText answers to the name we are called by: wrappers that look for
// bpftrace parse its version.
func versionText(arg0 string) string {
	if filepath.Base(arg0) == "bpftrace" {
		return "bpftrace " + language + " (gotrace " + version() + ")"
	}
	return "gotrace " + version()
}

// Exit statuses. A script gives others to exit().
const (
	statusOK    = 0
	statusError = 1

	statusSignal = 128 // and the signal's number
)

// The main thread is ours, so that programs which a session runs itself (begin,
// end) run in the thread whose id is the process's.
func init() { goruntime.LockOSThread() }

func main() {
	// A session lives on little memory and makes little garbage; collecting
	// during the compilation would cost more time than it saves memory.
	debug.SetGCPercent(400)
	t, _, err := readTool(selfExe)
	if err != nil {
		newReporter(os.Stderr).errorf("%v", err)
		os.Exit(statusError)
	}
	os.Exit(runTool(t, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main for tests.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runTool(nil, args, stdin, stdout, stderr)
}

// runTool is run for a binary with a script of its own, t; nil: it has none.
func runTool(t *tool, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, report: newReporter(stderr)}
	parse, help := parseFlags, usage
	switch {
	case t != nil:
		a.tool, a.files = t, source.UnpackFiles(t.Files)
		parse, help = t.parse, func() string { return t.usage(filepath.Base(os.Args[0])) }
	case len(args) > 0 && args[0] == buildCommand:
		return a.build(args[1:])
	}
	opt, err := parse(args)
	if err != nil {
		a.report.errorf("%v", err)
		if errors.As(err, &badFlag{}) {
			io.WriteString(stderr, "\n"+help())
		}
		return statusError
	}
	a.opt = opt
	a.report.setup(opt)
	if opt.dwarf {
		a.report.warnf("--dwarf-pid has no effect: stacks are not unwound by DWARF (there is no dw_ustack)")
	}
	return a.run()
}

// app is one call of the command.
type app struct {
	opt    *options
	stdin  io.Reader
	stdout io.Writer
	report *reporter
	kernel probes.Kernel
	child  *runtime.Child
	tool   *tool         // what the binary was built for; nil: it is gotrace itself
	files  *source.Files // reads what the script names; nil: from disk
	warned []string      // the compiler's warnings, as shown
	// results and messages are where a session's results, and what else it says, go.
	results, messages meter
	timed             func(stage string, took time.Duration) // told about the compiler's stages
}

func (a *app) run() int {
	o := a.opt
	switch {
	case o.version:
		fmt.Fprintln(a.stdout, versionText(os.Args[0]))
		return statusOK
	case o.help && a.tool != nil:
		io.WriteString(a.stdout, a.tool.usage(filepath.Base(os.Args[0])))
		return statusOK
	case o.help && o.script == "" && o.file == "":
		io.WriteString(a.stdout, usage())
		return statusOK
	case o.empty:
		io.WriteString(a.report.w, usage())
		return statusError
	}
	var f *source.File
	if !o.info && !(o.list && o.script == "" && o.file == "") {
		var err error
		if f, err = a.readScript(); err != nil {
			a.report.errorf("%v", err)
			return statusError
		}
	}
	if o.fmt {
		return a.format(f)
	}
	if err := a.checkProcess(); err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	live := kernel.LiveBTF(a.btfFile())
	if o.functions != "" {
		if err := live.ListFunctions(o.functions); err != nil {
			a.report.errorf("Failed to open kernel function info: Could not read functions from %s. (%v)", o.functions, bare(err))
			return statusError
		}
	}
	a.kernel = live
	switch {
	case o.info:
		return a.info()
	case f == nil:
		return a.list(o.search)
	}
	return a.trace(f)
}

// readScript reads the program from -e, a file or standard input.
func (a *app) readScript() (*source.File, error) {
	o := a.opt
	switch {
	case a.tool != nil:
		return source.NewFile(a.tool.Name, a.tool.Text), nil
	case o.file == "":
		return source.NewFile("stdin", o.script), nil
	case o.file == "-":
		text, err := readSource(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("cannot read standard input: %w", err)
		}
		return source.NewFile("stdin", text), nil
	}
	f, err := os.Open(o.file)
	if err != nil {
		return nil, fmt.Errorf("failed to open file '%s': %w", o.file, bare(err))
	}
	defer f.Close()
	text, err := readSource(f)
	if err != nil {
		return nil, fmt.Errorf("failed to open file '%s': %w", o.file, bare(err))
	}
	return source.NewFile(o.file, text), nil
}

// readSource reads a script, but no more than it takes to say that it is too
// long: what is named may have no end.
func readSource(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, parse.MaxSize+1))
	return string(text), err
}

// bare is the reason of a file error without the operation and the name.
func bare(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// needsKernel reports whether the call loads anything into the kernel.
func (a *app) needsKernel() bool {
	return !a.opt.list && !a.opt.help && a.opt.emitELF == "" && a.opt.mode != "codegen" && a.opt.mode != "compiler-bench"
}

// trace compiles and runs a script.
func (a *app) trace(f *source.File) int {
	if a.needsKernel() {
		if err := privileges(); err != nil {
			a.report.errorf("%v", err)
			return statusError
		}
		if a.opt.cmd != "" {
			var err error
			if a.child, err = runtime.StartChild(a.opt.cmd); err != nil {
				a.report.errorf("cannot start the command: %v", err)
				return statusError
			}
			defer a.child.Release()
		}
	}
	if a.opt.list {
		return a.listProgram(f)
	}
	obj, ok := a.prebuilt(), true
	ready := obj != nil
	if !ready {
		obj, ok = a.compile(f)
	}
	if !ok || !a.checkOptions(obj.Options) {
		return statusError
	}
	switch {
	case a.opt.help:
		io.WriteString(a.stdout, usage())
		a.scriptOptions(obj)
		return statusOK
	case a.opt.emitELF != "":
		return a.emitELF(obj)
	case a.opt.mode == "codegen":
		return statusOK
	case a.opt.mode == "compiler-bench":
		return a.benchCompiler(f)
	}
	if why := nothingToRun(obj, a.opt.mode); why != "" {
		a.report.errorf("%s", why)
		return statusError
	}
	if !ready {
		return a.session(obj, nil)
	}
	// What the kernel refuses although nothing has changed is compiled anew.
	return a.session(obj, func() (*object.Object, bool) { return a.compile(f) })
}
