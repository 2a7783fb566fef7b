package runtime

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/signal"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/builtins"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// tick is how often the session looks after what went wrong.
const tick = 250 * time.Millisecond

// watch ends the session when ctx is done or a watched process ends.
func (s *Session) watch(ctx context.Context) {
	go func() {
		select {
		case <-ctx.Done():
			s.interrupt()
		case <-s.done:
		}
	}()
	if s.opt.PID > 0 {
		go func() {
			if waitExit(s.opt.PID, s.stop) {
				s.end()
			}
		}()
	}
	if c := s.opt.Child; c != nil {
		go func() {
			select {
			case <-c.done:
				s.end()
			case <-s.stop:
			}
		}()
	}
}

// waitExit waits until a process is gone; false: stop was closed before.
func waitExit(pid int, stop <-chan struct{}) bool {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err == unix.EINVAL { // Linux 5.9
		fd, err = unix.PidfdOpen(pid, 0)
	}
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(tick/time.Millisecond))
		if n > 0 || err != nil && err != unix.EINTR {
			return true
		}
		select {
		case <-stop:
			return false
		default:
		}
	}
}

func (s *Session) run() error {
	switch s.opt.Mode {
	case Test:
		return s.aside(s.runTests)
	case Bench:
		return s.aside(s.runBenches)
	}
	if err := s.runAll(probes.AtBegin); err != nil {
		return err
	}
	if c := s.opt.Child; c != nil {
		c.settle()
	}
	if !s.opt.DryRun {
		s.watchMappings()
	}
	if err := s.attachAll(); err != nil {
		return err
	}
	stopSelf := s.watchSelf()
	defer stopSelf()
	lasting := len(s.attachedTo) + len(s.points(probes.OnSignal))
	if !s.opt.DryRun {
		s.opt.Sink.Attached(lasting + len(s.points(probes.AtBegin)) + len(s.points(probes.AtEnd)))
	}
	if err := s.opt.Sink.Flush(); err != nil {
		return err
	}
	if s.opt.Attached != nil {
		s.opt.Attached()
	}
	if s.opt.DryRun {
		return nil
	}
	if c := s.opt.Child; c != nil {
		// What begin probes print comes before what the command does, and if they
		// end the session it does nothing.
		s.drain(true)
		if !s.exiting {
			if err := c.resume(); err != nil {
				return err
			}
		}
	}
	if s.opt.PID > 0 {
		s.syms.Know(s.opt.PID)
	}
	if s.exiting {
		s.end()
	} else {
		s.walk(lasting)
		s.poll()
	}
	walked := s.waitWalkers()
	s.detach()
	s.drain(!s.exiting) // what was sent behind exit() is not for us
	s.exiting, s.last = false, true

	if err := s.runAll(probes.AtEnd); err != nil {
		return err
	}
	s.drain(true)
	if c := s.opt.Child; c != nil {
		c.askToEnd()
	}
	err := s.endOfRun()
	if walked && s.walkErr != nil {
		return s.walkErr
	}
	return err
}

// endOfRun prints what the script has gathered. The error is of maps that it
// could not read.
func (s *Session) endOfRun() (err error) {
	s.lock()
	defer s.unlock()
	s.ended = true
	if s.opt.KeepMaps {
		s.final, err = s.snapshot()
	}
	s.opt.Sink.End()
	if s.obj.Settings.PrintMapsOnExit {
		if failed := s.printAll(); err == nil {
			err = failed
		}
	}
	s.opt.Sink.Flush()
	s.reportSites(true)
	s.reportMissed()
	s.reportDropped(s.opt.Stderr)
	s.reportForks()
	return err
}

// noteMappings takes what processes have mapped from their log; it reports whether
// there was anything new.
func (s *Session) noteMappings() bool {
	return s.mmaps != nil && s.mmaps.drain(s.syms)
}

// watchSelf runs the programs of self:signal probes when their signal comes.
func (s *Session) watchSelf() (stop func()) {
	ps := s.points(probes.OnSignal)
	if len(ps) == 0 {
		return func() {}
	}
	ch := make(chan os.Signal, 16)
	signal.Notify(ch, unix.SIGUSR1)
	go func() {
		for {
			select {
			case <-ch:
				for _, p := range ps {
					s.progs[p.prog.Name].Run(nil)
				}
			case <-s.stop:
				return
			}
		}
	}()
	return func() { signal.Stop(ch) }
}

// poll handles records until the session is to end.
func (s *Session) poll() {
	if s.ring == nil {
		s.idle()
		return
	}
	// Flush makes a blocked read return once the session is to end.
	go func() {
		<-s.stop
		s.ring.Flush()
	}()
	pace := newPace(s.ring.BufferSize())
	var rec ringbuf.Record
	looked := time.Now() // when we last looked for what went wrong
	look := func(now time.Time) {
		looked = now
		s.lock()
		s.noteMappings()
		s.sweepStacks(now)
		s.unlock()
		s.reportSites(false)
	}
	empty := func(now time.Time) {
		if s.stacks != nil {
			s.stacks.drained = now
		}
	}
	s.ring.SetDeadline(looked.Add(tick))
	for n := 0; ; n++ {
		err := s.ring.ReadInto(&rec)
		switch {
		case err == nil:
			s.handle(rec.RawSample)
			if s.exiting {
				s.end()
				return
			}
			if s.stopped() {
				return
			}
			if rec.Remaining > 0 {
				if n%1024 != 0 {
					continue
				}
				// Records may come as fast as we take them.
				if now := time.Now(); now.Sub(looked) >= tick {
					look(now)
					s.flush()
				}
				break
			}
			s.flush()
			pace.rest(s.stop)
			now := time.Now()
			if now.Sub(looked) >= tick {
				look(now)
			}
			more := s.ring.AvailableBytes()
			pace.adapt(more)
			if more == 0 {
				empty(now)
				s.ring.SetDeadline(now.Add(tick))
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			now := time.Now()
			empty(now)
			look(now)
			s.flush()
			s.ring.SetDeadline(now.Add(tick))
		default: // flushed or closed
			return
		}
		if s.stopped() {
			return
		}
	}
}

// flush ends the session where results can't be written any more: nobody would
// see what comes.
func (s *Session) flush() {
	if s.opt.Sink.Flush() != nil {
		s.end()
	}
}

// idle waits for the end of a session that has no records.
func (s *Session) idle() {
	if s.sites == nil && s.mmaps == nil && s.stacks == nil {
		<-s.stop
		return
	}
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-t.C:
			s.lock()
			s.noteMappings()
			s.sweepStacks(now)
			s.unlock()
			s.reportSites(false)
		}
	}
}

// drain takes all records that are in the ring buffer and handles them, or
// drops them. Those that are dropped because the user does not wait are counted.
func (s *Session) drain(handle bool) {
	if s.ring == nil {
		return
	}
	var rec ringbuf.Record
	s.ring.SetDeadline(time.Unix(1, 0)) // do not wait
	for {
		err := s.ring.ReadInto(&rec)
		switch {
		case err == nil:
			if handle && !s.exiting {
				s.handle(rec.RawSample)
			}
		case errors.Is(err, ringbuf.ErrFlushed):
			// The poller's own wake-up: there may be more.
		default:
			s.opt.Sink.Flush()
			return
		}
	}
}

// handle gives a record to the builtin that sent it.
func (s *Session) handle(data []byte) {
	s.lock()
	defer s.unlock()
	if len(data) < object.HeaderSize {
		s.env.warnBug("a record of %d bytes", len(data))
		return
	}
	n := binary.NativeEndian.Uint32(data)
	if int64(n) >= int64(len(s.events)) {
		s.env.warnBug("a record of event %d of %d", n, len(s.events))
		return
	}
	e := &s.events[n]
	if len(data) < e.Size {
		s.env.warnBug("a record of %s with %d bytes instead of %d", e.Def, len(data), e.Size)
		return
	}
	h := &s.handlers[n]
	if !s.last && s.stopped() && s.late(h.outside) {
		s.dropped[e.Def]++
		return
	}
	rec := object.Record{Event: e, Data: data}
	switch err := h.handle(s.env, &rec); {
	case err == nil:
	case errors.Is(err, builtins.ErrGivenUp):
		s.dropped[e.Def]++
	default:
		s.env.Warn(e.Span, "%s: %v", e.Def, err)
	}
}
