package live

// line is a line of a table: a row, or one of the lines that show more of it.
type line struct {
	row int
	sub int // 0: the row itself
}

// lines returns the lines of the table at a width.
func (t *table) lines(w int) []line {
	rows := t.view()
	ls := make([]line, 0, len(rows))
	for i := range rows {
		ls = append(ls, line{row: i})
		if t.open[rows[i].id] {
			for sub := range t.details(&rows[i], w) {
				ls = append(ls, line{i, sub + 1})
			}
		}
	}
	return ls
}

// key handles a key that concerns the table.
func (t *table) key(k rune, h int) {
	switch k {
	case keyUp, 'k':
		t.at--
	case keyDown, 'j':
		t.at++
	case keyPageUp:
		t.at -= h
	case keyPageDown:
		t.at += h
	case keyHome, 'g':
		t.at = 0
	case keyEnd, 'G':
		t.at = 1 << 40
	case keyLeft:
		t.left = max(t.left-sideStep, 0)
	case keyRight:
		t.left += sideStep
	case keyEnter:
		t.toggle()
	case 's', '>':
		t.sortNext(1)
	case 'S', '<':
		t.sortNext(-1)
	case 'i':
		t.up, t.keep = !t.up, false
	case 'r':
		t.setRate(t.sort >= len(t.columns) || t.columns[t.sort].kind != columnRate)
	case 't':
		t.heat = t.hist && !t.heat
		if t.heat {
			if rows := t.view(); len(rows) > 0 {
				t.open[rows[t.row()].id] = true
			}
		}
	case 'c':
		clear(t.open)
		t.open[""] = false
	}
	t.at = max(t.at, 0)
}

// sortNext sorts by the next or the previous sortable column. Numbers begin with the
// greatest, keys with the least.
func (t *table) sortNext(way int) {
	n := len(t.columns)
	for i := 1; i <= n; i++ {
		c := ((t.sort+way*i)%n + n) % n
		if t.columns[c].kind != columnGraph {
			t.sortBy(c, t.columns[c].kind >= columnKey)
			return
		}
	}
}

// row returns the row of the line of the cursor. There must be rows.
func (t *table) row() int {
	ls := t.lines(t.width)
	return ls[min(t.at, len(ls)-1)].row
}

// toggle expands or collapses the row of the cursor.
func (t *table) toggle() {
	rows := t.view()
	if len(rows) == 0 {
		return
	}
	n := t.row()
	t.open[rows[n].id] = !t.open[rows[n].id]
	for i, l := range t.lines(t.width) { // the cursor stays at the row
		if l.row == n && l.sub == 0 {
			t.at = i
		}
	}
}

// window moves the first line that is shown so that a table of h lines shows the cursor,
// and returns the lines.
func (t *table) window(w, h int) []line {
	t.width = w
	ls := t.lines(w)
	t.at = min(max(t.at, 0), max(len(ls)-1, 0))
	t.top = min(t.top, t.at)
	t.top = max(t.top, t.at-h+1)
	t.top = min(t.top, max(len(ls)-h, 0))
	return ls[t.top:min(t.top+h, len(ls))]
}

// find moves to a line with the search text, see model.next.
func (t *table) find(way, w int) bool {
	ls, rows := t.lines(w), t.view()
	step := way
	if way == 0 {
		step = 1
	}
	for n, i := 0, t.at+way; n < len(ls); n, i = n+1, i+step {
		i = (i + len(ls)) % len(ls)
		if matches(t.lineText(rows, ls[i], w), t.search) {
			t.at = i
			return true
		}
	}
	return false
}

// lineText returns the text of a line in which a search looks.
func (t *table) lineText(rows []row, l line, w int) string {
	r := &rows[l.row]
	if l.sub == 0 {
		return t.rowText(r)
	}
	if ds := t.details(r, w); l.sub <= len(ds) {
		return ds[l.sub-1].text()
	}
	return ""
}
