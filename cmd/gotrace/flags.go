package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/output"
)

// options holds the values of a checked command line.
type options struct {
	script, file string // the script of -e, or the script's file
	params       []string
	scriptOpts   map[string]string // options after --, such as --name=value

	list         bool
	search       string
	verbose      bool
	stats        bool
	maxOverhead  float64 // share of the time of all CPUs; 0: no limit
	version      bool
	help         bool
	info         bool
	pid          int
	follow       bool
	comm         string
	uid          string
	cgroup       string
	container    string
	unit         string
	cmd          string
	output       string
	format       string
	formatGiven  bool // whether -f is given
	buffer       output.Mode
	every        time.Duration
	forTime      time.Duration
	rates        bool
	recorder     int64  // bytes; 0: none
	until        string // --until
	live         bool
	quiet        bool
	warnings     bool
	noWarnings   bool
	includeDirs  []string
	includeFiles []string
	usdtFile     bool
	debugInfo    string
	folded       string
	pprof        string
	pcap         string
	prometheus   string
	otlp         string
	spans        bool
	svg          string
	html         string
	speedscope   string
	perfetto     string
	unsafe       bool
	noFeature    map[string]bool
	dryRun       bool
	probeFilter  string
	functions    string // --traceable-functions: file that lists the functions
	dump         map[string]bool
	mode         string
	fmt, check   bool
	emitELF      string
	verify       bool     // check the compiler's intermediate code
	empty        bool     // there are no arguments
	given        []string // flags as given, for building a tool
}

// stageAliases maps bpftrace's names of stages to those of gotrace.
var stageAliases = map[string]string{
	"parse": "ast", "codegen": "ir", "codegen-opt": "opt", "dis": "asm", "libbpf": stageVerifier,
}

// Values of -d that are not stages of the compiler.
const (
	stageVerifier = "verifier" // the kernel verifier's log
	stageAll      = "all"
)

// dumpStage returns the stage for a value of -d.
func dumpStage(name string) (string, error) {
	if to, ok := stageAliases[name]; ok {
		name = to
	}
	known := append(codegen.Stages(), stageVerifier, stageAll)
	if !slices.Contains(known, name) {
		return "", usagef("USAGE: invalid option for -d: %s\nHINT: the stages are %s", name, strings.Join(known, ", "))
	}
	return name, nil
}

// refused lists bpftrace's flags that have no meaning in gotrace.
var refused = []struct{ flag, why string }{
	{"emit-llvm", "there is no LLVM in gotrace: -d ir,opt,asm prints the compiler's output, --emit-elf FILE writes the programs"},
	{"aot", "programs are not compiled ahead of time: compiling takes milliseconds; --emit-elf FILE writes them for other loaders"},
}

var modes = []string{"codegen", "compiler-bench", modeBench, modeTest, "format"}

// notServed are the flags that gotrace serve refuses: they concern a single session, or its end.
var notServed = []string{
	"pid", "cmd", "follow", "output", "format", "buffer", "folded", "pprof", "speedscope", "svg", "html", "perfetto", "pcap",
	"every", "rates", "recorder", "until", "live", "stats", "traceable-functions", "dry-run", "emit-elf", "mode",
}

// Flags for sessions. They conflict with flags that select something other than a
// session.
var (
	fileFlags    = []string{"folded", "pprof", "speedscope", "svg", "html", "perfetto", "pcap"}
	sessionFlags = []string{"every", "for", "rates", "recorder", "until", "live", "prometheus", "otlp", "spans", "max-overhead"}
)

// Modes that run only one kind of probe.
const (
	modeTest  = "test"
	modeBench = "bench"
)

// flagSet is the set of flags. Their values have not been checked yet.
type flagSet struct {
	*pflag.FlagSet
	group map[string]string // flag name to its group in the help text

	pid, buffer, ignoredText        string
	overhead, recorder              string
	stages, dumps, noFeature, dwarf []string
	debugDirs                       []string
	test, bench, ignored            bool
	warnings                        int // number of times that -k is given
}

// shortOnly marks a flag that the help text shows without its long name.
const shortOnly = "short only"

// newFlags registers the flags in the order and groups of the help text. If a flag
// takes a value, its explanation starts with the name of the value in backquotes.
func newFlags(o *options) *flagSet {
	fs := &flagSet{FlagSet: pflag.NewFlagSet("gotrace", pflag.ContinueOnError), group: map[string]string{}}
	fs.SetOutput(io.Discard)
	fs.SortFlags = false
	group := func(name string, register func()) {
		register()
		fs.VisitAll(func(f *pflag.Flag) {
			if fs.group[f.Name] == "" {
				fs.group[f.Name] = name
			}
		})
	}
	group("general", func() {
		fs.StringVarP(&o.script, "eval", "e", "", "`'program'`run this program")
		fs.BoolVarP(&o.list, "list", "l", false, "list the probes that match a pattern, or those of a program: -l [PATTERN|FILE]")
		fs.BoolVarP(&o.verbose, "verbose", "v", false, "print more details; with -l show the arguments of probes, with -lv 'struct NAME' the definition of a type")
		fs.BoolVarP(&o.help, "help", "h", false, "show this help, and the options of a script")
		fs.BoolVarP(&o.version, "version", "V", false, "show the version")
		fs.BoolVar(&o.info, "info", false, "show the features of this kernel, and what this process may not do; with -f json as JSON")
	})
	group("process", func() {
		fs.StringVarP(&fs.pid, "pid", "p", "", "`PID`trace this process; the session ends when it does")
		fs.StringVarP(&o.cmd, "cmd", "c", "", "`COMMAND`start COMMAND once all probes are attached; the session ends when COMMAND does")
		fs.BoolVar(&o.follow, "follow", false, "with -p or -c, trace only that process and its descendants; the session ends when all of them have ended")
		fs.StringVar(&o.comm, "comm", "", "`NAME`trace only threads with that name")
		fs.StringVar(&o.uid, "uid", "", "`UID|NAME`trace only processes of that user")
		fs.StringVar(&o.cgroup, "cgroup", "", "`PATH`trace only processes in that cgroup (version 2) or below; the session ends when the cgroup is removed")
		fs.StringVar(&o.container, "container", "", "`ID|NAME`trace only this container of docker, containerd, CRI-O or podman; also POD/NAME, or the beginning of the ID")
		fs.StringVar(&o.unit, "unit", "", "`UNIT`trace only this systemd unit, such as nginx.service")
		fs.BoolVar(&o.usdtFile, "usdt-file-activation", false, "enable USDT semaphores by file")
		fs.StringArrayVar(&fs.debugDirs, "debuginfo", nil, "`DIR[:DIR]`search these directories first for debug files of programs")
	})
	group("output", func() {
		fs.StringVarP(&o.output, "output", "o", "", "`FILE`write results to FILE")
		fs.StringVarP(&o.format, "format", "f", sinks[0].format, "`FORMAT`"+strings.Join(formats(), " or "))
		fs.StringVar(&o.folded, "folded", "", "`FILE`write the maps with stacks in their keys to FILE as folded stacks")
		fs.StringVar(&o.pprof, "pprof", "", "`FILE`write these maps as a profile for go tool pprof")
		fs.StringVar(&o.speedscope, "speedscope", "", "`FILE`write these maps as a profile for speedscope")
		fs.StringVar(&o.svg, "svg", "", "`FILE`write a picture: stacks as flame graphs, histograms over time as heatmaps, numbers as lines and bars")
		fs.StringVar(&o.html, "html", "", "`FILE`write a page with the picture, tables of all maps, and the end of the output")
		fs.StringVar(&o.perfetto, "perfetto", "", "`FILE`write a timeline for Perfetto: what the script prints, calls of functions with probes at entry and return, and maps of numbers each second")
		fs.StringVar(&o.pcap, "pcap", "", "`FILE`write the packets that the script prints to FILE (pcapng), or those for which probes run that print nothing")
		fs.StringVar(&o.prometheus, "prometheus", "", "`ADDR`serve the maps as metrics for Prometheus at http://ADDR/metrics, such as 127.0.0.1:9464")
		fs.StringVar(&o.otlp, "otlp", "", "`ENDPOINT`send metrics, what the script prints and spans to a collector of OpenTelemetry, such as http://127.0.0.1:4318")
		fs.BoolVar(&o.spans, "spans", false, "with --otlp, send calls of functions with probes at entry and return as spans too")
		fs.StringVarP(&fs.buffer, "buffer", "B", "line", "`MODE`write results out by line, when the buffer is full, or at once (line, full, none)")
		fs.DurationVar(&o.every, "every", 0, "`DURATION`print all maps every DURATION, such as 1s or 500ms; on a terminal, each time in the same place")
		fs.BoolVar(&o.rates, "rates", false, "with --every or --live, show counters as rates per second; at the end as totals")
		fs.BoolVar(&o.live, "live", false, "show the maps and the output on the whole terminal while the script runs, press ? there for the keys; --every: how often the maps are read")
		fs.DurationVar(&o.forTime, "for", 0, "`DURATION`end the session after DURATION, such as 30s")
		fs.StringVar(&fs.recorder, "recorder", "", "`SIZE`keep the last events in SIZE of memory, such as 64M, instead of printing them; they are printed when --until holds or, without it, at the end")
		fs.StringVar(&o.until, "until", "", "`EXPR`with --recorder, print the events and end when EXPR holds at the end of a probe, such as '@errors > 10', or when a probe is reached, such as 'tracepoint:oom:mark_victim'")
		fs.BoolVarP(&o.quiet, "quiet", "q", false, "no messages except errors")
		fs.CountVarP(&fs.warnings, "warnings", "k", "also warn about memory that could not be read and about missing map entries, whose value is 0: where, and how often")
		fs.BoolVar(&o.stats, "stats", false, "at the end, print how often each probe ran and missed events, and the time that it took; the kernel measures all BPF programs meanwhile")
		fs.StringVar(&fs.overhead, "max-overhead", "", "`PERCENT`limit the time of the script's programs to PERCENT of that of all CPUs, such as 2% or 0.5: beyond it, events are sampled or probes detached, with a warning")
		fs.BoolVar(&o.noWarnings, "no-warnings", false, "no warnings at all")
	})
	group("program", func() {
		fs.StringArrayVarP(&o.includeDirs, "include-dir", "I", nil, "`DIR`look for #include files in DIR")
		fs.StringArrayVar(&o.includeFiles, "include", nil, "`FILE`#include FILE before the program")
		fs.BoolVar(&o.unsafe, "unsafe", false, "allow actions that change the system")
		fs.StringVar(&o.probeFilter, "probe-filter", "", "`REGEX`attach only probes whose names match")
		fs.StringVar(&o.functions, "traceable-functions", "", "`FILE`read the traceable kernel functions from FILE instead of tracefs's available_filter_functions")
		fs.StringArrayVar(&fs.noFeature, "no-feature", nil, "`LIST`do not use: "+strings.Join(probes.Switchable, ", "))
	})
	group("compiler", func() {
		fs.BoolVar(&o.dryRun, "dry-run", false, "attach all probes, then end")
		fs.StringArrayVarP(&fs.stages, "debug", "d", nil, "`STAGE`print the output of a compiler stage: "+strings.Join(codegen.Stages(), ", ")+"; verifier: the kernel verifier's log; all: everything")
		fs.StringArrayVar(&fs.dumps, "dump", nil, "`STAGE`the same as -d")
		fs.StringVar(&o.emitELF, "emit-elf", "", "`FILE`write the compiled programs to FILE and run nothing")
		fs.BoolVar(&o.verify, "verify-llvm-ir", false, "check the compiler's intermediate code after each stage")
		fs.StringVar(&o.mode, "mode", "", "`MODE`codegen (compile only), compiler-bench (measure the compiler), test, bench or format")
		fs.BoolVar(&fs.test, "test", false, "run test: probes")
		fs.BoolVar(&fs.bench, "bench", false, "measure bench: probes")
		fs.BoolVar(&o.fmt, "fmt", false, "print the program formatted")
		fs.BoolVar(&o.check, "check", false, "with --fmt: only report whether the program is formatted")
	})
	for _, name := range strings.Fields("eval format buffer include-dir") {
		_ = fs.SetAnnotation(name, shortOnly, []string{}) // the flag exists, so there is no error
	}
	// These flags do nothing. They keep existing command lines working.
	fs.BoolVarP(&fs.ignored, "btf", "b", false, "")
	fs.StringArrayVar(&fs.dwarf, "dwarf-pid", nil, "")
	hidden := []string{"btf", "dwarf-pid"}
	for _, r := range refused {
		fs.StringVar(&fs.ignoredText, r.flag, "", "")
		hidden = append(hidden, r.flag)
	}
	for _, name := range hidden {
		_ = fs.MarkHidden(name) // the flag exists, so there is no error
	}
	return fs
}

// parseFlags parses and checks the command line.
func parseFlags(args []string) (*options, error) {
	o, rest, fs, err := parseAll(args, nil)
	if err != nil {
		return nil, err
	}
	if sinkOf(o.format) == nil {
		return nil, usagef("Invalid output format %q\nValid formats: '%s'", o.format, strings.Join(formats(), "', '"))
	}
	if err := o.positional(rest, fs.Changed("eval")); err != nil {
		return nil, err
	}
	return o, o.checkFiles(fs)
}

// parseCommand parses the arguments of a command that generates its script. It accepts
// the flags of gotrace and those that register adds, and any format. It returns the
// options and the arguments that are not flags.
func parseCommand(args []string, register func(*flagSet)) (*options, []string, error) {
	o, rest, fs, err := parseAll(args, register)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range []string{"eval", "list", "info", "version", "fmt", "check", "test", "bench", "include", "include-dir", "recorder", "until"} {
		if fs.Changed(name) {
			return nil, nil, usagef("USAGE: --%s is not for a command that has its own script", name)
		}
	}
	return o, rest, o.checkFiles(fs)
}

// parseAll parses the flags of gotrace and those that register adds. It returns the
// options and the other arguments.
func parseAll(args []string, register func(*flagSet)) (*options, []string, *flagSet, error) {
	o := &options{noFeature: map[string]bool{}, dump: map[string]bool{}, scriptOpts: map[string]string{}, empty: len(args) == 0}
	fs := newFlags(o)
	if register != nil {
		register(fs)
	}
	if err := fs.Parse(args); err != nil {
		return nil, nil, nil, badFlag{err}
	}
	return o, fs.Args(), fs, o.resolve(fs)
}

// resolve checks the values of the flags and sets the options that depend on several.
func (o *options) resolve(fs *flagSet) error {
	given := fs.Changed
	o.debugInfo = strings.Join(fs.debugDirs, ":")
	fs.Visit(func(f *pflag.Flag) {
		if f.Name == "eval" || f.Name == "output" {
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			o.given = append(o.given, "--"+f.Name+"="+v)
		}
	})
	for _, r := range refused {
		if given(r.flag) {
			return usagef("--%s: %s", r.flag, r.why)
		}
	}
	for _, s := range fs.dwarf {
		if _, err := parsePID(s); err != nil {
			return err
		}
	}

	o.warnings = fs.warnings > 0
	o.formatGiven = given("format")
	if o.format == "" {
		o.format = sinks[0].format
	}
	switch {
	case given("cmd") && given("pid"):
		return usagef("USAGE: Cannot use both -c and -p.")
	case fs.warnings > 1:
		return usagef("USAGE: -kk has been deprecated. Use a single -k for runtime warnings for errors in map lookups and probe reads.")
	case o.warnings && o.noWarnings:
		return usagef("USAGE: -k, --warnings conflicts with --no-warnings")
	case given("every") && o.every < minEvery:
		return usagef("USAGE: --every needs a duration of at least %v, such as 1s", minEvery)
	case given("for") && o.forTime <= 0:
		return usagef("USAGE: --for needs a duration, such as 30s")
	case o.rates && o.every == 0 && !o.live:
		return usagef("USAGE: --rates goes with --every or --live")
	case o.check && !o.fmt:
		return usagef("USAGE: --check goes with --fmt")
	}
	if err := o.checkScope(given); err != nil {
		return err
	}
	if given("pid") {
		var err error
		if o.pid, err = parsePID(fs.pid); err != nil {
			return err
		}
	}
	var ok bool
	if o.buffer, ok = output.ParseMode(fs.buffer); !ok {
		return usagef("USAGE: -B must be either 'line', 'full', or 'none'.")
	}
	if given("max-overhead") {
		var err error
		if o.maxOverhead, err = parsePercent(fs.overhead); err != nil {
			return err
		}
		o.noFeature[string(probes.FeatKprobeSession)] = true // each program is measured and sampled alone
	}
	if err := o.checkRecorder(fs); err != nil {
		return err
	}
	if o.stats || o.maxOverhead > 0 {
		// The kernel does not measure programs that another one jumps to.
		o.noFeature[string(probes.FeatRawSyscalls)] = true
	}
	for _, list := range fs.noFeature {
		for name := range strings.SplitSeq(list, ",") {
			if !slices.Contains(probes.Switchable, name) {
				return usagef("USAGE: --no-feature can only have values '%s'.", strings.Join(probes.Switchable, ","))
			}
			o.noFeature[name] = true
		}
	}
	for _, list := range append(fs.stages, fs.dumps...) {
		for name := range strings.SplitSeq(list, ",") {
			stage, err := dumpStage(name)
			if err != nil {
				return err
			}
			o.dump[stage] = true
		}
	}
	if err := o.setMode(fs.test, fs.bench); err != nil {
		return err
	}
	return o.checkConflicts(given)
}

// minEvery is the shortest interval of --every.
const minEvery = 10 * time.Millisecond

// maxPID is the highest process ID on any kernel.
const maxPID = 1 << 22

func parsePID(s string) (int, error) {
	n, err := strconv.ParseUint(s, 0, 64)
	_, negative := strconv.ParseInt(s, 0, 64)
	switch {
	case err == nil && n <= maxPID && n > 0:
		return int(n), nil
	case err == nil || errors.Is(err, strconv.ErrRange) || negative == nil:
		return 0, usagef("Pid out of range: %s", s)
	case s != "" && s[0] >= '0' && s[0] <= '9':
		return 0, usagef("Failed to parse pid: invalid trailing bytes: %s", s)
	}
	return 0, usagef("Failed to parse pid: invalid integer: %s", s)
}

// setMode sets the mode from the flags that select one.
func (o *options) setMode(test, bench bool) error {
	if o.mode != "" && !slices.Contains(modes, o.mode) {
		return usagef("USAGE: --mode can only be '%s' or '%s'.", strings.Join(modes[:len(modes)-1], "', '"), modes[len(modes)-1])
	}
	for _, m := range []struct {
		on   bool
		flag string
		mode string
	}{{test, "--test", modeTest}, {bench, "--bench", modeBench}, {o.fmt, "--fmt", "format"}} {
		if !m.on {
			continue
		}
		if o.mode != "" {
			return usagef("USAGE: %s conflicts with existing --mode", m.flag)
		}
		o.mode = m.mode
	}
	o.fmt = o.mode == "format"
	return nil
}

// positional handles the arguments that are not flags. The first one is the script's
// file, unless -e gives the script. The others are the script's parameters. Arguments
// that begin with -- are the script's options, which follow a -- on the command line.
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

// scriptArgs stores the parameters and options of a script.
func (o *options) scriptArgs(args []string) {
	for _, a := range args {
		if name, ok := strings.CutPrefix(a, "--"); ok {
			key, val, ok := strings.Cut(name, "=")
			if !ok {
				val = builtins.OptionGiven
			}
			o.scriptOpts[key] = val
		} else {
			o.params = append(o.params, a)
		}
	}
}

// listArgs handles the arguments of -l: none, a search pattern, or a script whose
// probes to list.
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

// usageError is an error message that is shown to the user without a prefix.
type usageError string

func (e usageError) Error() string { return string(e) }

//go:noinline
func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }
