// Package tracer runs tracing scripts from a Go program. It compiles a script's
// text and delivers typed values.
//
// Compile returns a Script, which can be run any number of times. There are three
// ways to run it:
//
//	for e, err := range script.Events(ctx) { … }   // all that it reports, as it happens
//	result, err := script.Run(ctx, nil)            // only its maps, at the end
//	session, err := script.Start(ctx, nil)         // in the background; Snapshot returns its maps
//
// Most programs need only this package. Package runtime loads compiled objects and
// lets a program provide the sink, the kernel and the builtins. Package value
// defines the values, and package output the sinks for text and JSON.
//
// Tracing needs the same privileges as the gotrace command: root, or CAP_BPF and
// CAP_PERFMON.
package tracer

import (
	"bytes"
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

// Options specifies what a script is compiled for and how it runs. The zero value
// suits most programs. Imports are searched in the directory of Name. There are no options
// for include directories, for cgroups and for a command to start: if the program starts
// the process that it traces, it sets PID.
type Options struct {
	Name    string            // the script's name in messages; "": "script"
	Params  []string          // positional parameters, $1 …
	Options map[string]string // the script's own options, as read by getopt
	PID     int               // the process to trace; its exit ends the run; 0: all processes
	Unsafe  bool              // allow scripts that change the system
	// Profiles finds the source lines and the inlined functions of all stacks, for
	// the functions of package profile, which write Result.Maps as profiles.
	Profiles bool
	// Stderr receives warnings and other messages of the run that are not results;
	// nil discards them.
	Stderr io.Writer
	// Kernel is the running kernel. Programs that compile many scripts should share
	// one. If nil, each script gets its own.
	Kernel *kernel.Kernel
}

// Script is a compiled script.
type Script struct {
	// Warnings are the compiler's warnings.
	Warnings []source.Diag

	obj *object.Object
	opt Options
}

// Error is the error of Compile. It lists the errors in the script in text order.
type Error struct{ Diagnostics []source.Diag }

// Error returns the errors as the gotrace command prints them, each with its position,
// its message and the source line.
func (e *Error) Error() string {
	var b bytes.Buffer
	for _, d := range e.Diagnostics {
		if d.Severity == source.Error {
			b.WriteString(d.Render())
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Compile compiles a script for the running kernel. Its errors are of type *Error. If the
// compiler itself fails, the error has one diagnostic, without a position.
func Compile(script string, opt Options) (*Script, error) {
	if opt.Name == "" {
		opt.Name = "script"
	}
	if opt.Kernel == nil {
		opt.Kernel = kernel.Live()
	}
	var diags source.Diags
	obj, err := codegen.Compile(source.NewFile(opt.Name, script), codegen.Request{
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

// Result is the outcome of a run.
type Result struct {
	Status int  // the status that the script passed to exit()
	Maps   Maps // the maps at the end
}

// Map returns the map with the given name, as Maps.Map does.
func (r *Result) Map(name string) output.Map { return r.Maps.Map(name) }

// Maps are the maps of a script, sorted by name.
type Maps []output.Map

// Map returns the map with the given name, which includes the @. If the script has
// no such map, the result has no entries.
func (ms Maps) Map(name string) output.Map {
	for _, m := range ms {
		if m.Name == name {
			return m
		}
	}
	return output.Map{Name: name}
}

// Run runs the script until ctx is done, the script calls exit(), or there is
// nothing left to wait for. If on is not nil, Run calls it for each event.
func (s *Script) Run(ctx context.Context, on func(Event)) (*Result, error) {
	t, err := s.Start(ctx, on)
	if err != nil {
		return nil, err
	}
	return t.Wait()
}

// Events runs the script and yields its events. Leaving the loop ends the run. If the run
// fails, the error is the last value yielded.
func (s *Script) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var session *runtime.Instance
		more := true
		sink := eventSink{on: func(e Event) {
			if more {
				if more = yield(e, nil); !more {
					session.Stop()
				}
			}
		}}
		session, err := runtime.Load(s.obj, s.setup(sink))
		if err == nil {
			_, err = session.Run(ctx)
		}
		if err != nil && more {
			yield(nil, err)
		}
	}
}

func (s *Script) setup(sink output.Sink) runtime.Setup {
	return runtime.Setup{Sink: sink, Stderr: s.opt.Stderr, PID: s.opt.PID, Kernel: s.opt.Kernel, Profiles: s.opt.Profiles}
}

// Session is a script that runs in a goroutine of its own.
type Session struct {
	instance *runtime.Instance
	done     chan struct{} // closed when the run has ended
	status   int
	err      error
}

// Start runs the script in a new goroutine and returns when all probes are
// attached. The script runs until ctx is done, Stop is called, or it ends by
// itself. If on is not nil, that goroutine calls it for each event.
func (s *Script) Start(ctx context.Context, on func(Event)) (*Session, error) {
	if on == nil {
		on = func(Event) {}
	}
	attached := make(chan struct{})
	opt := s.setup(eventSink{on: on})
	opt.Attached = func() { close(attached) }
	opt.KeepMaps = true
	instance, err := runtime.Load(s.obj, opt)
	if err != nil {
		return nil, err
	}
	session := &Session{instance: instance, done: make(chan struct{})}
	go func() {
		defer close(session.done)
		session.status, session.err = instance.Run(ctx)
	}()
	select {
	case <-attached:
		return session, nil
	case <-session.done:
		return session, session.err
	}
}

// Snapshot returns the current contents of the script's maps, or the final ones
// once the run has ended.
func (s *Session) Snapshot() (Maps, error) { return s.instance.Snapshot() }

// Pending reports whether there are events of the script that have not been passed on yet.
func (s *Session) Pending() bool { return s.instance.Pending() }

// Stop ends the run. Use Wait to wait until it has ended.
func (s *Session) Stop() { s.instance.Stop() }

// Wait waits until the run has ended and returns its result.
func (s *Session) Wait() (*Result, error) {
	<-s.done
	if s.err != nil {
		return nil, s.err
	}
	maps, err := s.Snapshot()
	return &Result{s.status, maps}, err
}
