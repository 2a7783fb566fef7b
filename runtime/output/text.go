package output

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/value"
)

// TextSink writes results as text. Reports about the run (probes attached, events lost,
// messages) go to a second writer.
type TextSink struct {
	w   *Writer
	err io.Writer
	opt Style
	buf []byte
}

// NewText returns a sink that writes results to w and everything else to err.
//
//go:noinline
func NewText(w *Writer, err io.Writer, opt Style) *TextSink {
	return &TextSink{w: w, err: err, opt: opt}
}

// Printf implements Sink.
//
//go:noinline
func (t *TextSink) Printf(kind, text string) {
	t.buf = append(t.buf[:0], text...)
	t.w.Write(t.buf)
}

// Line implements Sink.
func (t *TextSink) Line(kind, text string) { t.Printf(kind, text+"\n") }

// Value implements Sink.
func (t *TextSink) Value(v value.Value) {
	t.buf = append(value.AppendText(t.buf[:0], v, t.opt.Trailer), '\n')
	t.w.Write(t.buf)
}

// Map implements Sink. Every entry starts with the map's name, so that lines can be
// searched one by one. Histograms follow a heading.
func (t *TextSink) Map(m Map) {
	b := t.buf[:0]
	for _, e := range m.Entries {
		v := divided(e.Value, m.Div)
		b = append(b, m.Name...)
		if m.Keyed {
			b = append(b, '[')
			b = appendKey(b, e.Key, t.opt.Trailer)
			b = append(b, ']')
		}
		if multiline(v) {
			b = append(b, ":\n"...)
		} else {
			b = append(b, ": "...)
		}
		b = value.AppendText(b, v, t.opt.Trailer)
		b = append(b, '\n')
		if len(b) >= bufferSize {
			t.w.Write(b)
			b = b[:0]
		}
	}
	t.buf = b
	t.w.Write(b)
}

// appendKey appends a key. A key of several parts has the form of a tuple without
// parentheses.
func appendKey(b []byte, k value.Value, trailer string) []byte {
	n := len(b)
	b = value.AppendText(b, k, trailer)
	if _, ok := k.(value.Tuple); ok {
		copy(b[n:], b[n+1:])
		b = b[:len(b)-2]
	}
	return b
}

// Attached implements Sink.
func (t *TextSink) Attached(n int) {
	if t.opt.Quiet {
		return
	}
	if n == 1 {
		fmt.Fprintln(t.err, "Attached 1 probe")
	} else {
		fmt.Fprintf(t.err, "Attached %d probes\n", n)
	}
}

// Lost implements Sink.
func (t *TextSink) Lost(n uint64) {
	t.w.Idle()
	fmt.Fprintf(t.err, "Lost %d events\n", n)
}

// print prints a message of the script and the macro calls that it comes from.
func (t *TextSink) print(m Message, text, code, word string) {
	fmt.Fprintf(t.err, "%s: %s %s\n", m.At, t.colored(code, word+":"), text)
	for _, at := range m.From {
		fmt.Fprintf(t.err, "%s: %s expanded from\n%s", at, t.colored(code, word+":"), at.Snippet())
	}
}

// Message implements Sink. It flushes earlier results first, as both writers may be
// the same terminal.
func (t *TextSink) Message(m Message) {
	t.w.Idle()
	text := strings.TrimSuffix(m.Text, "\n")
	switch m.Level {
	case Error:
		t.print(m, text, red, "ERROR")
	case Warning:
		if !t.opt.NoWarnings {
			t.print(m, text, yellow, "WARNING")
		}
	case Audit:
		t.print(m, text, yellow, "AUDIT")
	case Overhead:
		io.WriteString(t.err, source.Diag{Span: m.At, Severity: source.Warning, Msg: text}.Render())
	default:
		if !t.opt.NoWarnings {
			if m.Helper != "" {
				text += "\nAdditional Info - helper: " + m.Helper
				if m.Code != 0 {
					text += fmt.Sprintf(", retcode: %d", m.Code)
				}
			}
			io.WriteString(t.err, source.Diag{Span: m.At, Severity: source.Warning, Msg: text}.Render())
		}
	}
}

// oneLine escapes what ends a line, so that a value, such as the name of a file, cannot look like
// another alert.
var oneLine = strings.NewReplacer("\n", `\n`, "\r", `\r`)

// Alert implements Sink.
func (t *TextSink) Alert(a Alert) {
	b := a.Time.UTC().AppendFormat(t.buf[:0], AlertTime)
	b = append(append(b, ": "...), a.Priority...)
	b = append(append(b, ' '), oneLine.Replace(strings.TrimSuffix(a.Text, "\n"))...)
	t.buf = append(b, '\n')
	t.w.Write(t.buf)
}

// Tests implements Sink. It prints the results in GoogleTest's format, which many
// tools read. Only failed tests show their output.
func (t *TextSink) Tests(rs []TestResult) {
	var b bytes.Buffer
	tag := func(code, what, format string, args ...any) {
		b.WriteString(t.colored(code, "["+what+"]"))
		fmt.Fprintf(&b, " "+format+"\n", args...)
	}
	var failed []string
	tag(green, "==========", "Running %s.", tests(len(rs)))
	for _, r := range rs {
		tag(green, " RUN      ", "%s", r.Name)
		if r.Passed {
			tag(green, "       OK ", "%s (%d ns)", r.Name, r.Ns)
		} else {
			b.WriteString(r.Output)
			tag(red, "  FAILED  ", "%s (%d ns)", r.Name, r.Ns)
			failed = append(failed, r.Name)
		}
	}
	tag(green, "==========", "%s ran.", tests(len(rs)))
	tag(green, "  PASSED  ", "%s.", tests(len(rs)-len(failed)))
	if len(failed) > 0 {
		tag(red, "  FAILED  ", "%s, listed below:", tests(len(failed)))
		for _, name := range failed {
			tag(red, "  FAILED  ", "%s", name)
		}
	}
	t.w.Write(b.Bytes())
}

//go:noinline
func tests(n int) string {
	if n == 1 {
		return "1 test"
	}
	return fmt.Sprintf("%d tests", n)
}

const red, green, yellow = "31", "32", "33"

//go:noinline
func (t *TextSink) colored(code, s string) string {
	if !t.opt.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Benchmarks implements Sink.
func (t *TextSink) Benchmarks(rs []BenchResult) {
	b := fmt.Appendf(t.buf[:0], "%-40s %-14s %s\n%s\n", "Benchmark", "Time(ns)", "Iterations", strings.Repeat("-", 66))
	for _, r := range rs {
		b = fmt.Appendf(b, "%-40s %-14d %d\n", r.Name, r.Ns, r.Iters)
	}
	t.buf = b
	t.w.Write(b)
}

// End implements Sink.
func (t *TextSink) End() { t.w.Write([]byte("\n\n")) }

// Flush implements Sink.
func (t *TextSink) Flush() error { return t.w.Idle() }
