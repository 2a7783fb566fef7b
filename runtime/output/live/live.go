// Package live shows the maps and the output of a script on a terminal while the script
// runs. The model (model.go, table.go, pane.go) has the state: keys change it, and it
// draws itself on a grid of characters (draw.go, grid.go). The terminal (screen.go,
// keys.go) shows the grid and decodes keys. A View connects them with the session.
package live

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
)

// Setup specifies a view.
type Setup struct {
	In, Out *os.File      // the terminal
	Color   bool          // use colours
	ASCII   bool          // use ASCII only
	Rates   bool          // sort counters by their rates at first
	Every   time.Duration // how often the maps are read
}

// View shows a session on a terminal. While it does, its writers keep what is written to
// them, and write it afterwards.
type View struct {
	opt      Setup
	screen   screen
	output   *ring
	messages *ring
	held     []*Held
	maps     func(most int) ([]output.Map, error)

	stop    chan struct{} // closed to end the view
	done    chan struct{} // closed when it has ended
	once    sync.Once
	started bool
}

// The limits of what is kept: bytes of the script's output, bytes of warnings, and
// entries of a map.
const (
	keepResults  = 1 << 20
	keepMessages = 64 << 10
	keepEntries  = 5000
)

// New returns a view that does not show anything yet. main must call Guard first.
func New(opt Setup) *View {
	if opt.Every == 0 {
		opt.Every = time.Second
	}
	return &View{
		opt: opt, screen: screen{in: opt.In, out: opt.Out, color: opt.Color, guard: newGuard(opt.In, opt.Out)},
		output: newRing(keepResults), messages: newRing(keepMessages),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// Results returns a writer for the output of the script. If direct is set, to is not the
// view's terminal, and the output goes there at once.
//
//go:noinline
func (v *View) Results(to io.Writer, direct bool) *Held {
	return v.hold(&Held{shown: v.output, early: true, to: to, direct: direct}, keepResults)
}

// Command returns a writer for the output of the traced command.
func (v *View) Command(to io.Writer, direct bool) *Held { return v.Results(to, direct) }

// Messages returns a writer for warnings and errors.
func (v *View) Messages(to io.Writer, direct bool) *Held {
	return v.hold(&Held{shown: v.messages, to: to, direct: direct}, keepMessages)
}

//go:noinline
func (v *View) hold(h *Held, keep int) *Held {
	if !h.direct {
		h.keep = newRing(keep)
	}
	v.held = append(v.held, h)
	return h
}

// Held is a writer that keeps the last part of what is written to it while the view is on
// the terminal.
type Held struct {
	shown  *ring // what the view shows
	early  bool  // it also shows what is written before it starts
	keep   *ring // what is written when the view has ended; nil if direct
	to     io.Writer
	direct bool

	mu sync.Mutex
	on bool // the view is on the terminal
}

// Write implements io.Writer.
func (h *Held) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.on || h.early {
		h.shown.Write(p)
	}
	if h.on && !h.direct {
		return h.keep.Write(p)
	}
	return h.to.Write(p)
}

func (h *Held) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on = true
}

// end writes what was kept. From then on, output is written at once. It returns the
// number of lines that were not kept.
func (h *Held) end() (lost uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on, h.early = false, false
	if h.direct {
		return 0
	}
	text, lost := h.keep.contents()
	if len(text) > 0 {
		_, _ = h.to.Write(text) // the next write fails too
	}
	h.keep.clear()
	return lost
}

// Sink returns a sink that ends the view when the session prints its results.
func (v *View) Sink(s output.Sink) output.Sink { return endSink{s, v} }

type endSink struct {
	output.Sink
	v *View
}

// End implements output.Sink.
func (s endSink) End() {
	s.Sink.Flush()
	s.v.Stop()
	s.Sink.End()
}

// LostAt implements output.LostSink.
func (s endSink) LostAt(at source.Span, n uint64) bool {
	sink, ok := s.Sink.(output.LostSink)
	return ok && sink.LostAt(at, n)
}

// Start shows the view. maps returns the entries with the greatest values of all maps.
func (v *View) Start(maps func(most int) ([]output.Map, error)) error {
	v.maps = maps
	if err := v.screen.enter(); err != nil {
		v.screen.leave()
		return outline.Errorf("cannot use the terminal: %w", err)
	}
	for _, h := range v.held {
		h.begin()
	}
	v.started = true
	go v.run()
	return nil
}

// Stop restores the terminal and writes what was kept. After that, the writers write at
// once. It may be called again.
func (v *View) Stop() {
	v.once.Do(func() {
		close(v.stop)
		if v.started {
			select {
			case <-v.done:
			case <-time.After(stopPatience): // the terminal accepts no output
			}
		}
		for _, h := range v.held {
			if lost := h.end(); lost > 0 {
				fmt.Fprintf(os.Stderr, "WARNING: %d earlier lines of the output were not kept; -o FILE keeps all\n", lost)
			}
		}
	})
}

// stopPatience is the time for which Stop waits for the terminal.
const stopPatience = time.Second

// Leave restores the terminal, for a process that ends at once.
func (v *View) Leave() { v.screen.leave() }

// snapshot is the contents of the maps.
type snapshot struct {
	at   time.Time
	took time.Duration
	maps []output.Map
	err  error
}

// tick is the time between two redraws without a key.
const tick = 250 * time.Millisecond

// run shows the view until it is stopped.
func (v *View) run() {
	defer close(v.done)
	defer v.screen.leave() // also if it panics
	m := newModel(v.output, v.messages, time.Now(), v.opt.Every)
	m.ascii, m.byRate = v.opt.ASCII, v.opt.Rates
	m.w, m.h = v.screen.size()

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGWINCH, unix.SIGTSTP, unix.SIGCONT)
	defer signal.Stop(signals)
	keys := make(chan []rune)
	go readKeys(v.opt.In, v.stop, keys)
	asked := make(chan struct{}, 1)
	snapshots := make(chan snapshot)
	defer close(asked)
	go func() {
		for range asked {
			began := time.Now()
			maps, err := v.maps(keepEntries)
			select {
			case snapshots <- snapshot{began, time.Since(began), maps, err}:
			case <-v.stop:
				return
			}
		}
	}()
	asked <- struct{}{}
	waiting := true // for a snapshot
	due := time.Now()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if v.screen.show(m.draw()) != nil {
			end(unix.SIGHUP) // the terminal is gone
			<-v.stop
			return
		}
		select {
		case <-v.stop:
			return
		case ks, ok := <-keys:
			if !ok {
				end(unix.SIGHUP)
				keys = nil
				break
			}
			for _, k := range ks {
				if v.act(m, m.key(k)) {
					due = time.Now()
				}
			}
		case sig := <-signals:
			switch sig {
			case unix.SIGTSTP:
				v.suspend()
			case unix.SIGCONT: // SIGSTOP cannot be caught, so other programs may have used the terminal
				v.screen.again()
			}
			m.w, m.h = v.screen.size()
		case s := <-snapshots:
			waiting = false
			due = s.at.Add(max(m.every, busy*s.took))
			if !m.paused && !m.ending {
				m.update(s.at, s.maps, s.err)
			}
		case <-ticker.C:
		}
		if now := time.Now(); !waiting && !m.paused && !m.ending && !now.Before(due) {
			waiting = true
			asked <- struct{}{}
		}
	}
}

// busy limits the share of the time in which maps are read to 1/busy.
const busy = 10

// act carries out the action of a key. It reports whether to read the maps at once.
func (v *View) act(m *model, a action) bool {
	switch a {
	case quit:
		end(unix.SIGINT)
	case quitAtOnce:
		v.screen.leave()
		end(unix.SIGQUIT)
	case suspend:
		// The terminal sends the signal to all processes of its foreground group.
		_ = unix.Kill(0, unix.SIGTSTP)
	case redraw:
		v.screen.shown = nil
	case save:
		m.save()
	case refresh:
		return true
	}
	return false
}

// end sends this process a signal that ends it, as if it came from the user.
func end(sig unix.Signal) { _ = unix.Kill(unix.Getpid(), sig) }

// suspend leaves the terminal and stops the process until it is continued.
func (v *View) suspend() {
	// The threads of the process stop only some time after the signal is sent.
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, unix.SIGCONT)
	defer signal.Stop(continued)
	v.screen.leave()
	_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
	select {
	case <-continued:
		_ = v.screen.enter() // if this fails, so does the next write
	case <-v.stop:
	}
}

// readKeys sends the keys that arrive until stop is closed or the terminal is gone. It
// reads nothing after that, so that the next program gets the input.
func readKeys(in *os.File, stop <-chan struct{}, keys chan<- []rune) {
	defer close(keys)
	fd := int(in.Fd())
	var buf []byte
	chunk := make([]byte, 1024)
	for {
		select {
		case <-stop:
			return
		default:
		}
		wait := int(tick / time.Millisecond)
		if len(buf) > 0 {
			wait = escapeWait
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, wait)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return
		case n > 0:
			n, err = unix.Read(fd, chunk)
			if err == unix.EINTR || err == unix.EAGAIN {
				continue
			}
			if err != nil || n == 0 {
				return
			}
			buf = append(buf, chunk[:n]...)
		}
		var ks []rune
		for len(buf) > 0 {
			k, used := decodeKey(buf, n <= 0)
			if used == 0 {
				break
			}
			ks, buf = append(ks, k), buf[used:]
		}
		if len(ks) == 0 {
			continue
		}
		select {
		case keys <- ks:
		case <-stop:
			return
		}
	}
}

// escapeWait is the time in ms after which an escape counts as the key, not as the
// beginning of a sequence.
const escapeWait = 50
