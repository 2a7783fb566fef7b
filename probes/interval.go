package probes

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// interval and profile use the software event cpu-clock with a period, interval on one
// CPU and profile on each. The program runs in the timer's interrupt, so profile
// observes the interrupted code.

// timeUnits lists the units of a rate in nanoseconds. hz is a frequency.
var timeUnits = []struct {
	name string
	ns   uint64
}{{"hz", 0}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}

func intervalKind() *Kind {
	k := timerKind("interval", "i", "Runs at a fixed rate on one CPU.")
	k.Confine = NotAsked
	k.Attach = func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		cpus, err := OnlineCPUs()
		if err != nil || len(cpus) == 0 {
			return nil, &AttachError{p, fmt.Sprintf("which CPUs are online is not known: %v", err), err}
		}
		c, err := attachPerf(timerAttr(p), -1, cpus[0], prog)
		return c, timerError(p, err)
	}
	return k
}

func profileKind() *Kind {
	k := timerKind("profile", "p", "Runs at a fixed rate on every CPU, to sample what it does.")
	k.Attach = func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		c, err := attachPerfEverywhere(timerAttr(p), p.PID, prog)
		return c, timerError(p, err)
	}
	return k
}

func timerAttr(p *object.Point) *unix.PerfEventAttr {
	attr := &unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK}
	if p.Target == "hz" {
		attr.Bits = unix.PerfBitFreq
		attr.Sample = p.Count
		return attr
	}
	for _, u := range timeUnits {
		if u.name == p.Target {
			attr.Sample = p.Count * u.ns
		}
	}
	return attr
}

func timerError(p *object.Point, err error) error {
	why := map[error]string{}
	if p.Target == "hz" {
		why[unix.EINVAL] = "the rate is above the kernel's limit (sysctl kernel.perf_event_max_sample_rate)"
	}
	return attachError(p, err, capsTracing, why)
}

func timerKind(name, alias, doc string) *Kind {
	k := &Kind{
		Name: name,
		Manual: Manual{
			Overhead: "about 1 µs, a timer interrupt",
			Syntax:   name + ":(hz|us|ms|s):N or " + name + ":duration",
			Doc:      doc,
		},
		Aliases: []string{alias},
	}
	k.Parse = func(e *Env, parts []string) (*Point, error) {
		p := &Point{Kind: k}
		if name == "profile" {
			p.PID = e.traced()
		}
		if err := argCount(k, parts, 1, 2); err != nil {
			return nil, err
		}
		if err := noWildcards(k, parts); err != nil {
			return nil, err
		}
		text := parts[len(parts)-1]
		n, duration, err := parseCount(text)
		if len(parts) == 3 && strings.HasPrefix(text, "-") {
			return nil, usage("%s frequency should be a positive integer", name)
		}
		if err != nil {
			return nil, usage("Invalid rate of %s probe: %w", name, err)
		}
		if len(parts) == 2 { // a duration, or nanoseconds
			if n < 1000 {
				return nil, usage("Invalid rate of %s probe. Minimum is 1000 or 1us. Found: %d nanoseconds", name, n)
			}
			p.Target, p.Count = "us", n/1000
		} else {
			p.Target, p.Count = parts[1], n
			if duration {
				return nil, usage("Invalid rate of %s probe: %s has a unit and %s is one: write %s:%s", name, text, parts[1], name, text)
			}
			unit := -1
			for i, u := range timeUnits {
				if u.name == parts[1] {
					unit = i
				}
			}
			switch {
			case unit < 0:
				return nil, usage("%s is not an accepted unit of time: hz, us, ms and s are", parts[1])
			case n == 0:
				return nil, usage("%s frequency should be a positive integer", name)
			case timeUnits[unit].ns > 0 && n > math.MaxInt64/timeUnits[unit].ns:
				return nil, usage("Invalid rate of %s probe: %s %s is more than 292 years", name, text, parts[1])
			}
		}
		p.Name = fmt.Sprintf("%s:%s:%d", name, p.Target, p.Count)
		return p, nil
	}
	k.Context = func(e *Env, p *Point) (*Context, error) { return perfContext(e, k) }
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		for _, u := range []string{"hz", "ms", "s", "us"} {
			if listedValue(parts[1:], u) && !yield(name+":"+u+":") {
				break
			}
		}
		return nil
	}
	return k
}
