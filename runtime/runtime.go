// Package runtime runs compiled scripts: it loads an object into the kernel,
// attaches its programs, turns the records they send into values, and prints
// the maps at the end. It knows builtins only through their table: a record
// goes to its builtin's Handle, a value to its type's Format.
//
// A session goes through these steps, one file each:
//
//	load.go    maps and programs enter the kernel; what its verifier refuses is
//	           reported by the line of the script
//	attach.go  begin probes run, then everything else is attached; either all
//	           of it or nothing
//	poll.go    records are handled in the order they were sent, until something
//	           ends the session; then end probes run
//	maps.go    maps are sorted and printed; package store reads them
//	sites.go   what went wrong at run time is said, once for each place
//
// All that touches the script's data happens in the goroutine of Run: handlers,
// the sink and the maps need no locks. Others (signals, the watched process)
// only ask it to stop.
//
// A program that only wants a script's results uses package runtime/tracer, which
// compiles as well. With this package it provides more of its own: a sink, builtins,
// objects that it has saved:
//
//	obj, err := object.Decode(data)
//	s, err := runtime.Load(obj, runtime.Options{Sink: mySink})
//	status, err := s.Run(ctx)
//
// A Sink receives typed values; one that takes only some of them embeds output.Nop.
// Package output has one for text and one for JSON. Session.Snapshot reads the maps
// meanwhile.
package runtime

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/symbols"
	"github.com/gotrace/gotrace/runtime/value"
)

// Options says how to run an object.
type Options struct {
	// Sink takes the results; it must not be nil.
	Sink output.Sink
	// Stderr takes errors and warnings of the run; nil discards them.
	Stderr io.Writer
	// Child is the program to trace (-c). It is let go when all is attached,
	// and ended with the session.
	Child *Child
	// PID is the process whose end ends the session (-p); 0: none.
	PID int
	// Attached is called when all probes are attached, before the first result
	// is handled and before the child runs. It may be nil.
	Attached func()
	// DryRun ends the session as soon as all is attached.
	DryRun bool
	// Verbose shows the verifier's log when a program is refused, and says what
	// is being attached.
	Verbose bool
	// VerifierLog is given the verifier's log of each program, also where it is
	// content; nil: nobody asks.
	VerifierLog func(program, log string)
	// NoWarnings keeps warnings about the run to ourselves.
	NoWarnings bool
	// Mode runs test or bench probes instead of attaching anything.
	Mode Mode
	// KeepMaps keeps the maps as they are at the end, for Snapshot.
	KeepMaps bool
	// ProcRoot is where /proc is mounted; "" is /proc.
	ProcRoot string
	// Kernel is the running kernel; nil: it is read when something is asked of it.
	Kernel probes.Kernel
	// Defs are the builtins that handle the records; nil: all.
	Defs *builtins.Registry
}

// handler is what handles an event's records.
type handler struct {
	handle  func(builtins.Env, *object.Record) error
	outside bool // it acts outside of the session
}

// lock keeps Snapshot away while the session's goroutine uses what both do: the
// maps, and what their values are decoded with. While a sink is called it is open,
// so that a sink can ask for a snapshot.
func (s *Session) lock() {
	s.mu.Lock()
	s.held = true
}

func (s *Session) unlock() {
	s.held = false
	s.mu.Unlock()
}

// openSink is a sink that is called while the session is not locked.
type openSink struct {
	output.Sink
	s *Session
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

// Mode says which probes a session is about.
type Mode uint8

const (
	Trace Mode = iota
	Test       // run all test probes once
	Bench      // measure all bench probes
)

// Session is a loaded object.
type Session struct {
	obj        *object.Object
	defs       *builtins.Registry
	at         *probes.Env             // what attaching may use
	kinds      map[string]*probes.Kind // by name
	opt        Options
	maps       map[string]*ebpf.Map // by kernel name
	progs      map[string]*ebpf.Program
	links      []attached
	attachedTo map[counted]bool
	missed     map[*object.Program]uint64 // events that the kernel did not run a detached program for
	// detached are links whose programs have been taken off, to be closed.
	detached []attached
	ring     *ringbuf.Reader
	sites    *siteTable
	syms     *symbols.User
	mmaps    *mmapLog     // nil: not needed, or the kernel keeps none
	stacks   *stackKeeper // nil: no stacks are to be freed
	env      *env
	ncpu     int // possible CPUs

	// events are a copy of the object's, which other sessions may use at the same
	// time: handlers keep what they make of an event in its Parsed.
	events   []object.Event
	handlers []handler // by event number
	byName   map[string]*object.Map
	readers  map[*object.Map]store.Reader
	kernel   *store.Kernel

	walkers    sync.WaitGroup
	walkErr    error
	hasWalkers bool
	walking    atomic.Bool // walkers are at work
	exitAfter  atomic.Bool // exit() was called: the session ends after them

	*ending
	exiting bool // exit() was called: later records are dropped
	last    bool // the end probes are run, or have been
	status  int
	closed  bool

	mu    sync.Mutex    // see lock
	held  bool          // by the session's own goroutine
	ended bool          // the end of the run has begun: the maps are being printed
	final []output.Map  // the maps at the end, if they are kept
	done  chan struct{} // closed with the session
}

// Run attaches the programs and handles their records until ctx is done, the
// script calls exit(), the watched process ends, or nothing is left to wait
// for. Then it detaches, runs the end probes and prints the maps. It returns
// the status that the script gave to exit(). A session runs once.
func (s *Session) Run(ctx context.Context) (int, error) {
	defer s.Close()
	s.watch(ctx)
	err := s.run()
	if ferr := s.opt.Sink.Flush(); err == nil && ferr != nil {
		err = ferr
	}
	return s.status, err
}

// Stop asks a running session to end as Ctrl-C does: what has been gathered is
// printed, but within a second records that still wait to be handled are
// dropped, those that act outside of the session at once. It may be called from
// any goroutine.
func (s *Session) Stop() { s.interrupt() }

// Close detaches and unloads everything. Run does it by itself.
func (s *Session) Close() error {
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
	if s.opt.Child != nil {
		s.opt.Child.terminate()
	}
	inParallel(s.detached, func(l attached) { l.Close() })
	s.detached = nil
	if s.ring != nil {
		s.ring.Close()
	}
	if s.mmaps != nil {
		s.mmaps.close()
	}
	for _, p := range s.progs {
		p.Close()
	}
	for _, m := range s.maps {
		m.Close()
	}
	return nil
}
