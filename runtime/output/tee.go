package output

import (
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/value"
)

// Tee is a Sink that passes everything to two sinks. The first one decides about errors
// and about lost events.
type Tee struct{ First, Second Sink }

func (t Tee) Printf(kind, text string) { t.First.Printf(kind, text); t.Second.Printf(kind, text) }
func (t Tee) Line(kind, text string)   { t.First.Line(kind, text); t.Second.Line(kind, text) }
func (t Tee) Value(v value.Value)      { t.First.Value(v); t.Second.Value(v) }
func (t Tee) Map(m Map)                { t.First.Map(m); t.Second.Map(m) }
func (t Tee) Attached(n int)           { t.First.Attached(n); t.Second.Attached(n) }
func (t Tee) Lost(n uint64)            { t.First.Lost(n); t.Second.Lost(n) }
func (t Tee) Message(m Message)        { t.First.Message(m); t.Second.Message(m) }
func (t Tee) Alert(a Alert)            { t.First.Alert(a); t.Second.Alert(a) }
func (t Tee) Tests(rs []TestResult)    { t.First.Tests(rs); t.Second.Tests(rs) }
func (t Tee) End()                     { t.First.End(); t.Second.End() }

// Benchmarks implements Sink.
func (t Tee) Benchmarks(rs []BenchResult) { t.First.Benchmarks(rs); t.Second.Benchmarks(rs) }

// Flush implements Sink.
func (t Tee) Flush() error {
	t.Second.Flush()
	return t.First.Flush()
}

// LostAt implements LostSink. If the first sink accepts the events, the second one
// receives their number by Lost.
func (t Tee) LostAt(at source.Span, n uint64) bool {
	s, ok := t.First.(LostSink)
	if !ok || !s.LostAt(at, n) {
		return false
	}
	t.Second.Lost(n)
	return true
}
