package runtime

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// clockNow returns the time of a clock in ns, or 0 if the kernel lacks the clock.
func clockNow(clock int32) int64 {
	var ts unix.Timespec
	if unix.ClockGettime(clock, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// clockOffset returns the number of ns to add to a time of the clock from to get the
// time of the clock to. Several times, it reads from between two readings of to. It
// uses the closest pair.
func clockOffset(to, from int32) int64 {
	best, offset := int64(math.MaxInt64), int64(0)
	for range 5 {
		before, at, after := clockNow(to), clockNow(from), clockNow(to)
		if d := after - before; d >= 0 && d < best {
			best, offset = d, before+d/2-at
		}
	}
	return offset
}

// wallClock converts kernel timestamps to wall-clock time.
type wallClock struct{ boot int64 }

func newWallClock() wallClock {
	return wallClock{clockOffset(unix.CLOCK_REALTIME, unix.CLOCK_BOOTTIME)}
}

func (c wallClock) fromBoot(ns uint64) time.Time { return time.Unix(0, int64(ns)+c.boot) }

// stopwatch measures the time that the user waits for this process.
type stopwatch struct {
	began time.Time
	cpu   int64 // CPU time of this process then, in ns
}

func newStopwatch() *stopwatch {
	return &stopwatch{time.Now(), clockNow(unix.CLOCK_PROCESS_CPUTIME_ID)}
}

// over reports whether this process has used d of CPU time, or most has passed. So
// results are not lost if the machine is busy with other processes.
func (w *stopwatch) over(d, most time.Duration) bool {
	waited := time.Since(w.began)
	return waited > most || waited > d && clockNow(unix.CLOCK_PROCESS_CPUTIME_ID)-w.cpu > int64(d)
}

// after returns a channel that is closed when d is over.
func (w *stopwatch) after(d, most time.Duration) <-chan time.Time {
	over := make(chan time.Time)
	go func() {
		for !w.over(d, most) {
			time.Sleep(d / 20)
		}
		close(over)
	}()
	return over
}

// sessionWords returns the contents of the session map.
func sessionWords() []byte {
	b := make([]byte, object.SessionSize)
	boot := clockNow(unix.CLOCK_BOOTTIME)
	binary.NativeEndian.PutUint64(b[object.SessionStart:], uint64(boot))
	binary.NativeEndian.PutUint64(b[object.SessionTAI:], uint64(clockOffset(unix.CLOCK_TAI, unix.CLOCK_BOOTTIME)))
	unix.Getrandom(b[object.SessionSecret:], 0) // it does not fail for so few bytes
	return b
}
