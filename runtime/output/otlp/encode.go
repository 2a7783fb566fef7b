// Package otlp sends metrics, events and spans to an OpenTelemetry collector over OTLP/HTTP
// with protocol buffers. The program does not contain OpenTelemetry's SDK, which would make
// it twice as large.
package otlp

import (
	"math"
	"time"

	"github.com/gotrace/gotrace/runtime/output/metrics"
	"github.com/gotrace/gotrace/runtime/output/protowire"
	"github.com/gotrace/gotrace/runtime/value"
)

// The numbers of the fields are those of github.com/open-telemetry/opentelemetry-proto,
// version 1.

// cumulative is the temporality of sums and histograms: they count since their start.
const cumulative = 2

// appendMetrics returns metrics as fields of ScopeMetrics, at a time.
func appendMetrics(fs []metrics.Family, now time.Time) (m protowire.Message) {
	for i := range fs {
		m.Bytes(2, metric(&fs[i], now))
	}
	return m
}

func metric(f *metrics.Family, now time.Time) (m protowire.Message) {
	var data protowire.Message
	for i := range f.Series {
		data.Bytes(1, point(f.Kind, &f.Series[i], now))
	}
	field := uint64(5) // a gauge
	switch f.Kind {
	case metrics.Counter:
		field = 7
		data.Varint(2, cumulative)
		data.Flag(3, true) // it only rises
	case metrics.Histogram:
		field = 9
		data.Varint(2, cumulative)
	case metrics.Summary:
		field = 11
	}
	m.String(1, f.Name)
	m.String(2, f.Help)
	m.Bytes(field, data)
	return m
}

// point encodes a series. A point of a histogram has its attributes in a field of its own.
func point(k metrics.Kind, s *metrics.Series, now time.Time) (m protowire.Message) {
	if k != metrics.Gauge {
		m.Fixed64(2, uint64(s.Created.UnixNano()))
	}
	m.Fixed64(3, uint64(now.UnixNano()))
	attributes := uint64(7)
	switch k {
	case metrics.Histogram:
		attributes = 9
		m.Fixed64(4, s.Histogram.Count)
		m.Fixed64s(6, s.Histogram.Counts)
		m.Doubles(7, s.Histogram.Bounds)
	case metrics.Summary:
		m.Fixed64(4, s.Summary.Count)
		if !math.IsNaN(s.Summary.Sum) {
			m.Double(5, s.Summary.Sum)
		}
		for _, q := range s.Summary.Quantiles {
			var one protowire.Message
			one.Double(1, q.Part)
			one.Double(2, q.Value)
			m.Bytes(6, one)
		}
	default:
		if s.Value.IsInt {
			m.Fixed64(6, uint64(s.Value.Int))
		} else {
			m.Double(4, s.Value.Real)
		}
	}
	for _, l := range s.Labels {
		m.Bytes(attributes, textAttribute(l.Name, l.Value))
	}
	return m
}

// textAttribute encodes a KeyValue whose value is text, valid UTF-8.
func textAttribute(name, text string) (m protowire.Message) {
	m.String(1, name)
	m.Bytes(2, textValue(text))
	return m
}

// textValue encodes an AnyValue that is text.
//
//go:noinline
func textValue(text string) (m protowire.Message) {
	m.String(1, text)
	return m
}

// attribute encodes a KeyValue.
func attribute(name string, v value.Value) (m protowire.Message) {
	m.String(1, metrics.ValidText(name))
	m.Bytes(2, anyValue(v))
	return m
}

// anyValue encodes a value: numbers, text, lists and records as they are, others as text.
func anyValue(v value.Value) (m protowire.Message) {
	switch v := v.(type) {
	case value.Bool:
		n := uint64(0)
		if v {
			n = 1
		}
		m.Varint(2, n)
	case value.Int:
		m.Varint(3, uint64(v))
	case value.Uint:
		if v > math.MaxInt64 {
			return textValue(v.String())
		}
		m.Varint(3, uint64(v))
	case value.Bytes:
		m.Bytes(7, v)
	case value.Tuple:
		m.Bytes(5, list(v))
	case value.Array:
		m.Bytes(5, list(v))
	case value.Record:
		m.Bytes(6, fields(v))
	case value.Stats:
		m.Bytes(6, fields(v.Record()))
	case value.Avg:
		return anyValue(v.V)
	default:
		return textValue(metrics.ValidText(v.String()))
	}
	return m
}

func list(vs []value.Value) (m protowire.Message) {
	for _, v := range vs {
		m.Bytes(1, anyValue(v))
	}
	return m
}

func fields(r value.Record) (m protowire.Message) {
	for _, f := range r {
		m.Bytes(1, attribute(f.Name, f.V))
	}
	return m
}

// request encodes a request to one of the three services, with the data of one scope of a
// resource. The three differ only in the names of their fields.
func request(resource, scope, data []byte) (m protowire.Message) {
	inner := make(protowire.Message, 0, len(data)+len(scope)+16)
	inner.Bytes(1, scope)
	inner = append(inner, data...)
	var outer protowire.Message
	outer.Bytes(1, resource)
	outer.Bytes(2, inner)
	m.Bytes(1, outer)
	return m
}

// partial reads the answer of a collector: how many items it rejected, and why. Answers
// that are not valid count as empty.
func partial(answer []byte) (rejected uint64, why string) {
	protowire.Fields(answer, func(field uint64, _ uint64, data []byte) {
		if field != 1 {
			return
		}
		protowire.Fields(data, func(field, n uint64, data []byte) {
			switch field {
			case 1:
				rejected = n
			case 2:
				why = metrics.ValidText(string(data))
			}
		})
	})
	return rejected, why
}
