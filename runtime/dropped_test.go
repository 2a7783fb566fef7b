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

// lostSink takes the events that were lost at even places.
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

// TestReportDropped reports records that were not handled, to a sink that asks for their
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
	e.cutAt.Store(-int64(time.Hour))
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
