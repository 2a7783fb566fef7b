package runtime

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// point is one attach point and the program for it.
type point struct {
	*object.Point
	prog *object.Program
}

// attachments are the places at which a session's programs run.
type attachments struct {
	linksMu    sync.Mutex // protects links while the governor runs
	links      []attached
	detached   []attached // links that are not closed yet; their programs no longer run
	attachedTo map[counted]bool
	joined     map[*object.Program]bool   // programs that are replaced by the program of their partner
	missed     map[*object.Program]uint64 // events that a detached program missed, as counted by the kernel
	measured   *measurement               // with Setup.Stats, while probes are attached
	governor   *governor                  // nil: Setup.Budget is nil
}

// walks is the state of the programs that iterate over kernel objects, such as iter
// probes.
type walks struct {
	walkers    sync.WaitGroup
	walkErr    error
	hasWalkers bool
	walking    atomic.Bool // the walkers are running
	exitAfter  atomic.Bool // exit() was called: the session ends when the walkers are done
}

// kind returns the probe kind of a point. load has checked that the kind exists.
//
//go:noinline
func (s *Instance) kind(p *object.Point) *probes.Kind { return s.kinds[p.Kind] }

//go:noinline
func pointers(ps []object.Point) []*object.Point {
	out := make([]*object.Point, len(ps))
	for i := range ps {
		out[i] = &ps[i]
	}
	return out
}

// points returns the attach points of the programs that run at the given moment, in
// script order.
//
//go:noinline
func (s *Instance) points(when probes.Moment) []point {
	var out []point
	for _, p := range s.obj.Programs {
		for i := range p.Points {
			at := &p.Points[i]
			if s.kind(at).Runs == when {
				out = append(out, point{at, p})
			}
		}
	}
	return out
}

// attached is an open link between a program and a point. Closing it detaches the
// program. The point is nil if the link covers several points.
type attached struct {
	io.Closer
	at   *object.Point
	prog *object.Program
}

// unwatch detaches the probes at an address if their kind is Detachable.
func (s *Instance) unwatch(addr uint64) error {
	s.linksMu.Lock()
	defer s.linksMu.Unlock()
	var errs []error
	s.links = slices.DeleteFunc(s.links, func(l attached) bool {
		hit := l.at != nil && s.kind(l.at).Detachable && l.at.Addr == addr
		if hit {
			errs = append(errs, l.Close())
		}
		return hit
	})
	return errors.Join(errs...)
}

// attachAll attaches every program to all its points. If one fails, it leaves none
// attached.
func (s *Instance) attachAll() error {
	progs := s.obj.Programs
	total := 0
	for _, p := range progs {
		total += len(p.Points)
	}
	s.opt.Progress.Begin("Attaching probes", total)
	defer s.opt.Progress.End()
	// If several programs share an attach point and the kernel runs them in reverse
	// order of attachment, attach the last one first, so that they run in script
	// order.
	var forward, backward []*object.Program
	for _, p := range progs {
		switch {
		case len(p.Points) == 0 || s.kind(&p.Points[0]).Attach == nil:
		case s.kind(&p.Points[0]).Reverse:
			backward = append(backward, p)
		default:
			forward = append(forward, p)
		}
	}
	slices.Reverse(backward)
	done := map[*object.Program]bool{}
	for _, p := range backward {
		if p.Partner != nil && s.progs[p.Name] != nil && s.progs[s.obj.Programs[p.Partner.Program].Name] != nil && s.attachPair(p) {
			done[p], done[s.obj.Programs[p.Partner.Program]] = true, true
		}
	}
	if err := s.attachDispatchers(done); err != nil {
		return err
	}
	for _, p := range append(forward, backward...) {
		if s.stopped() {
			return nil
		}
		if done[p] || s.progs[p.Name] == nil {
			continue // the kernel refused to load it for its attach point
		}
		reverse := s.kind(&p.Points[0]).Reverse
		if !reverse {
			s.attachFetchers(p)
		}
		if err := s.attachProg(p); err != nil {
			s.detach()
			return err
		}
		if reverse {
			s.attachFetchers(p)
		}
	}
	s.watchCode()
	ours := len(s.points(probes.AtBegin)) + len(s.points(probes.AtEnd)) + len(s.points(probes.OnSignal))
	if len(s.attachedTo) == 0 && len(s.points(probes.OnEvent)) > 0 && ours == 0 {
		return source.DiagError{{Msg: "Attachment failed for all probes."}}
	}
	return nil
}

func (s *Instance) attachProg(p *object.Program) error {
	if slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Anywhere }) {
		return nil // watchCode attaches it
	}
	return s.linkAll(s.progs[p.Name], pointers(p.Points), func(link io.Closer, at *object.Point) error {
		if at == nil {
			return s.attachedMany(p, link)
		}
		if s.opt.Verbose {
			fmt.Fprintf(s.opt.Stderr, "Attached to %s\n", at.Name)
		}
		s.links = append(s.links, attached{link, at, p})
		s.attachedTo[countedAs(at)] = true
		return nil
	}, func(at *object.Point, err error) error { return s.notAttached(at, at.Name, err) })
}

// linkAll attaches a program to points: to all of them with one link if the kernel
// supports it, otherwise to each with a separate link. It calls linked with each link and
// its point, or nil if it is the link for all, and failed with each point that cannot be
// attached. It returns the first error of these functions.
func (s *Instance) linkAll(prog *ebpf.Program, points []*object.Point, linked func(io.Closer, *object.Point) error, failed func(*object.Point, error) error) error {
	if len(points) == 0 {
		return nil
	}
	kind := s.kind(points[0])
	if kind.AttachMany != nil && len(points) > 1 {
		if link, err := kind.AttachMany(s.at, prog, points); err == nil {
			s.opt.Progress.Add(len(points))
			return linked(link, nil)
		}
		// Attach them one by one, so that they work, or the error names the point that
		// fails.
	}
	for _, at := range points {
		link, err := kind.Attach(s.at, prog, at)
		s.opt.Progress.Add(1)
		if err != nil {
			err = failed(at, err)
		} else {
			err = linked(link, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// attachedMany records that a program is attached to its points with one link, except to
// those that the link reports as refused.
func (s *Instance) attachedMany(p *object.Program, link io.Closer) error {
	s.links = append(s.links, attached{link, nil, p})
	refused := map[*object.Point]bool{}
	if l, ok := link.(interface{ Refused() []probes.Refusal }); ok {
		for _, r := range l.Refused() {
			refused[r.Point] = true
			if err := s.notAttached(r.Point, r.Point.Name, r.Err); err != nil {
				return err
			}
		}
	}
	for i := range p.Points {
		if at := &p.Points[i]; !refused[at] {
			s.attachedTo[countedAs(at)] = true
		}
	}
	return nil
}

// counted identifies an attach point for messages: one name at one place in the script. A
// static probe may have several addresses.
type counted struct {
	name string
	at   source.Span
}

//go:noinline
func countedAs(at *object.Point) counted { return counted{at.Name, at.Span} }

// reasonOf returns why a point could not be attached, without its name.
func reasonOf(err error) string {
	var ae *probes.AttachError
	if errors.As(err, &ae) {
		return ae.Msg
	}
	return err.Error()
}

// notAttached handles a point that could not be attached. Depending on the setting
// missing_probes it returns an error, prints a warning, or does nothing.
func (s *Instance) notAttached(at *object.Point, name string, err error) error {
	d := source.Diag{Span: at.Span, Msg: fmt.Sprintf("Unable to attach probe: %s: %s", name, reasonOf(err))}
	missing := s.obj.Settings.MissingProbes
	// Other matches of a pattern may still attach, unless the error applies to all
	// of them.
	if at.Matched && missing != "ignore" && !errors.Is(err, ebpf.ErrNotSupported) && !errors.Is(err, unix.EPERM) {
		missing = "warn"
	}
	switch missing {
	case "ignore":
		return nil
	case "warn":
		if !s.opt.NoWarnings {
			d.Severity = source.Warning
			d.Msg += ". Skipping."
			io.WriteString(s.opt.Stderr, d.Render())
		}
		return nil
	}
	d.Hint = "if this is expected, set the missing_probes config variable to warn"
	return source.DiagError{d}
}

// walker is a link to a program that does not wait for events. Run visits every
// object that exists, once.
type walker interface{ Run() error }

// walk runs the walkers in their own goroutine, so that the session reads their records
// meanwhile. Afterwards it ends the session if no other events can happen.
func (s *Instance) walk(lasting int) {
	var ws []walker
	s.linksMu.Lock()
	for _, l := range s.links {
		if w, ok := l.Closer.(walker); ok {
			ws = append(ws, w)
		}
		if p, ok := l.Closer.(interface{ PinnedAt() string }); ok {
			fmt.Fprintf(s.opt.Stderr, "Program pinned to %s\n", p.PinnedAt())
		}
	}
	s.linksMu.Unlock()
	if len(ws) == 0 {
		if lasting == 0 && s.opt.Child == nil {
			s.end()
		}
		return
	}
	s.hasWalkers = true
	s.walking.Store(true)
	s.walkers.Go(func() {
		for _, w := range ws {
			// The command may have ended already, but the walk does not depend on
			// it.
			if s.interrupted() {
				return
			}
			if err := w.Run(); err != nil {
				s.walkErr = err
				s.end()
				return
			}
		}
		s.walking.Store(false)
		if lasting == len(ws) || s.exitAfter.Load() {
			s.end()
		}
	})
}

// waitWalkers waits for the walkers to end. If the user has ended the session, it
// waits for a limited time only. It reports whether the walkers have ended.
func (s *Instance) waitWalkers() bool {
	ended := make(chan struct{})
	go func() {
		s.walkers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-s.cut.Done():
	}
	select {
	case <-ended:
		return true
	case <-newStopwatch().after(patience, 2*patience):
		return false
	}
}

// detachers is the number of links closed at a time. Each close may wait until the
// kernel is sure that no program is still running.
const detachers = 64

// detacher is a link that can detach its program at once. Close can take much longer:
// the kernel releases tracepoints one by one, in about 50 ms each.
type detacher interface {
	Detach() error
	SlowToClose() bool
}

// manySlow is the minimum number of slow links for which the session prints its results
// before it closes them.
const manySlow = 8

// detach detaches all programs and waits until none of them runs. Links that are slow
// to close stay open until the session is closed.
func (s *Instance) detach() {
	s.endLibraries()
	s.endCode()
	for _, l := range s.links {
		if m, ok := l.Closer.(interface{ Missed() uint64 }); ok {
			s.missed[l.prog] += m.Missed()
		}
	}
	slow := 0
	for _, l := range s.links {
		if d, ok := l.Closer.(detacher); ok && d.SlowToClose() {
			slow++
		}
	}
	var now, later []attached
	for _, l := range s.links {
		d, ok := l.Closer.(detacher)
		if ok && slow >= manySlow && d.SlowToClose() {
			later = append(later, l)
		} else {
			now = append(now, l)
		}
	}
	probes.InParallel(detachers, len(later), func(i int) { later[i].Closer.(detacher).Detach() })
	s.detached = append(s.detached, later...)
	s.links = nil
	if len(s.detached) > 0 {
		// Closing one link waits until no program runs on any CPU.
		now = append(now, s.detached[0])
		s.detached = s.detached[1:]
	}
	probes.InParallel(detachers, len(now), func(i int) { now[i].Close() })
}

// runAll runs the programs of the given moment, in script order.
func (s *Instance) runAll(when probes.Moment) error {
	for _, p := range s.points(when) {
		if s.opt.Verbose {
			fmt.Fprintf(s.opt.Stderr, "Attaching '%s' probe\n", p.Name)
		}
		if _, err := s.runProgram(p.prog); err != nil {
			return err
		}
	}
	return nil
}

// runProgram runs a program once without attaching it.
func (s *Instance) runProgram(p *object.Program) (uint32, error) {
	ret, err := s.progs[p.Name].Run(&ebpf.RunOptions{})
	if err != nil {
		name := p.Name
		if len(p.Points) > 0 {
			name = p.Points[0].Name
		}
		return 0, source.DiagError{{Span: p.Span, Msg: fmt.Sprintf("cannot run %s: %v", name, reason(err))}}
	}
	return ret, nil
}
