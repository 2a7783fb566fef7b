package metrics

import (
	"math/bits"
	"slices"

	"github.com/gotrace/gotrace/runtime/value"
)

// bound returns the greatest number of a bucket that is not open.
//
//go:noinline
func bound(b *value.Bucket) float64 {
	if b.Unsigned {
		return float64(uint64(b.Max))
	}
	return float64(b.Max)
}

// addBounds adds the bounds of h's buckets to a sorted list of bounds without repetitions.
func addBounds(bounds []float64, h value.Hist) []float64 {
	for i := range h.Buckets {
		b := &h.Buckets[i]
		if b.MaxInf {
			continue
		}
		if at, found := slices.BinarySearch(bounds, bound(b)); !found {
			bounds = slices.Insert(bounds, at, bound(b))
		}
	}
	return bounds
}

// histogram returns the counts of h for bounds that include its own.
func histogram(h value.Hist, bounds []float64) *HistData {
	d := &HistData{Bounds: bounds, Counts: make([]uint64, len(bounds)+1)}
	if !h.Linear {
		d.Powers = powers(h)
	}
	for i := range h.Buckets {
		b := &h.Buckets[i]
		d.Count += b.Count
		at := len(bounds)
		if !b.MaxInf {
			at, _ = slices.BinarySearch(bounds, bound(b))
		}
		d.Counts[at] += b.Count
	}
	return d
}

// powers returns the counts of h by powers of two.
func powers(h value.Hist) *Powers {
	p := &Powers{}
	for i := range h.Buckets {
		b := &h.Buckets[i]
		switch {
		case b.Count == 0:
		case b.MinInf:
			p.Negative += b.Count
		case b.Max == 0:
			p.Zero += b.Count
		default:
			p.add(bits.Len64(uint64(b.Max)-1), b.Count)
		}
	}
	return p
}

// add adds n numbers to bucket i. Calls must be in ascending order of i.
func (p *Powers) add(i int, n uint64) {
	if len(p.Counts) == 0 {
		p.First = i
	}
	for len(p.Counts) <= i-p.First {
		p.Counts = append(p.Counts, 0)
	}
	p.Counts[i-p.First] += n
}

// merge adds the numbers of o, which has the same bounds.
func (d *HistData) merge(o *HistData) {
	d.Count += o.Count
	for i, n := range o.Counts {
		d.Counts[i] += n
	}
	if d.Powers == nil || o.Powers == nil {
		return
	}
	sum := &Powers{Negative: d.Powers.Negative + o.Powers.Negative, Zero: d.Powers.Zero + o.Powers.Zero}
	for i := range 65 { // the last bucket is up to 2^64
		if n := d.Powers.at(i) + o.Powers.at(i); n > 0 {
			sum.add(i, n)
		}
	}
	d.Powers = sum
}

// at returns the count of bucket i.
func (p *Powers) at(i int) uint64 {
	if i -= p.First; i < 0 || i >= len(p.Counts) {
		return 0
	}
	return p.Counts[i]
}
