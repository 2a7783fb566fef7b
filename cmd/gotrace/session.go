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
	"github.com/gotrace/gotrace/runtime/output"
)

// nothingToRun returns why a session would do nothing, or "" if it would do
// something.
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

// makeSink makes a sink. Results are written to out, messages to err.
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
}

// formats returns the values of -f.
func formats() []string {
	var names []string
	for _, s := range sinks {
		names = append(names, s.format)
	}
	return names
}

// sinkOf returns what makes the sink for a value of -f, or nil.
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
	if err := a.checkProfiles(obj); err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	make := a.sink
	if make == nil {
		make = sinkOf(o.format)
	}
	sink := make(out, &a.messages, sinkOpt)
	ropt := runtime.Setup{
		Sink: sink, Stderr: &a.messages, Child: a.child, PID: o.pid,
		DryRun: o.dryRun, Verbose: o.verbose, Stats: o.stats, NoWarnings: o.noWarnings, Kernel: a.kernel,
		DebugDirs: filepath.SplitList(o.debugInfo), FetchDebug: a.fetchDebug(),
		Profiles: len(a.profiles()) > 0, KeepMaps: len(a.profiles()) > 0,
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
	ropt.Attached = a.notify(out)

	s, err := runtime.Load(obj, ropt)
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
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a.catchSignals(cancel)
	began := time.Now()
	status, err := s.Run(ctx)
	if err == nil {
		err = a.writeProfiles(s, began)
	}
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
			return nil, nil, fmt.Errorf("failed to open output file '%s': %w", a.opt.output, bare(err))
		}
		dst, closeFile = f, f.Close
	}
	a.results.w = dst
	w = output.NewWriter(&a.results, a.opt.buffer)
	return w, func() error { return errors.Join(w.Flush(), closeFile()) }, nil
}
