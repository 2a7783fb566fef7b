// Package config holds the settings that a script (config = { … }) or the
// environment (BPFTRACE_<NAME>) can change, with their defaults and limits.
package config

// Config holds the value of every setting. Sizes are in bytes unless the comment
// specifies another unit.
type Config struct {
	CacheUserSymbols  string // PER_PID, PER_PROGRAM or NONE; "" = automatic
	CPPDemangle       bool
	LazySymbolication bool
	Labels            map[string][]string // names of the parts of a map's keys, by map with its @
	License           string
	LogSize           int
	MaxBPFProgs       int
	MaxCatBytes       int
	MaxMapKeys        int
	MaxProbes         int
	MaxSeries         int // of one map, for exporters
	MaxStrlen         int // of one string, including its NUL
	OnStackLimit      int
	PerfRBPages       int    // pages of the ring buffer; 0: depends on the memory
	StackMode         string // bpftrace, perf, raw, build_id
	StrTruncTrailer   string
	Metrics           map[string]string // names of maps in other systems, NoMetric for none
	MissingProbes     string            // error, warn or ignore
	PrintMapsOnExit   bool
	UseBlazesym       bool
	UserStack         string // how user stacks are unwound: one of UserStacks
	ShowDebugInfo     bool
	Unstable          map[string]string // feature → error, warn or enable
}

// The values of user_stack.
const (
	StackFP    = "fp"
	StackDWARF = "dwarf"
	StackAuto  = "auto"
)

// NoMetric is the name of a map that is not a metric.
const NoMetric = "none"

// UserStacks lists the ways to unwind user stacks.
var UserStacks = []string{StackFP, StackDWARF, StackAuto}
