package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gotrace/gotrace/runtime/output"
)

// options is the command line, checked.
type options struct {
	script, file string // -e, or the file
	params       []string
	scriptOpts   map[string]string // behind --: --name=value

	list         bool
	search       string
	verbose      bool
	version      bool
	help         bool
	info         bool
	pid          int
	cmd          string
	output       string
	format       string
	buffer       output.Mode
	quiet        bool
	warnings     bool
	noWarnings   bool
	includeDirs  []string
	includeFiles []string
	usdtFile     bool
	dwarf        bool // --dwarf-pid was given
	debugInfo    string
	unsafe       bool
	noFeature    map[string]bool
	dryRun       bool
	probeFilter  string
	functions    string // --traceable-functions: file that lists them
	dump         map[string]bool
	mode         string
	fmt, check   bool
	emitELF      string
	verify       bool // the compiler's intermediate code
	empty        bool // no arguments at all
}

// dumpStages are the stages that -d knows, and what they are called in the
// compiler. The names on the left that differ are those of older tools.
var dumpStages = map[string]string{
	"all": "all", "ast": "ast", "check": "check", "types": "check", "ir": "ir", "codegen": "ir",
	"opt": "opt", "codegen-opt": "opt", "asm": "asm", "dis": "asm", "verifier": "verifier", "libbpf": "verifier", "parse": "ast",
}

var features = []string{"kprobe_multi", "kprobe_session", "uprobe_multi"}

// refused are flags of bpftrace that have no meaning here.
var refused = []struct{ flag, why string }{
	{"emit-llvm", "there is no LLVM in gotrace: -d ir,opt,asm prints what the compiler makes, --emit-elf FILE writes the programs"},
	{"aot", "programs are not compiled ahead of time: it takes milliseconds when they are run; --emit-elf FILE writes them for other loaders"},
}

var modes = []string{"codegen", "compiler-bench", "bench", "test", "format"}

func parseFlags(args []string) (*options, error) {
	o := &options{noFeature: map[string]bool{}, dump: map[string]bool{}, scriptOpts: map[string]string{}, empty: len(args) == 0}
	fs := pflag.NewFlagSet("gotrace", pflag.ContinueOnError)
	fs.SetOutput(discard{})
	fs.SortFlags = false
	var (
		pid, buffer, ignoredText        string
		stages, dumps, noFeature, dwarf []string
		test, bench, ignored            bool
	)
	fs.StringVarP(&o.script, "eval", "e", "", "")
	fs.BoolVarP(&o.list, "list", "l", false, "")
	fs.BoolVarP(&o.verbose, "verbose", "v", false, "")
	fs.BoolVarP(&o.version, "version", "V", false, "")
	fs.BoolVarP(&o.help, "help", "h", false, "")
	fs.BoolVar(&o.info, "info", false, "")
	fs.StringVarP(&pid, "pid", "p", "", "")
	fs.StringVarP(&o.cmd, "cmd", "c", "", "")
	fs.StringVarP(&o.output, "output", "o", "", "")
	fs.StringVarP(&o.format, "format", "f", "text", "")
	fs.StringVarP(&buffer, "buffer", "B", "line", "")
	fs.BoolVarP(&o.quiet, "quiet", "q", false, "")
	fs.BoolVarP(&o.warnings, "warnings", "k", false, "")
	fs.BoolVar(&o.noWarnings, "no-warnings", false, "")
	fs.StringArrayVarP(&o.includeDirs, "include-dir", "I", nil, "")
	fs.StringArrayVar(&o.includeFiles, "include", nil, "")
	fs.BoolVar(&o.usdtFile, "usdt-file-activation", false, "")
	fs.BoolVar(&o.unsafe, "unsafe", false, "")
	fs.StringArrayVar(&noFeature, "no-feature", nil, "")
	fs.BoolVar(&o.dryRun, "dry-run", false, "")
	fs.StringVar(&o.probeFilter, "probe-filter", "", "")
	fs.StringVar(&o.functions, "traceable-functions", "", "")
	fs.StringArrayVarP(&stages, "debug", "d", nil, "")
	fs.StringArrayVar(&dumps, "dump", nil, "")
	fs.BoolVar(&test, "test", false, "")
	fs.BoolVar(&bench, "bench", false, "")
	fs.BoolVar(&o.fmt, "fmt", false, "")
	fs.BoolVar(&o.check, "check", false, "")
	fs.StringVar(&o.mode, "mode", "", "")
	fs.StringVar(&o.emitELF, "emit-elf", "", "")
	fs.BoolVar(&o.verify, "verify-llvm-ir", false, "")
	// Accepted so that old command lines work; there is nothing to do.
	fs.BoolVarP(&ignored, "btf", "b", false, "")
	fs.StringVar(&o.debugInfo, "debuginfo", "", "")
	fs.StringArrayVar(&dwarf, "dwarf-pid", nil, "")
	for _, r := range refused {
		fs.StringVar(&ignoredText, r.flag, "", "")
	}
	if err := fs.Parse(args); err != nil {
		return nil, badFlag{err}
	}
	given := fs.Changed
	for _, r := range refused {
		if given(r.flag) {
			return nil, usagef("--%s: %s", r.flag, r.why)
		}
	}
	for _, s := range dwarf {
		if _, err := parsePID(s); err != nil {
			return nil, err
		}
	}
	o.dwarf = len(dwarf) > 0

	switch {
	case given("cmd") && given("pid"):
		return nil, usagef("USAGE: Cannot use both -c and -p.")
	case o.warnings && o.noWarnings:
		return nil, usagef("USAGE: -k, --warnings conflicts with --no-warnings")
	case o.check && !o.fmt:
		return nil, usagef("USAGE: --check goes with --fmt")
	case o.format != "text" && o.format != "json":
		return nil, usagef("Invalid output format %q\nValid formats: 'text', 'json'", o.format)
	}
	if given("pid") {
		var err error
		if o.pid, err = parsePID(pid); err != nil {
			return nil, err
		}
	}
	var ok bool
	if o.buffer, ok = output.ParseMode(buffer); !ok {
		return nil, usagef("USAGE: -B must be either 'line', 'full', or 'none'.")
	}
	for _, list := range noFeature {
		for name := range strings.SplitSeq(list, ",") {
			if !contains(features, name) {
				return nil, usagef("USAGE: --no-feature can only have values '%s'.", strings.Join(features, ","))
			}
			o.noFeature[name] = true
		}
	}
	for _, list := range append(stages, dumps...) {
		for name := range strings.SplitSeq(list, ",") {
			stage, ok := dumpStages[name]
			if !ok {
				return nil, usagef("USAGE: invalid option for -d: %s\nHINT: the stages are ast, check, ir, opt, asm, verifier and all", name)
			}
			o.dump[stage] = true
		}
	}
	if err := o.setMode(test, bench); err != nil {
		return nil, err
	}
	return o, o.positional(fs.Args(), given("eval"))
}

// maxPID is the greatest process id that any kernel gives.
const maxPID = 1 << 22

func parsePID(s string) (int, error) {
	n, err := strconv.ParseUint(s, 0, 64)
	switch {
	case err == nil && n <= maxPID && n > 0:
		return int(n), nil
	case err == nil || errors.Is(err, strconv.ErrRange):
		return 0, usagef("Pid out of range: %s", s)
	case s != "" && s[0] >= '0' && s[0] <= '9':
		return 0, usagef("Failed to parse pid: invalid trailing bytes: %s", s)
	}
	return 0, usagef("Failed to parse pid: not a number: %s", s)
}

// setMode merges the flags that stand for a mode.
func (o *options) setMode(test, bench bool) error {
	if o.mode != "" && !contains(modes, o.mode) {
		return usagef("USAGE: --mode can only be '%s' or '%s'.", strings.Join(modes[:len(modes)-1], "', '"), modes[len(modes)-1])
	}
	for _, m := range []struct {
		on   bool
		flag string
		mode string
	}{{test, "--test", "test"}, {bench, "--bench", "bench"}, {o.fmt, "--fmt", "format"}} {
		if !m.on {
			continue
		}
		if o.mode != "" {
			return usagef("USAGE: %s conflicts with mode %s", m.flag, o.mode)
		}
		o.mode = m.mode
	}
	o.fmt = o.mode == "format"
	return nil
}

// positional takes what is not a flag: the script's file unless -e gave the
// script, then its parameters. Those that begin with -- stand behind a -- and
// are the script's options.
func (o *options) positional(args []string, eval bool) error {
	if o.list {
		return o.listArgs(args, eval)
	}
	if !eval && len(args) > 0 {
		o.file, args = args[0], args[1:]
	}
	if eval && o.script == "" || !eval && o.file == "" {
		if o.version || o.help || o.info || o.empty {
			return nil
		}
		return usagef("USAGE: filename or -e 'program' required.")
	}
	o.scriptArgs(args)
	return nil
}

// scriptArgs are the parameters and options of a script.
func (o *options) scriptArgs(args []string) {
	for _, a := range args {
		if name, ok := strings.CutPrefix(a, "--"); ok {
			key, val, _ := strings.Cut(name, "=")
			o.scriptOpts[key] = val
		} else {
			o.params = append(o.params, a)
		}
	}
}

// listArgs are -l's: nothing, a pattern, or a script whose probes are listed.
func (o *options) listArgs(args []string, eval bool) error {
	switch {
	case eval:
		o.scriptArgs(args)
	case len(args) == 0:
		o.search = "*:*"
	case isFile(args[0]) || args[0] == "-":
		o.file = args[0]
		o.scriptArgs(args[1:])
	case len(args) > 1:
		return usagef("USAGE: -l takes one search pattern or file")
	default:
		o.search = args[0]
	}
	return nil
}

func isFile(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// usageError is what the user reads as it is.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// badFlag is an error in the flags themselves, which the usage text answers.
type badFlag struct{ error }

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
