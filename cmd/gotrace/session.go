package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
)

// nothingToRun returns the reason why a session would do nothing, or "".
func nothingToRun(obj *object.Object, mode string) string {
	if mode == modeTest || mode == modeBench {
		return ""
	}
	tests := false
	for _, p := range obj.Programs {
		for _, at := range p.Points {
			switch probes.Lookup(at.Kind).Runs {
			case probes.AsTest:
				tests = true
			case probes.AsBench:
			default:
				return ""
			}
		}
	}
	if tests {
		return "No probes attached; use --test to run test probes."
	}
	return "No probes attached; use --bench to run benchmark probes."
}

// makeSink creates a sink. Results are written to out, messages to err.
type makeSink func(out *output.Writer, err io.Writer, opt output.Style) output.Sink

// sinks are the sinks by the values of -f, the default first.
var sinks = []struct {
	format string
	make   makeSink
}{
	{"text", func(out *output.Writer, err io.Writer, opt output.Style) output.Sink {
		return output.NewText(out, err, opt)
	}},
	{"json", func(out *output.Writer, _ io.Writer, opt output.Style) output.Sink {
		return output.NewJSON(out, opt)
	}},
	{"csv", func(out *output.Writer, err io.Writer, opt output.Style) output.Sink {
		return output.NewCSV(out, err, opt)
	}},
}

// formats returns the values of -f.
//
//go:noinline
func formats() []string {
	var names []string
	for _, s := range sinks {
		names = append(names, s.format)
	}
	return names
}

// sinkOf returns the function that creates the sink for a value of -f, or nil.
//
//go:noinline
func sinkOf(format string) makeSink {
	for _, s := range sinks {
		if s.format == format {
			return s.make
		}
	}
	return nil
}

// session runs an object until the session ends or the user ends it. If the kernel
// refuses the object and again is not nil, session calls it to get another object. It
// returns the exit status.
func (a *app) session(obj *object.Object, again func() (*object.Object, bool)) int {
	o := a.opt
	exports, err := a.export()
	defer exports.end()
	if err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	out, finish, err := a.openOutput()
	if err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	a.messages.w = a.report.w
	sinkOpt := output.Style{
		Trailer: obj.Settings.StrTruncTrailer, Quiet: o.quiet,
		NoWarnings: o.noWarnings, Color: a.report.color,
	}
	sink := a.newSink(out, sinkOpt)
	dated := datedOf(sink)
	every := o.every
	switch {
	case a.live != nil:
		sink, every = a.live.Sink(sink), 0
	case o.rates:
		sink = output.NewRates(sink)
	}
	ropt := runtime.Setup{
		Defs: a.defs(), Every: every, Periodic: a.redraw(obj, out),
		Sink: sink, Dated: dated, Stderr: &a.messages, Child: a.child, PID: o.pid, Progress: a.progress,
		DryRun: o.dryRun, Verbose: o.verbose, Stats: o.stats, Budget: o.budget(), Quiet: o.quiet, NoWarnings: o.noWarnings, Kernel: a.kernel,
		DebugDirs: filepath.SplitList(o.debugInfo), FetchDebug: a.fetchDebug(),
	}
	if o.dump["verifier"] || o.dump["all"] {
		ropt.VerifierLog = func(program, log string) { a.dumped("verifier: "+program, log) }
	}
	switch o.mode {
	case modeTest:
		ropt.Mode = runtime.Test
	case modeBench:
		ropt.Mode = runtime.Bench
	}
	files, err := a.openResults(obj, &ropt)
	if err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	defer files.close()
	lost := exports.sinks(&ropt, "", o.spans)
	packets, err := a.openPcap(obj, &ropt)
	if err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var s *runtime.Instance
	ropt.Attached = a.attached(out, &s, cancel)

	s, err = runtime.Load(obj, ropt)
	if err != nil && again != nil {
		var ok bool
		if obj, ok = again(); !ok {
			return statusError
		}
		s, err = runtime.Load(obj, ropt)
	}
	if err != nil {
		a.report.err(err)
		return statusError
	}
	exports.start(s, obj, "", lost)
	a.catchSignals(cancel)
	files.began = time.Now()
	status, err := s.Run(ctx)
	a.stopLive()
	if !packets.close() && status == 0 {
		status = statusError
	}
	if ferr := finish(); err == nil {
		err = ferr
	}
	for _, ferr := range files.write(s) {
		a.report.err(ferr)
		if status == 0 {
			status = statusError
		}
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

// newSink creates the sink of a session.
func (a *app) newSink(out *output.Writer, opt output.Style) output.Sink {
	make := a.sink
	if make == nil {
		make = sinkOf(a.opt.format)
	}
	return make(out, &a.messages, opt)
}

// datedOf returns a list with s if s shows the times of events.
func datedOf(s output.Sink) (list []output.Dated) {
	if d, ok := s.(output.Dated); ok {
		list = append(list, d)
	}
	return list
}

// attached returns what to do when all probes of a session are attached: it starts --live,
// and the time of --for. If --live fails, it calls cancel.
func (a *app) attached(out *output.Writer, s **runtime.Instance, cancel func()) func() {
	notify := a.notify(out)
	return func() {
		if notify != nil {
			notify()
		}
		if err := a.startLive(*s); err != nil {
			a.report.err(err)
			cancel()
		}
		if a.opt.forTime > 0 {
			// No user waits for the end, so all results are printed.
			time.AfterFunc(a.opt.forTime, (*s).Finish)
		}
	}
}

// notify returns a function that reports to standard output that all probes are attached.
// It returns nil if the environment does not request it.
func (a *app) notify(out *output.Writer) func() {
	const line = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"
	if os.Getenv(line) != "1" {
		return nil
	}
	return func() {
		out.Flush()
		io.WriteString(a.stdout, line+"\n")
	}
}

// openOutput opens the destination of results: standard output, or the file of -o.
func (a *app) openOutput() (w *output.Writer, finish func() error, err error) {
	dst := a.stdout
	closeFile := func() error { return nil }
	if a.opt.output != "" {
		f, err := os.Create(a.opt.output)
		if err != nil {
			return nil, nil, outline.Errorf("Failed to open output file: \"%s\": %w", a.opt.output, bare(err))
		}
		dst, closeFile = f, f.Close
	}
	a.results.w = dst
	w = output.NewWriter(a.liveResults(&a.results), a.opt.buffer)
	return w, func() error { return errors.Join(w.Flush(), closeFile()) }, nil
}

// redraw returns a function that prepares the output for the maps of --every. On a
// terminal, if the script prints nothing else, it clears the screen. Otherwise it
// separates the maps from the previous ones.
func (a *app) redraw(obj *object.Object, out *output.Writer) func() {
	switch {
	case a.opt.every == 0 || a.opt.format != sinks[0].format:
		return nil
	case a.opt.output == "" && len(obj.Events) == 0 && terminal(a.stdout):
		return func() { io.WriteString(out, clearScreen+time.Now().Format(time.TimeOnly)+"\n\n") }
	}
	first := true
	return func() {
		if !first {
			io.WriteString(out, "\n")
		}
		first = false
	}
}

// clearScreen moves the cursor to the top of a terminal and clears everything below it.
const clearScreen = "\x1b[H\x1b[J"
