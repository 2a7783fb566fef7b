package runtime

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// Limits of the ring buffer if the script does not set its size.
const (
	minRing = 256 << 10
	maxRing = 16 << 20
)

// ringSize returns the ring buffer's size in bytes. If the script does not set it,
// it is a thousandth of the memory. A ring of 16 MiB takes the kernel several milliseconds
// to create and to map, so it is small if only events that end the session use it.
func (s *Instance) ringSize() int {
	if s.onlyEnds() {
		return s.obj.Settings.RingSize(minRing)
	}
	usual := 0
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		usual = int(uint64(info.Totalram) * uint64(info.Unit) / 1000)
	}
	return s.obj.Settings.RingSize(min(max(usual, minRing), maxRing))
}

// onlyEnds reports whether each event of the script ends the session. Events after the
// first one are then ignored.
func (s *Instance) onlyEnds() bool {
	return !slices.ContainsFunc(s.obj.Events, func(e object.Event) bool {
		return e.Call != nil || len(e.Later.Steps) > 0 || !s.defs.Lookup(e.Def).Ends
	})
}
