package output

import (
	"math"
	"sort"
	"time"

	"github.com/gotrace/gotrace/runtime/value"
)

// Rates is a Sink that shows counters as rates per second, until End is called. The rate
// of an entry is computed since the map was last shown, or since Attached was called.
// Entries that did not change are left out. All other maps are shown as they are.
type Rates struct {
	Through
	ended bool
	seen  map[string]*counts // by map
	start time.Time
	now   func() time.Time
}

// counts is the contents of a map of counters.
type counts struct {
	at      time.Time
	entries map[string]value.Value // by the text of the key
}

// NewRates returns a sink that passes rates to s.
func NewRates(s Sink) *Rates {
	return &Rates{Through: Through{s}, seen: map[string]*counts{}, start: time.Now(), now: time.Now}
}

// Attached implements Sink.
func (r *Rates) Attached(n int) {
	r.start = r.now()
	r.Sink.Attached(n)
}

// End implements Sink.
func (r *Rates) End() {
	r.ended = true
	r.Sink.End()
}

// Map implements Sink.
func (r *Rates) Map(m Map) {
	if r.ended || m.Metric != value.Counter {
		r.Sink.Map(m)
		return
	}
	now := r.now()
	last := r.seen[m.Name]
	if last == nil {
		last = &counts{at: r.start}
	}
	next := &counts{now, make(map[string]value.Value, len(m.Entries))}
	seconds := max(now.Sub(last.at).Seconds(), 1e-6)
	type rated struct {
		value.Entry
		rate float64
	}
	var list []rated
	for _, e := range m.Entries {
		key := ""
		if e.Key != nil {
			key = e.Key.String()
		}
		next.entries[key] = e.Value
		n := number(e.Value)
		if before, ok := last.entries[key]; ok && number(before) <= n {
			n -= number(before) // if it is smaller, the script has cleared it meanwhile
		}
		if n > 0 {
			rate := n / seconds
			list = append(list, rated{value.Entry{Key: e.Key, Value: value.Uint(math.Round(rate))}, rate})
		}
	}
	r.seen[m.Name] = next
	sort.SliceStable(list, func(i, j int) bool { return list[i].rate < list[j].rate })
	m.Entries = nil
	for _, e := range list {
		m.Entries = append(m.Entries, e.Entry)
	}
	r.Sink.Map(m)
}

// number returns a counter as a number.
//
//go:noinline
func number(v value.Value) float64 {
	n, _ := value.Float(v)
	return n
}
