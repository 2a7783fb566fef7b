package output

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/value"
)

// CSVSink writes results as comma-separated values. Each row starts with the time of its
// event or, if that is not known, the time at which it is written. A row of column names
// precedes the first row, and each row whose columns differ from those of the row before.
// An empty line precedes the column names, except at the start. Reports about the run go
// to a second writer, as text.
type CSVSink struct {
	*TextSink
	w       *csv.Writer
	out     *Writer
	columns []string  // of the row before
	at      time.Time // time of the result that is written; zero: not known
	now     func() time.Time
}

// NewCSV returns a sink that writes results to w and everything else to err.
func NewCSV(w *Writer, err io.Writer, opt Style) *CSVSink {
	return &CSVSink{TextSink: NewText(w, err, opt), w: csv.NewWriter(w), out: w, now: time.Now}
}

// csvTime is the form of times: RFC 3339 with milliseconds, in UTC.
const csvTime = "2006-01-02T15:04:05.000Z"

// row writes a row. columns are the names of its columns without the time.
func (c *CSVSink) row(columns []string, fields ...string) {
	if !slices.Equal(columns, c.columns) {
		if c.columns != nil {
			c.w.Flush()
			io.WriteString(c.out, "\n") // a Writer keeps its error for Flush
		}
		c.columns = columns
		c.w.Write(append([]string{"time"}, columns...))
	}
	at := c.at
	if at.IsZero() {
		at = c.now()
	}
	c.w.Write(append([]string{at.UTC().Format(csvTime)}, fields...))
}

// Date implements Dated.
func (c *CSVSink) Date(at time.Time) { c.at = at }

// text returns a value as the text of a field.
//
//go:noinline
func (c *CSVSink) text(v value.Value) string {
	return string(value.AppendText(nil, v, c.opt.Trailer))
}

// fields returns the fields of a value, and their names: those of a tuple are numbered,
// those of a record have their own. prefix is the name of a single value.
func (c *CSVSink) fields(v value.Value, prefix string) (names, fields []string) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case value.Tuple:
		for i, e := range v {
			names = append(names, prefix+strconv.Itoa(i+1))
			fields = append(fields, c.text(e))
		}
	case value.Record:
		for _, f := range v {
			names = append(names, f.Name)
			fields = append(fields, c.text(f.V))
		}
	case value.Stats:
		return []string{"count", "average", "total"}, []string{strconv.FormatInt(v.Count, 10), c.text(v.Avg), c.text(v.Total)}
	default:
		return []string{prefix}, []string{c.text(v)}
	}
	return names, fields
}

// Printf implements Sink. Each line of the text is a row.
func (c *CSVSink) Printf(kind, text string) {
	for line := range strings.Lines(text) {
		c.row([]string{kind}, strings.TrimSuffix(line, "\n"))
	}
}

// Line implements Sink.
func (c *CSVSink) Line(kind, text string) { c.Printf(kind, text) }

// Value implements Sink.
func (c *CSVSink) Value(v value.Value) {
	names, fields := c.fields(v, "value")
	c.row(names, fields...)
}

// Map implements Sink. Each entry is a row; each bucket of a histogram, and each point of
// a time series, is one.
func (c *CSVSink) Map(m Map) {
	defer c.Date(c.at)
	c.Date(c.now()) // all entries have the same one
	for _, e := range m.Entries {
		keys, head := []string{"map"}, []string{m.Name}
		if m.Keyed {
			names, fields := c.fields(e.Key, "key")
			keys, head = append(keys, names...), append(head, fields...)
		}
		switch v := divided(e.Value, m.Div).(type) {
		case value.Hist:
			columns := []string{"from", "to", "count"}
			for _, b := range v.Buckets {
				from, to := bounds(b)
				c.row(concat(keys, columns), concat(head, []string{from, to, strconv.FormatUint(b.Count, 10)})...)
			}
		case value.Series:
			columns := []string{"start", "value"}
			for _, p := range v.Points {
				text := ""
				if p.Set {
					text = c.text(p.V)
				}
				c.row(concat(keys, columns), concat(head, []string{time.Unix(0, p.Start).UTC().Format(csvTime), text})...)
			}
		default:
			names, fields := c.fields(v, "value")
			c.row(concat(keys, names), concat(head, fields)...)
		}
	}
}

// concat returns a and b in one list.
//
//go:noinline
func concat(a, b []string) []string { return slices.Concat(a, b) }

// bounds returns the smallest and the largest number of a bucket as text. A bound that
// does not exist is empty.
func bounds(b value.Bucket) (from, to string) {
	show := func(n int64) string {
		if b.Unsigned {
			return strconv.FormatUint(uint64(n), 10)
		}
		return strconv.FormatInt(n, 10)
	}
	if !b.MinInf {
		from = show(b.Min)
	}
	if !b.MaxInf {
		to = show(b.Max)
	}
	return from, to
}

// Alert implements Sink.
func (c *CSVSink) Alert(a Alert) {
	defer c.Date(c.at)
	c.Date(a.Time)
	c.row([]string{"priority", "alert"}, a.Priority, strings.TrimSuffix(a.Text, "\n"))
}

// Tests implements Sink.
func (c *CSVSink) Tests(rs []TestResult) {
	for _, r := range rs {
		c.row([]string{"test", "passed", "ns"}, r.Name, strconv.FormatBool(r.Passed), fmt.Sprint(r.Ns))
	}
}

// Benchmarks implements Sink.
func (c *CSVSink) Benchmarks(rs []BenchResult) {
	for _, r := range rs {
		c.row([]string{"benchmark", "ns", "iterations"}, r.Name, fmt.Sprint(r.Ns), fmt.Sprint(r.Iters))
	}
}

// End implements Sink.
func (c *CSVSink) End() {}

// Flush implements Sink.
func (c *CSVSink) Flush() error {
	c.w.Flush()
	return c.TextSink.Flush()
}
