package profile

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"hash/fnv"
	"io"
	"sort"
	"strings"
	"unicode"

	"github.com/gotrace/gotrace/runtime/output"
)

// box is a box of a flame graph. It stands for all samples that start with the same
// steps.
type box struct {
	step
	weight   int64
	children map[step]*box
}

func (b *box) child(s step) *box {
	c := b.children[s]
	if c == nil {
		c = &box{step: s, children: map[step]*box{}}
		b.children[s] = c
	}
	return c
}

func (b *box) depth() int {
	d := 0
	for _, c := range b.children {
		d = max(d, c.depth())
	}
	return d + 1
}

// Sizes of the drawing in pixels.
const (
	svgWidth   = 1200
	svgMargin  = 10
	svgTop     = 46
	rowHeight  = 17
	charWidth  = 6.6
	minWidth   = 0.1 // narrower boxes are left out
	maxSVGRows = 2048
)

// script zooms into a box when it is clicked, and marks the boxes that match a search
// text.
//
//go:embed flame.js
var script string

// WriteSVG writes a flame graph, which needs no other files. The labels and the
// values are those of WriteFolded.
func WriteSVG(w io.Writer, title string, maps []output.Map) error {
	profiles, err := read(maps)
	if err != nil {
		return err
	}
	root := &box{step: step{"all", label}, children: map[step]*box{}}
	for _, p := range profiles {
		for i := range p.list {
			s := &p.list[i]
			if s.weight() <= 0 {
				continue
			}
			at := root
			at.weight += s.weight()
			for i, t := range s.path(p.name, len(profiles) > 1) {
				if i >= maxSVGRows {
					break
				}
				at = at.child(t)
				at.weight += s.weight()
			}
		}
	}
	height := svgTop + root.depth()*rowHeight + svgMargin
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, `<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="monospace" font-size="11">
<style>g.f { cursor: pointer } g.f:hover rect { stroke: #000; stroke-width: 0.7 } g.m rect { fill: #c3c } .off { display: none }</style>
<rect width="100%%" height="100%%" fill="#fffdf6"/>
<text x="%d" y="20" font-size="14">%s</text>
<text id="info" x="%d" y="38" fill="#555">click a box to zoom in, the lowest one to zoom out; Ctrl-F to search</text>
`, svgWidth, height, svgWidth, height, svgMargin, escape(title), svgMargin)
	if root.weight > 0 {
		root.draw(b, root.weight, 0, 0, height-svgMargin-rowHeight)
	}
	fmt.Fprintf(b, "<script><![CDATA[\n%s]]></script>\n</svg>\n", script)
	return b.Flush()
}

// draw draws a box and those above it. before is the total weight of the boxes to its
// left.
func (b *box) draw(w io.Writer, total, before int64, level, y int) {
	const inner = svgWidth - 2*svgMargin
	x := svgMargin + float64(inner)*float64(before)/float64(total)
	width := float64(inner) * float64(b.weight) / float64(total)
	if width < minWidth {
		return
	}
	share := 100 * float64(b.weight) / float64(total)
	fmt.Fprintf(w, `<g class="f"><title>%s: %d (%.2f%%)</title><rect x="%.2f" y="%d" width="%.2f" height="%d" rx="1" fill="%s"/><text x="%.2f" y="%d">%s</text></g>`+"\n",
		escape(b.name), b.weight, share, x, y, width, rowHeight-1, b.color(), x+3, y+12, escape(fit(b.name, width)))
	children := make([]*box, 0, len(b.children))
	for _, c := range b.children {
		children = append(children, c)
	}
	sort.Slice(children, func(i, j int) bool {
		a, b := children[i], children[j]
		return a.name < b.name || a.name == b.name && a.kind < b.kind
	})
	for _, c := range children {
		c.draw(w, total, before, level+1, y-rowHeight)
		before += c.weight
	}
}

// fit truncates a text to a width in pixels.
func fit(s string, width float64) string {
	n := int((width - 6) / charWidth)
	if r := []rune(s); len(r) > n {
		if n < 3 {
			return ""
		}
		return string(r[:n-2]) + ".."
	}
	return s
}

// color returns a colour for a box: its kind selects the range, its name the shade.
func (b *box) color() string {
	h := fnv.New32a()
	io.WriteString(h, b.name)
	n := h.Sum32()
	shade := func(lo, hi, from uint32) uint32 { return lo + n>>from%(hi-lo) }
	switch b.kind {
	case kernelCode:
		return fmt.Sprintf("rgb(%d,%d,%d)", shade(90, 130, 0), shade(150, 190, 8), shade(205, 245, 16))
	case inlinedCode:
		return fmt.Sprintf("rgb(%d,%d,%d)", shade(225, 250, 0), shade(200, 230, 8), shade(110, 150, 16))
	case label:
		return fmt.Sprintf("rgb(%d,%d,%d)", shade(180, 210, 0), shade(180, 210, 0), shade(180, 210, 0))
	}
	return fmt.Sprintf("rgb(%d,%d,%d)", shade(225, 250, 0), shade(110, 190, 8), shade(50, 90, 16))
}

// escape escapes a text for XML.
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
		case r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff || !unicode.IsPrint(r) && r != '\ufffd':
			b.WriteRune('\ufffd')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
