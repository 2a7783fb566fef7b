package picture

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// Sizes of drawings over time in pixels.
const (
	axisLeft   = 90  // room for the labels of the vertical axis
	axisBottom = 22  // room for those of the horizontal axis
	lineHeight = 180 // height of a drawing of lines
	legendWide = 260 // room for the names of lines
	maxLines   = 10
	maxRows    = 64 // rows of a heatmap; if there are more buckets, neighbours are merged
)

// panels returns the drawings of a map's history: heatmaps of its histograms, and lines
// of its numbers. Maps that are empty at the end have no drawings unless they have
// counters or histograms, because they only pass values from one probe to another.
func (h *History) panels(name string, empty bool) []panel {
	t := h.maps[name]
	if t == nil || len(h.ends) < 2 || empty && t.metric == value.Gauge {
		return nil
	}
	list := make([]*series, 0, len(t.series))
	for _, s := range t.series {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *series) int {
		return cmp.Or(cmp.Compare(b.total(), a.total()), strings.Compare(a.key, b.key))
	})
	var out []panel
	var lines []line
	for _, s := range list {
		if len(s.hists) > 0 {
			title := name
			if s.key != "" {
				title += "[" + s.key + "]"
			}
			out = append(out, h.heatmap(title, s))
		}
		if len(s.columns) > 0 && len(lines) < maxLines {
			lines = append(lines, h.line(s, cmp.Or(s.key, name)))
		}
	}
	if len(lines) > 0 {
		title := name + " over time"
		if t.metric == value.Counter {
			title = name + " per second"
		}
		if t.left || len(list) > len(lines) {
			title += fmt.Sprintf(" (the %d largest keys)", len(lines))
		}
		out = append(out, h.lines(title, lines))
	}
	return out
}

// total is the number by which series are sorted.
func (s *series) total() float64 {
	sum := 0.0
	if !s.counter {
		sum = zeroNaN(s.last)
	}
	for _, n := range s.columns {
		if s.counter {
			sum += zeroNaN(n)
		}
	}
	for _, h := range s.hists {
		for _, n := range h {
			sum += float64(n)
		}
	}
	return sum
}

// line is a line of a drawing.
type line struct {
	name   string
	values []float64 // for each column; NaN: none
}

// line returns a line of a series: the rate of a counter, or the values of another number.
func (h *History) line(s *series, name string) line {
	l := line{name, make([]float64, len(h.ends))}
	for i := range l.values {
		l.values[i] = math.NaN()
		if i < len(s.columns) {
			l.values[i] = s.columns[i]
		}
		if s.counter {
			seconds := h.ends[i].Sub(h.begin(i)).Seconds()
			l.values[i] = zeroNaN(l.values[i]) / max(seconds, 1e-3)
		}
	}
	return l
}

// lines draws lines over time.
func (h *History) lines(title string, lines []line) panel {
	return linePanel(title, lines, h.start, h.ends)
}

// linePanel draws lines. ends are the ends of the columns.
func linePanel(title string, lines []line, start time.Time, ends []time.Time) panel {
	low, high := 0.0, 0.0
	for _, l := range lines {
		for _, n := range l.values {
			if !math.IsNaN(n) {
				low, high = min(low, n), max(high, n)
			}
		}
	}
	if low == high {
		high = low + 1
	}
	x := axis{start, ends[len(ends)-1], axisLeft, width - margin - legendWide}
	y := func(n float64) float64 { return 6 + (lineHeight-6)*(high-n)/(high-low) }
	height := max(lineHeight, len(lines)*row) + axisBottom
	return panel{title, "lines", height, func(w io.Writer) {
		for _, n := range []float64{low, (low + high) / 2, high} {
			fmt.Fprintf(w, `<path class="a" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
				x.left, y(n), x.right, x.left-4, y(n)+4, short(n))
		}
		x.draw(w, lineHeight)
		for i, l := range lines {
			fmt.Fprintf(w, `<path class="l c%d" d="`, i)
			pen, alone := "M", false
			for j, n := range l.values {
				if math.IsNaN(n) {
					if alone { // a point without neighbours
						io.WriteString(w, "h1")
					}
					pen, alone = "M", false
					continue
				}
				alone = pen == "M"
				fmt.Fprintf(w, "%s%.1f %.1f", pen, x.at(ends[j]), y(n))
				pen = "L"
			}
			if alone {
				io.WriteString(w, "h1")
			}
			fmt.Fprintf(w, `"/><path class="l c%d" d="M%d %dh12"/><text x="%d" y="%d"><title>%s</title>%s</text>`+"\n",
				i, x.right+10, i*row+10, x.right+26, i*row+14, escape(l.name), escape(shorten(l.name, (legendWide-30)/7)))
		}
		for j := range ends {
			from, to := float64(x.left), x.at(ends[j])
			if j > 0 {
				from = x.at(ends[j-1])
			}
			fmt.Fprintf(w, `<rect class="t" x="%.1f" y="0" width="%.1f" height="%d"><title>%s`, from, max(to-from, 0.1), lineHeight, elapsed(ends[j].Sub(start)))
			for _, l := range lines {
				if !math.IsNaN(l.values[j]) {
					fmt.Fprintf(w, "\n%s: %s", escape(shorten(l.name, 60)), short(l.values[j]))
				}
			}
			io.WriteString(w, "</title></rect>\n")
		}
	}}
}

// timeSeries draws the time series of tseries maps.
func timeSeries(m output.Map) (panel, bool) {
	var lines []line
	var ends []time.Time
	columns := map[uint64]int{}
	for _, e := range last(m.Entries, maxLines) {
		s, ok := e.Value.(value.Series)
		if !ok || len(s.Points) == 0 {
			continue
		}
		for _, p := range s.Points {
			columns[uint64(p.Start)] = 0
		}
	}
	if len(columns) < 2 {
		return panel{}, false
	}
	var at []uint64
	for t := range columns {
		at = append(at, t)
	}
	slices.Sort(at)
	start := time.Unix(0, int64(at[0]))
	for i, t := range at {
		columns[t] = i
		ends = append(ends, time.Unix(0, int64(t)))
	}
	for _, e := range last(m.Entries, maxLines) {
		s, ok := e.Value.(value.Series)
		if !ok {
			continue
		}
		l := line{keyed(m.Name, e.Key), make([]float64, len(at))}
		for i := range l.values {
			l.values[i] = math.NaN()
		}
		for _, p := range s.Points {
			if n, ok := value.Float(p.V); ok && p.Set {
				l.values[columns[uint64(p.Start)]] = n
			}
		}
		lines = append(lines, l)
	}
	return linePanel(m.Name, lines, start, ends), true
}

// axis is the horizontal axis of times.
type axis struct {
	start, end  time.Time
	left, right int
}

func (a axis) at(t time.Time) float64 {
	return float64(a.left) + float64(a.right-a.left)*float64(t.Sub(a.start))/float64(max(a.end.Sub(a.start), 1))
}

// draw draws the axis below y.
func (a axis) draw(w io.Writer, y int) {
	const ticks = 6
	for i := range ticks + 1 {
		t := a.start.Add(a.end.Sub(a.start) * time.Duration(i) / ticks)
		anchor := `text-anchor="middle"`
		if i == ticks {
			anchor = `text-anchor="end"`
		}
		fmt.Fprintf(w, `<path class="a" d="M%.1f %dv4"/><text x="%.1f" y="%d" %s>%s</text>`+"\n", a.at(t), y, a.at(t), y+16, anchor, elapsed(t.Sub(a.start)))
	}
}

// elapsed returns a time since the start.
func elapsed(d time.Duration) string {
	if d < 10*time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	}
	return d.Round(time.Second).String()
}

// label returns the range of a bucket, as text prints it.
func (r rung) label() string {
	text := func(n int64) string {
		if r.unsigned {
			return short(float64(uint64(n)))
		}
		return short(float64(n))
	}
	switch {
	case r.minInf:
		return "≤ " + text(r.max)
	case r.maxInf:
		return "≥ " + text(r.min)
	case r.min == r.max:
		return text(r.min)
	}
	return text(r.min) + " – " + text(r.max)
}

// compare orders buckets by their ranges.
func (r rung) compare(o rung) int {
	switch {
	case r.minInf != o.minInf:
		if r.minInf {
			return -1
		}
		return 1
	case r.maxInf != o.maxInf:
		if r.maxInf {
			return 1
		}
		return -1
	case r.unsigned:
		return cmp.Compare(uint64(r.min), uint64(o.min))
	}
	return cmp.Compare(r.min, o.min)
}

// heatmap draws the numbers that were added to a histogram in each column. The darker a
// cell, the higher the number in it, on a logarithmic scale.
func (h *History) heatmap(title string, s *series) panel {
	rungs := make([]rung, 0, len(s.rungs))
	for r := range s.rungs {
		rungs = append(rungs, r)
	}
	sort.Slice(rungs, func(i, j int) bool { return rungs[i].compare(rungs[j]) < 0 })
	each := (len(rungs) + maxRows - 1) / maxRows // buckets in a row
	rows := (len(rungs) + each - 1) / each
	at := map[rung]int{}
	labels := make([]string, rows)
	for i, r := range rungs {
		at[r] = i / each
		if i%each == 0 {
			end := rungs[min(i+each, len(rungs))-1]
			labels[i/each] = rung{r.min, end.max, r.unsigned, r.minInf, end.maxInf}.label()
		}
	}
	most := uint64(1)
	cells := make([][]uint64, len(s.hists))
	for i, c := range s.hists {
		cells[i] = make([]uint64, rows)
		for r, n := range c {
			cells[i][at[r]] += n
			most = max(most, cells[i][at[r]])
		}
	}
	high := 12
	if rows > 32 {
		high = 7
	}
	wide := 0
	for _, l := range labels {
		wide = max(wide, length(l))
	}
	x := axis{h.start, h.ends[len(h.ends)-1], margin + int(float64(wide+1)*char), width - margin}
	return panel{title + " over time", "heat", rows*high + axisBottom, func(w io.Writer) {
		for i, l := range labels {
			if high >= 12 || i%2 == 0 {
				fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", x.left-4, (rows-i)*high-2, escape(l))
			}
		}
		fmt.Fprintf(w, `<rect class="g" x="%d" y="0" width="%d" height="%d"/>`+"\n", x.left, x.right-x.left, rows*high)
		x.draw(w, rows*high)
		for i, c := range cells {
			if s.hists[i] == nil {
				continue
			}
			from, to := x.at(h.begin(i)), x.at(h.ends[i])
			fmt.Fprintf(w, "<g><title>%s", elapsed(h.ends[i].Sub(h.start)))
			for r := rows - 1; r >= 0; r-- {
				if c[r] > 0 {
					fmt.Fprintf(w, "\n%s: %d", escape(labels[r]), c[r])
				}
			}
			io.WriteString(w, "</title>")
			for r, n := range c {
				if n > 0 {
					shade := 0.15 + 0.85*math.Log1p(float64(n))/math.Log1p(float64(most))
					fmt.Fprintf(w, `<rect class="h" x="%.1f" y="%d" width="%.1f" height="%d" fill-opacity="%.2f"/>`, from, (rows-1-r)*high, max(to-from, 0.1)+0.1, high, shade)
				}
			}
			io.WriteString(w, "</g>\n")
		}
	}}
}
