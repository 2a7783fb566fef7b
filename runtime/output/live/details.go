package live

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/value"
)

// span is a piece of text in one style, and spans a line of them.
type (
	span struct {
		s    string
		look style
	}
	spans []span
)

func (l spans) text() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.s)
	}
	return b.String()
}

// details returns the lines that show more of a row. They have the frames of the stacks in
// its key, texts that do not fit in one line, the bars of a histogram or its heatmap, and
// series.
func (t *table) details(r *row, w int) []spans {
	var ls []spans
	w = max(w-detailIndent, 10)
	ps := keyParts(r.key)
	for _, p := range ps {
		if s, ok := p.(value.Stack); ok {
			ls = append(ls, textLines(s)...)
		} else {
			ls = append(ls, wrapped(partText(p), w)...)
		}
	}
	switch v := r.value.(type) {
	case value.Hist:
		if t.heat {
			return append(ls, t.heatmap(r, v, w)...)
		}
		return append(ls, bars(v, w, t.ascii)...)
	case value.Series, value.Stack:
		return append(ls, textLines(v)...)
	case value.Stats:
		return ls
	}
	if _, number := numberOf(r.value); number {
		if g := graph(r.history, t.ascii); g != "" {
			ls = append(ls, spans{{g, plain}})
		}
		return ls
	}
	return append(ls, wrapped(valueText(r.value), w)...)
}

// detailIndent is the indentation of such lines.
const detailIndent = 2

// textLines returns the lines of the text of a value.
func textLines(v value.Value) []spans {
	var ls []spans
	for l := range strings.SplitSeq(strings.Trim(v.String(), "\n"), "\n") {
		if _, ok := v.(value.Stack); ok {
			l = strings.TrimSpace(l)
		}
		ls = append(ls, spans{{printable(l), plain}})
	}
	return ls
}

// wrapped returns a text in lines of at most w columns.
func wrapped(text string, w int) []spans {
	var ls []spans
	n, from := 0, 0
	for i, r := range text {
		if k := width(r); n+k > w {
			ls = append(ls, spans{{text[from:i], plain}})
			n, from = k, i
		} else {
			n += k
		}
	}
	return append(ls, spans{{text[from:], plain}})
}

// bars returns the lines of a histogram.
func bars(h value.Hist, w int, ascii bool) []spans {
	var most uint64
	label, digits := 0, 0
	for _, b := range h.Buckets {
		most = max(most, b.Count)
		label = max(label, len(b.Label))
		digits = max(digits, len(fmt.Sprint(b.Count)))
	}
	room := max(w-label-digits-3, 1)
	var ls []spans
	for _, b := range h.Buckets {
		l := spans{{fmt.Sprintf("%-*s %*d ", label, b.Label, digits, b.Count), plain}}
		if most > 0 {
			l = append(l, span{bar(float64(b.Count)/float64(most), room, ascii), heat2})
		}
		ls = append(ls, l)
	}
	return ls
}

// bar returns a bar that takes a share of a number of columns. A bar that is not empty
// has at least a thin line.
func bar(share float64, room int, ascii bool) string {
	if share <= 0 {
		return ""
	}
	if ascii {
		return strings.Repeat("#", max(1, int(math.Round(share*float64(room)))))
	}
	eighths := max(1, int(math.Round(share*float64(room)*8)))
	b := strings.Repeat("█", eighths/8)
	if eighths%8 > 0 {
		b += string([]rune(" ▏▎▍▌▋▊▉")[eighths%8])
	}
	return b
}

// graphChars returns the characters of graphs, from the least to the greatest.
func graphChars(ascii bool) []rune {
	if ascii {
		return []rune("_.-=+*#@")
	}
	return []rune("▁▂▃▄▅▆▇█")
}

// heatChars returns the characters of heatmaps, by level.
func heatChars(ascii bool) []rune {
	if ascii {
		return []rune(" .-+*#")
	}
	return []rune(" ░░▒▓█")
}

// heatLooks are the styles of heatmaps, by level.
var heatLooks = [...]style{plain, heat1, heat2, heat3, heat4, heat5}

// graph returns a line that shows how numbers change. The scale is from 0, or the least
// number if it is negative, to the greatest. The line is empty for fewer than two
// numbers.
func graph(points []float32, ascii bool) string {
	if len(points) < 2 {
		return ""
	}
	lo, hi := float32(0), float32(0)
	for _, p := range points {
		lo, hi = min(lo, p), max(hi, p)
	}
	chars := graphChars(ascii)
	b := make([]rune, len(points))
	for i, p := range points {
		n := 0
		if hi > lo {
			n = int(float64(p-lo) / float64(hi-lo) * float64(len(chars)-1))
			if n == 0 && p > lo {
				n = 1
			}
		}
		b[i] = chars[n]
	}
	return string(b)
}

// rowGraph returns the graph of a row in w columns.
func (t *table) rowGraph(r *row, w int) string {
	var points []float32
	switch v := r.value.(type) {
	case value.Hist: // its shape
		for _, b := range v.Buckets {
			points = append(points, float32(b.Count))
		}
		if len(points) > w { // the last column merges all later ones
			for _, p := range points[w:] {
				points[w-1] += p
			}
			points = points[:w]
		}
		if len(points) == 1 {
			return string(graphChars(t.ascii)[7])
		}
	case value.Series:
		for _, p := range v.Points {
			n, _ := numberOf(p.V)
			points = append(points, float32(n))
		}
	default:
		points = r.history
	}
	return graph(points[max(len(points)-w, 0):], t.ascii)
}

// heatmap returns the lines of a histogram over time: a line for each bucket, a column for
// each snapshot, the newest at the right.
func (t *table) heatmap(r *row, h value.Hist, w int) []spans {
	label := 0
	for _, b := range h.Buckets {
		label = max(label, len(b.Label))
	}
	room := max(w-label-1, 1)
	last := t.tracks.round
	first := max(last-room+1, 1)
	counts := map[int64][]uint64{}
	var most uint64
	for _, s := range r.heat {
		if s.round < first {
			continue
		}
		for _, b := range s.counts {
			if counts[b.min] == nil {
				counts[b.min] = make([]uint64, last-first+1)
			}
			counts[b.min][s.round-first] = b.n
			most = max(most, b.n)
		}
	}
	chars := heatChars(t.ascii)
	var ls []spans
	for _, b := range h.Buckets {
		l := spans{{fmt.Sprintf("%-*s|", label, b.Label), plain}}
		for _, n := range counts[bucketKey(&b)] {
			level := heatLevel(n, most)
			if k := len(l) - 1; l[k].look == heatLooks[level] && k > 0 {
				l[k].s += string(chars[level])
			} else {
				l = append(l, span{string(chars[level]), heatLooks[level]})
			}
		}
		ls = append(ls, l)
	}
	foot := fmt.Sprintf("%*s %d snapshots to %s; at most %d in one", label, "", last-first+1, t.tracks.at.Format(time.TimeOnly), most)
	return append(ls, spans{{foot, faint}})
}

// heatLevel returns the level of a count, 0 to 5, on a logarithmic scale, so that single
// events are visible next to thousands.
func heatLevel(n, most uint64) int {
	switch {
	case n == 0:
		return 0
	case most <= 1 || n == most:
		return 5
	}
	return 1 + min(int(math.Log(float64(n))/math.Log(float64(most))*4), 4)
}
