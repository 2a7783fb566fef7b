package live

import (
	"time"

	"github.com/gotrace/gotrace/runtime/value"
)

// tracks stores the entries of a map from one snapshot to the next.
type tracks struct {
	byKey map[string]*track
	at    time.Time // of the last snapshot
	round int       // its number
	cut   bool      // the previous snapshot did not have all entries
	cells int       // buckets in the heatmaps
}

// track is the history of an entry.
type track struct {
	round   int       // snapshot in which the entry was last seen
	last    float64   // the number, or the samples of the histogram
	rate    float64   // increase per second
	history []float32 // the last rates of a counter or histogram, or values of others; the newest last
	buckets []bucket  // of a histogram, as last seen
	heat    []slice   // the newest last
}

// slice has the numbers that were added to a histogram between two snapshots.
type slice struct {
	round  int
	counts []bucket
}

// bucket is a bucket of a histogram, identified by its least value.
type bucket struct {
	min int64
	n   uint64
}

// The limits of a history: values of an entry, snapshots of a heatmap, and buckets of all
// heatmaps of a map.
const (
	maxHistory = 60
	maxSlices  = 240
	maxCells   = 200_000
)

// record adds a value to the track of an entry, and returns the track. seconds is the
// time since the last value.
func (ts *tracks) record(id string, v value.Value, metric value.Metric, seconds float64) *track {
	t := ts.byKey[id]
	// It is not known when the script started to count, or which value the entry had
	// before.
	unknown := ts.round == 1 || t == nil && ts.cut
	if t == nil {
		t = &track{}
		ts.byKey[id] = t
	}
	n, _ := numberOf(v)
	rise := n - t.last
	if rise < 0 {
		rise = n // the script has cleared it since
	}
	t.last, t.round = n, ts.round
	point := n
	if metric == value.Counter || metric == value.Histogram || metric == value.Summary {
		if unknown {
			rise = 0
		}
		t.rate = rise / seconds
		point = t.rate
	}
	if len(t.history) >= maxHistory {
		t.history = t.history[:copy(t.history, t.history[1:])]
	}
	t.history = append(t.history, float32(point))
	if h, ok := v.(value.Hist); ok {
		ts.recordHist(t, h, unknown && ts.cut)
	}
	return t
}

// recordHist adds the numbers that a histogram got since the last snapshot. It adds
// nothing if the contents at that snapshot are unknown.
func (ts *tracks) recordHist(t *track, h value.Hist, unknown bool) {
	before, counts := map[int64]uint64{}, map[int64]uint64{}
	for _, b := range h.Buckets {
		counts[bucketKey(&b)] = b.Count
	}
	for _, b := range t.buckets {
		before[b.min] = b.n
	}
	for k, n := range before {
		if counts[k] < n { // the script has cleared it since
			clear(before)
			break
		}
	}
	if unknown {
		before = counts
	}
	now := make([]bucket, 0, len(h.Buckets))
	s := slice{round: ts.round}
	for _, b := range h.Buckets {
		if b.Count == 0 {
			continue
		}
		k := bucketKey(&b)
		now = append(now, bucket{k, b.Count})
		if n := b.Count - before[k]; n > 0 {
			s.counts = append(s.counts, bucket{k, n})
		}
	}
	t.buckets = now
	t.heat = append(t.heat, s)
	ts.cells += len(s.counts)
	// If there are too many buckets, each histogram loses two slices for the one it gets.
	for n := 0; len(t.heat) > maxSlices || n < 2 && ts.cells > maxCells && len(t.heat) > 1; n++ {
		ts.cells -= len(t.heat[0].counts)
		t.heat = t.heat[1:]
	}
}

// bucketKey identifies a bucket among those of its histogram.
func bucketKey(b *value.Bucket) int64 {
	if b.MinInf {
		return -1 << 63
	}
	return b.Min
}

// prune removes the entries that are no longer in the map.
func (ts *tracks) prune() {
	for id, t := range ts.byKey {
		if t.round != ts.round {
			for _, s := range t.heat {
				ts.cells -= len(s.counts)
			}
			delete(ts.byKey, id)
		}
	}
}
