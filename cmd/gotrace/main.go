// Command gotrace compiles scripts of the tracing language and runs them on this
// machine's kernel. It reads the command line (flags.go), compiles the script to an
// object (compile.go), runs the object with package runtime (session.go) and reports
// errors to the user (report.go). At the start it does only what the command line
// requires, to keep the time short until all probes are attached.
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

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/live"
)

// language is the bpftrace release whose scripts run unchanged.
const language = "v0.27.1"

// version returns the version of the source from which the binary was built: a release
// or a commit.
func version() string {
	const unknown = "v0.1.0-devel"
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return unknown
	}
	return info.Main.Version
}

// versionText returns the output of --version. If the command was called as bpftrace,
// the text begins with bpftrace's version, which wrappers parse.
func versionText(arg0 string) string {
	if filepath.Base(arg0) == "bpftrace" {
		return "bpftrace " + language + " (gotrace " + version() + ")"
	}
	return "gotrace " + version()
}

// Exit statuses of the command. A script may pass others to exit().
const (
	statusOK    = 0
	statusError = 1

	statusSignal = 128 // plus the signal's number
)

// init locks the main goroutine to the main thread. So programs that a session runs
// itself (begin, end) run in the thread whose ID is the process ID.
func init() { goruntime.LockOSThread() }

func main() {
	live.Guard()
	endEarly()
	// A session uses little memory and produces little garbage. During compilation, the
	// time of frequent collections is worth more than the memory.
	debug.SetGCPercent(400)
	t, err := ownTool()
	if err != nil {
		newReporter(os.Stderr).errorf("%v", err)
		os.Exit(statusError)
	}
	os.Exit(runTool(t, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// ownTool returns the tool in the running binary, or nil if there is none.
func ownTool() (*tool, error) {
	self, err := openSelf(os.Args[0])
	if err != nil {
		return nil, err
	}
	defer self.Close()
	t, _, err := readTool(self)
	return t, err
}

// runTool runs the command for a binary that contains the tool t. If t is nil, the
// binary is gotrace itself.
func runTool(t *tool, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, report: newReporter(stderr)}
	parse, help := parseFlags, usage
	switch {
	case t != nil:
		a.tool, a.files = t, source.UnpackFiles(t.Files)
		parse, help = t.parse, func() string { return t.usage(filepath.Base(os.Args[0])) }
	case len(args) > 0 && lookupCommand(args[0]) != nil:
		return lookupCommand(args[0]).run(a, args[1:])
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
	return a.run()
}

// app is one run of the command.
type app struct {
	opt        *options
	stdin      io.Reader
	stdout     io.Writer
	report     *reporter
	kernel     probes.Kernel
	builtins   *builtins.Registry // see defs
	child      *runtime.Child
	tool       *tool                       // the tool in this binary; nil: it is gotrace itself
	fetch      func(buildID string) string // see fetchDebug
	fetchAsked bool
	files      *source.Files    // source of files that the script names; nil: the disk
	warned     []string         // the compiler's warnings as printed
	progress   *output.Progress // shows long operations; nil: stderr is not a terminal
	live       *live.View       // the view of --live; nil: none
	sink       makeSink         // creates the sink of the results; nil: the sink of -f
	// results and messages measure whether the outputs of a session keep up: its
	// results, and everything else that it prints.
	results, messages meter
	timed             func(stage string, took time.Duration) // if not nil, called with the time of each compiler stage
}

// defs returns the builtins. The compiler and the runtime share them, because creating
// them takes a noticeable part of the start.
func (a *app) defs() *builtins.Registry {
	if a.builtins == nil {
		a.builtins = builtins.NewRegistry(builtins.All())
	}
	return a.builtins
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

// readScript reads the script from -e, a file or standard input.
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
			return nil, outline.Errorf("cannot read standard input: %w", err)
		}
		return source.NewFile("stdin", text), nil
	}
	f, err := os.Open(o.file)
	if err != nil {
		return nil, outline.Errorf("failed to open file '%s': %w", o.file, bare(err))
	}
	defer f.Close()
	text, err := readSource(f)
	if err != nil {
		return nil, outline.Errorf("failed to open file '%s': %w", o.file, bare(err))
	}
	return source.NewFile(o.file, text), nil
}

// readSource reads a script. It stops once the script is longer than allowed, as the
// input may be endless.
func readSource(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, parse.MaxSize+1))
	return string(text), err
}

// bare returns the reason of a file error without the operation and the file name, in the
// words of the C library.
//
//go:noinline
func bare(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return errors.New(builtins.OSReason(pe.Err))
	}
	return err
}

// needsKernel reports whether the command line requires loading anything into the
// kernel.
func (a *app) needsKernel() bool {
	return !a.opt.list && !a.opt.help && a.opt.emitELF == "" && a.opt.mode != "codegen" && a.opt.mode != "compiler-bench"
}

// trace compiles and runs a script and returns the exit status.
func (a *app) trace(f *source.File) int {
	if a.needsKernel() {
		if err := privileges(); err != nil {
			a.report.errorf("%v", err)
			return statusError
		}
		if err := a.openLive(); err != nil {
			a.report.errorf("%v", err)
			return statusError
		}
		defer a.stopLive()
		a.openProgress()
		defer a.progress.End()
		if a.opt.cmd != "" {
			var err error
			if a.child, err = runtime.StartChild(a.opt.cmd, a.childStreams()); err != nil {
				a.report.errorf("Failed to fork child: %v", err)
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
		a.progress.Begin("Compiling", 0)
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
	// If the kernel refuses a prebuilt object although nothing has changed, compile
	// the script again.
	return a.session(obj, func() (*object.Object, bool) { return a.compile(f) })
}
