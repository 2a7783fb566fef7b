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

// sessionWords returns the contents of the session map.
func sessionWords() []byte {
	b := make([]byte, object.SessionSize)
	boot := clockNow(unix.CLOCK_BOOTTIME)
	binary.NativeEndian.PutUint64(b[object.SessionStart:], uint64(boot))
	binary.NativeEndian.PutUint64(b[object.SessionTAI:], uint64(clockOffset(unix.CLOCK_TAI, unix.CLOCK_BOOTTIME)))
	unix.Getrandom(b[object.SessionSecret:], 0) // of so few bytes it does not fail
	return b
}
