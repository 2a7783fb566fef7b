package prometheus

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/gotrace/gotrace/runtime/output/metrics"
	"github.com/gotrace/gotrace/runtime/output/protowire"
)

// The numbers of the fields are those of io.prometheus.client in
// github.com/prometheus/client_model, file metrics.proto.

// types are the numbers of the kinds of metrics there.
var types = [...]uint64{metrics.Counter: 0, metrics.Gauge: 1, metrics.Summary: 2, metrics.Histogram: 4}

// AppendProto appends metrics as messages MetricFamily, each after its length.
func AppendProto(b []byte, fs []metrics.Family) []byte {
	for i := range fs {
		m := family(&fs[i])
		b = binary.AppendUvarint(b, uint64(len(m)))
		b = append(b, m...)
	}
	return b
}

func family(f *metrics.Family) (m protowire.Message) {
	name := f.Name
	if f.Kind == metrics.Counter {
		name += "_total"
	}
	m.String(1, name)
	m.String(2, f.Help)
	m.Varint(3, types[f.Kind])
	for i := range f.Series {
		m.Bytes(4, series(f.Kind, &f.Series[i]))
	}
	return m
}

func series(k metrics.Kind, s *metrics.Series) (m protowire.Message) {
	for _, l := range s.Labels {
		var pair protowire.Message
		pair.String(1, l.Name)
		pair.String(2, l.Value)
		m.Bytes(1, pair)
	}
	var v protowire.Message
	switch k {
	case metrics.Gauge:
		v.Double(1, s.Value.Float())
		m.Bytes(2, v)
	case metrics.Counter:
		v.Double(1, s.Value.Float())
		v.Bytes(3, timestamp(s.Created))
		m.Bytes(3, v)
	case metrics.Summary:
		m.Bytes(4, summary(s))
	case metrics.Histogram:
		m.Bytes(7, histogram(s))
	}
	return m
}

func timestamp(t time.Time) (m protowire.Message) {
	m.Number(1, uint64(t.Unix()))
	m.Number(2, uint64(t.Nanosecond()))
	return m
}

func summary(s *metrics.Series) (m protowire.Message) {
	m.Varint(1, s.Summary.Count)
	m.Double(2, s.Summary.Sum)
	for _, q := range s.Summary.Quantiles {
		var one protowire.Message
		one.Double(1, q.Part)
		one.Double(2, q.Value)
		m.Bytes(3, one)
	}
	m.Bytes(4, timestamp(s.Created))
	return m
}

// histogram writes the buckets of the script and, if it can, those of a native histogram.
// The sum is NaN, as it is not known.
func histogram(s *metrics.Series) (m protowire.Message) {
	h := s.Histogram
	m.Varint(1, h.Count)
	m.Double(2, math.NaN())
	var total uint64
	for i, n := range h.Counts {
		limit := math.Inf(1)
		if i < len(h.Bounds) {
			limit = h.Bounds[i]
		}
		total += n
		var one protowire.Message
		one.Varint(1, total)
		one.Double(2, limit)
		m.Bytes(3, one)
	}
	if h.Powers != nil {
		native(&m, h.Powers)
	}
	m.Bytes(15, timestamp(s.Created))
	return m
}

// zeroThreshold is the greatest number that counts as zero. It only has to be below 1.
const zeroThreshold = 0x1p-128

// infinite is the number of the native bucket whose limit is infinity. Numbers below 0
// are in the bucket at the negative end, because their size is not known.
const infinite = 1025

// native writes the fields of a native histogram of schema 0, in which the limits of
// buckets are powers of two.
func native(m *protowire.Message, p *metrics.Powers) {
	m.Zigzag(5, 0)
	m.Double(6, zeroThreshold)
	m.Varint(7, p.Zero)
	if p.Negative > 0 {
		m.Bytes(9, span(infinite, 1))
		m.Zigzag(10, int64(p.Negative))
	}
	m.Bytes(12, span(p.First, len(p.Counts))) // an empty span, if there is no other, marks the histogram as native
	before := int64(0)
	for _, n := range p.Counts {
		m.Zigzag(13, int64(n)-before)
		before = int64(n)
	}
}

// span is a run of n buckets from bucket first.
func span(first, n int) (m protowire.Message) {
	m.Zigzag(1, int64(first))
	m.Varint(2, uint64(n))
	return m
}
