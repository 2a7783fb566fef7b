package main

import (
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// sameRequest is how long after a signal another one asks for nothing else:
// timeout(1), shells and supervisors signal a process and then its group.
const sameRequest = 100 * time.Millisecond

// catchSignals makes the first signal call end, which ends the session and makes
// it print what it has. The next one ends the process, and so does an output
// that nobody reads.
func (a *app) catchSignals(end func()) {
	sigs := make(chan os.Signal, 8)
	signal.Notify(sigs, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT)
	if !signal.Ignored(unix.SIGHUP) { // nohup
		signal.Notify(sigs, unix.SIGHUP)
	}
	go a.handleSignals(sigs, end)
}

// handleSignals never returns: what comes twice is not to kill us on the way out.
func (a *app) handleSignals(sigs <-chan os.Signal, end func()) {
	var first time.Time
	check := time.NewTicker(sameRequest)
	check.Stop()
	for {
		select {
		case sig := <-sigs:
			switch {
			case sig == unix.SIGQUIT, !first.IsZero() && time.Since(first) >= sameRequest:
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

// giveUp ends the process although results are not written.
func (a *app) giveUp() {
	const text = "WARNING: The output is not being read: not all of what was gathered could be written\n"
	// Standard error may be where nobody reads.
	fds := []unix.PollFd{{Fd: int32(unix.Stderr), Events: unix.POLLOUT}}
	if n, err := unix.Poll(fds, 0); n == 1 && err == nil && fds[0].Revents&unix.POLLOUT != 0 {
		io.WriteString(os.Stderr, text)
	}
	os.Exit(statusError)
}

// meter is a writer that tells whether its destination keeps up. Write is called
// by one goroutine, the rest by another.
type meter struct {
	w       io.Writer
	since   atomic.Int64 // when the write began that is going on, in ns; 0: none is
	waited  atomic.Int64 // ns in writes that have ended
	written atomic.Int64 // bytes
	from    atomic.Int64 // when reset was called
}

// A destination keeps up that takes keepUp bytes a second, besides the time that
// it has in any case.
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

// reset begins a new measurement.
func (m *meter) reset() {
	m.waited.Store(0)
	m.written.Store(0)
	m.from.Store(int64(time.Since(meterStart)))
}

// stuck reports whether a write is going on that would have ended if the
// destination had kept up since reset.
func (m *meter) stuck() bool {
	since := m.since.Load()
	if since == 0 {
		return false
	}
	waited := m.waited.Load() + int64(time.Since(meterStart)) - max(since, m.from.Load())
	return waited > int64(writePatience)+m.written.Load()*int64(time.Second)/keepUp
}
