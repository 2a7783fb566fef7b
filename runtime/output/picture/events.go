package picture

import (
	"strings"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// maxKept is the greatest number of bytes of output that Events keeps.
const maxKept = 256 << 10

// Events keeps the end of what a script prints besides maps, and passes all results on to
// a sink.
type Events struct {
	output.Through
	old, text []byte // old precedes text
	lost      bool   // there was earlier output
}

// NewEvents returns a sink that passes all results on to s.
func NewEvents(s output.Sink) *Events { return &Events{Through: output.Through{Sink: s}} }

// Printf implements output.Sink.
func (e *Events) Printf(kind, text string) {
	e.keep(text)
	e.Sink.Printf(kind, text)
}

// Line implements output.Sink.
func (e *Events) Line(kind, text string) {
	e.keep(text + "\n")
	e.Sink.Line(kind, text)
}

// Value implements output.Sink.
func (e *Events) Value(v value.Value) {
	e.keep(value.Text(v, "") + "\n")
	e.Sink.Value(v)
}

// Alert implements output.Sink.
func (e *Events) Alert(a output.Alert) {
	e.keep(a.Time.UTC().Format(output.AlertTime) + " " + a.Priority + " " + strings.TrimSuffix(a.Text, "\n") + "\n")
	e.Sink.Alert(a)
}

//go:noinline
func (e *Events) keep(text string) {
	if n := len(text); n > maxKept {
		text, e.lost = text[n-maxKept:], true
	}
	if len(e.text)+len(text) > maxKept {
		e.lost = e.lost || len(e.old) > 0
		e.old, e.text = e.text, e.old[:0]
	}
	e.text = append(e.text, text...)
}

// lines returns the lines that are kept. more is set if there were others before them.
func (e *Events) lines() (lines []string, more bool) {
	text := string(e.old) + string(e.text)
	if e.lost {
		_, text, _ = strings.Cut(text, "\n")
	}
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil, e.lost
	}
	return strings.Split(text, "\n"), e.lost
}
