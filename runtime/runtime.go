// Package runtime runs compiled scripts. It loads an object into the kernel, attaches
// its programs, turns the records that they send into values, and prints the maps at
// the end. It contains no code for a particular builtin: it passes a record to the
// Handle function of its builtin, and a value to the Format function of its type.
//
// A session goes through these steps, with one file for each:
//
//	load.go    loads maps and programs; an error of the verifier is reported at
//	           the line of the script
//	attach.go  runs begin probes, then attaches all other probes or none
//	poll.go    handles records in the order in which they were sent, until the
//	           session ends; then runs the end probes
//	maps.go    sorts and prints maps, which package store reads
//	sites.go   reports run-time errors, once for each place in the script
//
// The other files help with one step each:
//
//	load       needs.go, files.go, ring.go and refusals.go; reason.go shortens errors
//	attach     anywhere.go, libraries.go, filewatch.go and needed.go find the files with
//	           the functions; dispatch.go, fetch.go and pair.go attach the programs that
//	           belong to another one
//	poll       pace.go, stop.go, timeline.go, recorder.go and later.go; clock.go converts
//	           times
//	maps       sort.go and sample.go; stacks.go frees stacks that no map contains
//	sites      stats.go and governor.go measure and limit the time of the programs
//	processes  child.go, stub.go and words.go start the traced one; follow.go and
//	           cgroups.go select others
//	names      env.go, which builtins use: usersyms.go, unwinding.go, mmaps.go and
//	           perflog.go for processes, kernelsyms.go and kernellines.go for the kernel,
//	           names.go, owners.go and commands.go for IDs
//	tests      selftest.go runs the script's tests and benchmarks
//
// Handlers, the sink and the maps need no locks, as only the goroutine of Run uses the
// script's data. Other goroutines (signals, the watched process) only request its end.
// The exception is Instance.Snapshot, see Instance.lock.
//
// A program that needs only the results of a script should use package
// runtime/tracer, which also compiles the script. With this package, a program can
// provide its own sink and builtins, and load encoded objects:
//
//	obj, err := object.Decode(data)
//	s, err := runtime.Load(obj, runtime.Setup{Sink: mySink})
//	status, err := s.Run(ctx)
//
// A Sink receives typed values. A sink that needs only some of them embeds
// output.Nop. Package output has sinks for text and JSON. Instance.Snapshot reads the
// maps while the session runs.
package runtime

import (
	"context"
	"io"
	"regexp"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/value"
)

// Setup specifies how to run an object.
type Setup struct {
	// Sink receives the results; it must not be nil.
	Sink output.Sink
	// Packet receives the packets that the script captures. It may be nil.
	Packet func(output.Packet)
	// Stderr receives errors and warnings of the run; nil discards them.
	Stderr io.Writer
	// Child is the program to trace (-c), or nil. It starts to run when all probes
	// are attached, and the session ends it.
	Child *Child
	// PID is the process to watch (-p): the session ends when it exits; 0: none.
	PID int
	// Attached is called when all probes are attached, before the first result is
	// handled and before the child runs. It may be nil.
	Attached func()
	// DryRun ends the session as soon as all probes are attached.
	DryRun bool
	// Verbose prints the verifier's log when a program is refused, and each probe
	// as it is attached.
	Verbose bool
	// VerifierLog, if not nil, is called with the verifier's log of each program,
	// whether or not the verifier accepts the program.
	VerifierLog func(program, log string)
	// Verified, if not nil, is called with the number of instructions that the
	// verifier processed before it accepted a program.
	Verified func(program string, insns int)
	// Every is the interval at which the session prints all maps while it runs; 0: it
	// prints them only at the end. Periodic is called before each time; it may be nil.
	Every    time.Duration
	Periodic func()
	// Samplers receive the maps of numbers and histograms while the session runs, and at
	// the end; of each map at most the SampleTop entries with the greatest values.
	Samplers  []output.Sampler
	SampleTop int64
	// Timeline receives the times and threads of events, and calls and returns. The
	// script must have been compiled for it. It may be nil.
	Timeline output.Timeline
	// Dated receives the times of a recorder's events, if the script was compiled so that
	// the events contain them.
	Dated []output.Dated
	// Progress shows long operations before the first result and after the last event;
	// nil: nothing is shown.
	Progress *output.Progress
	// Stats makes the kernel measure the programs, and prints the results to Stderr when
	// the session ends.
	Stats bool
	// Budget limits the time that the programs take, together with those of other
	// sessions with the same Budget; nil: no limit. Programs that exceed it are sampled,
	// if the object was compiled for that, or detached.
	Budget *Budget
	// Quiet suppresses messages that are neither errors nor warnings.
	Quiet bool
	// NoWarnings suppresses warnings about the run.
	NoWarnings bool
	// Mode selects test or bench probes to run instead of attaching probes.
	Mode Mode
	// KeepMaps keeps the final contents of the maps for Snapshot.
	KeepMaps bool
	// Profiles finds source lines and inlined functions for all stacks, regardless of
	// the script's settings. Profiles of the results need them.
	Profiles bool
	// DebugDirs are the directories that are searched first for debug files of
	// programs.
	DebugDirs []string
	// FetchDebug fetches the debug file for a build ID and returns its path, or "". It
	// may be nil.
	FetchDebug func(buildID string) string
	// ProcRoot is the mount point of procfs; "" is /proc.
	ProcRoot string
	// Kernel is the running kernel. If it is nil, Load reads the kernel's facts when
	// they are needed.
	Kernel probes.Kernel
	// Defs are the builtins that handle records; nil: all builtins.
	Defs *builtins.Registry
}

// handler handles the records of one event.
type handler struct {
	handle  func(builtins.Env, *object.Record) error
	outside bool // it has effects outside of the session
	later   []*regexp.Regexp
}

// Pending reports whether records of the programs wait to be passed to the sink.
func (s *Instance) Pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && s.ring != nil && s.ring.AvailableBytes() > 0
}

// lock keeps Snapshot from running while the session's goroutine uses shared data: the
// maps and the state for decoding their values. The lock is released while a sink is
// called, so that a sink may call Snapshot.
//
//go:noinline
func (s *Instance) lock() {
	s.mu.Lock()
	s.held = true
}

func (s *Instance) unlock() {
	s.held = false
	s.mu.Unlock()
}

// openSink is a sink that unlocks the session during each call.
type openSink struct {
	output.Sink
	s *Instance
}

func (o openSink) open(call func()) {
	if o.s.held {
		o.s.unlock()
		defer o.s.lock()
	}
	call()
}

func (o openSink) Printf(kind, text string) { o.open(func() { o.Sink.Printf(kind, text) }) }
func (o openSink) Line(kind, text string)   { o.open(func() { o.Sink.Line(kind, text) }) }
func (o openSink) Value(v value.Value)      { o.open(func() { o.Sink.Value(v) }) }
func (o openSink) Map(m output.Map)         { o.open(func() { o.Sink.Map(m) }) }
func (o openSink) Message(m output.Message) { o.open(func() { o.Sink.Message(m) }) }
func (o openSink) Lost(n uint64)            { o.open(func() { o.Sink.Lost(n) }) }

// LostAt passes the report to a sink that implements output.LostSink.
func (o openSink) LostAt(at source.Span, n uint64) (taken bool) {
	if sink, ok := o.Sink.(output.LostSink); ok {
		o.open(func() { taken = sink.LostAt(at, n) })
	}
	return taken
}

// Mode selects the probes that a session runs.
type Mode uint8

const (
	Trace Mode = iota
	Test       // run all test probes once
	Bench      // measure all bench probes
)

// Instance is a loaded object, which Run runs once in the caller's goroutine. In this
// package a session is this run. A Session of package tracer runs a script in a separate
// goroutine.
type Instance struct {
	obj          *object.Object
	defs         *builtins.Registry
	at           *probes.Env             // the environment for attaching
	kinds        map[string]*probes.Kind // by name
	opt          Setup
	maps         map[string]*ebpf.Map // by kernel name
	progs        map[string]*ebpf.Program
	ring         *ringbuf.Reader
	recorder     *recorder // nil: no --recorder
	sites        *siteTable
	lines        *kernelLines // nil: not read yet
	env          *env
	usesCommands bool // the script shows command lines of processes
	usesOwners   bool // the script prints containers, pods or units of cgroups
	cgroups      []chosenCgroup
	ncpu         int // number of possible CPUs

	attachments
	userCode
	walks
	schedule
	*ending

	// events is a copy of the object's events, as several sessions may use one
	// object at the same time: handlers cache in an event's Parsed.
	events   []object.Event
	handlers []handler // by event number
	byName   map[string]*object.Map
	readers  map[*object.Map]store.Reader
	kernel   *store.Kernel

	exiting bool // exit() was called: later records are dropped
	last    bool // the end probes are running or have run
	status  int
	closed  bool

	mu    sync.Mutex    // see lock
	held  bool          // by the session's own goroutine
	ended bool          // the session has begun to print the maps at the end
	final []output.Map  // the final maps, if Setup.KeepMaps is set
	done  chan struct{} // closed when the session is closed
}

// Run attaches the programs and handles their records until ctx is done, the script
// calls exit(), the watched process ends, or there is nothing left to wait for.
// Then it detaches the programs, runs the end probes, prints the maps and closes
// the session. It returns the status that the script passed to exit(). Run may be
// called only once.
func (s *Instance) Run(ctx context.Context) (int, error) {
	defer s.Close()
	s.watch(ctx)
	err := s.run()
	if ferr := s.opt.Sink.Flush(); err == nil && ferr != nil {
		err = ferr
	}
	return s.status, err
}

// Stop ends a running session as Ctrl-C does: it prints the results gathered so
// far. Pending records are handled for less than a second, and those of builtins
// with effects outside of the session not at all; the rest are dropped. Stop may be
// called from any goroutine.
func (s *Instance) Stop() { s.interrupt() }

// Finish ends a running session as exit() does. It may be called from any goroutine.
func (s *Instance) Finish() { s.end() }

// Close detaches and unloads all programs. Run calls it before it returns.
func (s *Instance) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return nil
	}
	s.end()
	close(s.done)
	s.detach()
	if s.measured != nil {
		s.measured.Close()
	}
	if s.opt.Child != nil {
		s.opt.Child.terminate()
	}
	s.opt.Progress.Begin("Detaching probes", len(s.detached))
	probes.InParallel(detachers, len(s.detached), func(i int) { s.detached[i].Close(); s.opt.Progress.Add(1) })
	s.detached = nil
	s.opt.Progress.End()
	if s.ring != nil {
		s.ring.Close()
	}
	s.recorder.close()
	s.stopFollowing()
	if s.syms != nil {
		s.syms.Close()
	}
	if s.programs != nil {
		s.programs.close()
	}
	s.stopUnwinding()
	s.family.close()
	for _, p := range s.progs {
		p.Close()
	}
	for _, m := range s.maps {
		m.Close()
	}
	return nil
}
