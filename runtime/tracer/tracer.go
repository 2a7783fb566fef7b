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
// suits most programs.
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

// Compile compiles a script for the running kernel. Its errors are of type *Error.
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
	Status int          // the status that the script passed to exit()
	Maps   []output.Map // the maps at the end, by name
}

// Map returns the map with the given name, which includes the @. If the script has
// no such map, the result has no entries.
func (r *Result) Map(name string) output.Map { return find(r.Maps, name) }

func find(maps []output.Map, name string) output.Map {
	for _, m := range maps {
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

// Session is a running script. It wraps the runtime.Instance that runs the object, and
// adds the goroutine in which that runs and its result.
type Session struct {
	session *runtime.Instance
	done    chan struct{}
	status  int
	err     error
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

// Snapshot returns the current contents of the script's maps, or the final ones
// once the run has ended.
func (t *Session) Snapshot() ([]output.Map, error) { return t.session.Snapshot() }

// Pending reports whether there are events of the script that have not been passed on yet.
func (t *Session) Pending() bool { return t.session.Pending() }

// Stop ends the run. Use Wait to wait until it has ended.
func (t *Session) Stop() { t.session.Stop() }

// Wait waits until the run has ended and returns its result.
func (t *Session) Wait() (*Result, error) {
	<-t.done
	if t.err != nil {
		return nil, t.err
	}
	maps, err := t.session.Snapshot()
	return &Result{t.status, maps}, err
}

// Find returns the map with the given name, which includes the @, from a snapshot.
// If there is no such map, the result has no entries.
func Find(maps []output.Map, name string) output.Map { return find(maps, name) }
