package runtime

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/runtime/wire"
)

// siteTable is the script's places where something can go wrong, and their
// counters in the kernel.
type siteTable struct {
	sites []wire.Site
	mem   *ebpf.Memory
	buf   []byte
	seen  []uint64 // counts already reported
}

func newSiteTable(sites []wire.Site, mem *ebpf.Memory) *siteTable {
	return &siteTable{sites: sites, mem: mem, buf: make([]byte, 8*len(sites)), seen: make([]uint64, len(sites))}
}

// reportSites says what went wrong since the last time: lost events as often as
// there are new ones, everything else when it happens first, and at the end how
// often in all.
func (s *Session) reportSites(last bool) {
	t := s.sites
	if t == nil {
		return
	}
	if _, err := t.mem.ReadAt(t.buf, 0); err != nil {
		return
	}
	var lost uint64
	for i, site := range t.sites {
		n := binary.NativeEndian.Uint64(t.buf[8*i:])
		before := t.seen[i]
		if n == before {
			continue
		}
		if site.Kind == wire.LostEvent {
			lost += n - before
			t.seen[i] = n
			continue
		}
		if before > 0 && !last {
			continue
		}
		t.seen[i] = n
		s.reportSite(site, before, n)
	}
	if lost > 0 {
		s.opt.Sink.Lost(lost)
	}
}

// reportMissed says which programs the kernel did not run for every event: while
// a CPU is in one program it skips others there, and newer kernels let the
// program be preempted meanwhile, by a process that meets a probe as well.
// Kernels before 5.12 do not count them.
func (s *Session) reportMissed() {
	for _, p := range s.obj.Checked.Progs {
		prog := s.progs[p.Name]
		if prog == nil || len(p.Points) == 0 {
			continue
		}
		stats, err := prog.Stats()
		if err != nil || stats.RecursionMisses == 0 {
			continue
		}
		name := p.Points[0].Name
		if n := len(p.Points) - 1; n > 0 {
			name += fmt.Sprintf(" and %d others", n)
		}
		s.opt.Sink.Message("runtime_error", fmt.Sprintf("Missed %d events of %s: the kernel skips what happens on a CPU while a program is running there.",
			stats.RecursionMisses, name), p.Span)
	}
}

func (s *Session) reportSite(site wire.Site, before, n uint64) {
	kind := "runtime_error"
	var msg string
	switch site.Kind {
	case wire.MapFull:
		kind = "helper_error"
		msg = fmt.Sprintf("Map full; can't update element of %s. Try increasing max_map_keys config or declare the map with a size of its own, e.g. `let %s = hash(100000);`", site.What, site.What)
	case wire.ReadFault:
		if !s.obj.Checked.Session.Warnings {
			return
		}
		kind = "helper_error"
		msg = "Bad address: memory could not be read; the value is 0"
		if site.What != "" {
			msg += " (" + site.What + ")"
		}
	case wire.DivZero:
		msg = "Divide or modulo by 0 detected. This can lead to unexpected results. 1 is being used as the result."
	case wire.OutOfBounds:
		msg = "Array access out of bounds. This can lead to unexpected results."
	case wire.StackFault:
		msg = "A stack could not be taken or stored"
		if site.What != "" {
			msg += " (" + site.What + ")"
		}
	default:
		if !s.obj.Checked.Session.Warnings {
			return
		}
		kind = "helper_error"
		msg = fmt.Sprintf("%s failed", site.What)
	}
	switch {
	case before > 0:
		msg += fmt.Sprintf(" (%d times in all)", n)
	case n > 1:
		msg += fmt.Sprintf(" (%d times so far)", n)
	}
	s.opt.Sink.Message(kind, msg, site.Span)
}
