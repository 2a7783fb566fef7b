package probes

import (
	"io"
	"sort"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// software and hardware are counters of the kernel and of the processor. The program
// runs each time a counter has counted a given number of events.

// counter is a counter of events.
type counter struct {
	name   string
	config uint64 // PERF_COUNT_SW_… or PERF_COUNT_HW_…
	count  uint64 // default
	alias  string
}

var softwareCounters = []counter{
	{name: "alignment-faults", config: unix.PERF_COUNT_SW_ALIGNMENT_FAULTS, count: 1},
	{name: "bpf-output", config: unix.PERF_COUNT_SW_BPF_OUTPUT, count: 1},
	{name: "context-switches", config: unix.PERF_COUNT_SW_CONTEXT_SWITCHES, count: 1000, alias: "cs"},
	{name: "cpu-clock", config: unix.PERF_COUNT_SW_CPU_CLOCK, count: 1e6, alias: "cpu"},
	{name: "cpu-migrations", config: unix.PERF_COUNT_SW_CPU_MIGRATIONS, count: 1},
	{name: "dummy", config: unix.PERF_COUNT_SW_DUMMY, count: 1},
	{name: "emulation-faults", config: unix.PERF_COUNT_SW_EMULATION_FAULTS, count: 1},
	{name: "major-faults", config: unix.PERF_COUNT_SW_PAGE_FAULTS_MAJ, count: 1},
	{name: "minor-faults", config: unix.PERF_COUNT_SW_PAGE_FAULTS_MIN, count: 100},
	{name: "page-faults", config: unix.PERF_COUNT_SW_PAGE_FAULTS, count: 100, alias: "faults"},
	{name: "task-clock", config: unix.PERF_COUNT_SW_TASK_CLOCK, count: 1},
}

var hardwareCounters = []counter{
	{name: "backend-stalls", config: unix.PERF_COUNT_HW_STALLED_CYCLES_BACKEND, count: 1e6},
	{name: "branch-instructions", config: unix.PERF_COUNT_HW_BRANCH_INSTRUCTIONS, count: 1e5, alias: "branches"},
	{name: "branch-misses", config: unix.PERF_COUNT_HW_BRANCH_MISSES, count: 1e5},
	{name: "bus-cycles", config: unix.PERF_COUNT_HW_BUS_CYCLES, count: 1e5},
	{name: "cache-misses", config: unix.PERF_COUNT_HW_CACHE_MISSES, count: 1e6},
	{name: "cache-references", config: unix.PERF_COUNT_HW_CACHE_REFERENCES, count: 1e6},
	{name: "cpu-cycles", config: unix.PERF_COUNT_HW_CPU_CYCLES, count: 1e6, alias: "cycles"},
	{name: "frontend-stalls", config: unix.PERF_COUNT_HW_STALLED_CYCLES_FRONTEND, count: 1e6},
	{name: "instructions", config: unix.PERF_COUNT_HW_INSTRUCTIONS, count: 1e6},
	{name: "ref-cycles", config: unix.PERF_COUNT_HW_REF_CPU_CYCLES, count: 1e6},
}

func softwareKind() *Kind {
	return counterKind("software", "s", "Runs each time one of the kernel's own counters has counted the given number of events.", unix.PERF_TYPE_SOFTWARE, softwareCounters)
}

func hardwareKind() *Kind {
	return counterKind("hardware", "h", "Runs each time one of the processor's counters has counted the given number of events.", unix.PERF_TYPE_HARDWARE, hardwareCounters)
}

func counterKind(name, alias, doc string, typ uint32, table []counter) *Kind {
	k := &Kind{
		Name:    name,
		Manual:  Manual{Overhead: "about 1 µs", Syntax: name + ":event[:count]", Doc: doc},
		Aliases: []string{alias},
	}
	var names []string
	for _, c := range table {
		names = append(names, c.name)
		if c.alias != "" {
			names = append(names, c.alias)
		}
	}
	// Sort as in the list, in which a colon follows the name.
	sort.Slice(names, func(i, j int) bool { return names[i]+":" < names[j]+":" })
	k.Parse = func(e *Env, parts []string) (*Point, error) {
		if err := argCount(k, parts, 1, 2); err != nil {
			return nil, err
		}
		if parts[1] == "" {
			return nil, usage("%s probe must have a %s event name", name, name)
		}
		if isWild(parts[1]) {
			return nil, usage("wildcards are not allowed for %s probe type", name)
		}
		p := &Point{Kind: k, Func: parts[1], PID: e.traced()}
		var found *counter
		for i := range table {
			if c := &table[i]; c.name == parts[1] || c.alias != "" && c.alias == parts[1] {
				found = c
			}
		}
		if found == nil {
			hint := ""
			if near := nearest(parts[1], names); near != "" {
				hint = ": did you mean " + near + "?"
			}
			return nil, usage("%s is not a %s probe%s", parts[1], name, hint)
		}
		p.Event, p.Count, p.Name = found.config, found.count, strings.TrimSuffix(strings.Join(append([]string{name}, parts[1:]...), ":"), ":")
		if len(parts) == 3 && parts[2] != "" {
			if parts[2][0] == '-' {
				return nil, usage("%s count should be a positive integer", name)
			}
			n, _, err := parseCount(parts[2])
			if err != nil {
				return nil, usage("Invalid count for %s probe: %w", name, err)
			}
			if n >= 1<<63 {
				return nil, usage("%s count should be a positive integer", name)
			}
			if n > 0 { // 0 selects the counter's default
				p.Count = n
			}
		}
		return p, nil
	}
	k.Context = func(e *Env, p *Point) (*Context, error) { return perfContext(e, k) }
	k.Attach = func(e *Env, prog *ebpf.Program, p *object.Point) (io.Closer, error) {
		attr := &unix.PerfEventAttr{Type: typ, Config: p.Event, Sample: p.Count}
		c, err := attachPerfEverywhere(attr, p.PID, prog)
		missing := "this machine has no such counter (virtual machines often have none)"
		return c, attachError(p, err, capsTracing, map[error]string{unix.ENOENT: missing, unix.EOPNOTSUPP: missing, unix.ENODEV: missing, unix.EINVAL: missing})
	}
	k.List = func(_ *Env, parts []string, yield func(string) bool) error {
		for _, n := range names {
			if listedValue(parts[1:], n) && !yield(name+":"+n+":") {
				break
			}
		}
		return nil
	}
	return k
}
