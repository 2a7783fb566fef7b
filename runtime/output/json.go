package output

import (
	"cmp"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/value"
)

// JSONSink writes all results and messages to one writer, as one JSON object per
// line.
type JSONSink struct {
	w   *Writer
	opt Style
	buf []byte
}

// NewJSON returns a sink that writes to w.
//
//go:noinline
func NewJSON(w *Writer, opt Style) *JSONSink { return &JSONSink{w: w, opt: opt} }

// line returns the start of an object of the given kind, up to its data.
//
//go:noinline
func (j *JSONSink) line(kind string) []byte {
	b := append(j.buf[:0], `{"type": `...)
	b = appendString(b, kind)
	return append(b, `, "data": `...)
}

//go:noinline
func (j *JSONSink) end(b []byte) {
	j.buf = append(b, "}\n"...)
	j.w.Write(j.buf)
}

// Printf implements Sink.
func (j *JSONSink) Printf(kind, text string) { j.end(appendString(j.line(kind), text)) }

// Line implements Sink.
func (j *JSONSink) Line(kind, text string) { j.Printf(kind, text) }

// Value implements Sink.
func (j *JSONSink) Value(v value.Value) { j.end(appendJSON(j.line("value"), v, j.opt.Trailer)) }

// Map implements Sink. It leaves out an empty map, except one of averages or
// statistics, which bpftrace prints as {}.
func (j *JSONSink) Map(m Map) {
	kind, like := "map", m.Zero
	if len(m.Entries) > 0 {
		like = m.Entries[0].Value
	}
	switch like.(type) {
	case value.Hist:
		kind = "hist"
	case value.Stats, value.Avg:
		kind = "stats"
	case value.Series:
		kind = "tseries"
	}
	if len(m.Entries) == 0 && kind != "stats" {
		return
	}
	b := append(j.line(kind), '{')
	b = appendString(b, m.Name)
	b = append(b, ": "...)
	if !m.Keyed && len(m.Entries) > 0 {
		b = appendJSON(b, divided(m.Entries[0].Value, m.Div), j.opt.Trailer)
		j.end(append(b, '}'))
		return
	}
	b = append(b, '{')
	for i, e := range m.Entries {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendString(b, string(appendJSONKey(nil, e.Key, j.opt.Trailer)))
		b = append(b, ": "...)
		b = appendJSON(b, divided(e.Value, m.Div), j.opt.Trailer)
	}
	j.end(append(b, "}}"...))
}

// jsonKeys writes map keys as names of an object's members.
type jsonKeys struct {
	trailer string
	quote   bool // quote strings that contain a comma, as the key has several strings
}

// appendJSONKey appends a key as in text, but without the spaces between its parts;
// spaces inside strings stay. If the key has several strings, those that contain a
// comma are quoted, so that different keys have different names.
func appendJSONKey(b []byte, key value.Value, trailer string) []byte {
	k := jsonKeys{trailer: trailer, quote: countStrings(key) > 1}
	if t, ok := key.(value.Tuple); ok {
		return k.appendList(b, t)
	}
	return k.append(b, key)
}

// countStrings returns the number of strings in a value.
func countStrings(v value.Value) int {
	n := 0
	switch v := v.(type) {
	case value.Str:
		return 1
	case value.Tuple:
		for _, e := range v {
			n += countStrings(e)
		}
	case value.Array:
		for _, e := range v {
			n += countStrings(e)
		}
	case value.Record:
		for _, f := range v {
			n += countStrings(f.V)
		}
	}
	return n
}

func (k jsonKeys) appendList(b []byte, vs []value.Value) []byte {
	for i, v := range vs {
		if i > 0 {
			b = append(b, ',')
		}
		b = k.append(b, v)
	}
	return b
}

func (k jsonKeys) append(b []byte, v value.Value) []byte {
	switch v := v.(type) {
	case value.Str:
		if k.quote && (strings.HasPrefix(v.S, `"`) || strings.Contains(v.S, ",")) {
			return appendString(b, value.Text(v, k.trailer))
		}
	case value.Tuple:
		return append(k.appendList(append(b, '('), v), ')')
	case value.Array:
		return append(k.appendList(append(b, '['), v), ']')
	case value.Record:
		b = append(b, '{')
		for i, f := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, '.'), f.Name...), '=')
			b = k.append(b, f.V)
		}
		return append(b, '}')
	case value.Stack:
		for _, c := range []byte(v.String()) {
			if c != ' ' {
				b = append(b, c)
			}
		}
		return b
	}
	return value.AppendText(b, v, k.trailer)
}

func appendJSON(b []byte, v value.Value, trailer string) []byte {
	switch v := v.(type) {
	case value.Int:
		return appendInt(b, int64(v))
	case value.Uint:
		return appendUint(b, uint64(v))
	case value.Wide:
		return appendWide(b, v)
	case value.Ptr:
		return appendUint(b, uint64(v))
	case value.Bool:
		return strconv.AppendBool(b, bool(v))
	case value.Enum:
		return appendInt(b, v.V)
	case value.Str:
		if v.Truncated {
			return appendString(b, v.S+trailer)
		}
		return appendString(b, v.S)
	case value.Bytes: // signed, as char is in C
		b = append(b, '[')
		for i, c := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(int8(c)), 10)
		}
		return append(b, ']')
	case value.Tuple:
		return appendList(b, v, trailer)
	case value.Array:
		return appendList(b, v, trailer)
	case value.Record:
		b = append(b, '{')
		for i, f := range v {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = append(appendString(b, f.Name), ": "...)
			b = appendJSON(b, f.V, trailer)
		}
		return append(b, '}')
	case value.Avg:
		return appendJSON(b, v.V, trailer)
	case value.Stats:
		return appendJSON(b, v.Record(), trailer)
	case value.Stack:
		return appendString(b, v.String())
	case value.Hist:
		return appendHistJSON(b, v)
	case value.Series:
		return appendSeriesJSON(b, v, trailer)
	}
	return append(b, "null"...)
}

func appendList(b []byte, vs []value.Value, trailer string) []byte {
	b = append(b, '[')
	for i, v := range vs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, v, trailer)
	}
	return append(b, ']')
}

func appendHistJSON(b []byte, h value.Hist) []byte {
	b = append(b, '[')
	for i, k := range h.Buckets {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		bound := appendInt
		if k.Unsigned {
			bound = func(b []byte, n int64) []byte { return appendUint(b, uint64(n)) }
		}
		if !k.MinInf {
			b = append(bound(append(b, `"min": `...), k.Min), ", "...)
		}
		if !k.MaxInf {
			b = append(bound(append(b, `"max": `...), k.Max), ", "...)
		}
		b = strconv.AppendUint(append(b, `"count": `...), k.Count, 10)
		b = append(b, '}')
	}
	return append(b, ']')
}

// appendInt appends n. Integers that a double cannot hold exactly become strings, as
// most readers of JSON parse numbers as doubles.
func appendInt(b []byte, n int64) []byte {
	if f := float64(n); f < 1<<63 && int64(f) == n {
		return strconv.AppendInt(b, n, 10)
	}
	return append(strconv.AppendInt(append(b, '"'), n, 10), '"')
}

func appendUint(b []byte, n uint64) []byte {
	if f := float64(n); f < 1<<64 && uint64(f) == n {
		return strconv.AppendUint(b, n, 10)
	}
	return append(strconv.AppendUint(append(b, '"'), n, 10), '"')
}

func appendWide(b []byte, w value.Wide) []byte {
	if _, exact := w.Float64(); exact {
		return w.Append(b)
	}
	return append(w.Append(append(b, '"')), '"')
}

const hex = "0123456789abcdef"

// AppendRune appends the first character of s as valid UTF-8 and returns its length in s. A
// byte that is not part of valid UTF-8 becomes U+FFFD and its two hexadecimal digits; so do
// the bytes of U+FFFD itself. Different strings thus stay different, for every reader.
func AppendRune(b []byte, s string) (out []byte, size int) {
	r, n := utf8.DecodeRuneInString(s)
	if r != utf8.RuneError {
		return append(b, s[:n]...), n
	}
	for _, c := range []byte(s[:n]) {
		b = append(utf8.AppendRune(b, r), hex[c>>4], hex[c&15])
	}
	return b, n
}

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			var n int
			b, n = AppendRune(b, s[i:])
			i += n
			continue
		}
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
		i++
	}
	return append(b, '"')
}

// Attached implements Sink.
func (j *JSONSink) Attached(n int) {
	if !j.opt.Quiet {
		j.counted("attached_probes", "probes", uint64(n))
	}
}

// Lost implements Sink.
func (j *JSONSink) Lost(n uint64) { j.counted("lost_events", "events", n) }

// counted writes a number twice: as data, and as the member that older readers expect.
func (j *JSONSink) counted(kind, what string, n uint64) {
	b := append(j.buf[:0], `{"type": `...)
	b = append(appendString(b, kind), `, "count": `...)
	b = append(strconv.AppendUint(b, n, 10), `, "data": {`...)
	b = append(appendString(b, what), ": "...)
	j.end(append(strconv.AppendUint(b, n, 10), '}'))
}

// Message implements Sink.
func (j *JSONSink) Message(m Message) {
	if m.Level != Error && m.Level != Overhead && j.opt.NoWarnings {
		return
	}
	var name string
	var pos source.Position
	if m.At.IsValid() {
		name, pos = m.At.File.Name, m.At.File.Position(m.At.Start)
	}
	b := append(j.buf[:0], `{"type": `...)
	b = append(appendString(b, m.Kind), `, "msg": `...)
	b = appendString(b, cmp.Or(m.Reason, m.Text))
	if m.Helper != "" {
		b = appendString(append(b, `, "helper": `...), m.Helper)
		b = strconv.AppendInt(append(b, `, "retcode": `...), int64(m.Code), 10)
	}
	b = append(b, `, "filename": `...)
	b = append(appendString(b, name), `, "line": `...)
	b = append(strconv.AppendInt(b, int64(pos.Line), 10), `, "col": `...)
	j.end(strconv.AppendInt(b, int64(pos.Col), 10))
}

// Alert implements Sink.
func (j *JSONSink) Alert(a Alert) {
	b := append(j.line("alert"), `{"time": "`...)
	b = a.Time.UTC().AppendFormat(b, AlertTime)
	b = append(b, `", "priority": `...)
	b = append(appendString(b, a.Priority), `, "output": `...)
	j.end(append(appendString(b, strings.TrimSuffix(a.Text, "\n")), '}'))
}

// Tests implements Sink.
func (j *JSONSink) Tests(rs []TestResult) {
	for _, r := range rs {
		b := append(j.line("test_result"), '{')
		b = append(appendString(b, r.Name), `: {"duration": `...)
		b = append(strconv.AppendUint(b, r.Ns, 10), `, "passed": `...)
		b = append(strconv.AppendBool(b, r.Passed), `, "output": `...)
		j.end(append(appendString(b, r.Output), "}}"...))
	}
}

// Benchmarks implements Sink.
func (j *JSONSink) Benchmarks(rs []BenchResult) {
	for _, r := range rs {
		b := append(j.line("benchmark_result"), '{')
		b = append(appendString(b, r.Name), `: {"average": `...)
		b = append(strconv.AppendUint(b, r.Ns, 10), `, "iters": `...)
		j.end(append(strconv.AppendInt(b, int64(r.Iters), 10), "}}"...))
	}
}

// End implements Sink.
func (j *JSONSink) End() {}

// Flush implements Sink.
func (j *JSONSink) Flush() error { return j.w.Idle() }

var (
	_ Sink      = (*JSONSink)(nil)
	_ Sink      = (*TextSink)(nil)
	_ io.Writer = (*Writer)(nil)
)

// appendSeriesJSON appends the points that have a value.
func appendSeriesJSON(b []byte, s value.Series, trailer string) []byte {
	b = append(b, '[')
	first := true
	for _, p := range s.Points {
		if !p.Set {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, `{"interval_start":`...)
		b = strconv.AppendQuote(b, time.Unix(0, p.Start).UTC().Format("2006-01-02 15:04:05.000000000"))
		b = append(b, `,"value":`...)
		b = appendJSON(b, p.V, trailer)
		b = append(b, '}')
	}
	return append(b, ']')
}
