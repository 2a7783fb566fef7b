package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/daemon"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/metrics"
)

const serveUsage = `gotrace serve - keeps the scripts of a directory running

USAGE:
    gotrace serve DIR --prometheus ADDR [options]
    gotrace serve DIR --otlp ENDPOINT [options]

Each file of DIR whose name ends in .bt is a script of its own. What it prints goes to
standard output, each line after the name of the script. Its maps are metrics with the label
script. A script that changes is replaced; one that fails does not affect the others, and
its previous version keeps running. SIGHUP reads all scripts again and restarts those that ended.

    --prometheus ADDR      serve the metrics at http://ADDR/metrics
    --otlp ENDPOINT        send metrics, lines and spans to a collector of OpenTelemetry
    --max-overhead N%      sample or detach programs if those of all scripts take more of all CPUs
    --once                 do not look for changes; end when all scripts have ended
    --keep-capabilities    do not give up capabilities once all probes are attached
Other options of gotrace such as --unsafe, --cgroup, -I and -q are for all scripts.
`

// server runs the scripts of gotrace serve.
type server struct {
	a       *app
	exports *exporters
	budget  *runtime.Budget // limit for all scripts together; nil: none
	out     *lines          // output of scripts
	err     *lines          // messages

	mu      sync.Mutex
	scripts map[string]*served
	once    bool
	keep    bool // all capabilities
	bad     bool // a script has failed
}

// served is the state of a script.
type served struct {
	up, current bool // it runs; the newest version runs
	source      *metrics.Source
	// next is for the session that is being loaded.
	next struct {
		lost *metrics.Lost
		obj  *object.Object
	}
}

// serve runs the command gotrace serve.
func (a *app) serve(args []string) int {
	s := &server{a: a, scripts: map[string]*served{}}
	var flags *flagSet
	opt, rest, err := parseCommand(args, func(fs *flagSet) {
		flags = fs
		fs.BoolVar(&s.once, "once", false, "")
		fs.BoolVar(&s.keep, "keep-capabilities", false, "")
	})
	switch {
	case err != nil:
		a.report.errorf("%v", err)
		if errors.As(err, &badFlag{}) {
			io.WriteString(a.report.w, "\n"+serveUsage)
		}
		return statusError
	case opt.help:
		io.WriteString(a.stdout, serveUsage)
		return statusOK
	case len(rest) != 1:
		a.report.errorf("gotrace serve needs one directory of scripts")
		io.WriteString(a.report.w, "\n"+serveUsage)
		return statusError
	}
	for _, name := range notServed {
		if f := flags.Lookup(name); f.Changed {
			text := "--" + name
			if f.Shorthand != "" {
				text = "-" + f.Shorthand
			}
			a.report.errorf("%s is not for gotrace serve", text)
			return statusError
		}
	}
	a.opt = opt
	a.report.setup(opt)
	return s.run(rest[0])
}

// run runs the scripts of a directory until a signal ends it.
func (s *server) run(dir string) int {
	a := s.a
	fail := func(err error) int {
		a.report.errorf("%v", err)
		return statusError
	}
	d, err := daemon.New(dir, s)
	if err != nil {
		return fail(outline.Errorf("cannot read the directory %s: %w", dir, err))
	}
	if err := privileges(); err != nil {
		return fail(err)
	}
	var mu sync.Mutex
	s.out, s.err = &lines{mu: &mu, w: a.stdout}, &lines{mu: &mu, w: a.report.w}
	a.report.w = s.err
	s.exports, err = a.export()
	defer s.exports.end()
	if err != nil {
		return fail(err)
	}
	if s.exports.metrics != nil {
		s.exports.metrics.AddSelf(s.states)
		s.exports.metrics.Start()
	}
	s.budget = a.opt.budget()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, unix.SIGHUP)
	end := make(chan os.Signal, 2)
	signal.Notify(end, unix.SIGINT, unix.SIGTERM)
	handle()
	go func() {
		<-end
		cancel()
		<-end
		os.Exit(statusError)
	}()
	if o := a.opt.forTime; o > 0 {
		time.AfterFunc(o, cancel)
	}
	d.Run(ctx, reload, s.once)
	if s.once && s.bad {
		return statusError
	}
	return statusOK
}

// states returns the metrics about the scripts.
func (s *server) states() []metrics.Family {
	s.mu.Lock()
	defer s.mu.Unlock()
	up := metrics.Family{Name: "gotrace_script_up", Help: "Whether a script is running."}
	ok := metrics.Family{Name: "gotrace_script_last_load_successful", Help: "Whether the newest version of a script could be loaded and attached."}
	for name, v := range s.scripts {
		for _, m := range []struct {
			f  *metrics.Family
			is bool
		}{{&up, v.up}, {&ok, v.current}} {
			n := int64(0)
			if m.is {
				n = 1
			}
			m.f.Series = append(m.f.Series, metrics.Series{Labels: []metrics.Label{{Name: "script", Value: metrics.ValidText(name)}}, Value: metrics.Int(n)})
		}
	}
	return []metrics.Family{up, ok}
}

// script returns the state of a script. The caller holds s.mu.
func (s *server) script(name string) *served {
	v := s.scripts[name]
	if v == nil {
		v = &served{}
		s.scripts[name] = v
	}
	return v
}

// Load implements daemon.Host.
func (s *server) Load(name, text string, attached func()) (_ daemon.Runner, alone bool, _ error) {
	a := s.a
	// Each script is compiled for the current state of the kernel.
	a.kernel = kernel.LiveBTF(a.btfFile())
	obj, ok := a.compile(source.NewFile(name, text))
	if !ok {
		return nil, false, errCompile
	}
	if why := nothingToRun(obj, ""); why != "" {
		return nil, false, errors.New(why)
	}
	style := output.Style{Trailer: obj.Settings.StrTruncTrailer, Quiet: true, NoWarnings: a.opt.noWarnings}
	results := s.out.named(name)
	if a.opt.quiet {
		results.w = io.Discard
	}
	messages := s.err.named(name)
	printed := output.NewText(output.NewWriter(results, output.Line), messages, style)
	setup := runtime.Setup{
		Defs: a.defs(), Kernel: a.kernel, Sink: noMaps{printed, results}, Stderr: messages, Attached: attached, KeepMaps: true, Budget: s.budget,
		NoWarnings: a.opt.noWarnings, DebugDirs: filepath.SplitList(a.opt.debugInfo), FetchDebug: a.fetchDebug(),
	}
	lost := s.exports.sinks(&setup, name, a.opt.spans)
	session, err := runtime.Load(obj, setup)
	if err != nil {
		a.report.err(err)
		return nil, false, errLoad
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.script(name)
	v.next.lost, v.next.obj = lost, obj
	return session, exclusive(obj), nil
}

// exclusive reports whether a script has probes that can be attached only once.
func exclusive(obj *object.Object) bool {
	for _, p := range obj.Programs {
		for i := range p.Points {
			if k := probes.Lookup(p.Points[i].Kind); k != nil && k.Exclusive {
				return true
			}
		}
	}
	return false
}

// The details of these errors have been reported.
var (
	errCompile = errors.New("it has errors")
	errLoad    = errors.New("it cannot be loaded")
	errAttach  = errors.New("it cannot be attached")
)

// Started implements daemon.Host.
func (s *server) Started(name string, session daemon.Runner) {
	s.mu.Lock()
	v := s.script(name)
	old, next := v.source, v.next
	v.up, v.current = true, true
	s.mu.Unlock()
	if old != nil {
		old.Remove()
	}
	source := s.exports.start(session.(*runtime.Instance), next.obj, name, next.lost)
	s.mu.Lock()
	v.source = source
	s.mu.Unlock()
	s.note("%s: running", name)
}

// note reports changes of scripts, unless -q is given.
func (s *server) note(format string, args ...any) {
	if !s.a.opt.quiet {
		fmt.Fprintf(s.err, format+"\n", args...)
	}
}

// Removed implements daemon.Host.
func (s *server) Removed(name string) {
	s.mu.Lock()
	v := s.script(name)
	delete(s.scripts, name)
	s.mu.Unlock()
	if v.source != nil {
		v.source.Remove()
	}
	s.note("%s: removed", name)
}

// Failed implements daemon.Host.
func (s *server) Failed(name string, err error, running bool) {
	s.mu.Lock()
	if filepath.Ext(name) == daemon.Suffix {
		s.script(name).current = false
	}
	s.bad = true
	s.mu.Unlock()
	if errors.As(err, &source.DiagError{}) {
		s.a.report.err(err)
		err = errAttach
	}
	text := "it does not run"
	if running {
		text = "the previous version keeps running"
	}
	s.a.report.errorf("%s: %v: %s", name, err, text)
}

// Ended implements daemon.Host.
func (s *server) Ended(name string, status int, err error) {
	s.mu.Lock()
	if v := s.scripts[name]; v != nil { // otherwise its file is gone
		v.up = false
	}
	s.bad = s.bad || err != nil || status != 0
	s.mu.Unlock()
	if err == nil {
		s.note("%s: ended with status %d", name, status)
		return
	}
	s.a.report.err(err)
	s.a.report.errorf("%s: it has ended because of an error", name)
}

// Settled implements daemon.Host.
func (s *server) Settled() {
	if s.keep {
		return
	}
	if err := dropCapabilities(s.once); err != nil {
		s.a.report.warnf("capabilities that are no longer needed were not given up: %v", err)
		return
	}
	// Kernels of Debian and Ubuntu have more levels than others.
	if n, err := strconv.Atoi(firstLine("/proc/sys/kernel/perf_event_paranoid")); err == nil && n > 2 && !s.once {
		s.a.report.warnf("kernel.perf_event_paranoid is %d: without CAP_SYS_ADMIN, which is given up now, new versions of scripts cannot be attached to timers and other events of perf. Set it to 2, or use --keep-capabilities.", n)
	}
}

// noMaps is a sink that ignores maps, because they are exported as metrics.
type noMaps struct {
	output.Sink
	results *lines // to which Sink writes
}

func (noMaps) Map(output.Map) {}

// End implements output.Sink. It completes the last line.
func (n noMaps) End() {
	n.Sink.End()
	n.Sink.Flush()
	n.results.end()
}

// lines writes whole lines to w, each after a name.
type lines struct {
	mu   *sync.Mutex // of the outputs of all scripts
	w    io.Writer
	name string
	part []byte
}

// named returns a writer of lines after a name.
func (l *lines) named(name string) *lines { return &lines{mu: l.mu, w: l.w, name: name + ": "} }

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.name == "" {
		return l.w.Write(p)
	}
	l.part = append(l.part, p...)
	var out []byte
	for {
		i := bytes.IndexByte(l.part, '\n')
		if i < 0 && len(l.part) < 64<<10 {
			break
		}
		if i < 0 {
			i = len(l.part) - 1
		}
		if i > 0 { // empty lines separate results of one script
			out = append(append(out, l.name...), l.part[:i+1]...)
		}
		l.part = l.part[i+1:]
	}
	if len(out) > 0 {
		if _, err := l.w.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// end writes the last line if it has no end.
func (l *lines) end() {
	l.mu.Lock()
	unfinished := len(l.part) > 0
	l.mu.Unlock()
	if unfinished {
		l.Write([]byte{'\n'}) // if it fails, the next write reports the error
	}
}
