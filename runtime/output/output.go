// Package output writes results as text for people or as JSON, one object per line. It
// does not depend on builtins: a value's format depends only on its Go type in package
// value, which also formats it as text. json.go formats values as JSON.
package output

import (
	"slices"
	"time"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/value"
)

// Sink receives results in the order in which they occur. Only one goroutine may
// use a Sink.
type Sink interface {
	// Printf writes text as it is. kind is the type of the JSON object ("printf",
	// "time", "cat", "join", "syscall" …).
	Printf(kind, text string)
	// Line writes text and a line end; kind is as in Printf.
	Line(kind, text string)
	// Value prints one value on a line of its own.
	Value(v value.Value)
	// Map prints a map, which may be empty: its entries in the given order.
	Map(m Map)
	// Attached reports that n probes are attached.
	Attached(n int)
	// Lost reports that n events were lost.
	Lost(n uint64)
	Message(m Message)
	Alert(a Alert)
	// Tests reports the outcomes of all test probes, Benchmarks those of all bench
	// probes.
	Tests(rs []TestResult)
	Benchmarks(rs []BenchResult)
	// End reports that no more events follow, only maps.
	End()
	Flush() error
}

// LostSink is a Sink that receives which events were lost.
type LostSink interface {
	Sink
	// LostAt reports that n events of the call at a place were lost. If it returns false,
	// the caller reports them with Lost.
	LostAt(at source.Span, n uint64) bool
}

// Through passes results to another sink. Embed it in a sink that examines some of them.
type Through struct{ Sink }

// LostAt implements LostSink.
//
//go:noinline
func (t Through) LostAt(at source.Span, n uint64) bool {
	s, ok := t.Sink.(LostSink)
	return ok && s.LostAt(at, n)
}

// Sampler receives the contents of a script's maps of numbers and histograms periodically
// while the script runs.
type Sampler interface {
	// Sample passes the contents of a map, or the entries with the greatest values.
	Sample(m Map)
	// Cleared reports that a map was cleared or its values set to 0. Its contents before
	// that were passed to Sample.
	Cleared(name string)
	// Tick reports that all maps have been passed. It returns when to pass them next.
	Tick(now time.Time) (next time.Time)
}

// Stamp tells when and where an event occurred.
type Stamp struct {
	Boot     uint64 // the boot clock, in ns
	Time     time.Time
	PID, TID int // in the initial pid namespace; 0: the idle thread of a CPU, or none
	CPU      int
	Comm     string // the thread's name
}

// Timeline receives the times, CPUs and threads of events, and the calls of functions
// that a script probes.
type Timeline interface {
	// At is called before the results of an event are passed to a Sink.
	At(s Stamp)
	// Call reports a call of a function or system call by its name, or a return from it.
	// all is set if the return of the call is certain to be reported.
	Call(s Stamp, name string, returns, all bool)
}

// Dated is a Sink that tells when results occurred.
type Dated interface {
	// Date sets the time at which the following results occurred. If at is zero, they
	// occur when they are passed.
	Date(at time.Time)
}

// Calls are the calls of a thread that have not returned, the outermost first.
type Calls []OpenCall

// OpenCall is a call that has not returned.
type OpenCall struct {
	Name string
	At   uint64 // time in ns, of any clock
	All  bool   // its return is certain to be reported
}

// Enter adds a call. If there are already most calls, it drops the outermost one.
func (c *Calls) Enter(call OpenCall, most int) {
	if len(*c) >= most {
		*c = append((*c)[:0], (*c)[1:]...)
	}
	*c = append(*c, call)
}

// Leave removes and returns the call that a return belongs to: the last one with that
// name. It also removes later calls, because their returns were lost or did not meet the
// condition of the script. ok is false if there is no such call.
func (c *Calls) Leave(name string) (call OpenCall, ok bool) {
	for i, call := range slices.Backward(*c) {
		if call.Name == name {
			*c = (*c)[:i]
			return call, true
		}
	}
	return OpenCall{}, false
}

// Nop is a Sink that discards everything. Embed it in a sink that receives only
// some kinds of results.
type Nop struct{}

func (Nop) Printf(kind, text string) {}
func (Nop) Line(kind, text string)   {}
func (Nop) Value(value.Value)        {}
func (Nop) Map(Map)                  {}
func (Nop) Attached(int)             {}
func (Nop) Lost(uint64)              {}
func (Nop) Message(Message)          {}
func (Nop) Alert(Alert)              {}
func (Nop) Tests([]TestResult)       {}
func (Nop) Benchmarks([]BenchResult) {}
func (Nop) End()                     {}
func (Nop) Flush() error             { return nil }

// Message is the message of an errorf or warnf call with its place in the script,
// or a runtime_error or helper_error.
type Message struct {
	Kind, Text string
	Level      Level
	At         source.Span   // the place in the script
	From       []source.Span // the macro calls that it comes from, the innermost one first
	// Helper is the kernel helper that failed and Code the negative errno that it
	// returned, if known.
	Helper string
	Code   int
	// Reason replaces Text in JSON, where the helper is a field of its own.
	Reason string
}

// Alert is the message of an alert call.
type Alert struct {
	Time     time.Time // of the event
	Priority string
	Text     string
}

// AlertTime is the format of an alert's time, which is in UTC.
const AlertTime = "2006-01-02T15:04:05.000000000Z"

// Level is the origin and severity of a message. It determines whether the message can be
// suppressed.
type Level uint8

const (
	Notice   Level = iota // of the runtime: results may be wrong
	Warning               // of the script
	Error                 // of the script; never suppressed
	Audit                 // what the script would have done with --unsafe; never suppressed
	Overhead              // of the runtime: its actions to stay within the budget; never suppressed
)

// Map is a map to print.
type Map struct {
	Name    string // with its @
	Keyed   bool
	Metric  value.Metric // whether the values are counters, gauges or histograms
	Entries []value.Entry
	Zero    value.Value // an entry of zeros, for printing: it determines the format of an empty map
	More    int         // entries that are not in Entries, see Instance.Greatest of package runtime
	Div     int64       // divisor for integers before printing; 0 or 1: none
	Max     int         // maximum number of entries; 0: not known
	// KeyNames are the names of the parts of a key; "" if a part has none. MetricName is
	// the name that the script gives the map in other systems, or "".
	KeyNames   []string
	MetricName string
}

// TestResult is the outcome of one test probe.
type TestResult struct {
	Name   string
	Passed bool
	Ns     uint64 // duration in ns
	Output string // its output
}

// BenchResult is the average time of one run of a bench probe.
type BenchResult struct {
	Name  string
	Ns    uint64
	Iters int
}

// Style holds the options of the sinks.
type Style struct {
	// Trailer marks truncated strings (str_trunc_trailer).
	Trailer string
	// Quiet suppresses everything but results of the script (-q).
	Quiet bool
	// NoWarnings suppresses the messages of warnf (--no-warnings).
	NoWarnings bool
	// Color colours verdicts and severities for a terminal.
	Color bool
}

// Packet is a packet of the network, or its beginning.
type Packet struct {
	Time     time.Time
	Data     []byte
	Len      int    // length of the whole packet in bytes
	Iface    int    // number of the interface
	Dir      string // "ingress", "egress", or "" if it is not known
	Ethernet bool   // it starts with an Ethernet header
	Protocol uint16 // EtherType of the packet if it does not
	// Tag is a VLAN tag that is not in Data: its EtherType in the upper 16 bits, its value
	// in the lower ones; 0: none.
	Tag uint32
}
