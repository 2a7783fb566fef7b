package runtime

import (
	"encoding/binary"
	"slices"
	"sort"

	"github.com/gotrace/gotrace/builtins"
)

// programLog names addresses in BPF programs that were loaded since the log was
// opened, whether or not they are still loaded. /proc/kallsyms has only those that
// are loaded when it is read.
type programLog struct {
	*perfLog
	seen []programRange // sorted by address; none overlap
}

// programRange is the code of a BPF program, from start to before end.
type programRange struct {
	start, end uint64
	name       string
}

const (
	perfBitKsymbol = 1 << 29 // of struct perf_event_attr, since Linux 5.1
	recordKsymbol  = 17      // PERF_RECORD_KSYMBOL

	// ksymbolFixed is the size of struct perf_record_ksymbol before the name.
	ksymbolFixed      = 24
	ksymbolBPF        = 1 // ksym_type of a BPF program
	ksymbolUnregister = 1 // in flags: the program was unloaded
)

// watchPrograms opens the log of BPF programs if the session names kernel
// addresses. Without the log, programs that were unloaded may have no names.
func (s *Instance) watchPrograms() {
	if !s.uses(func(d *builtins.Def) bool { return d.KernelSymbols }) {
		return
	}
	if l, err := openPerfLog([]int{allProcesses}, perfBitKsymbol, 0); err == nil {
		s.programs = &programLog{perfLog: l}
	}
	// Programs and modules that are loaded now may be gone when the first address
	// is looked up.
	go s.opt.Kernel.SymbolAt(1)
}

// notePrograms reads the log of BPF programs.
func (s *Instance) notePrograms() {
	if s.programs == nil {
		return
	}
	for _, rec := range s.programs.records() {
		s.programs.note(rec)
	}
}

// note adds the program of a record. A program at the addresses of older ones
// replaces them, as they must have been unloaded.
func (l *programLog) note(rec []byte) {
	ne := binary.NativeEndian
	if len(rec) <= ksymbolFixed || ne.Uint32(rec) != recordKsymbol ||
		ne.Uint16(rec[20:]) != ksymbolBPF || ne.Uint16(rec[22:])&ksymbolUnregister != 0 {
		return
	}
	start := ne.Uint64(rec[8:])
	p := programRange{start, start + uint64(ne.Uint32(rec[16:])), string(cString(rec[ksymbolFixed:]))}
	from := l.after(p.start)
	to := from
	for to < len(l.seen) && l.seen[to].start < p.end {
		to++
	}
	l.seen = slices.Insert(slices.Delete(l.seen, from, to), from, p) // slices.Replace takes 1 kB more
}

// after returns the index of the first program that ends after addr.
func (l *programLog) after(addr uint64) int {
	return sort.Search(len(l.seen), func(i int) bool { return l.seen[i].end > addr })
}

// at returns the program that contains addr.
func (l *programLog) at(addr uint64) (name string, offset uint64, ok bool) {
	if i := l.after(addr); i < len(l.seen) && l.seen[i].start <= addr {
		return l.seen[i].name, addr - l.seen[i].start, true
	}
	return "", 0, false
}

// kernelSymbol returns the kernel function or object that contains addr.
func (s *Instance) kernelSymbol(addr uint64) (name, module string, offset uint64, ok bool) {
	if s.programs != nil {
		if name, offset, ok := s.programs.at(addr); ok {
			return name, "bpf", offset, true
		}
	}
	name, module, offset, ok = s.opt.Kernel.SymbolAt(addr)
	if module == "bpf" && s.programs != nil {
		if _, _, seen := s.programs.at(addr - offset); seen { // it ends before addr
			return "", "", 0, false
		}
	}
	return name, module, offset, ok
}
