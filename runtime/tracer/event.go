package tracer

import (
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// Event is an event of a script's run: a Text, Printed, Map, Message or Lost.
type Event interface{ event() }

type (
	// Text is formatted text from printf, time, cat, join or another builtin (see
	// Kind).
	Text struct{ Kind, Text string }
	// Printed is the argument of a call of print().
	Printed struct{ Value value.Value }
	// Map is a map that the script prints, or that is printed at the end.
	Map struct{ output.Map }
	// Message is an error or warning of the script, or of the run.
	Message struct{ output.Message }
	// Lost is the number of events that were lost since the last report.
	Lost uint64
)

func (Text) event()    {}
func (Printed) event() {}
func (Map) event()     {}
func (Message) event() {}
func (Lost) event()    {}

// eventSink is a sink that passes results on as events.
type eventSink struct {
	output.Nop
	on func(Event)
}

func (s eventSink) Printf(kind, text string) { s.on(Text{kind, text}) }
func (s eventSink) Line(kind, text string)   { s.on(Text{kind, text + "\n"}) }
func (s eventSink) Value(v value.Value)      { s.on(Printed{v}) }
func (s eventSink) Map(m output.Map)         { s.on(Map{m}) }
func (s eventSink) Message(m output.Message) { s.on(Message{m}) }
func (s eventSink) Lost(n uint64)            { s.on(Lost(n)) }
