package live

import (
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// screen is a terminal in the mode of the view: raw, on its alternate screen.
type screen struct {
	in, out *os.File
	color   bool
	shown   *grid // what it shows; nil: unknown

	mu    sync.Mutex
	saved *unix.Termios // previous mode of the terminal; nil: the terminal is in that mode
	guard *guard
}

// The escape sequences that begin and end the view. They switch to the alternate screen,
// and turn off wrapping, so that a line never moves the others, and the cursor.
const (
	enterView = "\x1b[?1049h\x1b[?7l\x1b[?25l\x1b[0m\x1b[H\x1b[2J"
	leaveView = "\x1b[0m\x1b[H\x1b[2J\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// enter begins the view.
func (s *screen) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved != nil {
		return nil
	}
	mode, err := unix.IoctlGetTermios(int(s.in.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	s.guard.watch(mode)
	if _, err := term.MakeRaw(int(s.in.Fd())); err != nil {
		s.guard.watch(nil)
		return err
	}
	s.saved, s.shown = mode, nil
	_, err = s.out.WriteString(enterView)
	return err
}

// again initialises a terminal that other programs may have used.
func (s *screen) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved != nil {
		_, _ = term.MakeRaw(int(s.in.Fd())) // an error means that the terminal is gone
		s.shown = nil
	}
}

// leave restores the terminal. It may be called at any time from any goroutine.
func (s *screen) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved == nil {
		return
	}
	// The mode first: the terminal may accept no more output.
	_ = unix.IoctlSetTermios(int(s.in.Fd()), unix.TCSETS, s.saved) // an error means that the terminal is gone
	s.saved = nil
	_, _ = s.out.WriteString(leaveView)
	s.guard.watch(nil)
}

// size returns the size of the terminal.
func (s *screen) size() (w, h int) {
	w, h, err := term.GetSize(int(s.out.Fd()))
	if err != nil || w <= 0 || h <= 0 {
		return 80, 24
	}
	return min(w, maxWidth), min(h, maxHeight)
}

// The greatest size of the part of a terminal that is used.
const (
	maxWidth  = 1000
	maxHeight = 500
)

// show draws a grid. It writes only the cells that have changed.
func (s *screen) show(g *grid) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved == nil {
		return nil
	}
	b := changes(s.shown, g, s.color)
	s.shown = g
	if len(b) == 0 {
		return nil
	}
	_, err := s.out.Write(b)
	return err
}

// changes returns the output that makes a terminal show g. The terminal shows the grid
// old or, if old is nil, something unknown.
func changes(old, g *grid, color bool) []byte {
	var b []byte
	if old == nil || old.w != g.w || old.h != g.h {
		b = append(b, "\x1b[0m\x1b[2J"...)
		old = newGrid(g.w, g.h)
	}
	look := ""
	for y := range g.h {
		at := -1 // column of the terminal's cursor, if it is in this line
		for x := 0; x < g.w; x++ {
			c := g.cells[y*g.w+x]
			if c.r == 0 || c == old.cells[y*g.w+x] && !halfChanged(old, g, x, y) {
				continue
			}
			if at != x {
				b = append(strconv.AppendInt(append(b, "\x1b["...), int64(y+1), 10), ';')
				b = append(strconv.AppendInt(b, int64(x+1), 10), 'H')
			}
			want := looks[c.style].mono
			if color {
				want = looks[c.style].color
			}
			if want != look {
				b = append(b, "\x1b[0"...)
				if want != "" {
					b = append(append(b, ';'), want...)
				}
				b = append(b, 'm')
				look = want
			}
			b = append(append(b, string(c.r)...), c.marks...)
			at = x + 1
			if c.r > '~' {
				at = -1 // terminals disagree about the width of some characters
			}
		}
	}
	if look != "" {
		b = append(b, "\x1b[0m"...)
	}
	return b
}

// halfChanged reports whether a character overlaps one that was wide, or the right half
// of a wide one has changed.
func halfChanged(old, g *grid, x, y int) bool {
	i := y*g.w + x
	if old.cells[i].r == 0 {
		return true
	}
	return x+1 < g.w && (old.cells[i+1].r == 0) != (g.cells[i+1].r == 0)
}
