package runtime

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

// A governor keeps the programs of a session within Setup.MaxOverhead. It measures them
// with the kernel's statistics. If they take more, it lets programs run at one of several
// events, if what they do allows it, and then detaches the dearest ones. It works in a
// goroutine of its own, as that of the session may be waiting for its output.
type governor struct {
	s      *Session
	stats  interface{ Close() error }
	budget float64 // share of the time of all CPUs
	cpus   float64
	progs  []*governed
	over   bool // the programs took more in the last period
	last   time.Time
	began  time.Time
	done   chan struct{} // closed when the goroutine has ended

	mu    sync.Mutex
	notes []output.Message // to be reported by the session
}

// governed is a program that is measured.
type governed struct {
	p        *object.Program
	prog     *ebpf.Program
	runtime  time.Duration // until the last measurement
	runs     uint64        // the same
	share    float64       // of the time of all CPUs since the one before
	rate     float64       // share per ns of a run
	ns       float64       // of a run, since the one before
	whole    float64       // ns of a run before it was sampled
	log      int           // it runs at one of 2^log events
	since    time.Duration // since when, from the start of the session
	detached bool
	// fixed is set if other goroutines attach the program to further files, so that it
	// cannot be detached alone.
	fixed bool
}

// governPeriod is the time between measurements. A budget is kept within a second: by then
// there have been ten.
const governPeriod = 100 * time.Millisecond

// maxLog limits the sampling. A program that is dear even at so few events is so because
// of what it costs to find out that it need not run.
const maxLog = 12

// startGoverning starts the governor of a session with Setup.MaxOverhead.
func (s *Session) startGoverning() error {
	if s.opt.MaxOverhead == 0 {
		return nil
	}
	c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return fmt.Errorf("the kernel does not measure BPF programs, which --max-overhead needs: %w", reason(err))
	}
	g := &governor{s: s, stats: c, budget: s.opt.MaxOverhead, cpus: float64(onlineCPUs()), done: make(chan struct{})}
	for _, p := range s.obj.Programs {
		if prog := s.progs[p.Name]; prog != nil && len(p.Points) > 0 && s.kind(&p.Points[0]).Runs == probes.OnEvent {
			fixed := slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Library != "" || at.Anywhere })
			g.progs = append(g.progs, &governed{p: p, prog: prog, fixed: fixed})
		}
	}
	s.governor = g
	return nil
}

// onlineCPUs returns the number of CPUs that run.
func onlineCPUs() int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(1, &set); err == nil && set.Count() > 0 { // of init, which is not confined
		return set.Count()
	}
	n, err := ebpf.PossibleCPU()
	if err != nil {
		return 1
	}
	return n
}

// run measures and acts until the session ends.
func (g *governor) run() {
	defer close(g.done)
	g.began = time.Now()
	g.last = g.began
	g.measure(g.last)
	t := time.NewTicker(governPeriod)
	defer t.Stop()
	for {
		select {
		case <-g.s.stop:
			return
		case <-t.C:
			// The tick may have been long ago. What has run since then counts too.
			if now := time.Now(); g.measure(now) {
				g.act(now)
			}
		}
	}
}

// measure updates the shares of all programs. It returns false if too little time has
// passed to know them.
func (g *governor) measure(now time.Time) bool {
	elapsed := now.Sub(g.last)
	for _, p := range g.progs {
		stats, err := p.prog.Stats()
		if err != nil {
			p.share, p.rate = 0, 0
			continue
		}
		took, runs := float64(stats.Runtime-p.runtime), float64(stats.RunCount-p.runs)
		p.share = took / float64(max(elapsed, 1)) / g.cpus
		if runs > 0 {
			p.ns = took / runs
			p.rate = p.share / p.ns
		}
		p.runtime, p.runs = stats.Runtime, stats.RunCount
	}
	g.last = now
	return elapsed > governPeriod/4
}

// act samples or detaches programs if they take more than the budget.
func (g *governor) act(now time.Time) {
	list := decide(g.progs, g.budget)
	for _, a := range list {
		switch {
		case !a.detach:
			g.sample(a.p, a.log, now)
		case g.over: // not for one burst
			g.detach(a.p, now)
		}
	}
	g.over = len(list) > 0
}

// action is what to do with a program.
type action struct {
	p      *governed
	detach bool
	log    int // if not: the new value of p.log
}

// decide returns what keeps programs within a budget. It samples the dearest ones that can
// be sampled. Where that is not enough, it detaches the dearest ones.
func decide(progs []*governed, budget float64) (list []action) {
	var total float64
	var by []*governed
	for _, p := range progs {
		if !p.detached {
			total += p.share
			by = append(by, p)
		}
	}
	if total <= budget {
		return nil
	}
	// Leave some room, as the estimate of what an action saves is rough.
	goal := budget * 3 / 4
	slices.SortStableFunc(by, func(a, b *governed) int { return cmp.Compare(b.share, a.share) })
	for _, p := range by {
		// Programs with a small part of the time are not worth losing exact numbers.
		if total <= goal || p.share < total/16 {
			break
		}
		others := total - p.share
		log, saved := p.sampling(goal - others)
		if log == p.log {
			log, saved = p.sampling(budget - others)
		}
		if log > p.log {
			list = append(list, action{p: p, log: log})
			total -= saved
		}
	}
	if len(list) > 0 {
		return list // measure the effect first
	}
	for _, p := range by {
		if total <= budget {
			break
		}
		list = append(list, action{p: p, detach: true})
		total -= p.share
	}
	return list
}

// firstLog is the first sampling of a program, which shows what it saves.
const firstLog = 4

// sampling returns the sampling with which p takes no more than the share want, and what
// it saves. If none does, it is that which p has.
func (p *governed) sampling(want float64) (log int, saved float64) {
	switch {
	case p.p.Sampled == 0 || p.rate == 0:
		return p.log, 0
	case p.log == 0:
		return firstLog, p.share * (1 - 1./(1<<firstLog))
	}
	// A run takes floor, and body in addition if the event counts.
	body := max(p.whole-p.ns, 0) / (1 - 1/float64(int(1)<<p.log))
	floor := p.whole - body
	for log = p.log + 1; log <= maxLog; log++ {
		if share := p.rate * (floor + body/float64(int(1)<<log)); share <= want {
			return log, p.share - share
		}
	}
	return p.log, 0
}

// sample lets a program run at one of 2^log events.
func (g *governor) sample(p *governed, log int, now time.Time) {
	m := g.s.maps[object.SampleMap]
	value := make([]byte, m.ValueSize())
	var key uint32
	if err := m.Lookup(&key, value); err != nil {
		return
	}
	binary.NativeEndian.PutUint64(value[8*(p.p.Sampled-1):], uint64(log))
	if err := m.Put(&key, value); err != nil {
		return
	}
	before := p.log
	if before == 0 {
		p.whole = p.ns
	}
	p.log, p.since = log, now.Sub(g.began)
	if before == 0 {
		g.note(p, fmt.Sprintf("%s takes %s of the time of all CPUs, more than --max-overhead allows: from now on it runs at about 1 of %d events, and each counts as %d. Its numbers are estimates.",
			g.s.programName(p.p), percent(p.share), 1<<log, 1<<log))
	} else {
		g.note(p, fmt.Sprintf("%s takes %s of the time of all CPUs: from now on it runs at about 1 of %d events.",
			g.s.programName(p.p), percent(p.share), 1<<log))
	}
}

// detach detaches a program.
func (g *governor) detach(p *governed, now time.Time) {
	p.detached, p.since = true, now.Sub(g.began)
	if p.fixed {
		g.note(p, fmt.Sprintf("%s takes %s of the time of all CPUs, more than --max-overhead allows. It follows libraries and is not detached alone, so the session ends.",
			g.s.programName(p.p), percent(p.share)))
		g.s.end()
		return
	}
	left := g.s.detachProgram(p.p)
	for _, o := range g.progs {
		if o.fixed { // its links are not among those of the session yet
			left++
		}
	}
	g.note(p, fmt.Sprintf("%s takes %s of the time of all CPUs, more than --max-overhead allows: it is detached after %.1f s, and later events are not counted.",
		g.s.programName(p.p), percent(p.share), p.since.Seconds()))
	if left == 0 {
		g.note(p, "No probe is left, so the session ends.")
		g.s.end()
	}
}

func percent(share float64) string { return fmt.Sprintf("%.3g%%", 100*share) }

func (g *governor) note(p *governed, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.notes = append(g.notes, output.Message{Kind: "overhead", Level: output.Overhead, At: p.p.Span, Text: text})
}

// reportOverhead reports what the governor has done since the last call.
func (s *Session) reportOverhead() {
	g := s.governor
	if g == nil {
		return
	}
	g.mu.Lock()
	notes := g.notes
	g.notes = nil
	g.mu.Unlock()
	for _, m := range notes {
		s.opt.Sink.Message(m)
	}
}

// endGoverning ends the governor. It reports which numbers of the results are estimates.
func (s *Session) endGoverning() {
	g := s.governor
	if g == nil {
		return
	}
	<-g.done
	s.reportOverhead()
	for _, p := range g.progs {
		if p.log > 0 && !p.detached {
			g.note(p, fmt.Sprintf("%s: its numbers are estimates. At the end it ran at about 1 of %d events, since %.1f s after the start.",
				s.programName(p.p), 1<<p.log, p.since.Seconds()))
		}
	}
	s.reportOverhead()
}

// detachProgram closes all links of a program and of its fetcher. It returns the number of
// links to other programs.
func (s *Session) detachProgram(p *object.Program) (left int) {
	progs := []*object.Program{p}
	for _, f := range s.obj.Fetchers {
		if s.obj.Programs[f.For] == p {
			progs = append(progs, f.Program)
		}
	}
	s.linksMu.Lock()
	defer s.linksMu.Unlock()
	s.links = slices.DeleteFunc(s.links, func(l attached) bool {
		if !slices.Contains(progs, l.prog) {
			left++
			return false
		}
		s.closeLink(l)
		return true
	})
	return left
}

// closeLink closes a link, and notes the events that its program missed.
func (s *Session) closeLink(l attached) {
	if m, ok := l.Closer.(interface{ Missed() uint64 }); ok {
		s.missed[l.prog] += m.Missed()
	}
	l.Close()
}
