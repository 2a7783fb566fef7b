// Package tracer runs tracing scripts from a Go program: from a script's text to
// typed values.
//
// Compile makes a Script, which can be run as often as wanted. There are three
// ways to run one:
//
//	for e, err := range script.Events(ctx) { … }   // all that it reports, as it happens
//	result, err := script.Run(ctx, nil)            // only its maps, at the end
//	session, err := script.Start(ctx, nil)         // beside other work; Snapshot gives its maps meanwhile
//
// This is the package to import. Package runtime below it loads compiled objects,
// and lets a program provide the sink, the kernel and the builtins; package value
// has the values, and package output the sinks for text and JSON.
//
// Tracing takes the privileges that the gotrace command needs: root, or CAP_BPF and
// CAP_PERFMON.
package tracer

import (
	"context"
	"io"
	"iter"
	"strings"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/codegen"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

// Options says what a script is compiled for and how it runs. The zero value is
// right for most.
type Options struct {
	Name    string            // of the script in messages; "": "script"
	Params  []string          // its positional parameters, $1 …
	Options map[string]string // its own options, as getopt reads them
	PID     int               // the process to trace, whose end ends the run; 0: all
	Unsafe  bool              // allow what changes the system
	// Stderr takes what the run says besides results, warnings for example; nil
	// discards it.
	Stderr io.Writer
	// Kernel is the running kernel. Programs that compile many scripts share one;
	// nil: each script has its own.
	Kernel *kernel.Kernel
}

// Script is a compiled script.
type Script struct {
	// Warnings are the compiler's.
	Warnings []source.Diag

	obj *object.Object
	opt Options
}

// Error is the error of Compile: what is wrong with a script, in the order of its
// text.
type Error struct{ Diagnostics []source.Diag }

// Error returns the errors as the gotrace command shows them: the place, the
// message, the line.
func (e *Error) Error() string {
	var b strings.Builder
	for _, d := range e.Diagnostics {
		if d.Severity == source.Error {
			b.WriteString(d.Render())
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Compile compiles a script for the running kernel. Its errors are of type *Error.
func Compile(script string, opt Options) (*Script, error) {
	if opt.Name == "" {
		opt.Name = "script"
	}
	if opt.Kernel == nil {
		opt.Kernel = kernel.Live()
	}
	var diags source.Diags
	obj, err := codegen.Compile(source.NewFile(opt.Name, script), codegen.Options{
		Env:        &probes.Env{Kernel: opt.Kernel, Unsafe: opt.Unsafe, PID: opt.PID},
		Invocation: &builtins.Invocation{Params: opt.Params, Options: opt.Options, Unsafe: opt.Unsafe, PID: opt.PID},
	}, &diags)
	if err != nil {
		return nil, &Error{[]source.Diag{{Msg: err.Error()}}}
	}
	if diags.HasErrors() || obj == nil {
		return nil, &Error{diags.All()}
	}
	return &Script{Warnings: diags.All(), obj: obj, opt: opt}, nil
}

// Result is what a script leaves.
type Result struct {
	Status int          // what it gave to exit()
	Maps   []output.Map // its maps as they were at the end, by name
}

// Map returns the map of that name, with its @. It has no entries where the
// script has no such map.
func (r *Result) Map(name string) output.Map { return find(r.Maps, name) }

func find(maps []output.Map, name string) output.Map {
	for _, m := range maps {
		if m.Name == name {
			return m
		}
	}
	return output.Map{Name: name}
}

// Run runs the script until ctx is done, it calls exit(), or nothing is left to
// wait for. Each event is given to on, if it is not nil.
func (s *Script) Run(ctx context.Context, on func(Event)) (*Result, error) {
	t, err := s.Start(ctx, on)
	if err != nil {
		return nil, err
	}
	return t.Wait()
}

// Events runs the script and yields what it reports. The run ends with the loop.
// An error is the last thing that is yielded.
func (s *Script) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var session *runtime.Session
		more := true
		sink := eventSink{on: func(e Event) {
			if more {
				if more = yield(e, nil); !more {
					session.Stop()
				}
			}
		}}
		session, err := runtime.Load(s.obj, s.options(sink))
		if err == nil {
			_, err = session.Run(ctx)
		}
		if err != nil && more {
			yield(nil, err)
		}
	}
}

func (s *Script) options(sink output.Sink) runtime.Options {
	return runtime.Options{Sink: sink, Stderr: s.opt.Stderr, PID: s.opt.PID, Kernel: s.opt.Kernel}
}

// Session is a script that runs.
type Session struct {
	session *runtime.Session
	done    chan struct{}
	status  int
	err     error
}

// Start runs the script in a goroutine of its own, and returns when all its probes
// are attached. It runs until ctx is done, Stop is called, or it ends by itself.
// Each event is given to on, in that goroutine.
func (s *Script) Start(ctx context.Context, on func(Event)) (*Session, error) {
	if on == nil {
		on = func(Event) {}
	}
	attached := make(chan struct{})
	opt := s.options(eventSink{on: on})
	opt.Attached = func() { close(attached) }
	opt.KeepMaps = true
	loaded, err := runtime.Load(s.obj, opt)
	if err != nil {
		return nil, err
	}
	t := &Session{session: loaded, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		t.status, t.err = loaded.Run(ctx)
	}()
	select {
	case <-attached:
		return t, nil
	case <-t.done:
		return t, t.err
	}
}

// Snapshot returns the maps of the script as they are now, or, once it has ended,
// as they were then.
func (t *Session) Snapshot() ([]output.Map, error) { return t.session.Snapshot() }

// Stop ends the run. Wait waits for its end.
func (t *Session) Stop() { t.session.Stop() }

// Wait waits until the run has ended, and returns what it leaves.
func (t *Session) Wait() (*Result, error) {
	<-t.done
	if t.err != nil {
		return nil, t.err
	}
	maps, err := t.session.Snapshot()
	return &Result{t.status, maps}, err
}

// Find returns the map of that name, with its @, among those of a snapshot. It
// has no entries where there is none.
func Find(maps []output.Map, name string) output.Map { return find(maps, name) }
