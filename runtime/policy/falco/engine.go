// Package falco evaluates rules of Falco for the events that a script reports, and prints
// alerts as Falco does.
package falco

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/policy/procs"
	"github.com/gotrace/gotrace/runtime/value"
)

// Format is how alerts are printed.
type Format uint8

const (
	Text Format = iota
	JSON
)

// engine evaluates the rules and prints alerts. It is a sink: reports arrive at Value.
type engine struct {
	output.Sink // for messages
	program     *falco.Program
	format      Format
	out         *output.Writer
	err         io.Writer

	watched  []watched
	table    *procs.Table
	hostname string
	number   uint64 // of the last event
	began    int64  // time of the first event, in nanoseconds since boot
	previous int64  // time of the event before
	sends    map[[2]uint64]netip.AddrPort
	users    *procs.Names
	inside   map[string]*procs.Names // of containers, by ID
	hosts    *hosts
	owners   *owners
	event    Event
}

// watched is a type of events with the rules for it, in order.
type watched struct {
	*falco.Watched
	rules []rule
}

type rule struct {
	*falco.Rule
	matches predicate
}

// NewSink returns a sink that prints the alerts of a program to out, and messages to err.
func NewSink(p *falco.Program, format Format, out *output.Writer, err io.Writer, style output.Style) output.Sink {
	e := &engine{
		Sink: output.NewText(out, err, style), program: p, format: format, out: out, err: err,
		table: procs.New("/proc"), sends: map[[2]uint64]netip.AddrPort{}, users: procs.NewNames(""),
		inside: map[string]*procs.Names{}, owners: newOwners(),
	}
	e.hostname, _ = os.Hostname()
	e.hosts = newHosts(p)
	for _, w := range p.Watched {
		var rules []rule
		for _, r := range w.Rules {
			rules = append(rules, rule{r.Rule, compile(r.Condition)})
		}
		e.watched = append(e.watched, watched{w, rules})
	}
	return e
}

// Attached reads the processes that exist. Reports wait in the meantime.
func (e *engine) Attached(n int) {
	e.table.Seed()
	e.Sink.Attached(n)
}

// Value handles a report.
func (e *engine) Value(v value.Value) {
	if kind, _ := e.table.Add(v); kind != procs.None {
		return
	}
	tuple, ok := v.(value.Tuple)
	if !ok || len(tuple) <= falco.Result {
		return
	}
	e.event = Event{engine: e, values: tuple}
	ev := &e.event
	id := ev.int(0)
	if id < 0 || id >= int64(len(e.watched)) {
		return
	}
	w := &e.watched[id]
	e.number++
	if e.number == 1 {
		e.began = ev.int(falco.Time)
	}
	ev.what, ev.number = w.Watched, e.number
	ev.proc = e.process(ev)
	for i := range w.rules {
		if r := &w.rules[i]; r.matches(ev) {
			e.alert(ev, r.Rule)
			break // the first rule that matches decides
		}
	}
	e.previous = ev.int(falco.Time)
}

// process returns the process of an event.
func (e *engine) process(ev *Event) *procs.Process {
	p := e.table.Get(int32(ev.int(falco.PID)))
	if p == nil {
		p = &procs.Process{PID: int32(ev.int(falco.PID)), Comm: ev.comm(), LoginUID: ^uint32(0)}
	}
	p.Parent = int32(ev.int(falco.Parent))
	p.Session, p.Group = int32(ev.int(falco.Session)), int32(ev.int(falco.Group))
	p.Cgroup = uint64(ev.int(falco.Cgroup))
	return p
}

// plain returns a value of the report that is a text.
func (e *Event) plain(i int) string {
	switch v := e.values[i].(type) {
	case value.Str:
		return v.S
	case value.Bytes:
		return string(v)
	}
	return ""
}

// alertTime is how the text of an alert begins.
const alertTime = "15:04:05.000000000"

// alert prints an alert.
func (e *engine) alert(ev *Event, r *falco.Rule) {
	when := ev.time()
	var b strings.Builder
	b.WriteString(when.Format(alertTime))
	b.WriteString(": ")
	b.WriteString(r.Priority.String())
	b.WriteByte(' ')
	shown := map[string]any{"evt.time": when.UnixNano()}
	for i := range r.Output {
		s := &r.Output[i]
		if s.Term == nil {
			b.WriteString(s.Text)
			continue
		}
		d := e.show(ev, s.Term)
		b.WriteString(printable(d.String()))
		if e.format == JSON {
			shown[s.Key] = d.JSON()
		}
	}
	if e.format == Text {
		io.WriteString(e.out, b.String()+"\n")
		return
	}
	tags := r.Tags
	if tags == nil {
		tags = []string{}
	}
	io.WriteString(e.out, encode(map[string]any{
		"time": when.UTC().Format("2006-01-02T15:04:05.000000000Z"), "rule": r.Name, "priority": r.Priority.String(),
		"source": "syscall", "hostname": e.hostname, "output": b.String(), "tags": tags, "output_fields": shown,
	})+"\n")
}

// show returns the value of a term of an output.
func (e *engine) show(ev *Event, t *falco.Term) datum {
	d := getterOf(t)(ev)
	if t.Field != nil && strings.HasSuffix(t.Field.Name, "ip.name") && d.kind == isAddr {
		name := e.hosts.name(d.a)
		return known(name, name != "")
	}
	return d
}

// encode returns a value as JSON on one line.
func encode(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprintf("{%q:%q}", "error", err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// printable returns a text without characters that would begin a new line or change what
// a terminal shows.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
}

// Lost reports that events were lost, and of which rules alerts may be missing.
func (e *engine) Lost(n uint64) {
	fmt.Fprintf(e.err, "WARNING: %d events were lost: alerts of all rules may be missing\n", n)
}
