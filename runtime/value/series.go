package value

import (
	"math"
	"strings"
	"time"
)

// A time series is printed as a graph that grows downwards. Each point is a line,
// and the column of its star shows the value between the least and the greatest.
const graphWidth = 53

// number returns a point's value as a float64. It is precise enough only for drawing;
// less compares integers exactly.
func number(v Value) (n float64, ok bool) {
	switch v := v.(type) {
	case Int:
		return float64(v), true
	case Uint:
		return float64(v), true
	case Wide:
		n, _ := v.Float64()
		return n, true
	}
	return 0, false
}

func less(a, b Value) bool {
	switch a := a.(type) {
	case Int:
		if b, ok := b.(Int); ok {
			return a < b
		}
	case Uint:
		if b, ok := b.(Uint); ok {
			return a < b
		}
	}
	x, _ := number(a)
	y, _ := number(b)
	return x < y
}

// widened returns bounds around the value of a graph in which all values are equal.
func widened(v Value) (lo, hi Value) {
	switch v := v.(type) {
	case Int:
		lo, hi = v, v
		if v > math.MinInt64 {
			lo = v - 1
		}
		if v < math.MaxInt64 {
			hi = v + 1
		}
		return lo, hi
	case Uint:
		lo, hi = v, v
		if v > 0 {
			lo = v - 1
		}
		if v < math.MaxUint64 {
			hi = v + 1
		}
		return lo, hi
	}
	return v, v
}

// timeUnit returns the header and the layout of a series' times. If there is one
// point, its time is exact. Otherwise the times are as fine as the interval
// requires.
func timeUnit(interval int64, points int) (header string, layout string) {
	const clock, stamp = "hh:mm:ss", "15:04:05"
	switch {
	case points == 1:
	case interval%1e9 == 0:
		return clock, stamp
	case interval%1e6 == 0:
		return clock + ".ms", stamp + ".000"
	case interval%1e3 == 0:
		return clock + ".us", stamp + ".000000"
	}
	return clock + ".ns", stamp + ".000000000"
}

func appendSeries(b []byte, s Series) []byte {
	var lo, hi Value
	for _, p := range s.Points {
		if !p.Set {
			continue
		}
		if lo == nil || less(p.V, lo) {
			lo = p.V
		}
		if hi == nil || less(hi, p.V) {
			hi = p.V
		}
	}
	if lo == nil {
		return append(b, "<no data>"...)
	}
	if !less(lo, hi) {
		lo, hi = widened(lo)
	}
	min, _ := number(lo)
	max, _ := number(hi)
	header, layout := timeUnit(s.Interval, len(s.Points))
	// If times are finer than seconds, one more column follows them.
	width := len(layout)

	// place returns the column of v in a graph of w columns.
	place := func(v, w float64) int {
		if max <= min {
			return graphWidth / 2
		}
		n := int(float32(w) * float32(v-min) / float32(max-min))
		return clamp(n, 0, graphWidth-1)
	}
	scale := func() {
		left, right := Text(lo, ""), Text(hi, "")
		b = pad(b, width+1)
		b = pad(append(b, left...), 21-len(left))
		b = append(pad(b, graphWidth-21-len(right)), right...)
		b = append(b, '\n')
	}

	scale()
	b = pad(append(b, header...), width+1-len(header))
	b = append(b, '|')
	b = append(b, strings.Repeat("_", graphWidth-2)...)
	b = append(b, "|\n"...)

	zero := 0
	if min < 0 && max > 0 {
		zero = place(0, graphWidth)
	}
	for _, p := range s.Points {
		line := []byte(strings.Repeat(" ", graphWidth))
		line[0], line[graphWidth-1] = '|', '|'
		if zero > 0 {
			line[zero] = '.'
		}
		text := "-"
		if p.Set {
			v, _ := number(p.V)
			line[place(v, graphWidth-1)] = '*'
			text = Text(p.V, "")
		}
		b = time.Unix(0, p.Start).AppendFormat(b, layout)
		b = append(b, ' ')
		b = append(b, line...)
		b = append(b, ' ')
		b = append(b, text...)
		b = append(b, '\n')
	}

	b = pad(b, width+1)
	b = append(b, 'v')
	b = append(b, strings.Repeat("_", graphWidth-2)...)
	b = append(b, "v\n"...)
	scale()
	return b
}

func clamp(n, lo, hi int) int { return min(max(n, lo), hi) }
