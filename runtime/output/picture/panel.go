package picture

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/profile"
	"github.com/gotrace/gotrace/runtime/value"
)

// Sizes of a panel in pixels.
const (
	width  = 1200
	margin = 10
	inner  = width - 2*margin
	row    = 17  // height of a line of text, and of a box of a flame graph
	char   = 6.6 // width of a character
)

// panel is one drawing: a map, or a part of it.
type panel struct {
	title  string
	class  string // of its svg element
	height int
	draw   func(w io.Writer)
}

// Results has the maps and the output to draw.
type Results struct {
	Start    time.Time
	Duration time.Duration
	Maps     []output.Map
	History  *History // nil: there is none
	Events   *Events  // nil: there are none
}

// Title returns the title of the picture.
func (r *Results) Title() string {
	return fmt.Sprintf("gotrace, %s, %s", r.Start.Format(time.DateTime), r.Duration.Round(time.Millisecond))
}

// panels returns the drawings of a map.
func (r *Results) panels(m output.Map) []panel {
	var out []panel
	if tree := profile.Tree(m); tree != nil {
		return append(out, flame(m.Name, tree))
	}
	if r.History != nil {
		out = r.History.panels(m.Name, len(m.Entries) == 0)
	}
	if p, ok := timeSeries(m); ok {
		out = append(out, p)
	}
	for _, e := range last(m.Entries, maxHists) {
		if h, ok := e.Value.(value.Hist); ok {
			out = append(out, histogram(keyed(m.Name, e.Key), h))
		}
	}
	if p, ok := bars(m); ok && (m.Keyed || len(out) == 0) {
		out = append(out, p)
	}
	return out
}

// keyed returns the name of an entry.
func keyed(name string, key value.Value) string {
	if key == nil {
		return name
	}
	return name + "[" + value.Text(key, "") + "]"
}

// last returns the last n elements of a list in reverse order: the entries with the
// greatest values first.
func last[T any](list []T, n int) []T {
	list = slices.Clone(list[max(len(list)-n, 0):])
	slices.Reverse(list)
	return list
}

// bar is a bar with its label and the text of its value.
type bar struct {
	label, text string
	n           float64
}

// maxBars is the greatest number of bars of a map.
const maxBars = 50

// bars draws the entries with the greatest values.
func bars(m output.Map) (panel, bool) {
	var list []bar
	for _, e := range last(m.Entries, maxBars) {
		v := e.Value
		if s, ok := v.(value.Stats); ok {
			v = s.Total
		}
		n, ok := value.Float(v)
		if !ok {
			return panel{}, false
		}
		label := m.Name
		if e.Key != nil {
			label = value.Text(e.Key, "")
		}
		list = append(list, bar{label, value.Text(e.Value, ""), n})
	}
	if len(list) == 0 {
		return panel{}, false
	}
	title := m.Name
	if n := len(m.Entries) - len(list); n > 0 {
		title += fmt.Sprintf(" (%d more)", n)
	}
	return barPanel(title, list), true
}

// histogram draws the buckets of a histogram.
func histogram(title string, h value.Hist) panel {
	var list []bar
	for _, b := range h.Buckets {
		list = append(list, bar{b.Label, strconv.FormatUint(b.Count, 10), float64(b.Count)})
	}
	if n := len(list) - 4*maxBars; n > 0 {
		sort.SliceStable(list, func(i, j int) bool { return list[i].n > list[j].n })
		list = list[:4*maxBars]
		title += fmt.Sprintf(" (without the %d smallest buckets)", n)
	}
	return barPanel(title, list)
}

// barPanel draws bars. Those of negative numbers have another colour.
func barPanel(title string, list []bar) panel {
	most := 0.0
	label, text := 0, 0
	for _, b := range list {
		most = max(most, math.Abs(b.n))
		label, text = max(label, length(b.label)), max(text, length(b.text))
	}
	label, text = min(label, 50), min(text, 60)
	from := margin + (float64(label)+1)*char
	room := width - margin - from - (float64(text)+1)*char
	return panel{title, "bars", len(list)*row + margin, func(w io.Writer) {
		for i, b := range list {
			wide := 0.0
			if most > 0 {
				wide = room * math.Abs(b.n) / most
			}
			class := "b"
			if b.n < 0 {
				class = "n"
			}
			y := i * row
			fmt.Fprintf(w, `<g><title>%s: %s</title><text x="%.1f" y="%d" text-anchor="end">%s</text><rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d"/><text x="%.1f" y="%d">%s</text></g>`+"\n",
				escape(b.label), escape(b.text), from-char, y+12, escape(shorten(b.label, label)), class, from, y, max(wide, 0.5), row-2, from+wide+4, y+12, escape(shorten(b.text, text)))
		}
	}}
}

func length(s string) int { return len([]rune(s)) }

// shorten truncates a text to n characters.
//
//go:noinline
func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		if n < 3 {
			return ""
		}
		return string(r[:n-2]) + ".."
	}
	return s
}

// short returns a number with few digits: 1.5M.
func short(n float64) string {
	a := math.Abs(n)
	for _, u := range []struct {
		unit string
		n    float64
	}{{"E", 1e18}, {"P", 1e15}, {"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if a >= u.n {
			return strconv.FormatFloat(n/u.n, 'g', 4, 64) + u.unit
		}
	}
	return strconv.FormatFloat(n, 'g', 4, 64)
}

// escape escapes a text for XML and HTML. It replaces characters that cannot be shown or
// change the direction of the text.
func escape(s string) string {
	var b bytes.Buffer
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '\'':
			b.WriteString("&#39;")
		case !unicode.IsPrint(r):
			b.WriteRune('\ufffd')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
