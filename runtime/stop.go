package runtime

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/output"
)

// The cause of a session's end decides which pending records are still handled. If
// the script or a watched process ended it, all records are handled. If the user
// did, they are handled for a limited time only, as the user is waiting for the
// results. A stopwatch measures the limits.
const (
	// patience is the time for which records are handled and entries of maps are
	// prepared for printing after the user has ended the session.
	patience = 700 * time.Millisecond
	// unhurriedRecords is the number of records that are always handled after the user
	// has ended the session, so that a busy machine does not cost the last results of
	// a script that printed little.
	unhurriedRecords = 4096
	// outsidePatience is the time for which records of builtins with effects
	// outside of the session are handled after the session has ended by itself. If
	// the user ended it, none of them are handled.
	outsidePatience = time.Second
	// unhurriedOutside is the number of such records that are always handled after the
	// session has ended by itself.
	unhurriedOutside = 64
	// readPatience is the time for which maps are read after the user has ended the
	// session.
	readPatience = 500 * time.Millisecond
)

// ending records how and when a session ends. Its methods may be called from any
// goroutine.
type ending struct {
	stop    chan struct{} // closed when the session ends
	ended   atomic.Int64  // time when stop was closed, in ns since start; 0: not yet
	once    sync.Once
	cut     context.Context // done when the user ends the session
	cutNow  context.CancelFunc
	cutAt   atomic.Pointer[stopwatch] // started when the user ended the session; nil: not yet
	start   time.Time
	handled int                      // number of records handled since the end to which a limit applies
	dropped map[*object.Event]uint64 // number of records that were not handled
	leftOut []leftOut
}

// At the end, this many entries of a map are always read, and the greatest ones among
// them are printed, however long it takes. The number is lower if their values take more
// than unhurriedBytes.
const (
	unhurriedEntries = 1 << 18
	unhurriedBytes   = 64 << 20
)

// unhurried returns the number of entries that are always read, and the number of those
// that are always printed, if a value takes size bytes in the kernel.
func unhurried(size int) int {
	return max(1, min(unhurriedEntries, unhurriedBytes/max(size, 1)))
}

// leftOut is the number of entries of a map that were not printed or not even read.
type leftOut struct {
	name   string
	n      int // entries that were read but not printed
	read   int // entries read, if there are more; 0: all of them
	atMost int // entries that the map can have; 0: there is no limit
}

func newEnding() *ending {
	e := &ending{stop: make(chan struct{}), start: time.Now(), dropped: map[*object.Event]uint64{}}
	e.cut, e.cutNow = context.WithCancel(context.Background())
	return e
}

// now returns the time since the start in ns. It is never 0.
func (e *ending) now() int64 { return int64(time.Since(e.start)) | 1 }

// end ends the session for a reason other than the user's request.
func (e *ending) end() {
	e.once.Do(func() {
		e.ended.Store(e.now())
		close(e.stop)
	})
}

// interrupt ends the session at the user's request.
func (e *ending) interrupt() {
	e.cutAt.CompareAndSwap(nil, newStopwatch())
	e.cutNow()
	e.end()
}

func (e *ending) stopped() bool { return e.ended.Load() != 0 }

// interrupted reports whether the user has ended the session.
func (e *ending) interrupted() bool { return e.cutAt.Load() != nil }

// late reports whether the session ended too long ago for a record to be handled, and
// counts the record otherwise. outside is set if the record's builtin has effects outside
// of the session. late is called with the session locked.
func (e *ending) late(outside bool) bool {
	switch at := e.ended.Load(); {
	case e.interrupted():
		if outside || e.handled >= unhurriedRecords && e.hurried(patience) {
			return true
		}
	case !outside || at == 0:
		return false
	case e.handled >= unhurriedOutside && e.now()-at > int64(outsidePatience):
		return true
	}
	e.handled++
	return false
}

// hurried reports whether the user ended the session longer than patience ago. A process
// that does not run may be waiting for the reader of its output, so the limit in any case
// is twice patience.
func (e *ending) hurried(patience time.Duration) bool {
	cut := e.cutAt.Load()
	return cut != nil && cut.over(patience, 2*patience)
}

// reportLeftOut reports the entries of maps that were not read or not printed.
func (e *ending) reportLeftOut(w io.Writer) {
	warn := func(format string, args ...any) {
		io.WriteString(w, source.Diag{
			Severity: source.Warning,
			Msg:      fmt.Sprintf(format, args...),
			Hint:     "end it with --for or exit() to print them all",
		}.Render())
	}
	for _, l := range e.leftOut {
		if l.read > 0 {
			of := ","
			if l.atMost > 0 {
				of = fmt.Sprintf(", of %d at most,", l.atMost)
			}
			warn("%s: only %d entries were read%s as the session was interrupted and reading the others takes long", l.name, l.read, of)
		}
		if l.n > 0 {
			warn("%s: %d entries, those with the least values or keys, were not printed, as the session was interrupted and printing them takes long", l.name, l.n)
		}
	}
}

// reportDropped reports the number of records that were not handled: for each place in
// the script if the sink implements output.LostSink, otherwise for each builtin.
func (e *ending) reportDropped(sink output.Sink, w io.Writer) {
	lost, places := sink.(output.LostSink)
	bySpan := func(a, b *object.Event) int { return cmp.Compare(a.Span.Start, b.Span.Start) }
	byName := map[string]uint64{}
	for _, event := range slices.SortedFunc(maps.Keys(e.dropped), bySpan) {
		if n := e.dropped[event]; !places || !lost.LostAt(event.Span, n) {
			byName[event.Def] += n
		}
	}
	if len(byName) == 0 {
		return
	}
	var total uint64
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		total += byName[name]
		parts = append(parts, fmt.Sprintf("%s: %d", name, byName[name]))
	}
	io.WriteString(w, source.Diag{
		Severity: source.Warning,
		Msg:      fmt.Sprintf("Dropped %d pending events, which came before the end (%s)", total, strings.Join(parts, ", ")),
	}.Render())
}
