package runtime

import (
	"bytes"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/output"
)

// testFailed is the exit status of a session in which a test failed.
const testFailed = 1

// aside runs tests or benchmarks between the begin and end probes. It attaches
// nothing and prints no maps.
func (s *Instance) aside(run func() error) error {
	if err := s.runAll(probes.AtBegin); err != nil {
		return err
	}
	s.exiting, s.status = false, 0
	if err := run(); err != nil {
		return err
	}
	status := s.status
	if err := s.runAll(probes.AtEnd); err != nil {
		return err
	}
	s.drain(true)
	s.status = status
	s.opt.Sink.End()
	s.opt.Sink.Flush()
	s.sites.reportErrors(s.opt.Sink, true)
	s.sites.reportLost(s.opt.Sink)
	return nil
}

// runTests runs every test probe once. A test passes if its program returns 0 and
// does not call exit() with a status other than 0. The output of begin probes is
// part of the first test's.
func (s *Instance) runTests() error {
	if len(s.points(probes.AsTest)) == 0 {
		s.drain(true)
		s.exiting, s.status = false, 0
		return nil
	}
	sink := s.opt.Sink
	defer func() { s.opt.Sink = sink }()
	var results []output.TestResult
	failed := false
	var out bytes.Buffer
	w := output.NewWriter(&out, output.None)
	s.opt.Sink = output.NewText(w, &out, output.Style{Trailer: s.obj.Settings.StrTruncTrailer})
	s.drain(true) // of the begin probes
	for _, p := range s.points(probes.AsTest) {
		start := time.Now()
		ret, err := s.runProgram(p.prog)
		took := time.Since(start)
		if err != nil {
			return err
		}
		s.exiting, s.status = false, 0
		s.drain(true)
		r := output.TestResult{Name: p.Func, Passed: ret == 0 && s.status == 0, Ns: uint64(took), Output: out.String()}
		failed = failed || !r.Passed
		results = append(results, r)
		out.Reset()
	}
	s.opt.Sink = sink
	s.exiting, s.status = false, 0
	if failed {
		s.status = testFailed
	}
	sink.Tests(results)
	return nil
}

// The time for which a bench probe is measured, and the number of runs between two
// readings of the clock.
const (
	benchTime  = 200 * time.Millisecond
	benchBatch = 1000
)

// runBenches measures every bench probe with the kernel's run time statistics,
// which leave out the cost of starting a program from user space.
func (s *Instance) runBenches() error {
	s.drain(true)
	s.exiting, s.status = false, 0
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return outline.Errorf("cannot measure programs: %w", reason(err))
	}
	defer stats.Close()
	var results []output.BenchResult
	for _, p := range s.points(probes.AsBench) {
		prog := s.progs[p.prog.Name]
		before, err := prog.Stats()
		if err != nil {
			return outline.Errorf("cannot measure %s: %w", p.Name, reason(err))
		}
		for start := time.Now(); time.Since(start) < benchTime; {
			for range benchBatch {
				ret, err := s.runProgram(p.prog)
				if err != nil {
					return err
				}
				if ret != 0 {
					return outline.Errorf("%s returned %d", p.Name, ret)
				}
			}
			s.drain(false)
		}
		after, err := prog.Stats()
		if err != nil {
			return outline.Errorf("cannot measure %s: %w", p.Name, reason(err))
		}
		n := after.RunCount - before.RunCount
		r := output.BenchResult{Name: p.Func, Iters: int(n)}
		if n > 0 {
			r.Ns = uint64(after.Runtime-before.Runtime) / n
		}
		results = append(results, r)
	}
	s.exiting, s.status = false, 0
	s.opt.Sink.Benchmarks(results)
	return nil
}
