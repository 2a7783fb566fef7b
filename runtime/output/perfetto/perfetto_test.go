package perfetto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/value"
)

// fields are the fields of a message: numbers, or the bytes of texts and messages.
type fields map[uint64][]any

func parse(t *testing.T, b []byte) fields {
	t.Helper()
	out := fields{}
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 {
			t.Fatalf("a bad key in %q", b)
		}
		b = b[n:]
		switch key & 7 {
		case 0:
			v, n := binary.Uvarint(b)
			if n <= 0 {
				t.Fatal("a bad number")
			}
			out[key>>3] = append(out[key>>3], v)
			b = b[n:]
		case 1:
			out[key>>3] = append(out[key>>3], math.Float64frombits(binary.LittleEndian.Uint64(b)))
			b = b[8:]
		case 2:
			v, n := binary.Uvarint(b)
			if n <= 0 || uint64(len(b)-n) < v {
				t.Fatal("a bad length")
			}
			out[key>>3] = append(out[key>>3], b[n:n+int(v)])
			b = b[n+int(v):]
		default:
			t.Fatalf("wire type %d", key&7)
		}
	}
	return out
}

func (f fields) number(n uint64) uint64 {
	if len(f[n]) == 0 {
		return 0
	}
	return f[n][0].(uint64)
}

func (f fields) text(n uint64) string {
	if len(f[n]) == 0 {
		return ""
	}
	return string(f[n][0].([]byte))
}

// timeline returns the events of a file in the order of their times: "TIME TRACK TYPE NAME".
func timeline(t *testing.T, data []byte) []string {
	t.Helper()
	tracks := map[uint64]string{}
	type event struct {
		at   uint64
		text string
	}
	var events []event
	for _, p := range parse(t, data)[tracePacket] {
		packet := parse(t, p.([]byte))
		if packet.number(packetSequence) != 1 {
			t.Error("no sequence")
		}
		if d := packet[packetDescriptor]; d != nil {
			m := parse(t, d[0].([]byte))
			name := m.text(descriptorName)
			if m[descriptorThread] != nil {
				th := parse(t, []byte(m.text(descriptorThread)))
				name = fmt.Sprintf("%s %d/%d", th.text(threadName), th.number(threadPID), th.number(threadTID))
			}
			tracks[m.number(descriptorTrack)] = name
		}
		if d := packet[packetEvent]; d != nil {
			m := parse(t, d[0].([]byte))
			track, ok := tracks[m.number(eventTrack)]
			if !ok {
				t.Error("a track without a description")
			}
			text := fmt.Sprintf("%s %d %s", track, m.number(eventType), m.text(eventName))
			for _, n := range []uint64{eventCounter, eventDouble} {
				if m[n] != nil {
					text += fmt.Sprint(m[n][0])
				}
			}
			if !utf8.ValidString(text) {
				t.Errorf("%q is not valid UTF-8", text)
			}
			events = append(events, event{packet.number(packetTimestamp), text})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(int64(a.at - b.at)) })
	var out []string
	for _, e := range events {
		out = append(out, fmt.Sprint(e.at, " ", e.text))
	}
	return out
}

func TestTimeline(t *testing.T) {
	a := func(at uint64) output.Stamp { return output.Stamp{Boot: at, PID: 1, TID: 2, Comm: "a"} }
	idle := func(at uint64, cpu int) output.Stamp { return output.Stamp{Boot: at, CPU: cpu, Comm: "swapper"} }
	for _, c := range []struct {
		name string
		run  func(w *Writer)
		want []string
	}{
		{"instants", func(w *Writer) {
			w.Printf("printf", "before any event")
			w.At(a(10))
			w.Printf("printf", "x\n")
			w.Line("join", "y")
			w.Value(value.Tuple{value.Int(1), value.Str{S: "s"}})
			w.At(idle(11, 3))
			w.Printf("printf", "\n")
			w.Alert(output.Alert{Priority: "High", Text: "\xff<script>\x00"})
		}, []string{"10 a 1/2 3 x", "10 a 1/2 3 y", "10 a 1/2 3 (1, s)", "11 CPU 3 3 printf", "11 CPU 3 3 \ufffd<script>\x00"}},
		{"nested calls", func(w *Writer) {
			w.Call(a(10), "f", false, true)
			w.Call(a(11), "g", false, true)
			w.Call(a(12), "g", true, false)
			w.Call(a(13), "f", true, false)
		}, []string{"10 a 1/2 1 f", "11 a 1/2 1 g", "12 a 1/2 2 ", "13 a 1/2 2 "}},
		{"recursion", func(w *Writer) {
			w.Call(a(10), "f", false, true)
			w.Call(a(11), "f", false, true)
			w.Call(a(12), "f", true, false)
			w.Call(a(13), "f", true, false)
		}, []string{"10 a 1/2 1 f", "11 a 1/2 1 f", "12 a 1/2 2 ", "13 a 1/2 2 "}},
		{"equal times", func(w *Writer) {
			w.Call(a(10), "f", false, true)
			w.Call(a(10), "g", false, true)
			w.Call(a(10), "g", true, false)
			w.Call(a(10), "f", true, false)
		}, []string{"10 a 1/2 1 f", "11 a 1/2 1 g", "12 a 1/2 2 ", "13 a 1/2 2 "}},
		{"a lost return", func(w *Writer) {
			w.Call(a(10), "f", false, true)
			w.Call(a(11), "g", false, true)
			w.Call(a(13), "f", true, false)
		}, []string{"10 a 1/2 1 f", "13 a 1/2 2 "}},
		{"a return without a call", func(w *Writer) { w.Call(a(10), "f", true, false) }, nil},
		{"other threads", func(w *Writer) {
			w.Call(idle(10, 0), "f", false, true)
			w.Call(idle(11, 1), "f", false, true)
			w.Call(idle(12, 0), "f", true, false)
		}, []string{"10 CPU 0 1 f", "11 CPU 1 1 f", "12 CPU 0 2 "}},
		{"not returned", func(w *Writer) {
			w.Call(a(10), "f", false, true)
			w.Call(a(11), "g", false, false)
			w.Call(a(12), "h", false, true)
		}, []string{"10 a 1/2 1 f", "12 a 1/2 1 h"}},
		{"not returned, with losses", func(w *Writer) {
			w.Call(a(10), "f", false, true)
			w.Lost(1)
		}, nil},
	} {
		var b bytes.Buffer
		w := New(&b, output.Nop{})
		c.run(w)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if got := timeline(t, b.Bytes()); !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
	}
}

func TestCounters(t *testing.T) {
	var b bytes.Buffer
	w := New(&b, output.Nop{})
	for i, v := range []value.Value{
		value.Int(-5), value.Uint(7), value.Uint(math.MaxUint64), value.Wide{Hi: 1}, value.Avg{V: value.Int(3)},
		value.Stats{Count: 2, Avg: value.Int(4), Total: value.Int(8)}, value.Hist{}, value.Str{S: "x"},
	} {
		w.Sample(output.Map{Name: fmt.Sprint("@", i), Entries: []value.Entry{{Value: v}}})
		w.Sample(output.Map{Name: fmt.Sprint("@k", i), Entries: []value.Entry{{Key: value.Str{S: "\xff"}, Value: v}}})
	}
	var many []value.Entry
	for i := range 1000 {
		many = append(many, value.Entry{Key: value.Int(i), Value: value.Int(i)})
	}
	w.Sample(output.Map{Name: "@many", Entries: many})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	all := timeline(t, b.Bytes())
	text := strings.Join(all, "\n") + "\n"
	for _, want := range []string{
		fmt.Sprintf(" @0 4 %d\n", uint64(math.MaxUint64-4)), " @1 4 7\n", " @2 4 1.8446744073709552e+19\n", " @3 4 1.8446744073709552e+19\n", " @4 4 3\n", " @5 4 4\n", " @k1[\ufffd] 4 7\n", " @many[999] 4 999\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if n := strings.Count(text, "@many["); n != maxCounters {
		t.Errorf("%d counters of a map", n)
	}
}

// TestBounds checks that many threads and calls without returns need bounded memory.
func TestBounds(t *testing.T) {
	var b bytes.Buffer
	w := New(&b, output.Nop{})
	for i := range 3 * maxThreads {
		w.Call(output.Stamp{Boot: uint64(i), PID: 1, TID: i + 1}, "f", false, false)
	}
	for i := range 3 * maxOpen {
		w.Call(output.Stamp{Boot: uint64(i), PID: 1, TID: 1}, "f", false, false)
	}
	if n := len(w.threads); n > maxThreads {
		t.Errorf("%d threads", n)
	}
	if n := len(w.threads[thread{1, 1, 0}].open); n > maxOpen {
		t.Errorf("%d calls", n)
	}
	w.At(output.Stamp{Boot: 1, PID: 1, TID: 1})
	w.Printf("printf", strings.Repeat("\u00e9", 1000))
	w.Close()
	events := timeline(t, b.Bytes())
	if got := events[len(events)-1]; len(got) > maxName+30 || !strings.HasSuffix(got, "é…") {
		t.Errorf("%q", got)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestBroken(t *testing.T) {
	w := New(broken{}, output.Nop{})
	w.Tick(time.Now())
	if err := w.Close(); err == nil || err.Error() != "broken" {
		t.Error(err)
	}
}
