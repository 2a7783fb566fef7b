package main

import (
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// sameRequest is the time for which further signals count as part of the first one:
// timeout(1), shells and supervisors signal a process and then its group.
const sameRequest = 100 * time.Millisecond

// handled is closed when signals end a session instead of the process.
var handled = make(chan struct{})

// handle declares that signals are handled.
var handle = sync.OnceFunc(func() { close(handled) })

// endEarly lets a signal end the process until handle is called. A shell makes the
// processes that it starts in the background ignore SIGINT, and so the one that is to end
// a session would be lost if it came before the session starts.
func endEarly() {
	if !signal.Ignored(unix.SIGINT) {
		return
	}
	early := make(chan os.Signal, 1)
	signal.Notify(early, unix.SIGINT)
	go func() {
		select {
		case <-early:
			select {
			case <-handled: // the session has got it too
			default:
				os.Exit(statusSignal + int(unix.SIGINT))
			}
		case <-handled:
			signal.Stop(early)
		}
	}()
}

// catchSignals calls end at the first signal. end ends the session, which then prints
// its results. A later signal ends the process at once, and so does SIGQUIT. The
// process also ends if its output is no longer read.
func (a *app) catchSignals(end func()) {
	sigs := make(chan os.Signal, 8)
	signal.Notify(sigs, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	handle()
	if !signal.Ignored(unix.SIGHUP) { // nohup
		signal.Notify(sigs, unix.SIGHUP)
	}
	go a.handleSignals(sigs, end)
}

// handleSignals handles signals from sigs. It never returns, so that repeated
// signals do not kill the process while it ends.
func (a *app) handleSignals(sigs <-chan os.Signal, end func()) {
	var first time.Time
	check := time.NewTicker(sameRequest)
	check.Stop()
	for {
		select {
		case sig := <-sigs:
			switch {
			case sig == unix.SIGQUIT, !first.IsZero() && time.Since(first) >= sameRequest:
				a.leaveTerminal()
				os.Exit(statusSignal + int(sig.(unix.Signal)))
			case first.IsZero():
				first = time.Now()
				a.results.reset()
				a.messages.reset()
				end()
				check.Reset(sameRequest / 4)
			}
		case <-check.C:
			if a.results.stuck() || a.messages.stuck() {
				a.giveUp()
			}
		}
	}
}

// giveUp ends the process although some results have not been written.
func (a *app) giveUp() {
	a.leaveTerminal()
	const text = "WARNING: The output is not being read: some results could not be written\n"
	// Standard error may block as well.
	fds := []unix.PollFd{{Fd: int32(unix.Stderr), Events: unix.POLLOUT}}
	if n, err := unix.Poll(fds, 0); n == 1 && err == nil && fds[0].Revents&unix.POLLOUT != 0 {
		io.WriteString(os.Stderr, text)
	}
	os.Exit(statusError)
}

// meter is a writer that measures whether its destination keeps up. One goroutine
// calls Write, another one the other methods.
type meter struct {
	w       io.Writer
	since   atomic.Int64 // start of the current write, in ns; 0: none
	waited  atomic.Int64 // time of completed writes, in ns
	written atomic.Int64 // bytes written
	from    atomic.Int64 // time of the last reset, in ns
}

// A destination keeps up if it accepts keepUp bytes per second, after a grace
// period of writePatience.
const (
	writePatience = time.Second
	keepUp        = 4 << 20
)

var meterStart = time.Now()

func (m *meter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		began := int64(time.Since(meterStart))
		m.since.Store(began)
		var k int
		k, err = m.w.Write(p[:min(len(p), 64<<10)])
		m.since.Store(0)
		m.waited.Add(int64(time.Since(meterStart)) - began)
		m.written.Add(int64(k))
		n, p = n+k, p[k:]
	}
	return n, err
}

// reset starts a new measurement.
func (m *meter) reset() {
	m.waited.Store(0)
	m.written.Store(0)
	m.from.Store(int64(time.Since(meterStart)))
}

// stuck reports whether a write is still running that would have ended if the
// destination had kept up since reset.
func (m *meter) stuck() bool {
	since := m.since.Load()
	if since == 0 {
		return false
	}
	waited := m.waited.Load() + int64(time.Since(meterStart)) - max(since, m.from.Load())
	return waited > int64(writePatience)+m.written.Load()*int64(time.Second)/keepUp
}
