package live

import (
	"cmp"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// table shows the entries of a map.
type table struct {
	name   string
	keyed  bool
	metric value.Metric
	hist   bool // the values are histograms

	all     []row // in printing order
	more    int   // number of entries of the map that are not in all
	columns []column
	byRate  bool // counters are initially sorted by their rates
	sort    int  // column by which it is sorted
	up      bool // smallest values first
	filter  string
	search  string

	rows []row // those that match the filter, sorted
	keep bool  // rows is up to date

	at, top int // line of the cursor, first line shown
	left    int // first column of the keys that is shown
	open    map[string]bool
	heat    bool // histograms are shown over time

	tracks tracks

	ascii     bool
	width     int // height and width when it was last drawn
	headingAt int // line of the names of the columns; 0: they are not shown
}

// row is an entry of a map.
type row struct {
	id    string // text of the key
	key   value.Value
	value value.Value
	*track
}

// column is a column of a table.
type column struct {
	name string
	kind columnKind
	part int // of the key, for columnKey
}

type columnKind uint8

const (
	columnNumber columnKind = iota // the value, or the number of samples of a histogram
	columnRate                     // increase per second
	columnAvg
	columnTotal
	columnGraph // the last values, or the shape of a histogram
	columnKey
	columnText // a value that is not a number
)

func newTable(m *output.Map, start time.Time) *table {
	return &table{name: m.Name, keyed: m.Keyed, metric: m.Metric, open: map[string]bool{}, tracks: tracks{byKey: map[string]*track{}, at: start}}
}

// update takes the contents of the map at a time.
func (t *table) update(now time.Time, m *output.Map) {
	t.keep = false
	t.tracks.cut = t.more > 0
	t.more = m.More
	seconds := max(now.Sub(t.tracks.at).Seconds(), 1e-6)
	t.tracks.at = now
	t.tracks.round++
	parts := 0
	all := make([]row, 0, len(m.Entries))
	for _, e := range m.Entries {
		r := row{key: e.Key, value: e.Value}
		if e.Key != nil {
			r.id = e.Key.String()
			parts = max(parts, len(keyParts(e.Key)))
		}
		r.track = t.tracks.record(r.id, e.Value, m.Metric, seconds)
		all = append(all, r)
	}
	t.all = all
	t.tracks.prune()
	t.setColumns(parts)
	if !m.Keyed && len(all) == 1 {
		if _, seen := t.open[""]; !seen {
			t.open[""] = detailed(all[0].value)
		}
	}
}

// detailed reports whether a value needs more than one line.
func detailed(v value.Value) bool {
	switch v.(type) {
	case value.Hist, value.Series, value.Stack:
		return true
	}
	return false
}

// keyParts returns the parts of a key.
func keyParts(k value.Value) []value.Value {
	switch k := k.(type) {
	case nil:
		return nil
	case value.Tuple:
		return k
	}
	return []value.Value{k}
}

// setColumns determines the columns for keys with a number of parts.
func (t *table) setColumns(parts int) {
	if len(t.all) == 0 {
		return // keep the existing columns
	}
	var cs []column
	text := false
	switch v := t.all[0].value.(type) {
	case value.Hist:
		t.hist = true
		cs = []column{{name: "samples", kind: columnNumber}, {name: "per s", kind: columnRate}, {name: "shape", kind: columnGraph}}
	case value.Stats:
		cs = []column{{name: "samples", kind: columnNumber}, {name: "average", kind: columnAvg}, {name: "total", kind: columnTotal}, {name: "per s", kind: columnRate}, {name: "history", kind: columnGraph}}
	case value.Series:
		cs = []column{{name: "last", kind: columnNumber}, {name: "points", kind: columnGraph}}
	default:
		_, number := numberOf(v)
		switch {
		case !number:
			text = true
		case t.metric == value.Counter:
			cs = []column{{name: "value", kind: columnNumber}, {name: "per s", kind: columnRate}, {name: "history", kind: columnGraph}}
		default:
			cs = []column{{name: "value", kind: columnNumber}, {name: "history", kind: columnGraph}}
		}
	}
	for i := range parts {
		name := "key"
		if parts > 1 {
			name += " " + strconv.Itoa(i+1)
		}
		cs = append(cs, column{name: name, kind: columnKey, part: i})
	}
	if text {
		cs = append(cs, column{name: "value", kind: columnText})
	}
	if t.sort >= len(cs) {
		t.sort = 0
	}
	first := t.columns == nil
	t.columns = cs
	if first {
		t.up = cs[0].kind >= columnKey
		if t.byRate {
			t.setRate(true)
		}
	}
}

// setRate sorts counters by their rates, or all by their values.
func (t *table) setRate(on bool) {
	for i, c := range t.columns {
		if c.kind == columnRate && on {
			t.sortBy(i, false)
		}
	}
	if !on {
		t.sortBy(0, false)
	}
}

func (t *table) sortBy(column int, up bool) {
	t.sort, t.up, t.keep = column, up, false
}

func (t *table) setFilter(text string) {
	t.filter, t.keep = text, false
	t.at, t.top = 0, 0
}

// view returns the rows that match the filter, sorted.
func (t *table) view() []row {
	if t.keep {
		return t.rows
	}
	t.keep = true
	rows := make([]row, 0, len(t.all))
	for i := len(t.all) - 1; i >= 0; i-- { // the greatest first
		if t.filter == "" || matches(t.rowText(&t.all[i]), t.filter) {
			rows = append(rows, t.all[i])
		}
	}
	if t.sort < len(t.columns) {
		c := t.columns[t.sort]
		sort.SliceStable(rows, func(i, j int) bool {
			n := c.compare(&rows[i], &rows[j])
			if t.up {
				return n < 0
			}
			return n > 0
		})
	}
	t.rows = rows
	return rows
}

// rowText returns the text of a row in which filters and searches look.
func (t *table) rowText(r *row) string {
	if _, ok := numberOf(r.value); ok || detailed(r.value) {
		return keyText(r.key)
	}
	return keyText(r.key) + " " + valueText(r.value)
}

// compare orders two rows by a column.
func (c *column) compare(a, b *row) int {
	switch c.kind {
	case columnRate:
		return cmp.Compare(a.rate, b.rate)
	case columnAvg:
		x, _ := a.value.(value.Stats)
		y, _ := b.value.(value.Stats)
		return compare(x.Avg, y.Avg)
	case columnTotal:
		x, _ := a.value.(value.Stats)
		y, _ := b.value.(value.Stats)
		return compare(x.Total, y.Total)
	case columnKey:
		return compare(part(a.key, c.part), part(b.key, c.part))
	}
	return compare(leading(a.value), leading(b.value))
}

// part returns a part of a key, or nil.
//
//go:noinline
func part(k value.Value, n int) value.Value {
	if ps := keyParts(k); n < len(ps) {
		return ps[n]
	}
	return nil
}

// leading returns the number by which values that consist of several numbers are sorted.
// For other values it returns the value.
//
//go:noinline
func leading(v value.Value) value.Value {
	switch v := v.(type) {
	case value.Hist:
		return samples(v)
	case value.Stats:
		return value.Int(v.Count)
	case value.Avg:
		return v.V
	case value.Series:
		for i := len(v.Points) - 1; i >= 0; i-- {
			if v.Points[i].Set {
				return v.Points[i].V
			}
		}
		return value.Null{}
	}
	return v
}

// samples returns the number of samples of a histogram.
func samples(h value.Hist) value.Uint {
	var n uint64
	for _, b := range h.Buckets {
		n += b.Count
	}
	return value.Uint(n)
}

// compare orders two values: numbers by size, others by their text.
func compare(a, b value.Value) int {
	switch x := a.(type) {
	case value.Int:
		if y, ok := b.(value.Int); ok {
			return cmp.Compare(x, y)
		}
	case value.Uint:
		if y, ok := b.(value.Uint); ok {
			return cmp.Compare(x, y)
		}
	}
	x, xok := numberOf(a)
	y, yok := numberOf(b)
	switch {
	case xok && yok:
		return cmp.Compare(x, y)
	case xok != yok:
		if xok {
			return 1
		}
		return -1
	case a == nil || b == nil:
		return 0
	}
	return strings.Compare(a.String(), b.String())
}

// numberOf returns a value as a number. For a value that consists of several numbers, it
// returns the main one.
func numberOf(v value.Value) (float64, bool) {
	v = leading(v)
	if n, ok := value.Float(v); ok {
		return n, true
	}
	if p, ok := v.(value.Ptr); ok {
		return float64(p), true
	}
	n, ok := value.Number(v)
	return float64(n), ok
}

// text returns the text of a row in a column that is not a graph.
func (c *column) text(r *row) string {
	switch c.kind {
	case columnRate:
		return rateText(r.rate)
	case columnAvg:
		if s, ok := r.value.(value.Stats); ok {
			return valueText(s.Avg)
		}
		return ""
	case columnTotal:
		if s, ok := r.value.(value.Stats); ok {
			return valueText(s.Total)
		}
		return ""
	case columnKey:
		return partText(part(r.key, c.part))
	case columnText:
		return valueText(r.value)
	}
	return valueText(leading(r.value))
}

// rateText returns a rate as text. Small ones have a decimal.
func rateText(rate float64) string {
	if rate > 0 && rate < 9.95 {
		return strconv.FormatFloat(rate, 'f', 1, 64)
	}
	return strconv.FormatFloat(math.Round(rate), 'f', 0, 64)
}

// valueText returns a value as printable text on one line.
func valueText(v value.Value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case value.Stack:
		return partText(v)
	}
	return printable(v.String())
}

// keyText returns a key as printable text on one line.
func keyText(k value.Value) string {
	ps := keyParts(k)
	if len(ps) == 1 {
		return partText(ps[0])
	}
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(partText(p))
	}
	return b.String()
}

// partText returns a part of a key as printable text on one line. A stack is folded: its
// functions, the innermost one first.
func partText(v value.Value) string {
	s, ok := v.(value.Stack)
	if !ok {
		return valueText(v)
	}
	var b strings.Builder
	for i := range s.Frames {
		f := &s.Frames[i]
		if f.Inlined && !s.Debug {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(" < ")
		}
		if f.Name != "" {
			b.WriteString(printable(f.Name))
		} else {
			b.WriteString("0x" + strconv.FormatUint(f.Addr, 16))
		}
	}
	if mark := s.Mark(); mark != "" {
		if b.Len() > 0 {
			b.WriteString(" < ")
		}
		b.WriteString(mark)
	}
	return b.String()
}
