package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// fixture is a collector with a clock that the test moves, and the maps of one script.
type fixture struct {
	Collector
	at   time.Time
	maps []output.Map
	warn []string
}

func newFixture(limit int) *fixture {
	f := &fixture{at: time.Unix(1000, 0)}
	f.now = func() time.Time { return f.at }
	f.Warn = func(text string) { f.warn = append(f.warn, text) }
	f.Add(&Source{Maps: func() ([]output.Map, error) { return f.maps, nil }, Limit: limit})
	return f
}

// series collects after a second and returns the series of a metric as text, with the
// seconds of their creation.
func (f *fixture) series(name string) (out []string) {
	f.at = f.at.Add(time.Second)
	for _, fam := range f.Collect() {
		if fam.Name != name {
			continue
		}
		for _, s := range fam.Series {
			text := ""
			for _, l := range s.Labels {
				text += l.Name + "=" + l.Value + " "
			}
			n := s.Value.Float()
			if fam.Kind != Gauge && fam.Kind != Counter {
				n = s.count()
			}
			text += fmt.Sprint(n)
			if fam.Kind != Gauge {
				text += fmt.Sprint(" from ", s.Created.Unix())
			}
			out = append(out, text)
		}
	}
	return out
}

func counters(name string, entries ...value.Entry) output.Map {
	return output.Map{Name: name, Metric: value.Counter, Entries: entries}
}

func one(key string, n uint64) value.Entry {
	return value.Entry{Key: value.Str{S: key}, Value: value.Uint(n)}
}

// TestCreated checks the start times of series: the last reading without the series, or
// the last reading before its value fell.
func TestCreated(t *testing.T) {
	f := newFixture(0)
	for _, step := range []struct {
		entries []value.Entry
		want    []string
	}{
		{[]value.Entry{one("a", 1)}, []string{"key0=a 1 from 1000"}},
		{[]value.Entry{one("a", 2), one("b", 5)}, []string{"key0=a 2 from 1000", "key0=b 5 from 1001"}},
		{[]value.Entry{one("a", 1), one("b", 5)}, []string{"key0=b 5 from 1001", "key0=a 1 from 1002"}},
		{[]value.Entry{one("a", 3)}, []string{"key0=a 3 from 1002"}},
		{[]value.Entry{one("b", 9), one("a", 3)}, []string{"key0=a 3 from 1002", "key0=b 9 from 1004"}},
		{nil, nil},
	} {
		f.maps = []output.Map{counters("@x", step.entries...)}
		if diff := cmp.Diff(step.want, f.series("gotrace_x")); diff != "" {
			t.Errorf("%v: %s", step.entries, diff)
		}
	}
}

// TestLimit checks that at most the given number of series is exported: those that were
// there first, then the greatest.
func TestLimit(t *testing.T) {
	f := newFixture(2)
	f.maps = []output.Map{counters("@x", one("a", 1), one("b", 2), one("c", 3))}
	if diff := cmp.Diff([]string{"key0=c 3 from 1000", "key0=b 2 from 1000"}, f.series("gotrace_x")); diff != "" {
		t.Error(diff)
	}
	f.maps = []output.Map{counters("@x", one("b", 2), one("c", 3), one("a", 10))}
	if diff := cmp.Diff([]string{"key0=c 3 from 1000", "key0=b 2 from 1000"}, f.series("gotrace_x")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"map=@x 1"}, f.series("gotrace_map_dropped_series")); diff != "" {
		t.Error(diff)
	}
	f.maps = []output.Map{counters("@x", one("c", 3), one("a", 10))}
	if diff := cmp.Diff([]string{"key0=c 3 from 1000", "key0=a 10 from 1003"}, f.series("gotrace_x")); diff != "" {
		t.Error(diff)
	}
	if len(f.warn) != 1 || !strings.Contains(f.warn[0], "@x has more than 2 series") {
		t.Errorf("warnings: %q", f.warn)
	}
}

// TestSameText checks keys that differ, but not as text.
func TestSameText(t *testing.T) {
	f := newFixture(0)
	hist := func(count uint64) value.Hist {
		return value.Hist{Buckets: []value.Bucket{{Min: 2, Max: 3, Count: count}, {Min: 4, Max: 7, Count: 1}}}
	}
	key := value.Str{S: "a"}
	f.maps = []output.Map{
		counters("@c", one("a", 1), one("a", 2)),
		{Name: "@g", Metric: value.Gauge, Entries: []value.Entry{one("a", 1), one("a", 2)}},
		{Name: "@h", Metric: value.Histogram, Entries: []value.Entry{{Key: key, Value: hist(5)}, {Key: key, Value: hist(6)}}},
		{Name: "@s", Metric: value.Summary, Entries: []value.Entry{{Key: key, Value: value.Stats{Count: 2, Total: value.Int(3)}}, {Key: key, Value: value.Stats{Count: 3, Total: value.Int(4)}}}},
	}
	for range 2 {
		for name, want := range map[string]string{
			"gotrace_c": "key0=a 3 from 1000", "gotrace_g": "key0=a 2", "gotrace_h": "key0=a 13 from 1000", "gotrace_s": "key0=a 5 from 1000",
		} {
			if diff := cmp.Diff([]string{want}, f.series(name)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
			f.at = f.at.Add(-time.Second)
			f.Refresh()
		}
	}
}

// TestNames checks that no two metrics have the same name in any encoding.
func TestNames(t *testing.T) {
	f := newFixture(0)
	hist := output.Map{Name: "@h", Metric: value.Histogram, Entries: []value.Entry{{Value: value.Hist{}}}}
	gauge := func(name, metric string) output.Map {
		return output.Map{Name: name, MetricName: metric, Metric: value.Gauge, Entries: []value.Entry{one("", 1)}}
	}
	f.maps = []output.Map{
		gauge("@", ""), counters("@a", one("", 1)), counters("@a_total", one("", 1)), hist, gauge("@h_count", ""),
		gauge("@map_entries", ""), gauge("@map", ""), gauge("@other", "gotrace_a"), gauge("@named", "mine"),
	}
	f.at = f.at.Add(time.Second)
	var names []string
	for _, fam := range f.Collect() {
		names = append(names, fam.Name)
	}
	want := []string{"gotrace_a", "gotrace_a_2", "gotrace_a_3", "gotrace_h", "gotrace_h_count_2", "gotrace_map", "gotrace_map_2",
		"gotrace_map_dropped_series", "gotrace_map_entries", "gotrace_map_entries_2", "mine"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

// TestScripts checks that scripts share a metric, unless theirs are of different kinds.
func TestScripts(t *testing.T) {
	c := &Collector{}
	add := func(script string, m output.Map) *Source {
		s := &Source{Script: script, Maps: func() ([]output.Map, error) { return []output.Map{m}, nil }}
		c.Add(s)
		return s
	}
	add("b.bt", counters("@x", one("k", 1)))
	add("a.bt", counters("@x", one("k", 2)))
	gauge := add("c.bt", output.Map{Name: "@x", Metric: value.Gauge, KeyNames: []string{"script"}, Entries: []value.Entry{one("k", 3)}})
	text := func() (out []string) {
		for _, f := range c.Collect() {
			for _, s := range f.Series {
				if !strings.HasPrefix(f.Name, "gotrace_map_") {
					out = append(out, fmt.Sprint(f.Name, s.Labels, s.Value.Int))
				}
			}
		}
		return out
	}
	want := []string{
		"gotrace_x[{script a.bt} {key0 k}] 2", "gotrace_x[{script b.bt} {key0 k}] 1",
		"gotrace_x_c_bt[{script c.bt} {script_2 k}] 3",
	}
	if diff := cmp.Diff(want, text()); diff != "" {
		t.Error(diff)
	}
	gauge.Remove()
	if diff := cmp.Diff(want[:2], text()); diff != "" {
		t.Error(diff)
	}
}

// TestScriptWithEqualNames checks that maps of one script do not share a metric, in which
// series with the same labels would be repeated, but that scripts still share each.
func TestScriptWithEqualNames(t *testing.T) {
	c := &Collector{}
	for _, script := range []string{"a.bt", "b.bt"} {
		maps := []output.Map{counters("@x", one("k", 1)), counters("@x_total", one("k", 2)), counters("@y", one("k", 3))}
		maps[2].MetricName = "gotrace_x"
		c.Add(&Source{Script: script, Maps: func() ([]output.Map, error) { return maps, nil }})
	}
	var got []string
	for _, f := range c.Collect() {
		for _, s := range f.Series {
			if f.Kind == Counter {
				got = append(got, fmt.Sprint(f.Name, " ", s.Labels[0].Value, " ", s.Value.Int))
			}
		}
	}
	want := []string{
		"gotrace_x a.bt 1", "gotrace_x b.bt 1", "gotrace_x_2 a.bt 2", "gotrace_x_2 b.bt 2",
		"gotrace_x_3 a.bt 3", "gotrace_x_3 b.bt 3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestEarlierHistograms checks that a histogram does not change for its readers when
// later ones have more buckets.
func TestEarlierHistograms(t *testing.T) {
	f := newFixture(0)
	collect := func(max ...int64) []float64 {
		var h value.Hist
		for _, n := range max {
			h.Buckets = append(h.Buckets, value.Bucket{Min: n, Max: n, Count: 1})
		}
		f.maps = []output.Map{{Name: "@h", Metric: value.Histogram, Entries: []value.Entry{{Value: h}}}}
		f.at = f.at.Add(time.Second)
		for _, fam := range f.Collect() {
			if fam.Name == "gotrace_h" {
				return fam.Series[0].Histogram.Bounds
			}
		}
		t.Fatal("there is no histogram")
		return nil
	}
	var all [][]float64
	for _, max := range [][]int64{{8}, {4, 16}, {2, 32, 64}, {1, 3}, {5}} {
		all = append(all, collect(max...))
	}
	want := [][]float64{{8}, {4, 8, 16}, {2, 4, 8, 16, 32, 64}, {1, 2, 3, 4, 8, 16, 32, 64}, {1, 2, 3, 4, 5, 8, 16, 32, 64}}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		key   value.Value
		names []string
		want  string
	}{
		{nil, nil, "[]"},
		{value.Int(1), nil, "[{key0 1}]"},
		{value.Tuple{value.Int(1), value.Str{S: "x"}}, []string{"", "comm"}, "[{key0 1} {comm x}]"},
		{value.Tuple{value.Int(1), value.Int(2)}, []string{"a", "a"}, "[{a 1} {a_2 2}]"},
		{value.Int(1), []string{"le"}, "[{le_2 1}]"},
		{value.Int(1), []string{"__x"}, "[{_x 1}]"},
		{value.Int(1), []string{"9-é"}, "[{_9___ 1}]"},
		{value.Record{{Name: "a", V: value.Int(1)}, {Name: "b", V: value.Tuple{value.Int(2)}}}, nil, "[{a 1} {b (2)}]"},
		{value.Stack{Frames: []value.Frame{{Name: "f", Addr: 1, Offset: 2}, {Name: "g", Addr: 1}}}, nil, "[{key0 f+2;g+0}]"},
		{value.Str{S: "\xef\xbf\xbd"}, nil, "[{key0 \uFFFDef\uFFFDbf\uFFFDbd}]"},
		{value.Str{S: "\xff"}, nil, "[{key0 \uFFFDff}]"},
	} {
		if got := fmt.Sprint(labels(c.key, c.names, "le")); got != c.want {
			t.Errorf("%v: %s, want %s", c.key, got, c.want)
		}
	}
}
