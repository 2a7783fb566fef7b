// Package metrics turns the maps of running scripts into metrics with labels, for other
// systems to read. It does not know how these encode metrics: packages prometheus and
// otlp do.
//
//	map's values                              metric
//	count(), sum() of unsigned numbers        Counter
//	numbers, sum() of signed ones, avg(),
//	min(), max()                              Gauge
//	hist(), lhist()                           Histogram
//	stats()                                   Summary without quantiles
//	quantile()                                Summary
//
// Maps of other values, such as text, stacks and time series, are left out.
package metrics

import (
	"math"
	"time"

	"github.com/gotrace/gotrace/runtime/value"
)

// Kind is the kind of a metric.
type Kind uint8

const (
	Gauge   Kind = iota // rises and falls
	Counter             // only rises, except that it may start again at 0
	Histogram
	Summary
)

// Family is a metric: its series differ in their labels.
type Family struct {
	Name   string // without the suffix _total of counters
	Help   string
	Kind   Kind
	Series []Series
}

// Series is one time series, or those of a histogram or summary.
type Series struct {
	Labels []Label
	// Created is a time at which the value was 0, for all kinds but Gauge: the start of
	// the script, or the last time before the series was first seen or was cleared.
	Created   time.Time
	Value     Number    // of a Gauge or Counter
	Histogram *HistData // of a Histogram
	Summary   *SummaryData
}

// Label is a name and a value, which is valid UTF-8.
type Label struct{ Name, Value string }

// Number is an integer, if IsInt is set, or a floating-point number.
type Number struct {
	IsInt bool
	Int   int64
	Real  float64
}

// Float returns n as a float64.
func (n Number) Float() float64 {
	if n.IsInt {
		return float64(n.Int)
	}
	return n.Real
}

// Int returns an integer as a Number.
func Int(n int64) Number { return Number{IsInt: true, Int: n} }

// Real returns a floating-point number as a Number.
func Real(f float64) Number { return Number{Real: f} }

// numberOf returns a value as a number. ok is false if it is not a number.
func numberOf(v value.Value) (n Number, ok bool) {
	switch v := v.(type) {
	case value.Uint:
		if v > math.MaxInt64 {
			return Real(float64(v)), true
		}
	case value.Wide:
		f, _ := v.Float64()
		return Real(f), true
	case value.Avg:
		return numberOf(v.V)
	}
	i, ok := value.Number(v)
	return Int(i), ok
}

// SummaryData is the value of a Summary.
type SummaryData struct {
	Count     uint64
	Sum       float64 // NaN: not known
	Quantiles []Quantile
}

// Quantile is the value below which a part of all numbers lie, a fraction from 0 to 1.
type Quantile struct{ Part, Value float64 }

// HistData is the value of a Histogram. The sum of its numbers is not known.
type HistData struct {
	Count uint64
	// Bounds are the greatest numbers of all buckets but the last one, which is open.
	// Counts has one element more: the numbers in each bucket.
	Bounds []float64
	Counts []uint64
	// Powers is nil for a linear histogram. Otherwise it has the same numbers in buckets
	// whose limits are powers of two.
	Powers *Powers
}

// Powers are buckets whose limits are powers of two: bucket i has numbers above 2^(i-1) and
// up to 2^i. As the buckets of hist() start at a power of two, a number that is itself a
// power of two may be one bucket too high.
type Powers struct {
	Negative uint64 // numbers below 0
	Zero     uint64
	First    int      // the number of the first bucket
	Counts   []uint64 // from bucket First
}

// Names of labels that Prometheus gives a meaning: the limit of a bucket, and the part of
// a Quantile.
const (
	LimitLabel = "le"
	PartLabel  = "quantile"
)
