// Package falco evaluates rules of Falco for the events that a script reports, and prints
// alerts as Falco does.
package falco

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/lang/source"
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
	hosts    *namedHosts
	owners   *owners
	place    []part // the fields of the container, which are in every JSON alert
	event    Event
	buf      []byte // of the alert that is printed
}

// watched is a type of events with the rules for it, in order.
type watched struct {
	*falco.Watched
	rules []rule
}

type rule struct {
	*falco.Rule
	matches predicate
	output  []part
}

// NewSink returns a sink that prints the alerts of a program to out, and messages to err.
func NewSink(p *falco.Program, format Format, out *output.Writer, err io.Writer, style output.Style) output.Sink {
	e := &engine{
		Sink: output.NewText(out, err, style), program: p, format: format, out: out, err: err,
		table: procs.New("/proc"), sends: map[[2]uint64]netip.AddrPort{}, users: procs.NewNames(""),
		inside: map[string]*procs.Names{}, owners: newOwners(),
	}
	e.hostname, _ = os.Hostname()
	e.hosts = newNamedHosts(p)
	if format == JSON {
		for _, name := range placeFields {
			e.place = append(e.place, part{key: name, get: getterOf(&falco.Term{Name: name, Field: falco.Fields.Get()[name]})})
		}
	}
	for _, w := range p.Watched {
		var rules []rule
		for _, r := range w.Rules {
			rules = append(rules, rule{r.Rule, compile(r.Condition), e.partsOf(r.Output)})
		}
		e.watched = append(e.watched, watched{w, rules})
	}
	return e
}

// placeFields are the fields that Falco adds to its alerts by default.
var placeFields = []string{"container.id", "container.name", "container.image.repository", "container.image.tag", "k8s.pod.name", "k8s.ns.name"}

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
			e.alert(ev, r)
			if !e.program.All {
				break
			}
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

// alertTime is the format of the time at the start of an alert's text.
const alertTime = "15:04:05.000000000"

// part is a part of an output: a text, or a value to show.
type part struct {
	text string
	key  string // in output_fields
	time bool   // it is the time of the event, a number in output_fields
	get  getter // nil for a text
}

// partsOf returns the parts of an output.
func (e *engine) partsOf(output []falco.Segment) (parts []part) {
	for _, s := range output {
		p := part{text: s.Text, key: s.Key}
		if t := s.Term; t != nil {
			p.get = getterOf(t)
			p.time = t.Field != nil && (strings.HasPrefix(t.Field.Name, "evt.time") || strings.HasPrefix(t.Field.Name, "evt.datetime"))
			if t.Field != nil && strings.HasSuffix(t.Field.Name, "ip.name") {
				get := p.get
				p.get = func(ev *Event) datum {
					d := get(ev)
					name := e.hosts.name(d.addr())
					return known(name, name != "")
				}
			}
		}
		parts = append(parts, p)
	}
	return parts
}

// alert prints an alert.
func (e *engine) alert(ev *Event, r *rule) {
	when := ev.time()
	b := when.AppendFormat(e.buf[:0], alertTime)
	b = append(b, ": "...)
	b = append(b, r.Priority.String()...)
	b = append(b, ' ')
	shown := map[string]datum{}
	for i := range r.output {
		p := &r.output[i]
		if p.get == nil {
			b = append(b, p.text...)
			continue
		}
		d := p.get(ev)
		b = append(b, printable(d.shown())...)
		if e.format == JSON {
			if p.time {
				d = number(when.UnixNano())
			}
			shown[p.key] = d
		}
	}
	for i := range e.place {
		shown[e.place[i].key] = e.place[i].get(ev)
	}
	if e.format == JSON {
		b = e.object(when, r, string(b), shown)
	}
	e.buf = append(b, '\n')
	e.out.Write(e.buf)
}

// object returns an alert as JSON. The keys are in alphabetical order, as Falco has them.
func (e *engine) object(when time.Time, r *rule, text string, shown map[string]datum) []byte {
	b := appendString([]byte(`{"hostname":`), e.hostname)
	b = appendString(append(b, `,"output":`...), text)
	b = append(b, `,"output_fields":{`...)
	shown["evt.time"] = number(when.UnixNano())
	for i, key := range slices.Sorted(maps.Keys(shown)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, key), ':')
		b = shown[key].appendJSON(b)
	}
	b = appendString(append(b, `},"priority":`...), r.Priority.String())
	b = appendString(append(b, `,"rule":`...), r.Name)
	b = append(b, `,"source":"syscall","tags":[`...)
	for i, tag := range r.Tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, tag)
	}
	b = append(b, `],"time":"`...)
	b = when.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000000Z")
	return append(b, `"}`...)
}

// printable returns a text without characters that would begin a new line or control a
// terminal.
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

// End does nothing: no maps follow.
func (e *engine) End() {}

// Lost reports that events were lost.
func (e *engine) Lost(n uint64) {
	fmt.Fprintf(e.err, "WARNING: %s lost: alerts of all rules may be missing\n", events(n, ""))
}

// LostAt reports that events of a type were lost, and which rules may lack alerts.
func (e *engine) LostAt(at source.Span, n uint64) bool {
	for i := range e.watched {
		w := &e.watched[i]
		if !w.Holds(at) {
			continue
		}
		var names []string
		for _, r := range w.rules {
			names = append(names, fmt.Sprintf("%q", r.Name))
		}
		fmt.Fprintf(e.err, "WARNING: %s lost: alerts of these rules may be missing: %s\n", events(n, " of "+w.Event.Name), strings.Join(names, ", "))
		return true
	}
	fmt.Fprintf(e.err, "WARNING: %s lost: names and command lines may be out of date\n", events(n, " about processes"))
	return true
}

// events returns a number of events of some kind, with the verb that follows.
//
//go:noinline
func events(n uint64, kind string) string {
	if n == 1 {
		return "1 event" + kind + " was"
	}
	return fmt.Sprintf("%d events%s were", n, kind)
}
