// Package config is the table of settings a script (config = { … }) or the
// environment (BPFTRACE_<NAME>) can give, with their defaults and limits.
package config

// Config holds every setting, typed. Sizes are bytes unless the name says
// otherwise.
type Config struct {
	CacheUserSymbols  string // PER_PID, PER_PROGRAM or NONE; "" = automatic
	CPPDemangle       bool
	LazySymbolication bool
	License           string
	LogSize           int
	MaxBPFProgs       int
	MaxCatBytes       int
	MaxMapKeys        int
	MaxProbes         int
	MaxStrlen         int // of one string, its NUL included
	OnStackLimit      int
	PerfRBPages       int    // pages of the ring buffer, 0 = from memory
	StackMode         string // bpftrace, perf, raw, build_id
	StrTruncTrailer   string
	MissingProbes     string // error, warn or ignore
	PrintMapsOnExit   bool
	UseBlazesym       bool
	ShowDebugInfo     bool
	Unstable          map[string]string // feature → error, warn or enable
}
