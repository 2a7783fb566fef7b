package runtime

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
)

// Budget limits the time that the programs of several sessions take together, as measured
// by the kernel.
type Budget struct {
	share float64 // share of the time of all CPUs

	mu    sync.Mutex  // of progs and of what governors know about them
	progs []*governed // of all sessions that run
	// stats makes the kernel measure. It stays open, as a later session may lack the
	// capability for it.
	stats io.Closer
}

// NewBudget returns a budget of a share of the time of all CPUs.
func NewBudget(share float64) *Budget { return &Budget{share: share} }

// enable makes the kernel measure programs.
func (b *Budget) enable() (err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stats == nil {
		if b.stats, err = ebpf.EnableStats(unix.BPF_STATS_RUN_TIME); err != nil {
			b.stats = nil
			return outline.Errorf("the kernel does not measure BPF programs, which --max-overhead needs: %w", reason(err))
		}
	}
	return nil
}

// A governor keeps the programs of a session within Setup.Budget. It measures them with
// the kernel's statistics. If the programs of all sessions take more than the budget, it
// samples programs that can be sampled, and then detaches the most expensive ones. If
// they take much less, it lets sampled programs run at more events again. It runs in its
// own goroutine, since the goroutine of the session may be blocked by its output.
type governor struct {
	s      *Instance
	budget *Budget
	cpus   float64
	progs  []*governed
	over   bool // the programs exceeded the budget in the last period
	calm   int  // periods since they took more than half of the budget
	wait   int  // number of such periods before a program runs at more events
	last   time.Time
	began  time.Time
	done   chan struct{} // closed when the goroutine has ended

	mu    sync.Mutex
	notes []output.Message // actions for the session to report
}

// governed is a program that is measured.
type governed struct {
	p        *object.Program
	prog     *ebpf.Program
	fetcher  *ebpf.Program // its fetcher, which runs at the same events; nil: none
	runtime  time.Duration // run time of both in ns at the last measurement
	runs     uint64        // the same
	share    float64       // share of the time of all CPUs since the previous measurement
	rate     float64       // share per ns of a run
	ns       float64       // ns of a run since the previous measurement
	whole    float64       // ns of a run before it was sampled
	log      int           // it runs at one of 2^log events
	sampled  bool          // log was above 0 at some time
	since    time.Duration // time of the last sampling or detaching, since the start of the session
	detached bool
	// fixed is set if other goroutines attach the program to further files, so that it
	// cannot be detached alone.
	fixed bool
}

// governPeriod is the time between measurements. So an excess ends within a second, after
// at most ten measurements.
const governPeriod = 100 * time.Millisecond

// maxLog limits the sampling. If a program is expensive even at so few events, the cost
// is that of the decision not to run.
const maxLog = 12

// Numbers of periods that a governor waits before a program runs at more events. It waits
// twice as long each time that this was too early.
const (
	firstWait = 10
	maxWait   = 600
)

// startGoverning makes the governor of a session with Setup.Budget.
func (s *Instance) startGoverning() error {
	if s.opt.Budget == nil {
		return nil
	}
	if err := s.opt.Budget.enable(); err != nil {
		return err
	}
	fetchers := map[*object.Program]*ebpf.Program{}
	for _, f := range s.obj.Fetchers {
		fetchers[s.obj.Programs[f.For]] = s.progs[f.Program.Name]
	}
	g := &governor{s: s, budget: s.opt.Budget, cpus: float64(onlineCPUs()), wait: firstWait, done: make(chan struct{})}
	for _, p := range s.obj.Programs {
		if prog := s.progs[p.Name]; prog != nil && len(p.Points) > 0 && s.kind(&p.Points[0]).Runs == probes.OnEvent {
			fixed := slices.ContainsFunc(p.Points, func(at object.Point) bool { return at.Library != "" || at.Anywhere })
			g.progs = append(g.progs, &governed{p: p, prog: prog, fetcher: fetchers[p], fixed: fixed})
		}
	}
	s.governor = g
	return nil
}

// onlineCPUs returns the number of CPUs that are online.
func onlineCPUs() int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(1, &set); err == nil && set.Count() > 0 { // the affinity of init, which is not restricted
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
	g.join(time.Now())
	defer g.leave()
	t := time.NewTicker(governPeriod)
	defer t.Stop()
	for {
		select {
		case <-g.s.stop:
			return
		case <-t.C:
			// The tick may have been a long time ago. Programs have run since then, which
			// counts too.
			g.step(time.Now())
		}
	}
}

// join adds the programs to the budget and measures them for the first time.
func (g *governor) join(now time.Time) {
	g.budget.mu.Lock()
	defer g.budget.mu.Unlock()
	g.began, g.last = now, now
	g.measure(now)
	for _, p := range g.progs {
		p.share = 0 // earlier run time does not count
	}
	g.budget.progs = append(g.budget.progs, g.progs...)
}

// leave undoes join.
func (g *governor) leave() {
	g.budget.mu.Lock()
	defer g.budget.mu.Unlock()
	g.budget.progs = slices.DeleteFunc(g.budget.progs, func(p *governed) bool { return slices.Contains(g.progs, p) })
}

// step measures the programs, and acts if this gave a result.
func (g *governor) step(now time.Time) {
	g.budget.mu.Lock()
	defer g.budget.mu.Unlock()
	if g.measure(now) {
		g.act(now)
	}
}

// measure updates the shares of all programs. It returns false if too little time has
// passed.
func (g *governor) measure(now time.Time) bool {
	elapsed := now.Sub(g.last)
	for _, p := range g.progs {
		stats, err := p.prog.Stats()
		if err != nil {
			p.share, p.rate = 0, 0
			continue
		}
		if p.fetcher != nil {
			if f, err := p.fetcher.Stats(); err == nil {
				stats.Runtime += f.Runtime
			}
		}
		took, runs := float64(stats.Runtime-p.runtime), float64(stats.RunCount-p.runs)
		p.share, p.rate = took/float64(max(elapsed, 1))/g.cpus, 0
		if runs > 0 {
			p.ns = took / runs
			p.rate = p.share / p.ns
		}
		p.runtime, p.runs = stats.Runtime, stats.RunCount
	}
	g.last = now
	return elapsed > governPeriod/4
}

// act samples or detaches programs of the session if all sessions exceed the budget. If
// they have taken much less for some time, it lets a sampled program run at more events.
// The caller holds the lock of the budget.
func (g *governor) act(now time.Time) {
	list := decide(g.budget.progs, g.budget.share)
	for _, a := range list {
		switch {
		case !slices.Contains(g.progs, a.p): // its own governor acts
		case !a.detach:
			if a.p.sampled && g.wait < maxWait {
				g.wait *= 2
			}
			g.sample(a.p, a.log, now)
			a.p.share -= a.saved // for other governors, until it is measured
		case g.over: // one burst does not count
			g.detach(a.p, now)
		}
	}
	g.over = len(list) > 0
	total := totalShare(g.budget.progs)
	if g.calm++; total > g.budget.share/2 {
		g.calm = 0
	}
	if g.calm < g.wait {
		return
	}
	g.calm = 0
	for _, p := range g.progs {
		if log := p.relaxed(g.budget.share/2 - (total - p.share)); log < p.log {
			g.sample(p, log, now)
			return // measure the effect first
		}
	}
}

// totalShare returns the share of all programs that are attached.
func totalShare(progs []*governed) (total float64) {
	for _, p := range progs {
		if !p.detached {
			total += p.share
		}
	}
	return total
}

// action is what to do with a program.
type action struct {
	p      *governed
	detach bool
	log    int // if not: the new value of p.log
	saved  float64
}

// decide returns actions that keep programs within a budget. It samples the most expensive
// ones that can be sampled. If that is not enough, it detaches the most expensive ones.
func decide(progs []*governed, budget float64) (list []action) {
	total := totalShare(progs)
	if total <= budget {
		return nil
	}
	var by []*governed
	for _, p := range progs {
		if !p.detached {
			by = append(by, p)
		}
	}
	// Aim below the budget, since the savings of an action are only estimated.
	goal := budget * 3 / 4
	slices.SortStableFunc(by, func(a, b *governed) int { return cmp.Compare(b.share, a.share) })
	for _, p := range by {
		// Programs with a small share keep exact numbers.
		if total <= goal || p.share < total/16 {
			break
		}
		others := total - p.share
		log, saved := p.sampling(goal - others)
		if log == p.log {
			log, saved = p.sampling(budget - others)
		}
		if log > p.log {
			list = append(list, action{p: p, log: log, saved: saved})
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

// firstLog is the first sampling of a program. Its effect is measured before the next one
// is chosen.
const firstLog = 4

// sampling returns the sampling with which p takes at most the share want, and the share
// that it saves. If there is none, it returns the current sampling of p.
func (p *governed) sampling(want float64) (log int, saved float64) {
	switch {
	case p.p.Sampled == 0 || p.rate == 0:
		return p.log, 0
	case p.log == 0:
		return firstLog, p.share * (1 - 1./(1<<firstLog))
	}
	for log = p.log + 1; log <= maxLog; log++ {
		if share := p.at(log); share <= want {
			return log, p.share - share
		}
	}
	return p.log, 0
}

// at returns the share that p, which is sampled, would take with another sampling.
func (p *governed) at(log int) float64 {
	// A run takes floor ns, and additionally body ns if the event is handled.
	body := max(p.whole-p.ns, 0) / (1 - 1/float64(int(1)<<p.log))
	floor := p.whole - body
	return p.rate * (floor + body/float64(int(1)<<log))
}

// relaxed returns the least sampling with which p takes at most the share want, or the
// current one.
func (p *governed) relaxed(want float64) int {
	if p.detached {
		return p.log
	}
	for log := range p.log {
		if p.at(log) <= want {
			return log
		}
	}
	return p.log
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
	p.log, p.since, p.sampled = log, now.Sub(g.began), true
	takes := fmt.Sprintf("%s takes %s of the time of all CPUs", g.s.programName(p.p), percent(p.share))
	switch {
	case before == 0:
		g.note(p, fmt.Sprintf("%s, more than --max-overhead allows: from now on it runs at about 1 of %d events, and each counts as %d. Its numbers are estimates.",
			takes, 1<<log, 1<<log))
	case log == 0:
		g.note(p, takes+": from now on it runs at every event again. Its numbers remain estimates.")
	default:
		g.note(p, fmt.Sprintf("%s: from now on it runs at about 1 of %d events.", takes, 1<<log))
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
func (s *Instance) reportOverhead() {
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
func (s *Instance) endGoverning() {
	g := s.governor
	if g == nil {
		return
	}
	<-g.done
	s.reportOverhead()
	for _, p := range g.progs {
		if p.sampled && !p.detached {
			at := "every event"
			if p.log > 0 {
				at = fmt.Sprintf("about 1 of %d events", 1<<p.log)
			}
			g.note(p, fmt.Sprintf("%s: its numbers are estimates. At the end it ran at %s, since %.1f s after the start.",
				s.programName(p.p), at, p.since.Seconds()))
		}
	}
	s.reportOverhead()
}

// detachProgram closes all links of a program and of its fetcher. It returns the number of
// links to other programs.
func (s *Instance) detachProgram(p *object.Program) (left int) {
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

// closeLink closes a link, and records the events that its program missed.
func (s *Instance) closeLink(l attached) {
	if m, ok := l.Closer.(interface{ Missed() uint64 }); ok {
		s.missed[l.prog] += m.Missed()
	}
	l.Close()
}
