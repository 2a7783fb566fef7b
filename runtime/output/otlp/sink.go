package otlp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/metrics"
	"github.com/gotrace/gotrace/runtime/output/protowire"
	"github.com/gotrace/gotrace/runtime/value"
)

// Sink sends what a script prints: each line of text and each value as a record of a log,
// and a record with times as a span. Maps are left out, as they are metrics.
type Sink struct {
	output.Nop
	e      *Exporter
	script string // value of the attribute script, or ""
	part   bytes.Buffer
	kind   string // of the text in part
	item   protowire.Message
	open   map[int]output.Calls // by thread
	date   time.Time            // time of the printed results; zero: not known
}

// NewSink returns a sink that sends to e. script is the name of the script, or "".
func (e *Exporter) NewSink(script string) *Sink { return &Sink{e: e, script: script} }

// Severities of records.
const (
	info  = 9
	warn  = 13
	fault = 17
)

// maxLine is the length in bytes at which a line is divided.
const maxLine = 64 << 10

// Printf implements output.Sink. The lines of text are separate records.
func (s *Sink) Printf(kind, text string) {
	s.kind = kind
	for {
		line, rest, ended := strings.Cut(text, "\n")
		s.part.WriteString(line)
		if !ended {
			if s.part.Len() > maxLine {
				s.flushPart()
			}
			return
		}
		s.flushPart()
		text = rest
	}
}

// flushPart sends the line that Printf has begun.
func (s *Sink) flushPart() {
	if s.part.Len() > 0 {
		s.log(s.kind, info, "INFO", time.Time{}, textValue(metrics.ValidText(s.part.String())))
		s.part.Reset()
	}
}

// Line implements output.Sink.
func (s *Sink) Line(kind, text string) { s.Printf(kind, text+"\n") }

// Value implements output.Sink.
func (s *Sink) Value(v value.Value) {
	if r, ok := v.(value.Record); ok && s.span(r) {
		return
	}
	s.log("value", info, "INFO", time.Time{}, anyValue(v))
}

// Message implements output.Sink.
func (s *Sink) Message(m output.Message) {
	number, text := uint64(warn), "WARN"
	if m.Level == output.Error {
		number, text = fault, "ERROR"
	}
	s.log(m.Kind, number, text, time.Time{}, textValue(metrics.ValidText(m.Text)))
}

// Lost implements output.Sink.
func (s *Sink) Lost(n uint64) {
	s.log("lost_events", warn, "WARN", time.Time{}, textValue(fmt.Sprintf("Lost %d events", n)))
}

// severities are the numbers for the priorities of alerts, which are those of syslog.
var severities = [...]struct {
	name   string
	number uint64
}{{"emerg", 21}, {"alert", 19}, {"crit", 18}, {"err", fault}, {"warn", warn}, {"notice", 10}, {"info", info}, {"debug", 5}}

// Alert implements output.Sink.
func (s *Sink) Alert(a output.Alert) {
	number := uint64(warn)
	for _, v := range severities {
		if strings.HasPrefix(strings.ToLower(a.Priority), v.name) {
			number = v.number
			break
		}
	}
	s.log("alert", number, metrics.ValidText(a.Priority), a.Time, textValue(metrics.ValidText(strings.TrimSuffix(a.Text, "\n"))))
}

// End implements output.Sink.
func (s *Sink) End() { s.flushPart() }

// Date implements output.Dated.
func (s *Sink) Date(at time.Time) { s.date = at }

// log adds a record. at is the time of the event, zero if s.date is.
func (s *Sink) log(kind string, severity uint64, severityText string, at time.Time, body []byte) {
	m := s.item[:0]
	if at.IsZero() {
		at = s.date
	}
	if !at.IsZero() {
		m.Fixed64(1, uint64(at.UnixNano()))
	}
	m.Varint(2, severity)
	m.String(3, severityText)
	m.Bytes(5, body)
	m.Bytes(6, textAttribute("gotrace.kind", kind))
	if s.script != "" {
		m.Bytes(6, textAttribute("script", metrics.ValidText(s.script)))
	}
	m.Fixed64(11, uint64(time.Now().UnixNano()))
	s.item = m
	s.e.add(&s.e.logs, m)
}

// span adds a span for a record that has a start and an end, or a start and a duration, in
// ns. Its field name is the name of the span, and the other fields are attributes. span
// returns false if the record has no such fields.
func (s *Sink) span(r value.Record) bool {
	var start, end, took int64
	var hasStart, hasEnd, hasTook bool
	name := "span"
	for _, f := range r {
		switch f.Name {
		case "start":
			start, hasStart = value.Number(f.V)
		case "end":
			end, hasEnd = value.Number(f.V)
		case "duration":
			took, hasTook = value.Number(f.V)
		case "name":
			name = f.V.String()
		}
	}
	switch {
	case !hasStart || !hasEnd && !hasTook:
		return false
	case !hasEnd:
		end = start + took
	}
	if start <= 0 || end < start {
		return false
	}
	shift := s.e.shift(start)
	s.addSpan(name, start+shift, end+shift, func(m *protowire.Message) {
		for _, f := range r {
			switch {
			case f.Name == "start" || f.Name == "name" || f.Name == "end" && hasEnd || f.Name == "duration" && hasTook:
			default:
				m.Bytes(9, attribute(f.Name, f.V))
			}
		}
	})
	return true
}

// addSpan adds a span. start and end are in ns since 1970.
func (s *Sink) addSpan(name string, start, end int64, attributes func(m *protowire.Message)) {
	var id [24]byte
	binary.BigEndian.PutUint64(id[:], rand.Uint64()|1) // an ID must not be 0
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	binary.BigEndian.PutUint64(id[16:], rand.Uint64()|1)
	m := s.item[:0]
	m.Bytes(1, id[:16])
	m.Bytes(2, id[16:])
	m.String(5, metrics.ValidText(name))
	m.Varint(6, 1) // an internal operation
	m.Fixed64(7, uint64(start))
	m.Fixed64(8, uint64(end))
	attributes(&m)
	if s.script != "" {
		m.Bytes(9, textAttribute("script", metrics.ValidText(s.script)))
	}
	s.item = m
	s.e.add(&s.e.spans, m)
}

// Limits of the calls that have not returned.
const (
	maxThreads = 1 << 14
	maxOpen    = 64 // of a thread
)

// At implements output.Timeline.
func (s *Sink) At(output.Stamp) {}

// Call implements output.Timeline. A call that has returned is a span.
func (s *Sink) Call(at output.Stamp, name string, returns, _ bool) {
	open, now := s.open[at.TID], at.Time.UnixNano()
	if !returns {
		if s.open == nil || len(s.open) >= maxThreads && open == nil {
			s.open = map[int]output.Calls{} // most of these threads have ended
		}
		open.Enter(output.OpenCall{Name: name, At: uint64(now)}, maxOpen)
		s.open[at.TID] = open
		return
	}
	c, ok := open.Leave(name)
	if !ok {
		return
	}
	start := int64(c.At)
	s.addSpan(name, start, max(now, start), func(m *protowire.Message) {
		m.Bytes(9, attribute("process.pid", value.Int(at.PID)))
		m.Bytes(9, attribute("thread.id", value.Int(at.TID)))
		m.Bytes(9, textAttribute("thread.name", metrics.ValidText(at.Comm)))
	})
	if s.open[at.TID] = open; len(open) == 0 {
		delete(s.open, at.TID)
	}
}

// epoch is a time in ns (2001) that distinguishes clocks. A clock that counts from 1970
// has passed it. A clock that counts from the start of the machine would need 31 years to
// reach it.
const epoch = 1e18

// shift returns the number of ns to add to a time of the script, so that the result
// counts from 1970. The script's clock counts from the start of the machine unless the
// script chose another one.
func (e *Exporter) shift(ns int64) int64 {
	if ns >= epoch {
		return 0
	}
	now := time.Now()
	if now.Sub(e.shiftAt) > time.Second {
		var ts unix.Timespec
		if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) == nil {
			e.bootShift, e.shiftAt = now.UnixNano()-ts.Nano(), now
		}
	}
	return e.bootShift
}
