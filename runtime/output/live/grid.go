package live

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// style is the look of a cell. Styles are numbers of the table looks.
type style uint8

const (
	plain    style = iota
	title          // the line of tabs
	active         // the tab that is shown
	heading        // names of columns
	selected       // the line of the cursor
	faint          // less important text
	warning        // warnings and errors
	found          // text that a search found
	key            // names of keys in the last line
	heat1          // the five levels of a heatmap, from few to many
	heat2
	heat3
	heat4
	heat5
)

// looks are the parameters of the escape sequence that selects a style: with colours, and
// without.
var looks = [...]struct{ color, mono string }{
	plain:    {"", ""},
	title:    {"7", "7"},
	active:   {"1", "1"},
	heading:  {"1;36", "1"},
	selected: {"7", "7"},
	faint:    {"2", "2"},
	warning:  {"1;33", "1"},
	found:    {"30;43", "7"},
	key:      {"7", "7"},
	heat1:    {"34", ""},
	heat2:    {"36", ""},
	heat3:    {"32", ""},
	heat4:    {"33", ""},
	heat5:    {"31", ""},
}

// cell is one column of a line of the screen.
type cell struct {
	r     rune   // 0: the right half of a wide character
	marks string // combining marks that are drawn over r
	style style
}

// grid is the contents of a screen.
type grid struct {
	w, h  int
	cells []cell
}

func newGrid(w, h int) *grid {
	g := &grid{w: w, h: h, cells: make([]cell, w*h)}
	for i := range g.cells {
		g.cells[i].r = ' '
	}
	return g
}

// put writes text at a place and returns the column after it. If it does not fit in the
// columns before end, the last of these columns has a mark. The text must be printable,
// see printable.
func (g *grid) put(x, y, end int, text string, s style) int {
	end = min(end, g.w)
	if y < 0 || y >= g.h || x < 0 {
		return x
	}
	for _, r := range text {
		w := width(r)
		if w == 0 {
			if x > 0 && x <= end {
				if last := &g.cells[y*g.w+x-1]; len(last.marks) < maxMarks {
					last.marks += string(r)
				}
			}
			continue
		}
		if x+w > end {
			if end > 0 {
				last := y*g.w + end - 1
				if g.cells[last].r == 0 { // the right half of a wide character
					g.cells[last-1] = cell{r: ' ', style: s}
				}
				g.cells[last] = cell{r: '~', style: s}
			}
			break
		}
		g.cells[y*g.w+x] = cell{r: r, style: s}
		if w == 2 {
			g.cells[y*g.w+x+1] = cell{style: s}
		}
		x += w
	}
	return x
}

// maxMarks is the maximum number of bytes of the marks that are drawn over a character.
const maxMarks = 16

// fill gives the rest of a line from column x on a style.
//
//go:noinline
func (g *grid) fill(x, y int, s style) {
	if y < 0 || y >= g.h {
		return
	}
	for x = max(x, 0); x < g.w; x++ {
		g.cells[y*g.w+x].style = s
	}
}

// String returns the text of the grid, without spaces at the ends of lines.
func (g *grid) String() string {
	var b strings.Builder
	for y := range g.h {
		var line strings.Builder
		for _, c := range g.cells[y*g.w : (y+1)*g.w] {
			if c.r != 0 {
				line.WriteRune(c.r)
				line.WriteString(c.marks)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// wide are the ranges of characters that take two columns.
var wide = [...][2]rune{
	{0x1100, 0x115f}, {0x231a, 0x231b}, {0x23e9, 0x23ec}, {0x25fd, 0x25fe}, {0x2614, 0x2615},
	{0x2648, 0x2653}, {0x26aa, 0x26ab}, {0x26bd, 0x26be}, {0x26c4, 0x26c5}, {0x26f2, 0x26f5},
	{0x2705, 0x2705}, {0x270a, 0x270b}, {0x2728, 0x2728}, {0x274c, 0x274c}, {0x2753, 0x2757},
	{0x2795, 0x2797}, {0x2b1b, 0x2b1c}, {0x2b50, 0x2b55}, {0x2e80, 0x303e}, {0x3041, 0x33ff},
	{0x3400, 0x4dbf}, {0x4e00, 0xa4cf}, {0xa960, 0xa97f}, {0xac00, 0xd7a3}, {0xf900, 0xfaff},
	{0xfe30, 0xfe6f}, {0xff01, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
	{0x1f7e0, 0x1f7eb}, {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
}

// width returns the number of columns that a printable character takes: 0 for a mark that
// is drawn over the character before it. Terminals disagree about some characters. The
// screen positions the cursor after each character that is not ASCII, so an error does
// not shift the text that follows.
func width(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	for _, w := range wide {
		if r < w[0] {
			break
		}
		if r <= w[1] {
			return 2
		}
	}
	return 1
}

// columns returns the number of columns that a printable text takes.
//
//go:noinline
func columns(text string) int {
	n := 0
	for _, r := range text {
		n += width(r)
	}
	return n
}

// printable replaces everything that a terminal could interpret as a command by escapes:
// control characters, bytes that are not UTF-8, and characters that change the direction
// of text or are invisible.
func printable(text string) string {
	clean := true
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			clean = false
			break
		}
	}
	if clean {
		return text
	}
	var b strings.Builder
	for i, w := 0, 0; i < len(text); i += w {
		var r rune
		r, w = utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && w == 1, r < ' ', r >= 0x7f && r < 0xa0 && w == 1:
			const hex = "0123456789abcdef"
			switch c := text[i]; c {
			case '\n':
				b.WriteString(`\n`)
			case '\t':
				b.WriteString(`\t`)
			default:
				b.WriteString(`\x`)
				b.WriteByte(hex[c>>4])
				b.WriteByte(hex[c&15])
			}
		case !unicode.IsPrint(r) || b.Len() == 0 && width(r) == 0:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
