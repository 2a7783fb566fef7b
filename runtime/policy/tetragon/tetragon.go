// Package tetragon shows the events of tracing policies as Tetragon does: as JSON, one
// object per line, or in compact lines. Package lang/policy/tetragon writes the script
// that reports them.
package tetragon

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	front "github.com/gotrace/gotrace/lang/policy/procs"
	"github.com/gotrace/gotrace/lang/policy/tetragon"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/policy/procs"
	"github.com/gotrace/gotrace/runtime/value"
)

// spaces is the number of namespaces of a process that are reported.
const spaces = front.Spaces

// Format is an output format.
type Format uint8

const (
	JSON    Format = iota // an object per event
	Compact               // a line per event, with a sign for its kind
	Text                  // a plain line per event
)

// Sink shows events, and passes everything else that a script prints to another sink.
type Sink struct {
	output.Sink
	w      *output.Writer
	t      *tetragon.Translation
	format Format
	procs  *procs.Table
	node   string
	refs   map[int32]*procs.Process // processes that have ended, until their IDs are reused
	act    *actor
	// described has the descriptions of processes in JSON.
	described map[*procs.Process]json.RawMessage
	host      [spaces]uint32
}

// New returns a sink that writes events to w, and everything else to other.
func New(w *output.Writer, other output.Sink, t *tetragon.Translation, format Format) *Sink {
	node, _ := os.Hostname()
	s := &Sink{Sink: other, w: w, t: t, format: format, procs: procs.New("/proc"), node: node, refs: map[int32]*procs.Process{}, described: map[*procs.Process]json.RawMessage{}}
	if t.Unsafe {
		s.act = &actor{other: other}
	}
	s.host = hostSpaces()
	return s
}

// Attached implements output.Sink. It reads the existing processes before the first event
// is shown.
func (s *Sink) Attached(n int) {
	s.Sink.Attached(n)
	s.procs.Seed()
}

// Map implements output.Sink. It prints nothing, since the script's maps are not results.
func (s *Sink) Map(output.Map) {}

// End implements output.Sink. No maps follow.
func (s *Sink) End() {}

// Value implements output.Sink.
func (s *Sink) Value(v value.Value) {
	switch kind, p := s.procs.Add(v); kind {
	case procs.Exec:
		delete(s.described, p)
		s.describe(p)
		s.base(tetragon.Exec, p, p.ExecTime)
		return
	case procs.Exit:
		if p != nil {
			s.keep(p)
			s.base(tetragon.Exit, p, p.EndTime)
		}
		return
	case procs.Fork:
		if p != nil {
			p.Note("exec", p.ExecTime)
		}
		return
	case procs.Name:
		return
	}
	r, ok := s.record(v)
	if !ok {
		s.Sink.Value(v)
		return
	}
	s.show(r)
}

// maxEnded is the maximum number of ended processes that are kept.
const maxEnded = 4096

// keep stores a process that has ended, because events of other CPUs may still follow,
// and its children refer to it.
func (s *Sink) keep(p *procs.Process) {
	if len(s.refs) >= maxEnded {
		clear(s.refs)
	}
	s.refs[p.PID] = p
}

// process returns the process with an ID that was created at a given time. If it is not
// in the table, the result has only these two values.
func (s *Sink) process(pid int32, start uint64) *procs.Process {
	if p := s.procs.Get(pid); p != nil && near(p.Start, start) {
		if p.Start != start {
			p.Start = start
			delete(s.described, p)
		}
		s.describe(p)
		return p
	}
	if p := s.refs[pid]; p != nil && near(p.Start, start) {
		return p
	}
	return &procs.Process{PID: pid, Start: start, LoginUID: ^uint32(0)}
}

// near reports whether two times are the same. One of them may come from /proc, which has
// hundredths of seconds.
func near(a, b uint64) bool { return a/1e7 == b/1e7 }

// describe completes the description of a process that was read from /proc.
//
//go:noinline
func (s *Sink) describe(p *procs.Process) {
	if p.Namespaces[0] == 0 {
		p.Namespaces = spacesOf(p.PID)
	}
}

// spacesOf reads the namespaces of a process.
func spacesOf(pid int32) (out [spaces]uint32) {
	for i, name := range spaceNames {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
		if err != nil {
			continue
		}
		if _, text, ok := strings.Cut(link, "["); ok {
			n, _ := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 32)
			out[i] = uint32(n)
		}
	}
	return out
}

// hostSpaces returns the namespaces of process 1 or, where they cannot be read, those of
// this process.
func hostSpaces() [spaces]uint32 {
	if out := spacesOf(1); out[0] != 0 {
		return out
	}
	return spacesOf(int32(os.Getpid()))
}

// spaceNames are the names of the namespaces in /proc/PID/ns and in JSON, in the order of
// reports.
var spaceNames = [spaces]string{"uts", "ipc", "mnt", "pid", "pid_for_children", "net", "time", "time_for_children", "cgroup", "user"}

// record is a decoded event.
type record struct {
	event     *tetragon.Event
	outcome   *tetragon.Outcome
	time      time.Time
	tid       int32
	process   *procs.Process
	function  string // the name of the function or symbol
	kstack    []value.Frame
	ustack    []value.Frame
	args      [][]value.Value // parallel to event.Args
	result    []value.Value
	hasResult bool
}

// record decodes an event. It returns false if v is not an event.
func (s *Sink) record(v value.Value) (r record, ok bool) {
	tuple, _ := v.(value.Tuple)
	if len(tuple) < 2 {
		return r, false
	}
	id := number(tuple[0])
	if id < 0 || id >= int64(len(s.t.Events)) {
		return r, false
	}
	r.event = s.t.Events[id]
	values := []value.Value(tuple[1:])
	late := 0 // number of values that were kept until the function returned
	if len(values) > 1 {
		if kept, nested := values[1].(value.Tuple); nested && len(kept) > 0 {
			values = slices.Concat(values[:1], kept[1:], values[2:])
			late = r.event.Kept
		}
	}
	take := func(n int) []value.Value {
		if n > len(values) {
			n = len(values)
		}
		out := values[:n]
		values = values[n:]
		return out
	}
	head := take(5)
	if len(head) < 5 {
		return r, false
	}
	selector := number(head[0])
	if selector < 1 || selector > int64(len(r.event.Outcomes)) {
		return r, false
	}
	r.outcome = &r.event.Outcomes[selector-1]
	r.time = s.procs.Time(uint64(number(head[1])))
	r.tid = int32(number(head[3]))
	r.process = s.process(int32(number(head[2])), uint64(number(head[4])))
	r.function = r.event.Function
	if r.event.Kind == tetragon.Uprobe || r.event.Kind == tetragon.Usdt {
		r.function = r.event.Symbol
	}
	if r.function == "" && (r.event.Kind == tetragon.Kprobe || r.event.Kind == tetragon.Uprobe) {
		r.function = functionOf(text(first(take(1))))
	}
	if r.event.KernelStack {
		r.kstack = frames(first(take(1)))
	}
	if r.event.UserStack {
		r.ustack = frames(first(take(1)))
	}
	r.args = make([][]value.Value, len(r.event.Args))
	for i, a := range r.event.Args {
		if !a.Late {
			r.args[i] = take(a.Fields)
		}
	}
	take(late)
	for i, a := range r.event.Args {
		if a.Late {
			r.args[i] = take(a.Fields)
		}
	}
	if r.event.Return != nil {
		r.result, r.hasResult = take(r.event.Return.Fields), true
	}
	return r, true
}

func first(vs []value.Value) value.Value {
	if len(vs) == 0 {
		return value.Null{}
	}
	return vs[0]
}

// functionOf returns Tetragon's name for the function of a probe.
func functionOf(probe string) string {
	name := probe[strings.LastIndexByte(probe, ':')+1:]
	for _, prefix := range []string{"sys_enter_", "sys_exit_"} {
		if call, ok := strings.CutPrefix(name, prefix); ok {
			return "__x64_sys_" + call
		}
	}
	return name
}

func frames(v value.Value) []value.Frame {
	if s, ok := v.(value.Stack); ok {
		return s.Frames
	}
	return nil
}

// number returns a value as a number.
//
//go:noinline
func number(v value.Value) int64 {
	n, _ := value.Number(v)
	return n
}

// text returns a value as text.
func text(v value.Value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case value.Str:
		return v.S
	case value.Bytes:
		return string(v)
	}
	return value.Text(v, "")
}

// data returns a value as bytes.
//
//go:noinline
func data(v value.Value) []byte {
	switch v := v.(type) {
	case value.Bytes:
		return v
	case value.Str:
		return []byte(v.S)
	}
	return nil
}

// execID returns the exec ID of a process: the name of the machine, the time when the
// process was created, and its ID.
func (s *Sink) execID(p *procs.Process) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s:%d:%d", s.node, p.Start, p.PID))
}

// parentOf returns the parent of a process, which may have ended.
func (s *Sink) parentOf(p *procs.Process) *procs.Process {
	if old := s.refs[p.Parent]; old != nil && old.Start <= p.Start && (s.procs.Get(p.Parent) == nil || s.procs.Get(p.Parent).Start > p.Start) {
		return old
	}
	parent := s.procs.ParentOf(p)
	if parent != nil {
		s.describe(parent)
	}
	return parent
}

// show writes an event.
func (s *Sink) show(r record) {
	if r.outcome.Hash || len(r.outcome.URLs) > 0 || len(r.outcome.Names) > 0 {
		s.act.do(r.outcome)
	}
	switch s.format {
	case JSON:
		s.writeJSON(r)
	case Compact:
		s.w.Write([]byte(oneLine(s.compact(r)) + "\n"))
	default:
		s.w.Write([]byte(oneLine(s.plain(r)) + "\n"))
	}
}

// nth returns value i as a number.
//
//go:noinline
func nth(vs []value.Value, i int) uint64 { return uint64(number(vs[i])) }
