package runtime

import (
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
)

// What ends a session decides what becomes of the records that are still in the
// ring buffer. If the script or a watched process ended it, they are handled; if
// the user did, who is waiting for the results, only for so long.
const (
	// patience is how long records are handled after the user has ended the
	// session.
	patience = 700 * time.Millisecond
	// outsidePatience is how long records of builtins that act outside of the
	// session are handled after it has ended by itself. If the user ended it,
	// none of them is.
	outsidePatience = time.Second
)

// ending is how a session ends. Its methods may be called from any goroutine.
type ending struct {
	stop    chan struct{} // closed when the session is to end
	ended   atomic.Int64  // when stop was closed, in ns since start; 0: it is not
	once    sync.Once
	cut     context.Context // done when the user wants the end
	cutNow  context.CancelFunc
	cutAt   atomic.Int64 // when that was
	start   time.Time
	dropped map[string]uint64 // by builtin: records that were not handled
}

func newEnding() *ending {
	e := &ending{stop: make(chan struct{}), start: time.Now(), dropped: map[string]uint64{}}
	e.cut, e.cutNow = context.WithCancel(context.Background())
	return e
}

// now is the time since the start, never 0.
func (e *ending) now() int64 { return int64(time.Since(e.start)) | 1 }

// end ends the session for a reason of its own.
func (e *ending) end() {
	e.once.Do(func() {
		e.ended.Store(e.now())
		close(e.stop)
	})
}

// interrupt ends the session for the user.
func (e *ending) interrupt() {
	e.cutAt.CompareAndSwap(0, e.now())
	e.cutNow()
	e.end()
}

func (e *ending) stopped() bool { return e.ended.Load() != 0 }

// interrupted reports whether the user has ended the session.
func (e *ending) interrupted() bool { return e.cutAt.Load() != 0 }

// late reports whether the session has ended so long ago that a record is no
// longer to be handled. outside says that its builtin acts outside of the
// session.
func (e *ending) late(outside bool) bool {
	if at := e.cutAt.Load(); at != 0 {
		return outside || e.now()-at > int64(patience)
	}
	at := e.ended.Load()
	return outside && at != 0 && e.now()-at > int64(outsidePatience)
}

// reportDropped says how many records were not handled.
func (e *ending) reportDropped(w io.Writer) {
	if len(e.dropped) == 0 {
		return
	}
	var total uint64
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.dropped)) {
		total += e.dropped[name]
		parts = append(parts, fmt.Sprintf("%s: %d", name, e.dropped[name]))
	}
	io.WriteString(w, source.Diag{
		Severity: source.Warning,
		Msg:      fmt.Sprintf("Dropped %d pending events, which came before the end (%s)", total, strings.Join(parts, ", ")),
	}.Render())
}
