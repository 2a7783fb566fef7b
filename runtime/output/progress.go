package output

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress shows a line on a terminal while work takes long. The line appears when work
// has taken progressAfter, and disappears when it ends. Everything else that is written
// to the terminal meanwhile must be written to the Progress, which removes the line
// first. Its methods may be called from any goroutine. A nil Progress shows nothing.
type Progress struct {
	w     io.Writer
	width func() int  // of the terminal, in columns
	ready func() bool // the terminal takes output: it is not stopped

	mu          sync.Mutex
	what        string // the work; "": none
	done, total int    // parts of the work; total is 0 if they are not counted
	timer       *time.Timer
	shown       bool // the line is on the terminal
	writing     int  // number of texts that are being written
	off         bool
}

// progressAfter is the time after which the line appears, and progressEvery the time
// between two changes of it.
const (
	progressAfter = 300 * time.Millisecond
	progressEvery = 100 * time.Millisecond
)

// NewProgress returns a Progress on the terminal w. width returns the terminal's width in
// columns. ready reports whether a write to the terminal returns at once. If it would
// not, the line is not drawn, so the work never waits for the terminal.
func NewProgress(w io.Writer, width func() int, ready func() bool) *Progress {
	return &Progress{w: w, width: width, ready: ready}
}

// Begin starts work of total parts, or of an unknown number if total is 0. If other work
// has not ended, Begin ends it, and the line stays.
func (p *Progress) Begin(what string, total int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.done, p.total = what, 0, total
	switch {
	case p.off:
	case p.timer == nil:
		p.timer = time.AfterFunc(progressAfter, p.show)
	case p.shown:
		p.draw()
	}
}

// Add records that n more parts are done.
func (p *Progress) Add(n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
}

// End ends the work.
func (p *Progress) End() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what = ""
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.erase()
}

// Off ends the work and shows nothing from now on, or shows work again.
func (p *Progress) Off(off bool) {
	if p == nil {
		return
	}
	p.End()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = off
}

// Write writes text to the terminal, in place of the line.
func (p *Progress) Write(text []byte) (int, error) {
	p.mu.Lock()
	p.erase()
	p.writing++
	p.mu.Unlock()
	n, err := p.w.Write(text) // which may block: the work continues meanwhile
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing--
	return n, err
}

// show draws the line, and again after a while.
func (p *Progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.what == "" || p.timer == nil { // the work has just ended
		return
	}
	p.draw()
	p.timer.Reset(progressEvery)
}

func (p *Progress) draw() {
	if p.writing > 0 || !p.ready() {
		return
	}
	text, short := p.what+" ...", "..."
	if p.total > 0 {
		short = fmt.Sprintf("%d of %d", min(p.done, p.total), p.total)
		text = p.what + ": " + short
	}
	w := p.width() - 1 // a character in the last column could begin a new line
	if len(text) > w {
		text = short
	}
	if len(text) > w {
		return
	}
	p.shown = true
	_, _ = io.WriteString(p.w, "\r"+text+"\x1b[K") // it is only shown
}

func (p *Progress) erase() {
	if p.shown && p.ready() {
		p.shown = false
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
}
