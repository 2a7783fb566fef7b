package live

import (
	"bytes"
	"strings"
)

// pane shows the output of the script. Unless it is frozen, it shows the end.
type pane struct {
	src    *ring
	frozen []string // the lines at the time of freezing; nil: it is not frozen
	paused bool     // it stays frozen until the user continues
	top    int      // the first line shown, if it is frozen
	left   int      // the first column shown
	hit    int      // 1 + the line that the last search found; 0: none, or the pane was moved since
	filter string
	search string
}

// tailBytes is the part of the output of which the last lines are shown.
const tailBytes = 64 << 10

// lines returns lines, of which the last h are shown. If the pane is not frozen and has
// no filter, it returns only lines at the end.
func (p *pane) lines() []string {
	if p.frozen == nil && p.filter == "" {
		text := p.src.tail(tailBytes)
		if len(text) == tailBytes {
			text = text[bytes.IndexByte(text, '\n')+1:]
		}
		return p.selected(text)
	}
	return p.all()
}

// all returns all lines that are kept.
func (p *pane) all() []string {
	if p.frozen != nil {
		return p.frozen
	}
	text, _ := p.src.contents()
	return p.selected(text)
}

// selected returns the lines of a text that match the filter.
func (p *pane) selected(text []byte) []string {
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(text) == 0 {
		lines = lines[:0]
	}
	if p.filter == "" {
		return lines
	}
	kept := lines[:0]
	for _, l := range lines {
		if matches(l, p.filter) {
			kept = append(kept, l)
		}
	}
	return kept
}

// freeze stops or continues the output.
func (p *pane) freeze(on bool) {
	p.paused = on
	if on {
		p.stop()
	} else {
		p.frozen = nil
	}
}

// stop freezes the current lines.
func (p *pane) stop() {
	if p.frozen != nil {
		return
	}
	p.frozen = p.all()
	p.top = len(p.frozen)
}

func (p *pane) setFilter(text string) {
	p.filter = text
	if p.frozen != nil {
		p.frozen = nil
		p.stop()
	}
}

// window returns the lines that a pane of h lines shows.
func (p *pane) window(h int) []string {
	lines := p.lines()
	end := max(len(lines)-h, 0)
	if p.frozen == nil {
		return lines[end:]
	}
	p.top = min(max(p.top, 0), end)
	return lines[p.top:min(p.top+h, len(lines))]
}

// key handles a key that moves in the output.
func (p *pane) key(k rune, h int) {
	by := 0
	switch k {
	case keyUp, 'k':
		by = -1
	case keyDown, 'j':
		by = 1
	case keyPageUp:
		by = -h
	case keyPageDown:
		by = h
	case keyHome, 'g':
		by = -1 << 40
	case keyEnd, 'G':
		by = 1 << 40
	case keyLeft:
		p.left = max(p.left-sideStep, 0)
	case keyRight:
		p.left += sideStep
	}
	if by == 0 || by > 0 && p.frozen == nil {
		return
	}
	p.stop()
	p.hit = 0
	end := max(len(p.frozen)-h, 0)
	p.top = min(max(min(p.top, end)+by, 0), end)
	if by > 0 && p.top == end && !p.paused {
		p.frozen = nil // the pane was moved to the end
	}
}

// sideStep is the number of columns by which the arrow keys move to a side.
const sideStep = 8

// find moves to a line with the search text, see model.next.
func (p *pane) find(way, h int) bool {
	fresh := p.frozen == nil
	p.stop()
	if fresh {
		p.top = max(len(p.frozen)-h, 0)
	}
	at, step := p.top+way, way
	switch {
	case p.hit > 0:
		at = p.hit - 1 + way
	case fresh:
		at = len(p.frozen) - 1
	}
	switch {
	case way != 0:
	case fresh:
		step = -1 // the end is shown, so the search goes upwards
	default:
		step = 1
	}
	for ; at >= 0 && at < len(p.frozen); at += step {
		if matches(p.frozen[at], p.search) {
			p.top, p.hit = at, at+1
			return true
		}
	}
	return false
}
