package picture

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

var start = time.Unix(1000, 0)

func second(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

func keyedMap(metric value.Metric, entries ...value.Entry) output.Map {
	return output.Map{Name: "@", Keyed: true, Metric: metric, Entries: entries}
}

func entry(key string, v value.Value) value.Entry {
	return value.Entry{Key: value.Str{S: key}, Value: v}
}

func hist(counts ...uint64) value.Hist {
	var h value.Hist
	for i, n := range counts {
		h.Buckets = append(h.Buckets, value.Bucket{Min: int64(i), Max: int64(i), Count: n, Label: fmt.Sprint(i)})
	}
	return h
}

// TestHistory checks the numbers in the columns for counters, other numbers and
// histograms that rise, fall, are cleared, and come and go.
func TestHistory(t *testing.T) {
	h := NewHistory(start)
	h.Tick(start)
	tick := func(n int, samples ...output.Map) {
		for _, m := range samples {
			h.Sample(m)
		}
		if next := h.Tick(second(n)); next != second(n+1) {
			t.Errorf("the next tick is %v", next)
		}
	}
	counts := func(m ...value.Entry) output.Map { return keyedMap(value.Counter, m...) }
	levels := func(m ...value.Entry) output.Map {
		l := keyedMap(value.Gauge, m...)
		l.Name = "@g"
		return l
	}
	lat := func(h value.Hist) output.Map {
		return output.Map{Name: "@h", Metric: value.Histogram, Entries: []value.Entry{{Value: h}}}
	}
	tick(1, counts(entry("a", value.Uint(5))), levels(entry("a", value.Int(-5))), lat(hist(1, 2)))
	tick(2, counts(entry("b", value.Uint(2)), entry("a", value.Uint(8))), levels(), lat(hist(1, 3)))
	h.Sample(counts(entry("b", value.Uint(3)), entry("a", value.Uint(10)))) // before it is cleared
	h.Cleared("@")
	h.Sample(lat(hist(2, 3)))
	h.Cleared("@h")
	tick(3, counts(entry("a", value.Uint(11))), levels(entry("a", value.Int(7))), lat(hist(9, 9)))
	tick(4, counts(entry("a", value.Uint(1))), levels(entry("a", value.Int(6))), lat(hist(0, 4))) // deleted and added again
	h.Sample(counts(entry("a", value.Uint(4)), entry("b", value.Uint(8))))                        // shortly before the end
	h.Sample(lat(hist(1, 4)))
	h.Tick(second(4).Add(100 * time.Millisecond))
	nan := math.NaN()
	for name, want := range map[string][]float64{
		"@ a": {5, 3, 2 + 11, 1 + 3}, "@ b": {nan, 2, 1, 8}, "@g a": {-5, nan, 7, 6},
	} {
		m, key, _ := strings.Cut(name, " ")
		if got := h.maps[m].series[key].columns; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	r0, r1 := rung{}, rung{min: 1, max: 1}
	if got, want := h.maps["@h"].series[""].hists, []map[rung]uint64{{r0: 1, r1: 2}, {r1: 1}, {r0: 10, r1: 9}, {r0: 1, r1: 4}}; !reflect.DeepEqual(got, want) {
		t.Errorf("@h: %v, want %v", got, want)
	}
}

// TestHistoryBounds checks that a long session with many keys needs bounded memory, and
// that merged columns have the sum.
func TestHistoryBounds(t *testing.T) {
	h := NewHistory(start)
	now := start
	next := h.Tick(now)
	total := 0.0
	for i := range 1000 {
		now = next
		var entries []value.Entry
		for k := range MaxSampled {
			entries = append(entries, entry(fmt.Sprint(i%7*1000+k), value.Uint(uint64(i*10+k))))
		}
		h.Sample(keyedMap(value.Counter, entries...))
		h.Sample(output.Map{Name: "@c", Metric: value.Counter, Entries: []value.Entry{{Value: value.Uint(uint64(3 * i))}}})
		h.Sample(output.Map{Name: "@h", Metric: value.Histogram, Entries: []value.Entry{{Value: hist(uint64(i))}}})
		total = float64(3 * i)
		next = h.Tick(now)
	}
	if len(h.ends) > maxColumns || len(h.maps["@"].series) > maxSeries {
		t.Errorf("%d columns, %d series", len(h.ends), len(h.maps["@"].series))
	}
	sum, hists := 0.0, uint64(0)
	for _, n := range h.maps["@c"].series[""].columns {
		sum += zeroNaN(n)
	}
	for _, c := range h.maps["@h"].series[""].hists {
		hists += c[rung{}]
	}
	if sum != total || hists != 999 {
		t.Errorf("the columns have %v and %d, want %v and 999", sum, hists, total)
	}
	if h.ends[len(h.ends)-1] != now {
		t.Errorf("the last column ends at %v instead of %v", h.ends[len(h.ends)-1], now)
	}
}

// TestPartial checks that a key that appears among the greatest ones is not mistaken for
// a key that was added since the last sample.
func TestPartial(t *testing.T) {
	h := NewHistory(start)
	h.Tick(start)
	sample := func(n int, last value.Entry) {
		var entries []value.Entry
		for i := range MaxSampled - 1 {
			entries = append(entries, entry(fmt.Sprint(i), value.Uint(1)))
		}
		h.Sample(keyedMap(value.Counter, append(entries, last)...))
		h.Tick(second(n))
	}
	sample(1, entry("a", value.Uint(1000)))
	sample(2, entry("b", value.Uint(2000)))
	sample(3, entry("b", value.Uint(2005)))
	if got := h.maps["@"].series["b"].columns; len(got) != 3 || got[1] != 0 || got[2] != 5 {
		t.Errorf("%v", got)
	}
}

// hostile lists texts that programs can put into maps.
var hostile = []string{
	"</title><script>alert(1)</script>", "]]>", "\"'&<>", "a\x00b\x1b[31m", "\xff\xfe", "\u202egnp", strings.Repeat("x", 1<<12), "--> <!--", "", "\ufffe\uffff", "a\nb\tc", "</pre></td></style>",
}

// all returns maps of all kinds of keys and values, with a history.
func all(text string) Results {
	h := NewHistory(start)
	h.Tick(start)
	stack := value.Stack{Frames: []value.Frame{{Name: text, Module: text, File: text}, {Name: "f", Inlined: true}, {Name: "g"}}}
	r := Results{Start: start, Duration: 3 * time.Second, History: h, Events: NewEvents(output.Nop{})}
	r.Events.Printf("printf", text)
	r.Events.Line("printf", text)
	r.Events.Value(value.Str{S: text})
	r.Events.Alert(output.Alert{Time: start, Priority: text, Text: text})
	for i, v := range []value.Value{
		value.Int(-3), value.Uint(3), value.Wide{Hi: 4}, value.Bool(true), value.Ptr(9), value.Str{S: text}, value.Bytes(text), value.Enum{Name: text, V: 3},
		value.Tuple{value.Str{S: text}}, value.Array{value.Int(1)}, value.Record{{Name: "x", V: value.Str{S: text}}}, value.Null{},
		hist(0, 1, 7), value.Hist{}, value.Hist{Buckets: []value.Bucket{{MinInf: true, Max: -1, Label: "(..., 0)", Count: 1}, {Min: 0, Max: 9, Label: "[0, 10)", Count: 3}, {MaxInf: true, Min: 10, Label: "[10, ...)", Count: 2}}, Linear: true},
		value.Avg{V: value.Int(3)}, value.Stats{Count: 2, Avg: value.Int(4), Total: value.Int(8)}, stack,
		value.Series{Interval: 1e9, Points: []value.Point{{Start: 1e9, V: value.Int(3), Set: true}, {Start: 2e9}, {Start: 3e9, V: value.Int(-1), Set: true}}}, value.Series{},
	} {
		metric := []value.Metric{value.Counter, value.Gauge}[i%2]
		ms := []output.Map{
			{Name: fmt.Sprintf("@v%d", i), Metric: metric, Entries: []value.Entry{{Value: v}}},
			{Name: fmt.Sprintf("@k%d", i), Metric: metric, Keyed: true, Entries: []value.Entry{{Key: value.Str{S: text}, Value: v}}},
			{Name: fmt.Sprintf("@s%d", i), Metric: metric, Keyed: true, Entries: []value.Entry{{Key: value.Tuple{stack, value.Str{S: text}}, Value: v}}},
			{Name: fmt.Sprintf("@e%d", i), Metric: metric, Keyed: true},
		}
		for _, m := range ms {
			h.Sample(m)
		}
		r.Maps = append(r.Maps, ms...)
	}
	for n := 1; n < 4; n++ {
		for _, m := range r.Maps {
			h.Sample(m)
		}
		h.Tick(second(n))
	}
	return r
}

// TestHostile checks that a picture is well-formed XML, and a page well-formed enough for
// the strict parser, with one script each, whatever the maps contain.
func TestHostile(t *testing.T) {
	for _, text := range hostile {
		for name, write := range map[string]func(io.Writer, Results) error{"svg": WriteSVG, "html": WriteHTML} {
			var b bytes.Buffer
			if err := write(&b, all(text)); err != nil {
				t.Fatal(err)
			}
			source := b.String()
			if name == "html" { // what makes it HTML and not XML
				head, rest, _ := strings.Cut(source, "<title>")
				source = "<html><head><title>" + rest
				source = strings.NewReplacer("<br>", "<br/>", `type="search">`, `type="search"/>`, "<details open>", "<details>").Replace(source)
				i := strings.LastIndex(source, "<script>") // its text is not XML
				source = source[:i] + "<script></script></body></html>"
				if strings.Contains(head, text) && text != "" {
					t.Errorf("the head has %q", text)
				}
			}
			scripts := 0
			for d := xml.NewDecoder(strings.NewReader(source)); ; {
				tok, err := d.Token()
				if err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("%s with %.20q: %v", name, text, err)
				}
				if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "script" {
					scripts++
				}
			}
			if scripts != 1 {
				t.Errorf("%s with %.20q: %d scripts", name, text, scripts)
			}
			if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
				t.Errorf("%s with %.20q: a number is not a number", name, text)
			}
		}
	}
}

// TestSVG checks the positions and widths of boxes and bars.
func TestSVG(t *testing.T) {
	f := func(names ...string) (s value.Stack) {
		for _, n := range names {
			s.Frames = append(s.Frames, value.Frame{Name: n})
		}
		return s
	}
	r := Results{Maps: []output.Map{
		keyedMap(value.Counter, value.Entry{Key: f("inner", "work"), Value: value.Int(1)}, value.Entry{Key: f("work"), Value: value.Int(3)}),
		{Name: "@b", Keyed: true, Entries: []value.Entry{entry("x", value.Int(2)), entry("y", value.Int(4))}},
	}}
	var b strings.Builder
	if err := WriteSVG(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<title>all: 4 (100.00%)</title><rect x="10.00" y="34" width="1180.00"`,
		`<title>work: 4 (100.00%)</title><rect x="10.00" y="17" width="1180.00"`,
		`<title>inner: 1 (25.00%)</title><rect x="10.00" y="0" width="295.00"`,
		`<title>y: 4</title><text x="16.6" y="12" text-anchor="end">y</text><rect class="b" x="23.2" y="0" width="1153.6" height="15"/>`,
		`<title>x: 2</title><text x="16.6" y="29" text-anchor="end">x</text><rect class="b" x="23.2" y="17" width="576.8" height="15"/>`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, b.String())
		}
	}
	for _, maps := range [][]output.Map{nil, {{Name: "@"}}, {{Name: "@", Entries: []value.Entry{{Value: value.Str{S: "x"}}}}}} {
		if err := WriteSVG(io.Discard, Results{Maps: maps}); !errors.Is(err, ErrNothing) {
			t.Errorf("%v: %v", maps, err)
		}
	}
}

// TestEvents checks that the end of the output is kept.
func TestEvents(t *testing.T) {
	e := NewEvents(output.Nop{})
	for i := range 60000 {
		e.Line("printf", fmt.Sprint("line ", i))
	}
	lines, more := e.lines()
	if !more || len(e.old)+len(e.text) > 2*maxKept || lines[len(lines)-1] != "line 59999" {
		t.Errorf("%d bytes, the last line is %q", len(e.old)+len(e.text), lines[len(lines)-1])
	}
	for i, l := range lines {
		if want := fmt.Sprint("line ", 60000-len(lines)+i); l != want {
			t.Fatalf("line %d of %d is %q, want %q", i, len(lines), l, want)
		}
	}
}
