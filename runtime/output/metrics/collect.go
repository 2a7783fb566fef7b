package metrics

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// DefaultSeries is the number of series of a map that are exported, if the script does not
// set another one.
const DefaultSeries = 2000

// maxAge is the age up to which metrics are reused, so that frequent readings do not slow
// down the scripts.
const maxAge = 100 * time.Millisecond

// Collector reads the maps of scripts as metrics. Its methods may be called from any
// goroutine.
type Collector struct {
	// Warn is called with a warning for the user. It may be nil.
	Warn func(text string)

	mu      sync.Mutex
	sources []*Source
	added   bool // Add was called
	self    []func() []Family
	last    []Family
	read    time.Time // when last was collected
	now     func() time.Time
}

// Source is a script whose maps a Collector reads.
type Source struct {
	Script string // value of the label script; "": there is no such label
	// Maps returns the contents of all maps. If it also returns an error, the maps that
	// it returns are used all the same.
	Maps func() ([]output.Map, error)
	// Limit is the maximum number of series of one map.
	Limit int
	Lost  *Lost // the lost events of the script; may be nil

	c     *Collector
	start time.Time
	maps  map[string]*mapState
}

// mapState is what is known about a map from earlier readings.
type mapState struct {
	series map[string]*seriesState // by the labels
	bounds []float64               // bounds of all buckets that a histogram ever had
	read   time.Time
	warned bool
}

// seriesState is what is known about a series.
type seriesState struct {
	created time.Time
	count   float64
	seen    time.Time // the last reading that had the series
}

// Add adds the maps of a script, which starts now.
func (c *Collector) Add(s *Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.c, s.start, s.maps = c, c.time(), map[string]*mapState{}
	if s.Limit <= 0 {
		s.Limit = DefaultSeries
	}
	c.sources, c.added = append(c.sources, s), true
	sort.SliceStable(c.sources, func(i, j int) bool { return c.sources[i].Script < c.sources[j].Script })
	c.last = nil
}

// Remove removes the maps of the script.
func (s *Source) Remove() {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.sources {
		if c.sources[i] == s {
			c.sources = append(c.sources[:i:i], c.sources[i+1:]...)
			break
		}
	}
	c.last = nil
}

// AddSelf adds metrics that do not come from maps. Metrics of maps cannot have their
// names.
func (c *Collector) AddSelf(metrics func() []Family) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.self = append(c.self, metrics)
}

func (c *Collector) time() time.Time {
	if c.now != nil {
		return c.now()
	}
	return time.Now()
}

// Start makes the collector ready before a script is added.
func (c *Collector) Start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added = true
}

// Ready reports whether there are metrics to collect: a script was added, or Start called.
func (c *Collector) Ready() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.added
}

// Refresh makes the next call of Collect read the maps, even if they were read recently.
func (c *Collector) Refresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = nil
}

// Collect returns all metrics, sorted by name. The caller must not change them.
func (c *Collector) Collect() []Family {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.time()
	if c.last != nil && now.Sub(c.read) < maxAge {
		return c.last
	}
	b := build{names: nameTable{}, shared: map[string][]string{}, used: map[string]int{}, index: map[string]int{}}
	for _, f := range ownFamilies() {
		b.names.claim(f.Name, f.Kind, "")
	}
	b.names.claim(lostName, Counter, "")
	for _, self := range c.self {
		for _, f := range self() {
			b.names.claim(f.Name, f.Kind, "")
			b.add(f)
		}
	}
	own := ownFamilies()
	for _, s := range c.sources {
		s.collect(now, &b, &own)
	}
	for _, f := range own {
		b.add(f)
	}
	sort.SliceStable(b.families, func(i, j int) bool { return b.families[i].Name < b.families[j].Name })
	c.last, c.read = b.families, now
	return c.last
}

// build is a list of metrics under construction.
type build struct {
	names    nameTable
	shared   map[string][]string // names of metrics that scripts share, by nameAndKind
	used     map[string]int      // number of shared names that a script has used, by nameAndKind and script
	families []Family
	index    map[string]int // in families, by name
}

// add adds a metric, or series to a metric of the same name.
//
//go:noinline
func (b *build) add(f Family) {
	if len(f.Series) == 0 {
		return
	}
	if i, ok := b.index[f.Name]; ok {
		b.families[i].Series = append(b.families[i].Series, f.Series...)
		return
	}
	b.index[f.Name] = len(b.families)
	b.families = append(b.families, f)
}

// name returns the name of a map's metric. Scripts whose maps have the same name and the
// same kind of metric share it. If several maps of one script have the same name, each
// has a separate metric, because the labels of their series could be equal.
func (b *build) name(m *output.Map, kind Kind, script string) string {
	name := baseName(m)
	if base := strings.TrimSuffix(name, "_total"); kind == Counter && base != "" {
		name = base
	}
	nameAndKind := fmt.Sprintf("%s %d", name, kind)
	mine := nameAndKind + " " + script
	n := b.used[mine]
	b.used[mine]++
	if n == len(b.shared[nameAndKind]) {
		if n > 0 {
			script = "" // the second metric of several scripts gets a number instead
		}
		b.shared[nameAndKind] = append(b.shared[nameAndKind], b.names.claim(name, kind, script))
	}
	return b.shared[nameAndKind][n]
}

// hidden is the name by which a script excludes a map: config.NoMetric.
const hidden = "none"

// kindOf returns the kind of a map's metric. ok is false if its values cannot be a
// metric.
func kindOf(m *output.Map) (k Kind, ok bool) {
	if m.MetricName == hidden {
		return 0, false
	}
	switch m.Metric {
	case value.Counter:
		return Counter, true
	case value.Gauge:
		return Gauge, true
	case value.Histogram:
		return Histogram, true
	case value.Summary, value.Quantiles:
		return Summary, true
	}
	return 0, false
}

// collect adds the metrics of a script's maps to b.
func (s *Source) collect(now time.Time, b *build, own *ownMetrics) {
	if s.Lost != nil {
		b.add(s.Lost.family(s.Script))
	}
	maps, err := s.Maps()
	if err != nil && len(maps) == 0 {
		return
	}
	for i := range maps {
		m := &maps[i]
		kind, ok := kindOf(m)
		if !ok {
			continue
		}
		st := s.maps[m.Name]
		if st == nil {
			st = &mapState{series: map[string]*seriesState{}, read: s.start}
			s.maps[m.Name] = st
		}
		f := Family{Name: b.name(m, kind, s.Script), Help: "The map " + m.Name + " of the script.", Kind: kind}
		if kind == Histogram {
			// Earlier metrics, which may still be in use, share these bounds, so adding
			// bounds makes a copy.
			st.bounds = slices.Clip(st.bounds)
			for _, e := range m.Entries {
				if h, ok := e.Value.(value.Hist); ok {
					st.bounds = addBounds(st.bounds, h)
				}
			}
		}
		dropped := s.series(now, m, st, &f)
		if dropped > 0 && !st.warned && s.c.Warn != nil {
			st.warned = true
			s.c.Warn(fmt.Sprintf("%s has more than %d series: the others are not exported (the setting max_series sets the limit)", m.Name, s.Limit))
		}
		own.add(s.Script, m, dropped)
		b.add(f)
	}
}

// series adds a map's series to f. It returns the number of those that are left out,
// because there are too many. The series that were there before stay; of the others, those
// with the greatest values are added.
func (s *Source) series(now time.Time, m *output.Map, st *mapState, f *Family) (dropped int) {
	last := st.read
	st.read = now
	at := make(map[string]int, min(len(m.Entries), s.Limit)) // index in f.Series, by labels
	var fresh []string                                       // the keys of new series, parallel to more
	var more []Series
	for i := len(m.Entries) - 1; i >= 0; i-- {
		one, ok := s.read(m, st, m.Entries[i])
		if !ok {
			continue
		}
		key := keyOf(one.Labels)
		if to, ok := at[key]; ok {
			dropped += f.merge(to, &one)
			continue
		}
		if known := st.series[key]; known != nil {
			known.seen = now
			at[key] = len(f.Series)
			f.Series = append(f.Series, one)
			continue
		}
		fresh, more = append(fresh, key), append(more, one)
	}
	for key, known := range st.series {
		if !known.seen.Equal(now) {
			delete(st.series, key)
		}
	}
	for i, key := range fresh {
		if to, ok := at[key]; ok {
			dropped += f.merge(to, &more[i])
			continue
		}
		if n := len(f.Series); n > 0 && (n+1)*more[i].size() > s.Limit {
			dropped++
			continue
		}
		st.series[key] = &seriesState{created: last, seen: now}
		at[key] = len(f.Series)
		f.Series = append(f.Series, more[i])
	}
	for key, i := range at {
		one, known := &f.Series[i], st.series[key]
		n := one.count()
		if n < known.count {
			known.created = last // the script has cleared it
		}
		known.count = n
		one.Created = known.created
	}
	return dropped
}

// keyOf returns a text that differs for different labels.
func keyOf(labels []Label) string {
	var b []byte
	for _, l := range labels {
		b = append(strconv.AppendInt(b, int64(len(l.Value)), 10), ' ')
		b = append(b, l.Value...)
	}
	return string(b)
}

// read returns an entry of a map as a series. ok is false if its value is not a number.
func (s *Source) read(m *output.Map, st *mapState, e value.Entry) (one Series, ok bool) {
	if s.Script != "" {
		one.Labels = append(one.Labels, Label{scriptLabel, ValidText(s.Script)})
	}
	one.Labels = append(one.Labels, labels(e.Key, m.KeyNames, reserved(m, s.Script)...)...)
	switch v := e.Value.(type) {
	case value.Hist:
		one.Histogram = histogram(v, st.bounds)
		return one, true
	case value.Stats:
		sum, _ := numberOf(v.Total)
		one.Summary = &SummaryData{Count: uint64(v.Count), Sum: sum.Float()}
		return one, true
	case value.Record:
		one.Summary = quantiles(v)
		return one, one.Summary != nil
	}
	one.Value, ok = numberOf(e.Value)
	return one, ok
}

// scriptLabel is the label for the script's name.
const scriptLabel = "script"

// reserved returns the names that labels of a map's keys must not have.
func reserved(m *output.Map, script string) (names []string) {
	if script != "" {
		names = append(names, scriptLabel)
	}
	switch m.Metric {
	case value.Histogram:
		names = append(names, LimitLabel)
	case value.Quantiles:
		names = append(names, PartLabel)
	}
	return names
}

// quantiles returns the summary for the record of quantile(): fields p50, p99.9 and so on,
// and count.
func quantiles(r value.Record) *SummaryData {
	d := &SummaryData{Sum: math.NaN()}
	for _, f := range r {
		n, ok := numberOf(f.V)
		if !ok {
			return nil
		}
		percent, isPart := strings.CutPrefix(f.Name, "p")
		p, err := strconv.ParseFloat(percent+"e-2", 64)
		switch {
		case isPart && err == nil:
			d.Quantiles = append(d.Quantiles, Quantile{p, n.Float()})
		default:
			d.Count = uint64(n.Int)
		}
	}
	sort.SliceStable(d.Quantiles, func(i, j int) bool { return d.Quantiles[i].Part < d.Quantiles[j].Part })
	for i := len(d.Quantiles) - 1; i > 0; i-- {
		if d.Quantiles[i].Part == d.Quantiles[i-1].Part {
			d.Quantiles = append(d.Quantiles[:i], d.Quantiles[i+1:]...)
		}
	}
	return d
}

// count returns the number of a series that only rises unless the script clears it.
func (one *Series) count() float64 {
	switch {
	case one.Histogram != nil:
		return float64(one.Histogram.Count)
	case one.Summary != nil:
		return float64(one.Summary.Count)
	}
	return one.Value.Float()
}

// size returns the number of time series as which a series counts.
func (one *Series) size() int {
	switch {
	case one.Histogram != nil:
		return len(one.Histogram.Counts) + 1
	case one.Summary != nil:
		return len(one.Summary.Quantiles) + 2
	}
	return 1
}

// merge adds a series to series i, which has the same labels: their keys differ, but have
// the same text. It returns the number of series that are lost because they cannot be
// added.
func (f *Family) merge(i int, o *Series) int {
	one := &f.Series[i]
	switch {
	case one.Histogram != nil:
		one.Histogram.merge(o.Histogram)
	case one.Summary != nil && len(one.Summary.Quantiles) == 0:
		one.Summary.Count += o.Summary.Count
		one.Summary.Sum += o.Summary.Sum
	case f.Kind == Counter && one.Value.IsInt && o.Value.IsInt && one.Value.Int+o.Value.Int >= 0:
		one.Value.Int += o.Value.Int
	case f.Kind == Counter:
		one.Value = Real(one.Value.Float() + o.Value.Float())
	default:
		return 1
	}
	return 0
}
