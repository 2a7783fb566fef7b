package runtime

import (
	"fmt"
	"io"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// measurement makes the kernel measure how often and how long programs run. The kernel
// measures the programs of all users of BPF as long as it is open.
type measurement struct {
	io.Closer
	from time.Time
}

// measure starts the measurement of a session with Setup.Stats.
func (s *Instance) measure() error {
	if !s.opt.Stats {
		return nil
	}
	c, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return outline.Errorf("the kernel does not measure BPF programs: %w", reason(err))
	}
	s.measured = &measurement{c, time.Now()}
	return nil
}

// reportStats prints how often the programs that waited for events ran, how long they
// took, how many events they missed, and the share of a CPU that they used.
func (s *Instance) reportStats() {
	m := s.measured
	if m == nil {
		return
	}
	elapsed := time.Since(m.from)
	m.Close()
	s.measured = nil
	w := s.opt.Stderr
	fmt.Fprintf(w, "%12s %10s %10s %8s  %s\n", "RUNS", "NS/RUN", "MISSED", "CPU", "PROBE")
	for _, p := range s.obj.Programs {
		prog := s.progs[p.Name]
		if prog == nil || len(p.Points) == 0 || s.joined[p] || s.kind(&p.Points[0]).Runs != probes.OnEvent {
			continue
		}
		stats, err := prog.Stats()
		if err != nil {
			continue
		}
		perRun := "-"
		if stats.RunCount > 0 {
			perRun = fmt.Sprint(uint64(stats.Runtime) / stats.RunCount)
		}
		fmt.Fprintf(w, "%12d %10s %10d %7.2f%%  %s\n", stats.RunCount, perRun, stats.RecursionMisses+s.missed[p],
			100*stats.Runtime.Seconds()/elapsed.Seconds(), s.programName(p))
	}
}

// programName returns the name of a program's first attach point, and how many others
// there are.
func (s *Instance) programName(p *object.Program) string {
	name := p.Points[0].Name
	if n := len(p.Points) - 1; n > 0 {
		name += fmt.Sprintf(" and %d others", n)
	}
	if p.Partner != nil && s.joined[s.obj.Programs[p.Partner.Program]] {
		name += ", with its return"
	}
	return name
}
