package live

// help are the keys of the help screen.
var help = []string{
	"tab, shift-tab      next map, previous map; the last one is the output",
	"1 to 9, o           this map; the output",
	"up, down, j, k      move; also page up, page down, home, end, g, G",
	"left, right         move long keys and lines to the side",
	"enter               more of this entry: all frames of a stack, the bars of a",
	"                    histogram, the whole key; again: less",
	"c                   less of all entries",
	"s, S                sort by the next column, the previous one",
	"i                   the other way round",
	"r                   sort by rates per second, or by values",
	"f                   show only entries, or lines of the output, with a text;",
	"                    escape: show all",
	"/, n, N             search; next, previous place",
	"t                   histograms over time, or as bars",
	"e                   show the output below the maps, or not",
	"space               stop, go on; meanwhile nothing is lost from the maps",
	"+, -                read the maps more often, less often",
	"w                   save this table or output: as text, or if the name ends in",
	"                    .json, as JSON",
	"ctrl-z              suspend",
	"q, ctrl-c           end the session and print its results",
	"",
	"Capital letters matter in filters and searches only if there are some.",
}

// drawHelp draws the help screen.
func (m *model) drawHelp(g *grid) {
	g.fill(0, 0, title)
	g.put(0, 0, g.w, "gotrace --live: keys", active)
	h := max(g.h-2, 1)
	m.helpTop = min(max(m.helpTop, 0), max(len(help)-h, 0))
	for i, l := range help[m.helpTop:min(m.helpTop+h, len(help))] {
		g.put(0, 1+i, g.w, l, plain)
	}
	if g.h > 2 {
		g.put(0, g.h-1, g.w, "any other key: back", faint)
	}
}

// helpKey handles a key while the help screen is shown.
func (m *model) helpKey(k rune) action {
	switch k {
	case keyDown, 'j':
		m.helpTop++
	case keyUp, 'k':
		m.helpTop--
	case keyPageDown, ' ':
		m.helpTop += m.h - 2
	case keyPageUp:
		m.helpTop -= m.h - 2
	default:
		m.help = false
	}
	return nothing
}
