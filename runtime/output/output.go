// Package output renders results: as the text a person reads, or as one JSON
// object a line. It knows values, not builtins.
package output

import (
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/value"
)

// Sink takes results in the order they happen.
type Sink interface {
	// Printf writes finished text exactly as it is; kind names the JSON object
	// ("printf", "time", "cat", "join", "syscall" …).
	Printf(kind, text string)
	// Value prints one value on a line of its own.
	Value(v value.Value)
	// Map prints a map: its entries in the given order.
	Map(m Map)
	// Attached says that n probes are attached.
	Attached(n int)
	// Lost says that n events were lost.
	Lost(n uint64)
	// Message is an errorf or warnf with its place, or a runtime_error or helper_error.
	Message(kind, msg string, at source.Span)
	// End says that no more events follow: what is left are maps.
	End()
	Flush() error
}

// Map is a map to be printed.
type Map struct {
	Name    string // with its @
	Keyed   bool
	Entries []value.Entry
	Div     int64 // integers are divided by it before printing; 0 or 1: not
}
