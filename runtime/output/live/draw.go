package live

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// draw draws the screen.
func (m *model) draw() *grid {
	g := newGrid(max(m.w, 1), max(m.h, 1))
	for _, t := range m.maps {
		t.ascii = m.ascii
	}
	if m.help {
		m.drawHelp(g)
		return g
	}
	y := m.drawTabs(g)
	h := m.bodyHeight()
	if t := m.table(); t != nil {
		t.headingAt = 0
		if g.h > y+2 {
			t.headingAt = y
			y++
		}
		t.draw(g, y, h)
		y += h
		if m.split() {
			m.drawOutput(g, y, m.splitHeight())
		}
	} else {
		m.drawLines(g, y, h)
	}
	if m.hasStatus() {
		m.drawStatus(g, g.h-2)
	}
	if g.h > 1 {
		m.drawKeys(g, g.h-1)
	}
	return g
}

// drawTabs draws the names of the maps, with the one that is shown in brackets, and the
// state. If not all names fit, it draws those around the one that is shown.
func (m *model) drawTabs(g *grid) int {
	state := m.now.Format(time.TimeOnly)
	switch {
	case m.ending:
		state = "ENDING"
	case m.paused:
		state = "PAUSED"
	}
	if g.w < 30 && !m.ending && !m.paused {
		state = ""
	}
	room := g.w - len(state) - 1
	var names []string
	for _, t := range m.maps {
		names = append(names, printable(t.name))
	}
	names = append(names, "output")
	first, n := m.tab, columns(names[m.tab])+2
	for first > 0 && n+columns(names[first-1])+2 <= room {
		first--
		n += columns(names[first]) + 2
	}
	x := 0
	g.fill(0, 0, title)
	for i := first; i < len(names); i++ {
		if i == m.tab {
			x = g.put(x, 0, room, "["+names[i]+"]", active)
		} else {
			x = g.put(x, 0, room, " "+names[i]+" ", title)
		}
	}
	g.put(max(g.w-len(state), 0), 0, g.w, state, title)
	return 1
}

// widths returns the widths of the columns of numbers and graphs, in the order of the
// columns, for a screen of w columns. A width of 0 leaves a column out. The keys share
// the remaining columns.
func (t *table) widths(rows []row, shown []line, w int) []int {
	ws := make([]int, len(t.columns))
	left := w
	keys := 0
	for i, c := range t.columns {
		if c.kind == columnKey || c.kind == columnText {
			keys++
			continue
		}
		if c.kind == columnGraph {
			continue
		}
		n := len(c.name) + 1 // for the mark of the sorted column
		for _, l := range shown {
			if l.sub == 0 {
				n = max(n, columns(c.text(&rows[l.row])))
			}
		}
		if i > 0 && left-n-1 < minKeys*min(keys+1, 2) && c.kind != columnNumber {
			continue
		}
		ws[i] = n
		left -= n + 1
	}
	for i, c := range t.columns {
		if c.kind == columnGraph && left >= 2*minKeys+graphWidth {
			ws[i] = min(max(left/4, graphWidth), maxHistory)
			left -= ws[i] + 1
		}
	}
	for i, c := range t.columns {
		if c.kind != columnKey && c.kind != columnText {
			continue
		}
		keys--
		n := len(c.name) + 1
		for _, l := range shown {
			if l.sub == 0 {
				n = max(n, columns(c.text(&rows[l.row])))
			}
		}
		if keys > 0 {
			n = min(n, max(left/(keys+1), 4))
		} else {
			n = max(left, 0)
		}
		ws[i] = n
		left -= n + 1
	}
	return ws
}

// The least widths of the keys and of a graph on a screen where both are shown.
const (
	minKeys    = 12
	graphWidth = 10
)

// draw draws h lines of the table.
func (t *table) draw(g *grid, y, h int) {
	shown := t.window(g.w, h)
	rows := t.view()
	ws := t.widths(rows, shown, g.w)
	if t.headingAt > 0 {
		x := 0
		for i, c := range t.columns {
			name := c.name
			if i == t.sort {
				mark := "v"
				if t.up {
					mark = "^"
				}
				name += mark
			}
			x = t.cell(g, x, t.headingAt, ws[i], c, name, heading)
		}
		note := ""
		switch {
		case t.more > 0:
			note = fmt.Sprintf("the greatest %d of %d", len(t.all), len(t.all)+t.more)
		case t.filter != "":
			note = fmt.Sprintf("%d of %d", len(rows), len(t.all))
		}
		if t.filter != "" {
			note += " with " + strconv.Quote(printable(t.filter))
		}
		if note != "" && columns(note)+20 < g.w {
			g.put(g.w-columns(note), t.headingAt, g.w, note, faint)
		}
	}
	for i, l := range shown {
		r := &rows[l.row]
		look := plain
		if t.top+i == t.at {
			look = selected
			g.fill(0, y+i, selected)
		}
		if l.sub > 0 {
			ds := t.details(r, g.w)
			x := detailIndent
			for _, s := range ds[l.sub-1] {
				style := s.look
				if look == selected {
					style = selected
				}
				x = g.put(x, y+i, g.w, s.s, style)
			}
		} else {
			x := 0
			for k, c := range t.columns {
				text := ""
				switch {
				case ws[k] == 0:
				case c.kind == columnGraph:
					text = t.rowGraph(r, ws[k])
				default:
					text = c.text(r)
				}
				x = t.cell(g, x, y+i, ws[k], c, text, look)
			}
		}
		if t.search != "" {
			g.mark(y+i, t.search)
		}
	}
	if len(rows) == 0 {
		text := "(empty)"
		if len(t.all) > 0 {
			text = "(nothing matches the filter)"
		}
		g.put(detailIndent, y, g.w, text, faint)
	}
}

// cell draws a cell of the table and returns the column after it. Numbers are at the
// right of their column. If a number does not fit, its column is filled with a mark, so
// that no part of it is mistaken for the whole.
func (t *table) cell(g *grid, x, y, w int, c column, text string, look style) int {
	if w <= 0 {
		return x
	}
	end := min(x+w, g.w)
	switch c.kind {
	case columnKey, columnText:
		if t.left > 0 && y != t.headingAt && c == t.columns[len(t.columns)-1] {
			text = skip(text, t.left)
		}
		g.put(x, y, end, text, look)
	case columnGraph:
		g.put(x, y, end, text, look)
	default:
		if columns(text) > end-x {
			text = strings.Repeat("#", max(end-x, 0))
		}
		g.put(end-columns(text), y, end, text, look)
	}
	return x + w + 1
}

// skip returns a text without its first n columns.
//
//go:noinline
func skip(text string, n int) string {
	for i, r := range text {
		if n <= 0 {
			return text[i:]
		}
		n -= width(r)
	}
	return ""
}

// mark highlights a text in a line.
func (g *grid) mark(y int, text string) {
	if y < 0 || y >= g.h {
		return
	}
	var line strings.Builder
	var at []int // the column of each byte
	for x, c := range g.cells[y*g.w : (y+1)*g.w] {
		if c.r == 0 {
			continue
		}
		s := string(c.r) + c.marks
		line.WriteString(s)
		for range len(s) {
			at = append(at, x)
		}
	}
	rest, from := line.String(), 0
	for {
		i := index(rest[from:], text)
		if i < 0 {
			return
		}
		for _, x := range at[from+i : from+i+len(text)] {
			g.cells[y*g.w+x].style = found
		}
		from += i + len(text)
	}
}

// drawOutput draws the end of the output below a table.
func (m *model) drawOutput(g *grid, y, h int) {
	x := g.put(0, y, g.w, "output ", heading)
	line := "─"
	if m.ascii {
		line = "-"
	}
	g.put(x, y, g.w, strings.Repeat(line, max(g.w-x, 0)), faint)
	m.drawLines(g, y+1, h-1)
}

// drawLines draws h lines of the output.
func (m *model) drawLines(g *grid, y, h int) {
	for i, l := range m.out.window(h) {
		text := printable(expandTabs(l))
		if m.out.left > 0 && m.table() == nil {
			text = skip(text, m.out.left)
		}
		g.put(0, y+i, g.w, text, plain)
		if m.out.search != "" {
			g.mark(y+i, m.out.search)
		}
	}
}

// expandTabs replaces tabs by spaces.
func expandTabs(s string) string {
	if !strings.Contains(s, "\t") {
		return s
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if r != '\t' {
			b.WriteRune(r)
			n += width(r)
			continue
		}
		b.WriteString("        "[n%8:])
		n += 8 - n%8
	}
	return b.String()
}

// hasStatus reports whether there is a line for messages.
func (m *model) hasStatus() bool {
	return m.h >= 4 && (m.message != "" || m.failed != nil || m.messages.total() > 0)
}

// drawStatus draws the last message or warning.
func (m *model) drawStatus(g *grid, y int) {
	switch {
	case m.message != "":
		g.put(0, y, g.w, m.message, plain)
	case m.failed != nil:
		g.put(0, y, g.w, printable(m.failed.Error()), warning)
	default:
		text := strings.TrimRight(string(m.messages.tail(4096)), "\n")
		lines := strings.Split(text, "\n")
		last := lines[len(lines)-1]
		for _, l := range lines { // the last one that is not a quotation of the script
			if strings.Contains(l, "WARNING") || strings.Contains(l, "ERROR") || strings.HasPrefix(l, "Lost ") {
				last = l
			}
		}
		g.put(0, y, g.w, printable(expandTabs(last)), warning)
	}
}

// footer are the keys of the last line, the most important first.
var footer = []struct{ key, does string }{
	{"q", "quit"}, {"?", "help"}, {"tab", "next"}, {"f", "filter"}, {"s", "sort"}, {"enter", "more"},
	{"space", "pause"}, {"/", "search"}, {"t", "heatmap"}, {"r", "rate"}, {"w", "save"}, {"e", "output"},
}

// drawKeys draws the last line: the keys, or what is being typed.
func (m *model) drawKeys(g *grid, y int) {
	if m.prompt != noPrompt {
		name := [...]string{promptFilter: "filter: ", promptSearch: "search: ", promptSave: "save as: "}[m.prompt]
		typed := printable(m.typed)
		over := columns(name) + columns(typed) + 1 - g.w
		if over > 0 {
			typed = skip(typed, over)
		}
		x := g.put(0, y, g.w, name, heading)
		x = g.put(x, y, g.w, typed, plain)
		g.put(x, y, g.w, "_", plain)
		return
	}
	x := 0
	for _, k := range footer {
		if x+len(k.key)+1+len(k.does) > g.w {
			break
		}
		x = g.put(x, y, g.w, k.key, key)
		x = g.put(x, y, g.w, " "+k.does, plain)
		x += 2
	}
}
