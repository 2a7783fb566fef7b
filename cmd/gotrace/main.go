// Command gotrace compiles scripts of the tracing language and runs them on
// this machine's kernel. What it does itself is little: it reads the command
// line (flags.go), asks the compiler for an object, hands it to package runtime
// and says in the user's words what went wrong. Nothing that one way of calling
// it does not need is done at the start: the time until all is attached counts.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/check"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/parse"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/output"
)

const (
	version = "v0.1.0"
	// language is the release of bpftrace whose scripts run unchanged.
	language = "v0.27.1"
)

// versionText answers to the name we are called by: wrappers that look for
// bpftrace parse its version.
func versionText(arg0 string) string {
	if filepath.Base(arg0) == "bpftrace" {
		return "bpftrace " + language + " (gotrace " + version + ")"
	}
	return "gotrace " + version
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
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main for tests.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{stdin: stdin, stdout: stdout, report: newReporter(stderr)}
	opt, err := parseFlags(args)
	if err != nil {
		a.report.errorf("%v", err)
		if errors.As(err, &badFlag{}) {
			io.WriteString(stderr, "\n"+usageText)
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
	timed  func(stage string, took time.Duration) // told about the compiler's stages
}

func (a *app) run() int {
	o := a.opt
	switch {
	case o.version:
		fmt.Fprintln(a.stdout, versionText(os.Args[0]))
		return statusOK
	case o.help && o.script == "" && o.file == "":
		io.WriteString(a.stdout, usageText)
		return statusOK
	case o.empty:
		io.WriteString(a.report.w, usageText)
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
			a.report.errorf("--traceable-functions: %v", err)
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
	case o.file == "":
		return source.NewFile("stdin", o.script), nil
	case o.file == "-":
		text, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("cannot read standard input: %w", err)
		}
		return source.NewFile("stdin", string(text)), nil
	}
	text, err := os.ReadFile(o.file)
	if err != nil {
		return nil, fmt.Errorf("failed to open file '%s': %w", o.file, bare(err))
	}
	return source.NewFile(o.file, string(text)), nil
}

// bare is the reason of a file error without the operation and the name.
func bare(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// checkProcess looks after -p: a process that is not there can't be traced.
func (a *app) checkProcess() error {
	if a.opt.pid == 0 {
		return nil
	}
	if err := unix.Kill(a.opt.pid, 0); err != nil && err != unix.EPERM {
		return fmt.Errorf("cannot trace process %d: %w", a.opt.pid, err)
	}
	return nil
}

// btfFile is the file that is to be read instead of the kernel's own BTF.
func (a *app) btfFile() string {
	file := os.Getenv("BPFTRACE_BTF")
	if file == "" {
		return ""
	}
	f, err := os.Open(file)
	if err != nil {
		a.report.warnf("BTF: failed to parse BTF from %s: %v", file, bare(err))
		return file // nothing else was asked for
	}
	defer f.Close()
	var magic [2]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil || binary.NativeEndian.Uint16(magic[:]) != btfMagic {
		a.report.warnf("BTF: failed to parse BTF from %s: it is not in BTF's raw format (as /sys/kernel/btf/vmlinux is)", file)
	}
	return file
}

// btfMagic is what BTF in its raw format begins with.
const btfMagic = 0xeb9f

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
	obj, ok := a.compile(f)
	if !ok || !a.checkOptions(obj) {
		return statusError
	}
	switch {
	case a.opt.help:
		io.WriteString(a.stdout, usageText)
		a.scriptOptions(obj)
		return statusOK
	case a.opt.list:
		return a.listProgram(obj)
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
	return a.session(obj)
}

// nothingToRun says why a session would do nothing, "" where it does something.
func nothingToRun(obj *codegen.Object, mode string) string {
	kinds := map[string]bool{}
	for _, p := range obj.Checked.Progs {
		for _, at := range p.Points {
			kinds[at.Kind.Name] = true
		}
	}
	others := len(kinds)
	for _, name := range []string{"test", "bench"} {
		if kinds[name] {
			others--
		}
	}
	switch {
	case mode == "test" || mode == "bench" || others > 0:
		return ""
	case kinds["test"]:
		return "No probes attached; use --test to run test probes."
	}
	return "No probes attached; use --bench to run benchmark probes."
}

// compile turns the script into an object, and says what is wrong with it.
func (a *app) compile(f *source.File) (*codegen.Object, bool) {
	o := a.opt
	env := &probes.Env{
		Kernel: a.kernel, Unsafe: o.unsafe, PID: o.pid,
		NoFeature: o.noFeature, USDTFileActivation: o.usdtFile, DebugInfo: o.debugInfo,
	}
	sess := &builtins.Session{
		Params: o.params, Options: o.scriptOpts, Unsafe: o.unsafe, PID: o.pid,
		Verbose: o.verbose, Warnings: o.warnings,
		IncludeDirs: o.includeDirs, IncludeFiles: o.includeFiles,
	}
	if a.child != nil {
		env.ChildPID, sess.ChildPID, sess.HasChild = a.child.PID(), a.child.PID(), true
	}
	sess.HasChild = sess.HasChild || o.cmd != ""
	if o.probeFilter != "" {
		re, err := regexp.Compile(o.probeFilter)
		if err != nil {
			a.report.errorf("Invalid --probe-filter regex '%s': %v", o.probeFilter, err)
			return nil, false
		}
		env.Filter = re.MatchString
	}
	sess.PIDNS = pidNamespace()
	var diags source.Diags
	obj, err := codegen.Compile(f, codegen.Options{
		Env: env, Session: sess, Config: configure, Dump: a.dump(), Verify: o.verify, Timed: a.timed,
	}, &diags)
	a.report.diags(diags.All())
	if err != nil {
		a.report.errorf("%v", err)
		return nil, false
	}
	return obj, !diags.HasErrors() && obj != nil
}

// configure works out the settings of a script; the environment wins.
func configure(p *ast.Program, diags *source.Diags) *config.Config {
	return lang.Configure(p, os.LookupEnv, diags)
}

// emitELF writes the compiled programs to a file.
func (a *app) emitELF(obj *codegen.Object) int {
	data, err := runtime.ObjectFile(obj)
	if err == nil {
		err = os.WriteFile(a.opt.emitELF, data, 0o644)
	}
	if err != nil {
		a.report.errorf("cannot write '%s': %v", a.opt.emitELF, bare(err))
		return statusError
	}
	return statusOK
}

// pidNamespace names the pid namespace we live in; nil: the initial one.
func pidNamespace() *builtins.PIDNamespace {
	const initial = 0xeffffffc // PROC_PID_INIT_INO
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &st) != nil || st.Ino == initial {
		return nil
	}
	return &builtins.PIDNamespace{Dev: st.Dev, Ino: st.Ino}
}

// dump prints the stages that -d asks for.
func (a *app) dump() func(stage, text string) {
	if len(a.opt.dump) == 0 {
		return nil
	}
	return func(stage, text string) {
		if a.opt.dump[stage] || a.opt.dump["all"] {
			a.dumped(stage, text)
		}
	}
}

func (a *app) dumped(what, text string) {
	fmt.Fprintf(a.stdout, "== %s ==\n%s\n", what, strings.TrimRight(text, "\n"))
}

// sameRequest is how long after a signal another one asks for nothing else:
// timeout(1), shells and supervisors signal a process and then its group.
const sameRequest = 300 * time.Millisecond

// session runs an object until it ends or the user ends it.
func (a *app) session(obj *codegen.Object) int {
	o := a.opt
	out, finish, err := a.openOutput()
	if err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	sinkOpt := output.Options{
		Trailer: obj.Checked.Config.StrTruncTrailer, Quiet: o.quiet,
		NoWarnings: o.noWarnings, Color: a.report.color,
	}
	var sink output.Sink = output.NewText(out, a.report.w, sinkOpt)
	if o.format == "json" {
		sink = output.NewJSON(out, sinkOpt)
	}
	ropt := runtime.Options{
		Sink: sink, Stderr: a.report.w, Child: a.child, PID: o.pid,
		DryRun: o.dryRun, Verbose: o.verbose, NoWarnings: o.noWarnings,
	}
	if o.dump["verifier"] || o.dump["all"] {
		ropt.VerifierLog = func(program, log string) { a.dumped("verifier: "+program, log) }
	}
	switch o.mode {
	case "test":
		ropt.Mode = runtime.Test
	case "bench":
		ropt.Mode = runtime.Bench
	}
	if os.Getenv("__BPFTRACE_NOTIFY_PROBES_ATTACHED") == "1" {
		ropt.Attached = func() {
			out.Flush()
			io.WriteString(a.stdout, "__BPFTRACE_NOTIFY_PROBES_ATTACHED\n")
		}
	}

	// From here on a signal ends the session, which prints what it has; a later
	// one ends us at once.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs, unix.SIGINT, unix.SIGTERM)
	go func() { // Ctrl-\ ends us on the spot, but without the runtime's traces
		quit := make(chan os.Signal, 1)
		signal.Notify(quit, unix.SIGQUIT)
		<-quit
		os.Exit(statusSignal + int(unix.SIGQUIT))
	}()
	if !signal.Ignored(unix.SIGHUP) { // nohup
		signal.Notify(sigs, unix.SIGHUP)
	}
	// They stay caught to the end: what came twice does not kill us on the way out.
	go func() {
		select {
		case <-sigs:
			cancel()
			time.Sleep(sameRequest)
			signal.Reset(unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
		case <-ctx.Done():
		}
	}()

	s, err := runtime.Load(obj, ropt)
	if err != nil {
		a.report.err(err)
		return statusError
	}
	status, err := s.Run(ctx)
	if ferr := finish(); err == nil && ferr != nil {
		err = ferr
	}
	if err != nil {
		a.report.err(err)
		return statusError
	}
	if o.verbose && a.child != nil {
		fmt.Fprintf(a.report.w, "Child %s\n", a.child.Ended())
	}
	return status
}

// openOutput is where results go: standard output, or the file of -o.
func (a *app) openOutput() (w *output.Writer, finish func() error, err error) {
	dst := a.stdout
	closeFile := func() error { return nil }
	if a.opt.output != "" {
		f, err := os.Create(a.opt.output)
		if err != nil {
			return nil, nil, fmt.Errorf("failed to open output file '%s': %w", a.opt.output, bare(err))
		}
		dst, closeFile = f, f.Close
	}
	w = output.NewWriter(dst, a.opt.buffer)
	return w, func() error { return errors.Join(w.Flush(), closeFile()) }, nil
}

// format prints the script as the formatter writes it, or with --check says
// whether it would change.
func (a *app) format(f *source.File) int {
	var diags source.Diags
	tree := parse.File(f, &diags)
	a.report.diags(diags.All())
	if diags.HasErrors() {
		return statusError
	}
	var b bytes.Buffer
	if err := ast.Fprint(&b, tree); err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	switch {
	case a.opt.check:
		if b.String() != f.Text {
			fmt.Fprintf(a.stdout, "%s is not formatted\n", f.Name)
			return statusError
		}
		return statusOK
	case a.opt.output != "":
		if err := replaceFile(a.opt.output, b.Bytes()); err != nil {
			a.report.errorf("cannot write '%s': %v", a.opt.output, bare(err))
			return statusError
		}
		return statusOK
	}
	a.stdout.Write(b.Bytes())
	return statusOK
}

// replaceFile writes a file so that nobody ever sees half of it, and the file
// may be the one that was read.
func replaceFile(name string, data []byte) error {
	mode := os.FileMode(0o644)
	if st, err := os.Stat(name); err == nil {
		mode = st.Mode().Perm()
	}
	tmp := fmt.Sprintf("%s.%d.tmp", name, os.Getpid())
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

// checkOptions refuses options behind -- that the script does not ask for.
func (a *app) checkOptions(obj *codegen.Object) bool {
	var unknown, known []string
	for name := range a.opt.scriptOpts {
		if !slices.ContainsFunc(obj.Checked.Options, func(o check.Option) bool { return o.Name == name }) {
			unknown = append(unknown, "--"+name)
		}
	}
	if len(unknown) == 0 {
		return true
	}
	slices.Sort(unknown)
	for _, o := range obj.Checked.Options {
		known = append(known, "--"+o.Name)
	}
	d := source.Diag{Msg: "unexpected program command line options: " + strings.Join(unknown, ", ")}
	if len(known) > 0 {
		d.Hint = "expected program options: " + strings.Join(known, ", ")
	}
	a.report.diag(d)
	return false
}

// scriptOptions lists what the script's getopt calls declare.
func (a *app) scriptOptions(obj *codegen.Object) {
	opts := obj.Checked.Options
	if len(opts) == 0 {
		return
	}
	fmt.Fprintln(a.stdout, "\nNAMED PARAMETERS of this script (behind --):")
	for _, o := range opts {
		line := fmt.Sprintf("    --%s", o.Name)
		if o.Doc != "" {
			line += "  " + o.Doc
		}
		if o.Default != "" {
			line += " (default: " + o.Default + ")"
		}
		fmt.Fprintln(a.stdout, line)
	}
}
