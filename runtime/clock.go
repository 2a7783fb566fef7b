package runtime

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// clockNow reads a clock in ns; a clock the kernel lacks reads 0.
func clockNow(clock int32) int64 {
	var ts unix.Timespec
	if unix.ClockGettime(clock, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// clockOffset is what to add to the time of clock from to get the time of
// clock to. The reading of from is put between two of to, and the tightest of
// a few tries is taken.
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

// wallClock translates kernel timestamps to wall-clock time.
type wallClock struct{ boot int64 }

func newWallClock() wallClock {
	return wallClock{clockOffset(unix.CLOCK_REALTIME, unix.CLOCK_BOOTTIME)}
}

func (c wallClock) fromBoot(ns uint64) time.Time { return time.Unix(0, int64(ns)+c.boot) }
