package runtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

// lostSink accepts reports of events that were lost at even places.
type lostSink struct {
	output.Nop
	taken []string
}

func (s *lostSink) LostAt(at source.Span, n uint64) bool {
	if at.Start%2 != 0 {
		return false
	}
	s.taken = append(s.taken, fmt.Sprint(at.Start, ":", n))
	return true
}

// TestReportDropped reports records that were not handled, to a sink that accepts their
// places and to one that does not.
func TestReportDropped(t *testing.T) {
	e := newEnding()
	for i, name := range []string{"print", "report", "print", "report", "report"} {
		e.dropped[&object.Event{Def: name, Span: source.Span{Start: i}}] = uint64(i + 1)
	}
	for _, c := range []struct {
		sink output.Sink
		want string
	}{
		{&output.Nop{}, "Dropped 15 pending events, which came before the end (print: 4, report: 11)"},
		{&lostSink{}, "Dropped 6 pending events, which came before the end (report: 6)"},
	} {
		var b strings.Builder
		e.reportDropped(c.sink, &b)
		if !strings.Contains(b.String(), c.want) {
			t.Errorf("%T: %s, want %s", c.sink, b.String(), c.want)
		}
		if s, ok := c.sink.(*lostSink); ok && fmt.Sprint(s.taken) != "[0:1 2:3 4:5]" {
			t.Errorf("the sink has %v", s.taken)
		}
	}
}

// TestUnhurriedRecords checks that the first records after an interrupt are handled however
// late they come, except for those with effects outside of the session.
func TestUnhurriedRecords(t *testing.T) {
	e := newEnding()
	if e.late(false) || e.late(true) || e.handled != 0 {
		t.Error("a record is late before the end")
	}
	e.interrupt()
	e.cutAt.Store(&stopwatch{began: time.Now().Add(-time.Hour)})
	if !e.late(true) {
		t.Error("a record with effects outside is handled after an interrupt")
	}
	for i := range unhurriedRecords {
		if e.late(false) {
			t.Fatalf("record %d is late", i)
		}
	}
	if !e.late(false) {
		t.Errorf("record %d is handled an hour after the interrupt", unhurriedRecords)
	}
}

// TestUnhurriedOutside does the same for records with effects outside of a session that
// ended by itself, which has no limit for others.
func TestUnhurriedOutside(t *testing.T) {
	e := newEnding()
	e.end()
	e.ended.Store(-int64(time.Hour))
	for i := range unhurriedOutside {
		if e.late(true) || e.late(false) {
			t.Fatalf("record %d is late", i)
		}
	}
	if !e.late(true) {
		t.Errorf("record %d is handled an hour after the end", unhurriedOutside)
	}
	if e.late(false) {
		t.Error("a record without effects outside is late")
	}
}

// TestStopwatch checks that the time in which the process has no CPU counts little.
func TestStopwatch(t *testing.T) {
	const second, never = int64(time.Second), -1 << 60
	for _, c := range []struct {
		ago, cpu int64 // time and CPU time since the start; never: the process has no CPU
		want     bool
	}{
		{second / 2, never, false}, {2 * second, never, false}, {2 * second, second / 2, false}, {second / 2, 3 * second, false},
		{2 * second, 3 * second, true}, {4 * second, never, false}, {6 * second, never, true},
	} {
		w := newStopwatch()
		w.began, w.cpu = w.began.Add(-time.Duration(c.ago)), w.cpu-c.cpu
		if got := w.over(time.Second, 5*time.Second); got != c.want {
			t.Errorf("%v after the start, CPU time %v: %v", time.Duration(c.ago), time.Duration(c.cpu), got)
		}
		if c.want {
			<-w.after(time.Second, 5*time.Second)
		}
	}
	if e := newEnding(); e.hurried(0) {
		t.Error("the end is hurried before it starts")
	}
}
