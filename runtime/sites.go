package runtime

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/cilium/ebpf"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

// siteTable holds the places in the script where errors can occur, reads their counters
// from the kernel and reports them. A nil table has no sites.
type siteTable struct {
	sites []object.Site
	maps  map[string]*object.Map // by the names in the script
	warn  bool                   // also report errors that need not be faults of the script
	mem   *ebpf.Memory
	buf   []byte
	now   []uint64 // counts as last read
	seen  []uint64 // counts that have been reported
}

func newSiteTable(obj *object.Object, maps map[string]*object.Map, mem *ebpf.Memory) *siteTable {
	sites := obj.Sites
	return &siteTable{sites: sites, maps: maps, warn: obj.Settings.Warnings, mem: mem, buf: make([]byte, 8*len(sites)), now: make([]uint64, len(sites)), seen: make([]uint64, len(sites))}
}

// counts returns the counter of each site, or nil if there are no sites.
func (t *siteTable) counts() []uint64 {
	if t == nil {
		return nil
	}
	if _, err := t.mem.ReadAt(t.buf, 0); err != nil {
		return nil
	}
	for i := range t.now {
		t.now[i] = binary.NativeEndian.Uint64(t.buf[8*i:])
	}
	return t.now
}

// reportErrors reports each error when it first occurs. If last is set, it reports the
// errors again with their totals. If it is called before a record is handled, it
// reports the errors that the program met before it sent the record.
func (t *siteTable) reportErrors(to output.Sink, last bool) {
	for i, n := range t.counts() {
		before := t.seen[i]
		if k := t.sites[i].Kind; k == object.LostEvent || k == object.Audit || n == before || before > 0 && !last || k == object.UnreadText && !last {
			continue
		}
		t.seen[i] = n
		t.report(to, t.sites[i], before, n)
	}
}

// reportLost reports how many events were lost since the last call: for each place in the
// script if the sink implements output.LostSink, otherwise their sum.
func (t *siteTable) reportLost(to output.Sink) {
	sink, places := to.(output.LostSink)
	var lost uint64
	for i, n := range t.counts() {
		if t.sites[i].Kind != object.LostEvent || n == t.seen[i] {
			continue
		}
		few := n - t.seen[i]
		t.seen[i] = n
		if !places || !sink.LostAt(t.sites[i].Span, few) {
			lost += few
		}
	}
	if lost > 0 {
		to.Lost(lost)
	}
}

// reportAudit reports how often each place in the script would have dropped or denied
// something with --unsafe.
func (t *siteTable) reportAudit(to output.Sink) {
	for i, n := range t.counts() {
		site := t.sites[i]
		if site.Kind != object.Audit {
			continue
		}
		times := fmt.Sprintf("%d times", n)
		if n == 1 {
			times = "once"
		}
		to.Message(output.Message{Kind: "audit", Level: output.Audit, At: site.Span,
			Text: fmt.Sprintf("%s would have decided %s: it does with --unsafe", site.What, times)})
	}
}

// report reports the error at a site. It has occurred n times, before of which have been
// reported.
func (t *siteTable) report(to output.Sink, site object.Site, before, n uint64) {
	m := output.Message{Kind: "runtime_error", At: site.Span}
	told := t.warn
	helper := func(name string, errno unix.Errno) { m.Kind, m.Helper, m.Code = "helper_error", name, -int(errno) }
	var msg string
	switch site.Kind {
	case object.MapFull:
		told = true
		if t.maps[site.What].Max == 0 {
			helper("sk_storage_get", unix.ENOMEM)
			msg = fmt.Sprintf("A value of %s was not kept: its socket is being closed, or has no room left (net.core.optmem_max)", site.What)
			break
		}
		helper("map_update_elem", unix.E2BIG)
		m.Reason = "Argument list too long"
		msg = fmt.Sprintf("Map full; can't update element. Try increasing max_map_keys config or manually setting the max entries in a map declaration e.g. `let %s = hash(%d)`", site.What, 2*t.maps[site.What].Max)
	case object.NoEntry:
		helper("map_lookup_elem", 0) // it returns a null pointer
		msg = fmt.Sprintf("Can't lookup map element because it does not exist. %s has no such key: the value is 0.", site.What)
	case object.ReadFault:
		name := "probe_read" // or a plain load
		if strings.HasPrefix(site.What, name) {
			name = site.What
		}
		helper(name, unix.EFAULT)
		m.Reason = "Bad address"
		msg = m.Reason + ": memory could not be read; the value is 0"
		if site.What != "" {
			msg += " (" + site.What + ")"
		}
	case object.UnreadText:
		told = true
		times := fmt.Sprintf("%d strings were", n)
		if n == 1 {
			times = "A string was"
		}
		m.Text = times + " not in memory, at the call or at its return: empty"
		to.Message(m)
		return
	case object.DivZero:
		told = true
		msg = "Divide or modulo by 0 detected. This can lead to unexpected results. 1 is being used as the result."
	case object.OutOfBounds:
		told = true
		msg = "Array access out of bounds. This can lead to unexpected results."
	case object.StackFault:
		told = true
		msg = "A stack could not be taken or stored"
		if site.What != "" {
			msg += " (" + site.What + ")"
		}
	default:
		helper(site.What, 0)
		msg = fmt.Sprintf("%s failed", site.What)
	}
	if !told {
		return
	}
	times := ""
	switch {
	case before > 0:
		times = fmt.Sprintf(" (%d times in all)", n)
	case n > 1:
		times = fmt.Sprintf(" (%d times so far)", n)
	}
	m.Text = site.Span.Words(msg) + times
	if m.Reason != "" {
		m.Reason += times
	}
	to.Message(m)
}

// reportMissed reports the number of events for which the kernel did not run each
// program. While a CPU runs a program, the kernel skips other events on that CPU. Newer
// kernels also preempt programs, so events of other processes may be skipped too.
// Kernels before 5.12 do not count skipped events.
func (s *Instance) reportMissed() {
	times := "%d"
	if !s.opt.Kernel.Has(probes.FeatExactMisses) {
		times = "up to %d" // the kernel also counts page faults of programs in kprobes
	}
	for _, p := range s.obj.Programs {
		prog := s.progs[p.Name]
		if prog == nil || len(p.Points) == 0 {
			continue
		}
		name := s.programName(p)
		say := func(n uint64, why string) {
			s.opt.Sink.Message(output.Message{
				Kind: "runtime_error", At: p.Span, Text: fmt.Sprintf("Missed "+times+" events of %s: %s.", n, name, why),
			})
		}
		if stats, err := prog.Stats(); err == nil && stats.RecursionMisses > 0 {
			say(stats.RecursionMisses, "the kernel skips what happens on a CPU while a program is running there")
		}
		if n := s.missed[p]; n > 0 && s.kind(&p.Points[0]).FollowsCalls {
			say(n, "the kernel follows only so many calls at a time to their return")
		} else if n > 0 {
			say(n, "the kernel skips probes that are met while it handles another one")
		}
	}
}

// reportForks warns if the process of -c or -p has forked and the script has probes that
// the kernel runs in that process alone.
func (s *Instance) reportForks() {
	if s.mmaps == nil || s.opt.NoWarnings || s.family != nil {
		return
	}
	s.noteMappings()
	p := s.childOnly()
	if s.mmaps.forked == 0 || p == nil {
		return
	}
	io.WriteString(s.opt.Stderr, source.Diag{
		Span: p.Span, Severity: source.Warning,
		Msg:  fmt.Sprintf("With -c or -p, %s probes run in the process alone: not in the processes that it forked, of which there were %d", p.Kind, s.mmaps.forked),
		Hint: "with --follow they also run there",
	}.Render())
}

// childOnly returns the first point at which the kernel runs programs only in the process
// of -c or -p, or nil. With -p it leaves out those in all files of a name, most of which
// are in providers.
func (s *Instance) childOnly() *object.Point {
	for _, p := range s.points(probes.OnEvent) {
		if s.kinds[p.Kind].ChildOnly && (s.opt.Child != nil || !p.Anywhere) {
			return p.Point
		}
	}
	return nil
}
