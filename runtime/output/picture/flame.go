package picture

import (
	"fmt"
	"hash/fnv"
	"io"

	"github.com/gotrace/gotrace/runtime/output/profile"
)

// minWidth is the width in pixels of the narrowest box that is drawn.
const minWidth = 0.1

// flame draws a flame graph.
func flame(title string, root *profile.Box) panel {
	height := root.Depth()*row + margin
	return panel{title, "flame", height, func(w io.Writer) {
		if root.Weight > 0 {
			drawBox(w, root, float64(root.Weight), 0, height-margin-row)
		}
	}}
}

// drawBox draws a box and those above it. before is the total weight of the boxes to its
// left.
func drawBox(w io.Writer, b *profile.Box, total, before float64, y int) {
	x := margin + inner*before/total
	wide := inner * float64(b.Weight) / total
	if wide < minWidth {
		return
	}
	fmt.Fprintf(w, `<g class="f"><title>%s: %d (%.2f%%)</title><rect x="%.2f" y="%d" width="%.2f" height="%d" rx="1" fill="%s"/><text x="%.2f" y="%d">%s</text></g>`+"\n",
		escape(b.Name), b.Weight, 100*float64(b.Weight)/total, x, y, wide, row-1, color(b), x+3, y+12, escape(shorten(b.Name, int((wide-6)/char))))
	for _, c := range b.Children {
		drawBox(w, c, total, before, y-row)
		before += float64(c.Weight)
	}
}

// color returns a colour for a box: its kind selects the range, its name the shade.
func color(b *profile.Box) string {
	h := fnv.New32a()
	io.WriteString(h, b.Name)
	n := h.Sum32()
	shade := func(lo, hi, from uint32) uint32 { return lo + n>>from%(hi-lo) }
	switch b.Kind {
	case profile.KernelCode:
		return fmt.Sprintf("rgb(%d,%d,%d)", shade(90, 130, 0), shade(150, 190, 8), shade(205, 245, 16))
	case profile.InlinedCode:
		return fmt.Sprintf("rgb(%d,%d,%d)", shade(225, 250, 0), shade(200, 230, 8), shade(110, 150, 16))
	case profile.Label:
		return fmt.Sprintf("rgb(%d,%d,%d)", shade(180, 210, 0), shade(180, 210, 0), shade(180, 210, 0))
	}
	return fmt.Sprintf("rgb(%d,%d,%d)", shade(225, 250, 0), shade(110, 190, 8), shade(50, 90, 16))
}
