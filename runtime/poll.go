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

// tick is the interval of the session's periodic work, such as reporting errors.
const tick = 250 * time.Millisecond

// watch ends the session when ctx is done or a watched process ends.
func (s *Instance) watch(ctx context.Context) {
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
				s.endOfRoot()
			}
		}()
	}
	if s.obj.Invocation.Chosen > 0 {
		go s.watchCgroups()
	}
	if c := s.opt.Child; c != nil {
		go func() {
			select {
			case <-c.done:
				s.endOfRoot()
			case <-s.stop:
			}
		}()
	}
}

// endOfRoot ends the session after the process of -p or -c has ended. With --follow it
// waits for the descendants of that process too.
func (s *Instance) endOfRoot() {
	if s.family != nil {
		s.family.waitEnd(s.stop)
	}
	s.end()
}

// waitExit waits until a process has exited. It returns false if stop was closed
// first.
func waitExit(pid int, stop <-chan struct{}) bool {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err == unix.EINVAL { // before Linux 5.9
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

// run runs the begin probes, attaches all others, handles records until the session ends,
// detaches, and runs the end probes. In the modes Test and Bench it runs only the probes of
// that mode.
func (s *Instance) run() error {
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
		s.watchPrograms()
	}
	s.usesOwners = s.uses(func(d *builtins.Def) bool { return d.OfCgroup })
	s.surveyOwners(time.Now())
	s.usesCommands = s.uses(ofProcess)
	s.surveyCommands()
	if err := s.followFamily(); err != nil {
		return err
	}
	if err := s.measure(); err != nil {
		return err
	}
	if err := s.startGoverning(); err != nil {
		return err
	}
	if err := s.attachAll(); err != nil {
		return err
	}
	s.startLibraries()
	if s.governor != nil && !s.opt.DryRun {
		go s.governor.run()
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
		// The output of begin probes precedes that of the command. If they end the
		// session, the command does not run.
		s.drain(true)
		if !s.exiting {
			if err := c.resume(); err != nil {
				return err
			}
		}
	}
	if s.opt.PID > 0 {
		s.lock() // followMappings may run
		s.syms.Know(s.opt.PID)
		s.unlock()
	}
	if s.exiting {
		s.end()
	} else {
		s.walk(lasting)
		s.startSampling(time.Now())
		s.due = time.Now().Add(s.opt.Every)
		s.poll()
	}
	walked := s.waitWalkers()
	s.endGoverning()
	s.detach()
	s.drain(!s.exiting) // records after exit() are dropped
	s.exiting, s.last = false, true
	s.printRecorded()

	if err := s.runAll(probes.AtEnd); err != nil {
		return err
	}
	s.drain(true)
	if c := s.opt.Child; c != nil {
		s.awaitFiles()
		c.askToEnd()
	}
	err := s.endOfRun()
	if walked && s.walkErr != nil {
		return s.walkErr
	}
	return errors.Join(s.shownErr, err)
}

// endOfRun prints the script's maps and reports errors and lost events. Its own
// error lists the maps that could not be read.
func (s *Instance) endOfRun() (err error) {
	s.lock()
	defer s.unlock()
	s.ended = true
	s.sampleDue = time.Time{}
	s.sample(time.Now())
	if s.opt.KeepMaps {
		s.final, err = s.snapshot(0)
	}
	s.sites.reportErrors(s.opt.Sink, true) // before the maps, because they concern their values
	s.sites.reportLost(s.opt.Sink)
	s.opt.Sink.End()
	if s.obj.Settings.PrintMapsOnExit {
		if failed := s.printAll(); err == nil {
			err = failed
		}
	}
	s.opt.Sink.Flush()
	s.reportMissed()
	s.sites.reportAudit(s.opt.Sink)
	s.reportStats()
	s.reportDropped(s.opt.Sink, s.opt.Stderr)
	s.reportLeftOut(s.opt.Stderr)
	s.reportForks()
	s.reportSymbols()
	return err
}

// noteMappings reads the log of process mappings.
func (s *Instance) noteMappings() {
	if s.mmaps == nil {
		return
	}
	lost := s.mmaps.lost
	s.mmaps.drain(s.syms)
	if s.mmaps.lost > lost && time.Since(s.mapped) > resurvey {
		s.mapped = time.Now()
		s.surveys.Go(func() { s.survey(s.syms.Renew) })
	}
}

// resurvey is the minimum time between two surveys that are made because the log of
// mappings has lost records.
const resurvey = time.Second

// watchSelf runs the programs of self:signal probes when their signal arrives.
func (s *Instance) watchSelf() (stop func()) {
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

// poll handles records until the session ends.
func (s *Instance) poll() {
	if s.ring == nil {
		s.idle()
		return
	}
	// When the session ends, Flush makes a blocked read return.
	go func() {
		<-s.stop
		s.ring.Flush()
	}()
	pace := newPace(s.ring.BufferSize())
	var rec ringbuf.Record
	next := s.nextWork(time.Now()) // time of the next periodic work
	look := func(now time.Time) {
		s.upkeep(now)
		next = s.nextWork(now)
	}
	empty := func(now time.Time) {
		if s.stacks != nil {
			s.stacks.drained = now
		}
	}
	s.ring.SetDeadline(next)
	waited := true // for the next record
	for n := 0; ; n++ {
		err := s.ring.ReadInto(&rec)
		switch {
		case err == nil:
			if waited {
				s.sites.reportErrors(s.opt.Sink, false)
				waited = false
			}
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
				// Records may arrive as fast as they are taken.
				if now := time.Now(); !now.Before(next) {
					look(now)
					s.flush()
				}
				break
			}
			s.flush()
			pace.rest(s.stop)
			waited = true
			now := time.Now()
			if !now.Before(next) {
				look(now)
			}
			more := s.ring.AvailableBytes()
			pace.adapt(more)
			if more == 0 {
				empty(now)
				s.ring.SetDeadline(next)
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			now := time.Now()
			empty(now)
			look(now)
			s.flush()
			s.ring.SetDeadline(next)
		default: // flushed or closed
			return
		}
		if s.stopped() {
			return
		}
	}
}

// flush flushes the sink and ends the session if that fails: no further result
// could be written.
func (s *Instance) flush() {
	if s.opt.Sink.Flush() != nil {
		s.end()
	}
}

// nextWork returns the time of the next periodic work.
func (s *Instance) nextWork(now time.Time) time.Time {
	next := now.Add(tick)
	if s.opt.Every > 0 && s.due.Before(next) {
		next = s.due
	}
	if len(s.sampled) > 0 && s.sampleDue.Before(next) {
		next = s.sampleDue
	}
	return next
}

// printPeriodically prints the maps if it is time to, as Setup.Every specifies.
func (s *Instance) printPeriodically(now time.Time) {
	if s.opt.Every <= 0 || now.Before(s.due) {
		return
	}
	if s.due = s.due.Add(s.opt.Every); s.due.Before(now) {
		s.due = now.Add(s.opt.Every) // printing takes longer than that
	}
	s.lock()
	if s.opt.Periodic != nil {
		s.opt.Periodic()
	}
	s.shownErr = errors.Join(s.printAll(), s.opt.Sink.Flush())
	s.unlock()
	if s.shownErr != nil {
		s.end()
	}
}

// upkeep does the periodic work of a session.
func (s *Instance) upkeep(now time.Time) {
	s.printPeriodically(now)
	s.lock()
	s.sample(now)
	s.noteMappings()
	s.sweepStacks(now)
	s.surveyOwners(now)
	s.surveyCommands()
	s.unlock()
	s.sites.reportErrors(s.opt.Sink, false)
	s.sites.reportLost(s.opt.Sink)
	s.reportOverhead()
	if s.recorder.stopped() { // its event may have been lost
		s.end()
	}
}

// idle waits for the end of a session that sends no records.
func (s *Instance) idle() {
	if s.sites == nil && s.mmaps == nil && s.stacks == nil && !s.usesOwners && !s.usesCommands && s.opt.Every <= 0 && len(s.sampled) == 0 && s.governor == nil {
		<-s.stop
		return
	}
	t := time.NewTimer(time.Until(s.nextWork(time.Now())))
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case now := <-t.C:
			s.upkeep(now)
			t.Reset(time.Until(s.nextWork(now)))
		}
	}
}

// drain removes all records from the ring buffer and either handles or drops them.
// Records that are dropped because the user does not want to wait are counted.
func (s *Instance) drain(handle bool) {
	if s.ring == nil {
		return
	}
	var rec ringbuf.Record
	s.ring.SetDeadline(time.Unix(1, 0)) // return at once if the ring is empty
	s.sites.reportErrors(s.opt.Sink, false)
	for {
		err := s.ring.ReadInto(&rec)
		switch {
		case err == nil:
			if handle && !s.exiting {
				s.handle(rec.RawSample)
			}
		case errors.Is(err, ringbuf.ErrFlushed):
			// Flush was called to end a blocked read: there may be more records.
		default:
			s.opt.Sink.Flush()
			return
		}
	}
}

// handle passes a record to the builtin that sent it. It returns false if the predicate of the
// record's program does not hold.
func (s *Instance) handle(data []byte) bool {
	s.lock()
	defer s.unlock()
	if len(data) < object.HeaderSize {
		s.env.warnBug("a record of %d bytes", len(data))
		return true
	}
	n := binary.NativeEndian.Uint32(data)
	if int64(n) >= int64(len(s.events)) {
		s.env.warnBug("a record of event %d of %d", n, len(s.events))
		return true
	}
	e := &s.events[n]
	if len(data) < e.Size {
		s.env.warnBug("a record of %s with %d bytes instead of %d", e.Def, len(data), e.Size)
		return true
	}
	h := &s.handlers[n]
	if !s.last && s.stopped() && s.late(h.outside) {
		s.dropped[e]++
		return true
	}
	rec := object.Record{Event: e, Data: data}
	s.noteStamp(&rec)
	if !h.holds(s.env, &rec) {
		return false
	}
	switch err := h.handle(s.env, &rec); {
	case err == nil:
	case errors.Is(err, builtins.ErrGivenUp):
		s.dropped[e]++
	default:
		s.env.Warn(e.Span, "%s: %v", e.Def, err)
	}
	return true
}
