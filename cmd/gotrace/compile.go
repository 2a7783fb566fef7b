package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/object/elfobj"
)

// btfFile returns the file to read instead of the kernel's own BTF, or "" if there is
// none.
func (a *app) btfFile() string {
	file := os.Getenv("BPFTRACE_BTF")
	if file == "" {
		return ""
	}
	f, err := os.Open(file)
	if err != nil {
		a.report.warnf("BTF: failed to parse BTF from %s: %v", file, bare(err))
		return file // do not fall back: the user asked for this file
	}
	defer f.Close()
	var magic [2]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil || binary.NativeEndian.Uint16(magic[:]) != btfMagic {
		a.report.warnf("BTF: failed to parse BTF from %s: it is not in BTF's raw format (as /sys/kernel/btf/vmlinux is)", file)
	}
	return file
}

// btfMagic is the magic number at the start of BTF in its raw format.
const btfMagic = 0xeb9f

// target returns the environment and the command line for which a script is compiled.
func (a *app) target() (*probes.Env, *builtins.Invocation, error) {
	o := a.opt
	env := &probes.Env{
		Kernel: a.kernel, Unsafe: o.unsafe, PID: o.pid, MainEnded: mainEnded(o.pid),
		NoFeature: o.noFeature, DebugInfo: o.debugInfo, FetchDebug: a.fetchDebug(),
	}
	sess := &builtins.Invocation{
		Params: o.params, Options: o.scriptOpts, Unsafe: o.unsafe, PID: o.pid,
		Verbose: o.verbose, Warnings: o.warnings, Capture: o.pcap != "", Timeline: o.perfetto != "" || o.spans,
		Recorder: o.recorder, Until: o.until, Dated: o.dated(),
		IncludeDirs: o.includeDirs, IncludeFiles: o.includeFiles, Files: a.files,
	}
	if a.child != nil {
		env.ChildPID, sess.ChildPID, sess.HasChild = a.child.PID(), a.child.PID(), true
		env.ChildFiles = a.child.Files
	}
	sess.HasChild = sess.HasChild || o.cmd != ""
	if o.probeFilter != "" {
		re, err := regexp.Compile(o.probeFilter)
		if err != nil {
			return nil, nil, usagef("Invalid --probe-filter regex '%s': %v", o.probeFilter, err)
		}
		env.Filter = re.MatchString
	}
	var err error
	if env.Scope, err = a.scope(); err != nil {
		return nil, nil, err
	}
	if sess.PIDNS = ourNamespace(); sess.PIDNS != nil {
		env.ForeignPIDs, sess.Inner = true, innerPID(o.pid)
	}
	return env, sess, nil
}

// ourNamespace returns this process's pid namespace. It returns nil if that is the
// initial one.
func ourNamespace() *builtins.PIDNamespace { return pidNamespace("self") }

// compile compiles the script and reports its errors. It returns false if there were
// any.
func (a *app) compile(f *source.File) (*object.Object, bool) {
	env, sess, err := a.target()
	if err != nil {
		a.report.err(err)
		return nil, false
	}
	var diags source.Diags
	obj, err := codegen.Compile(f, codegen.Request{
		Defs: a.defs(), Env: env, Invocation: sess, Config: configure, Dump: a.dump(), Verify: a.opt.verify, Timed: a.timed,
		ForeignReaders: a.opt.emitELF != "", Sample: a.opt.maxOverhead > 0,
	}, &diags)
	for _, d := range diags.All() {
		if d.Severity == source.Warning {
			a.warned = append(a.warned, d.Render())
		}
	}
	a.report.diags(diags.All())
	if err != nil {
		a.report.errorf("%v", err)
		return nil, false
	}
	return obj, !diags.HasErrors() && obj != nil
}

// configure returns the settings of a script. Environment variables override the
// script.
func configure(p *ast.Program, diags *source.Diags) *config.Config {
	return lang.Configure(p, os.LookupEnv, diags)
}

// writeELF writes an object to an ELF file.
func writeELF(path string, obj *object.Object) error {
	f, err := elfobj.FromObject(obj)
	if err != nil {
		return err
	}
	data, err := elfobj.Write(f)
	if err != nil {
		return err
	}
	return replaceFile(path, data)
}

// emitELF writes the compiled programs to the file of --emit-elf and returns the
// exit status.
func (a *app) emitELF(obj *object.Object) int {
	if err := writeELF(a.opt.emitELF, obj); err != nil {
		a.report.errorf("cannot write '%s': %v", a.opt.emitELF, bare(err))
		return statusError
	}
	return statusOK
}

// dump returns a function that prints the stages that -d selects.
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

// dumped prints the result of a stage of the compiler. It does not use stdout, where the
// results of the script go.
func (a *app) dumped(what, text string) {
	fmt.Fprintf(a.report.w, "== %s ==\n%s\n", what, strings.TrimRight(text, "\n"))
}

// checkOptions reports options after -- that the script does not declare. It returns
// whether there are none.
func (a *app) checkOptions(declared []object.Option) bool {
	var unknown, known []string
	for _, o := range declared {
		known = append(known, "--"+o.Name)
	}
	for name := range a.opt.scriptOpts {
		if !slices.ContainsFunc(declared, func(o object.Option) bool { return o.Name == name }) {
			unknown = append(unknown, "--"+name)
		}
	}
	if len(unknown) == 0 {
		return true
	}
	if slices.Contains(unknown, "--help") {
		io.WriteString(a.report.w, optionHelp(declared))
		return false
	}
	slices.Sort(unknown)
	d := source.Diag{
		Msg:  "unexpected program command line options: " + strings.Join(unknown, ", "),
		Hint: "no custom program options defined.",
	}
	if len(known) > 0 {
		d.Hint = "expected program options: " + strings.Join(known, ", ")
	}
	a.report.diag(d)
	return false
}

// optionHelp returns the answer to --help after --.
func optionHelp(declared []object.Option) string {
	if len(declared) == 0 {
		return "HINT: no custom program options defined.\n"
	}
	text := "HINT: expected program options:\n"
	for _, o := range declared {
		text += "--" + o.Name
		if o.Doc != "" {
			text += ": " + o.Doc
		}
		text += "\n"
	}
	return text
}

// scriptOptions prints the options that the script's getopt calls declare.
func (a *app) scriptOptions(obj *object.Object) {
	opts := obj.Options
	if len(opts) == 0 {
		return
	}
	fmt.Fprintln(a.stdout, "\nNAMED PARAMETERS of this script (after --):")
	for _, o := range opts {
		writeOption(a.stdout, o)
	}
}

// writeOption writes a line that describes an option of the script.
func writeOption(w io.Writer, o object.Option) {
	line := fmt.Sprintf("    --%s", o.Name)
	if o.Doc != "" {
		line += "  " + o.Doc
	}
	if o.Default != "" {
		line += " (default: " + o.Default + ")"
	}
	fmt.Fprintln(w, line)
}
