// Package perfetto writes a timeline for Perfetto: a file of trace packets, encoded as
// protocol buffers. Every thread has a track. What a script prints is an instant on the
// track of the thread in which its event occurred, a call of a function is a slice, and a
// map of numbers has a counter track for each key.
package perfetto

import (
	"bufio"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/protowire"
	"github.com/gotrace/gotrace/runtime/value"
)

// Limits, which bound the memory of a Writer.
const (
	maxThreads  = 1 << 14 // threads with calls that have not returned, or whose names are known
	maxOpen     = 256     // calls of a thread that have not returned
	maxCounters = 64      // counter tracks of a map
	maxName     = 200     // bytes of the name of an instant

	// MaxSampled is the number of entries of a map that a sampler of a session is to read.
	MaxSampled = maxCounters
)

// Writer writes a timeline. It is a Sink that passes all results on, an output.Timeline
// and an output.Sampler.
type Writer struct {
	output.Through
	w        *bufio.Writer
	err      error
	at       output.Stamp
	stamped  bool // at is set
	lost     bool // events were lost
	threads  map[thread]*state
	counters map[string]map[string]uint64 // tracks by map and key
	packet   protowire.Message            // reused
	event    protowire.Message
}

// thread is a thread, or the idle thread of a CPU if id is 0.
type thread struct{ pid, id, cpu int }

// state is the state of a thread.
type state struct {
	track uint64
	comm  string
	last  uint64 // the time of its last call or return; later ones have later times
	open  output.Calls
}

// New returns a Writer to w that passes results on to s.
func New(w io.Writer, s output.Sink) *Writer {
	p := &Writer{
		Through: output.Through{Sink: s}, w: bufio.NewWriterSize(w, 64<<10),
		threads: map[thread]*state{}, counters: map[string]map[string]uint64{},
	}
	p.clocks()
	return p
}

// Fields of messages of Perfetto, in protos/perfetto/trace.
const (
	tracePacket = 1

	packetTimestamp  = 8
	packetSequence   = 10
	packetClocks     = 6
	packetEvent      = 11
	packetDescriptor = 60

	snapshotClock = 1
	clockID       = 1
	clockTime     = 2

	eventType       = 9
	eventTrack      = 11
	eventCategories = 22
	eventName       = 23
	eventCounter    = 30
	eventDouble     = 44

	descriptorTrack   = 1
	descriptorName    = 2
	descriptorThread  = 4
	descriptorCounter = 8

	threadPID  = 1
	threadTID  = 2
	threadName = 5

	typeBegin   = 1
	typeEnd     = 2
	typeInstant = 3
	typeCounter = 4

	clockRealtime = 1
	clockBoottime = 6 // the clock of all times here
)

// send writes a packet at a time, 0 for none, with one field.
func (p *Writer) send(at, field uint64, m protowire.Message) {
	if p.err != nil {
		return
	}
	body := p.packet[:0]
	body.Number(packetTimestamp, at)
	body.Varint(packetSequence, 1)
	body.Bytes(field, m)
	p.packet = body
	var head protowire.Message
	head.Bytes(tracePacket, body)
	_, p.err = p.w.Write(head)
}

// clocks writes the wall-clock time that belongs to a time of the boot clock.
func (p *Writer) clocks() {
	var m protowire.Message
	for id, t := range map[uint64]int32{clockRealtime: unix.CLOCK_REALTIME, clockBoottime: unix.CLOCK_BOOTTIME} {
		var c protowire.Message
		c.Varint(clockID, id)
		c.Varint(clockTime, now(t))
		m.Bytes(snapshotClock, c)
	}
	p.send(now(unix.CLOCK_BOOTTIME), packetClocks, m)
}

func now(clock int32) uint64 {
	var t unix.Timespec
	if unix.ClockGettime(clock, &t) != nil {
		return 0
	}
	return uint64(t.Nano())
}

// emit writes an event on a track. A name of "" is left out.
func (p *Writer) emit(at uint64, kind uint64, track uint64, category, name string) {
	m := p.event[:0]
	m.Varint(eventType, kind)
	m.Varint(eventTrack, track)
	if category != "" {
		m.String(eventCategories, category)
	}
	if name != "" {
		m.String(eventName, name)
	}
	p.event = m
	p.send(at, packetEvent, m)
}

// track returns the number of a track by its name.
func track(parts ...string) uint64 {
	h := fnv.New64a()
	for _, s := range parts {
		io.WriteString(h, s)
		h.Write([]byte{0})
	}
	return h.Sum64() | 1
}

// thread returns the state of the thread of a stamp. It describes the track if it is new or
// the thread has another name.
func (p *Writer) thread(s *output.Stamp) *state {
	key := thread{s.PID, s.TID, 0}
	if s.TID == 0 {
		key.cpu = s.CPU // each CPU has such a thread
	}
	t := p.threads[key]
	if t == nil {
		if len(p.threads) >= maxThreads {
			p.forget()
		}
		t = &state{track: track("thread", strconv.Itoa(key.pid), strconv.Itoa(key.id), strconv.Itoa(key.cpu))}
		p.threads[key] = t
	} else if t.comm == s.Comm {
		return t
	}
	t.comm = s.Comm
	var m protowire.Message
	m.Varint(descriptorTrack, t.track)
	if s.TID == 0 {
		m.String(descriptorName, "CPU "+strconv.Itoa(s.CPU))
	} else {
		var d protowire.Message
		d.Varint(threadPID, uint64(s.PID))
		d.Varint(threadTID, uint64(s.TID))
		d.String(threadName, valid(s.Comm))
		m.Bytes(descriptorThread, d)
	}
	p.send(0, packetDescriptor, m)
	return t
}

// forget removes the threads without open calls. If all threads have open calls, it
// removes all.
func (p *Writer) forget() {
	for key, t := range p.threads {
		if len(t.open) == 0 {
			delete(p.threads, key)
		}
	}
	if len(p.threads) >= maxThreads {
		clear(p.threads)
	}
}

// At implements output.Timeline.
func (p *Writer) At(s output.Stamp) { p.at, p.stamped = s, true }

// instant writes a printed text as an instant.
func (p *Writer) instant(kind, text string) {
	if !p.stamped {
		return
	}
	text = strings.TrimRight(text, "\n")
	if len(text) > maxName {
		text = text[:maxName]
		for len(text) > 0 && !utf8.RuneStart(text[len(text)-1]) {
			text = text[:len(text)-1]
		}
		text = text[:max(len(text)-1, 0)] + "…"
	}
	if text = valid(text); text == "" {
		text = kind
	}
	p.emit(p.at.Boot, typeInstant, p.thread(&p.at).track, kind, text)
}

func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// Printf implements output.Sink.
func (p *Writer) Printf(kind, text string) {
	p.instant(kind, text)
	p.Sink.Printf(kind, text)
}

// Line implements output.Sink.
func (p *Writer) Line(kind, text string) {
	p.instant(kind, text)
	p.Sink.Line(kind, text)
}

// Value implements output.Sink.
func (p *Writer) Value(v value.Value) {
	p.instant("value", value.Text(v, ""))
	p.Sink.Value(v)
}

// Alert implements output.Sink.
func (p *Writer) Alert(a output.Alert) {
	p.instant("alert: "+a.Priority, a.Text)
	p.Sink.Alert(a)
}

// Call implements output.Timeline. The slice of a call is written when it has returned.
func (p *Writer) Call(s output.Stamp, name string, returns, all bool) {
	t := p.thread(&s)
	at := max(s.Boot, t.last+1) // slices with equal times would have no defined order
	t.last = at
	if !returns {
		t.open.Enter(output.OpenCall{Name: name, At: at, All: all}, maxOpen)
		return
	}
	if c, ok := t.open.Leave(name); ok {
		p.emit(c.At, typeBegin, t.track, "call", valid(name))
		p.emit(at, typeEnd, t.track, "", "")
	}
}

// Sample implements output.Sampler.
func (p *Writer) Sample(m output.Map) {
	tracks := p.counters[m.Name]
	if tracks == nil {
		tracks = map[string]uint64{}
		p.counters[m.Name] = tracks
	}
	at := now(unix.CLOCK_BOOTTIME)
	for i := len(m.Entries) - 1; i >= 0; i-- { // the greatest first
		e := &m.Entries[i]
		v := e.Value
		if s, ok := v.(value.Stats); ok {
			v = s.Avg
		}
		n, ok := value.Float(v)
		if !ok {
			continue
		}
		key := ""
		if e.Key != nil {
			key = "[" + value.Text(e.Key, "") + "]"
		}
		id, ok := tracks[key]
		if !ok {
			if len(tracks) >= maxCounters {
				continue
			}
			id = track("counter", m.Name, key)
			tracks[key] = id
			var d protowire.Message
			d.Varint(descriptorTrack, id)
			d.String(descriptorName, valid(m.Name+key))
			d.Bytes(descriptorCounter, nil)
			p.send(0, packetDescriptor, d)
		}
		var c protowire.Message
		c.Varint(eventType, typeCounter)
		c.Varint(eventTrack, id)
		if i, ok := v.(value.Int); ok {
			c.Varint(eventCounter, uint64(i))
		} else if u, ok := v.(value.Uint); ok && u < 1<<63 {
			c.Varint(eventCounter, uint64(u))
		} else {
			c.Double(eventDouble, n)
		}
		p.send(at, packetEvent, c)
	}
}

// Cleared implements output.Sampler.
func (p *Writer) Cleared(string) {}

// Tick implements output.Sampler.
func (p *Writer) Tick(now time.Time) time.Time { return now.Add(time.Second) }

// Lost implements output.Sink.
func (p *Writer) Lost(n uint64) {
	p.lost = true
	p.Sink.Lost(n)
}

// unfinished writes the calls that have not returned. If events were lost, it writes none:
// the return of a call may be one of them.
func (p *Writer) unfinished() {
	if p.lost {
		return
	}
	for _, t := range p.threads {
		for _, c := range t.open {
			if c.All {
				p.emit(c.At, typeBegin, t.track, "call", valid(c.Name))
			}
		}
	}
}

// Close writes the rest of the timeline. It returns the first error.
func (p *Writer) Close() error {
	p.unfinished()
	if err := p.w.Flush(); p.err == nil {
		p.err = err
	}
	return p.err
}
