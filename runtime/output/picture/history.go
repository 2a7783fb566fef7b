// Package picture draws maps: stacks as flame graphs, histograms over time as heatmaps,
// numbers over time as lines, and everything else as bars. It writes an SVG file or an
// HTML page, which need no other files.
package picture

import (
	"math"
	"time"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// Limits of a History, which bound its memory.
const (
	maxColumns = 240 // columns of a map; if there are more, pairs are merged
	maxSeries  = 32  // keys of a map with numbers
	maxHists   = 8   // keys of a map with histograms

	// MaxSampled is the number of entries of a map, those with the greatest values, that
	// a sampler of a session is to read.
	MaxSampled = 256
)

// interval is the time of a column until there are maxColumns.
const interval = time.Second

// History collects the contents of maps while a session runs. It implements
// output.Sampler.
type History struct {
	start time.Time
	ends  []time.Time // of the columns
	step  time.Duration
	maps  map[string]*track
	order []string // names of the maps by first sample
}

// NewHistory returns an empty history that starts now.
func NewHistory(now time.Time) *History {
	return &History{start: now, step: interval, maps: map[string]*track{}}
}

// track is the history of a map.
type track struct {
	name   string
	metric value.Metric
	series map[string]*series // by the text of the key
	left   bool               // some keys have no series
}

// series is the history of one key.
type series struct {
	key     string
	counter bool
	last    float64 // the last value
	seen    int     // number of the column in which the key was last sampled

	// columns has for each column the increase of a counter or the last value of any
	// other number, or NaN if there was none. It is shorter than History.ends if there
	// were no later values.
	columns []float64
	now     float64 // of the column that has not ended

	rungs    map[rung]bool // all buckets, also empty ones between others
	lastHist map[rung]uint64
	hists    []map[rung]uint64 // numbers added in each column; nil: none
	nowHist  map[rung]uint64
}

// rung is a bucket of a histogram.
type rung struct {
	min, max       int64
	unsigned       bool
	minInf, maxInf bool
}

// Sample implements output.Sampler.
func (h *History) Sample(m output.Map) {
	t := h.maps[m.Name]
	if t == nil {
		t = &track{name: m.Name, metric: m.Metric, series: map[string]*series{}}
		h.maps[m.Name] = t
		h.order = append(h.order, m.Name)
	}
	// If entries are missing, the previous value of a new entry is not known.
	partial := len(m.Entries) >= MaxSampled
	for i := len(m.Entries) - 1; i >= 0; i-- { // the greatest first
		e := &m.Entries[i]
		key := ""
		if e.Key != nil {
			key = value.Text(e.Key, "")
		}
		if hist, ok := e.Value.(value.Hist); ok {
			if s := h.series(t, key, 0, maxHists); s != nil {
				s.addHist(hist, partial)
			}
			continue
		}
		v := e.Value
		if stats, ok := v.(value.Stats); ok {
			v = stats.Avg
		}
		n, ok := value.Float(v)
		if !ok {
			continue
		}
		s := h.series(t, key, n, maxSeries)
		if s == nil {
			continue
		}
		s.counter = t.metric == value.Counter
		switch {
		case !s.counter:
			s.now = n
		case math.IsNaN(s.last):
			if s.now = 0; !partial {
				s.now = n
			}
		case n >= s.last:
			s.now = zeroNaN(s.now) + n - s.last
		default: // it was deleted and added again
			s.now = zeroNaN(s.now) + n
		}
		s.last = n
	}
}

func zeroNaN(n float64) float64 {
	if math.IsNaN(n) {
		return 0
	}
	return n
}

// series returns the series of a key, which it creates if necessary. If there are max series
// already, a new one replaces the series with the least value among those that were not
// sampled in this column. Unless that value is less than n, series returns nil.
func (h *History) series(t *track, key string, n float64, max int) *series {
	s := t.series[key]
	if s == nil {
		if len(t.series) >= max {
			t.left = true
			var least *series
			for _, o := range t.series {
				if o.seen < len(h.ends) && o.last < n && (least == nil || o.last < least.last) {
					least = o
				}
			}
			if least == nil {
				return nil
			}
			delete(t.series, least.key)
		}
		s = &series{key: key, last: math.NaN(), now: math.NaN()}
		t.series[key] = s
	}
	s.seen = len(h.ends)
	return s
}

// addHist adds the numbers that a histogram has in addition to the previous one.
func (s *series) addHist(h value.Hist, partial bool) {
	next := make(map[rung]uint64, len(h.Buckets))
	if s.rungs == nil {
		s.rungs = map[rung]bool{}
	}
	for _, b := range h.Buckets {
		r := rung{b.Min, b.Max, b.Unsigned, b.MinInf, b.MaxInf}
		s.rungs[r] = true
		if b.Count > 0 {
			next[r] = b.Count
		}
	}
	if s.lastHist == nil && partial {
		s.lastHist = next
		return
	}
	restarted := false
	for r, n := range s.lastHist {
		restarted = restarted || next[r] < n
	}
	if restarted {
		s.lastHist = nil
	}
	if s.nowHist == nil {
		s.nowHist = map[rung]uint64{}
	}
	for r, n := range next {
		if n > s.lastHist[r] {
			s.nowHist[r] += n - s.lastHist[r]
		}
	}
	s.lastHist = next
}

// Cleared implements output.Sampler.
func (h *History) Cleared(name string) {
	if t := h.maps[name]; t != nil {
		for _, s := range t.series {
			s.last = 0
			s.lastHist = map[rung]uint64{}
		}
	}
}

// Tick implements output.Sampler.
func (h *History) Tick(now time.Time) (next time.Time) {
	if len(h.order) == 0 { // the session starts to trace
		h.start = now
		return now.Add(h.step)
	}
	if n := len(h.ends); n > 0 && now.Sub(h.ends[n-1]) < h.step/2 {
		// The session ends and its probes are being detached, so a separate column would
		// have too few events.
		h.reopen()
	}
	for _, t := range h.maps {
		for _, s := range t.series {
			if !math.IsNaN(s.now) {
				for len(s.columns) < len(h.ends) {
					s.columns = append(s.columns, math.NaN())
				}
				s.columns = append(s.columns, s.now)
			}
			s.now = math.NaN()
			if len(s.nowHist) > 0 {
				for len(s.hists) < len(h.ends) {
					s.hists = append(s.hists, nil)
				}
				s.hists = append(s.hists, s.nowHist)
			}
			s.nowHist = nil
		}
	}
	h.ends = append(h.ends, now)
	if len(h.ends) >= maxColumns {
		h.halve()
	}
	return now.Add(h.step)
}

// reopen makes the last column the current one.
func (h *History) reopen() {
	n := len(h.ends) - 1
	h.ends = h.ends[:n]
	for _, t := range h.maps {
		for _, s := range t.series {
			if len(s.columns) > n {
				switch before := s.columns[n]; {
				case math.IsNaN(s.now):
					s.now = before
				case s.counter:
					s.now += zeroNaN(before)
				}
				s.columns = s.columns[:n]
			}
			if len(s.hists) > n {
				for r, c := range s.nowHist {
					if s.hists[n] == nil {
						s.hists[n] = map[rung]uint64{}
					}
					s.hists[n][r] += c
				}
				s.nowHist = s.hists[n]
				s.hists = s.hists[:n]
			}
		}
	}
}

// halve merges pairs of columns.
func (h *History) halve() {
	n := len(h.ends) / 2
	for i := range n {
		h.ends[i] = h.ends[2*i+1]
	}
	if len(h.ends)%2 == 1 {
		h.ends[n] = h.ends[2*n]
		n++
	}
	h.ends = h.ends[:n]
	h.step *= 2
	for _, t := range h.maps {
		for _, s := range t.series {
			s.seen /= 2
			s.columns = pairs(s.columns, math.NaN(), func(a, b float64) float64 {
				switch {
				case math.IsNaN(a):
					return b
				case math.IsNaN(b):
					return a
				case s.counter:
					return a + b
				}
				return b
			})
			s.hists = pairs(s.hists, nil, func(a, b map[rung]uint64) map[rung]uint64 {
				if a == nil {
					return b
				}
				for r, n := range b {
					a[r] += n
				}
				return a
			})
		}
	}
}

// pairs merges pairs of elements of a list. A single last element is merged with nothing.
func pairs[T any](list []T, none T, merge func(a, b T) T) []T {
	n := 0
	for i := 0; i < len(list); i += 2 {
		second := none
		if i+1 < len(list) {
			second = list[i+1]
		}
		list[n] = merge(list[i], second)
		n++
	}
	return list[:n]
}

// begin returns the start of a column.
func (h *History) begin(i int) time.Time {
	if i == 0 {
		return h.start
	}
	return h.ends[i-1]
}
