// Package prometheus writes metrics in the formats that Prometheus reads: its text format,
// OpenMetrics, and protocol buffers, which alone have native histograms. The program
// contains no client library of Prometheus, which would make it twice as large.
package prometheus

import (
	"math"
	"strconv"
	"time"

	"github.com/gotrace/gotrace/runtime/output/metrics"
)

// textWriter writes one of the two text formats.
type textWriter struct {
	b    []byte
	open bool // OpenMetrics
}

// AppendText appends metrics in the text format, version 0.0.4.
func AppendText(b []byte, fs []metrics.Family) []byte {
	w := textWriter{b: b}
	for i := range fs {
		w.family(&fs[i])
	}
	return w.b
}

// AppendOpenMetrics appends metrics in the text format of OpenMetrics 1.0.
func AppendOpenMetrics(b []byte, fs []metrics.Family) []byte {
	w := textWriter{b: b, open: true}
	for i := range fs {
		w.family(&fs[i])
	}
	return append(w.b, "# EOF\n"...)
}

// typeNames are the names of the kinds of metrics.
var typeNames = [...]string{metrics.Gauge: "gauge", metrics.Counter: "counter", metrics.Histogram: "histogram", metrics.Summary: "summary"}

//go:noinline
func (w *textWriter) add(parts ...string) {
	for _, p := range parts {
		w.b = append(w.b, p...)
	}
}

func (w *textWriter) family(f *metrics.Family) {
	name := f.Name
	if f.Kind == metrics.Counter && !w.open {
		name += "_total"
	}
	w.add("# TYPE ", name, " ", typeNames[f.Kind], "\n# HELP ", name, " ")
	w.escape(f.Help, w.open)
	w.add("\n")
	for i := range f.Series {
		s := &f.Series[i]
		switch f.Kind {
		case metrics.Gauge:
			w.number(f.Name, s, "", "", s.Value)
		case metrics.Counter:
			w.number(f.Name+"_total", s, "", "", s.Value)
		case metrics.Histogram:
			w.histogram(f.Name, s)
		case metrics.Summary:
			w.summary(f.Name, s)
		}
		if w.open && f.Kind != metrics.Gauge {
			w.number(f.Name+"_created", s, "", "", metrics.Real(unixSeconds(s.Created)))
		}
	}
}

// unixSeconds returns the time since the epoch in seconds, exact to the millisecond.
func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// sample writes the start of a line: the name and the labels of s, and if name is not "",
// one more label.
func (w *textWriter) sample(metric string, s *metrics.Series, name, value string) {
	w.add(metric)
	sep := byte('{')
	label := func(name, value string) {
		w.b = append(w.b, sep)
		w.add(name, `="`)
		w.escape(value, true)
		w.add(`"`)
		sep = ','
	}
	for _, l := range s.Labels {
		label(l.Name, l.Value)
	}
	if name != "" {
		label(name, value)
	}
	if sep == ',' {
		w.add("}")
	}
	w.add(" ")
}

func (w *textWriter) number(metric string, s *metrics.Series, name, value string, n metrics.Number) {
	w.sample(metric, s, name, value)
	if n.IsInt {
		w.b = strconv.AppendInt(w.b, n.Int, 10)
	} else {
		w.b = appendReal(w.b, n.Real)
	}
	w.add("\n")
}

func (w *textWriter) count(metric string, s *metrics.Series, name, value string, n uint64) {
	w.sample(metric, s, name, value)
	w.b = strconv.AppendUint(w.b, n, 10)
	w.add("\n")
}

// histogram writes the buckets and their number. OpenMetrics forbids the number where
// there is no sum.
func (w *textWriter) histogram(name string, s *metrics.Series) {
	var total uint64
	for i, n := range s.Histogram.Counts {
		limit := "+Inf"
		if i < len(s.Histogram.Bounds) {
			limit = w.bound(s.Histogram.Bounds[i])
		}
		total += n
		w.count(name+"_bucket", s, metrics.LimitLabel, limit, total)
	}
	if !w.open {
		w.count(name+"_count", s, "", "", s.Histogram.Count)
	}
}

func (w *textWriter) summary(name string, s *metrics.Series) {
	for _, q := range s.Summary.Quantiles {
		w.number(name, s, metrics.PartLabel, w.bound(q.Part), metrics.Real(q.Value))
	}
	if !math.IsNaN(s.Summary.Sum) {
		w.number(name+"_sum", s, "", "", metrics.Real(s.Summary.Sum))
	}
	w.count(name+"_count", s, "", "", s.Summary.Count)
}

// bound returns a number as the value of a label. OpenMetrics wants it to look like a
// floating-point number.
func (w *textWriter) bound(f float64) string {
	b := appendReal(nil, f)
	if w.open && !math.IsInf(f, 0) && f == math.Trunc(f) && math.Abs(f) < 1e15 {
		b = append(b, ".0"...)
	}
	return string(b)
}

// appendReal appends a number as short as possible.
func appendReal(b []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(b, "+Inf"...)
	case math.IsInf(f, -1):
		return append(b, "-Inf"...)
	case f == math.Trunc(f) && math.Abs(f) < 1e15:
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

// escape appends text and escapes the characters that would end it.
//
//go:noinline
func (w *textWriter) escape(text string, quotes bool) {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\\':
			w.b = append(w.b, '\\', '\\')
		case c == '\n':
			w.b = append(w.b, '\\', 'n')
		case c == '"' && quotes:
			w.b = append(w.b, '\\', '"')
		default:
			w.b = append(w.b, c)
		}
	}
}
