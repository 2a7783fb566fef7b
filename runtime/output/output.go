// Package output renders results: as the text a person reads, or as one JSON
// object a line. It knows values, not builtins: what a value looks like is
// decided by its Go type in package value, in format.go for text and in json.go
// for JSON.
package output

import (
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/value"
)

// Sink takes results in the order they happen. It is used by one goroutine.
type Sink interface {
	// Printf writes finished text exactly as it is; kind names the JSON object
	// ("printf", "time", "cat", "join", "syscall" …).
	Printf(kind, text string)
	// Line is Printf of text that is a line without its end.
	Line(kind, text string)
	// Value prints one value on a line of its own.
	Value(v value.Value)
	// Map prints a map: its entries in the given order.
	Map(m Map)
	// Attached says that n probes are attached.
	Attached(n int)
	// Lost says that n events were lost.
	Lost(n uint64)
	Message(m Message)
	// Tests are the outcomes of all test probes, Benchmarks of all bench probes.
	Tests(rs []TestResult)
	Benchmarks(rs []BenchResult)
	// End says that no more events follow: what is left are maps.
	End()
	Flush() error
}

// Nop is a Sink that drops everything. A sink that takes only some results embeds
// it.
type Nop struct{}

func (Nop) Printf(kind, text string) {}
func (Nop) Line(kind, text string)   {}
func (Nop) Value(value.Value)        {}
func (Nop) Map(Map)                  {}
func (Nop) Attached(int)             {}
func (Nop) Lost(uint64)              {}
func (Nop) Message(Message)          {}
func (Nop) Tests([]TestResult)       {}
func (Nop) Benchmarks([]BenchResult) {}
func (Nop) End()                     {}
func (Nop) Flush() error             { return nil }

// Message is an errorf or warnf of the script with its place, or a
// runtime_error or helper_error.
type Message struct {
	Kind, Text string
	Level      Level
	At, From   source.Span // the place in the script; the macro call it comes from
	// Helper is the kernel's helper that failed, and Code the negative errno it
	// returned, where that is known.
	Helper string
	Code   int
}

// Level says who reports a message and whether it can be silenced.
type Level uint8

const (
	Notice  Level = iota // the runtime, of something that may falsify results
	Warning              // the script
	Error                // the script; it is never silenced
)

// Map is a map to be printed.
type Map struct {
	Name    string // with its @
	Keyed   bool
	Metric  value.Metric // what kind of numbers the values are
	Entries []value.Entry
	Div     int64 // integers are divided by it before printing; 0 or 1: not
}

// TestResult is the outcome of one test probe.
type TestResult struct {
	Name   string
	Passed bool
	Ns     uint64 // how long it ran
	Output string // what it printed
}

// BenchResult is the average time of one run of a bench probe.
type BenchResult struct {
	Name  string
	Ns    uint64
	Iters int
}

// Style are what both sinks can be told.
type Style struct {
	// Trailer marks strings that were cut off (str_trunc_trailer).
	Trailer string
	// Quiet leaves out what is not a result of the script (-q).
	Quiet bool
	// NoWarnings leaves out warnf's messages (--no-warnings).
	NoWarnings bool
	// Color marks verdicts and severities for a terminal.
	Color bool
}
