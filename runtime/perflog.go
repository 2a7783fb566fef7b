package runtime

import (
	"encoding/binary"
	"errors"
	bits64 "math/bits"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/sorted"
)

// perfLog is a log of perf records. The kernel keeps one log for each CPU, so the
// records of all CPUs are sorted by time.
type perfLog struct {
	cpus []perfRing
}

// perfRing is the log of one CPU.
type perfRing struct {
	fd  int
	mem []byte // a control page followed by the ring
	// early holds records that were read before older records of other CPUs.
	early [][]byte
}

const (
	allProcesses = -1

	// One CPU's ring holds the records of a few hundred program starts between two
	// reads.
	perfLogSize    = 8 << 20 // bytes of all rings together
	minPerfLogRing = 64 << 10
	maxPerfLogRing = 512 << 10
)

// openPerfLog opens the log of one process or of all. bits are those of struct
// perf_event_attr that select the records. With PerfBitWatermark, wait returns when
// a ring has wakeup bytes of records.
func openPerfLog(pid int, bits uint64, wakeup uint32) (perfLog, error) {
	var l perfLog
	cpus, err := probes.OnlineCPUs()
	if err != nil {
		return l, err
	}
	size := min(max(perfLogSize/len(cpus), minPerfLogRing), maxPerfLogRing)
	size = max(1<<(bits64.Len(uint(size))-1), os.Getpagesize())
	for _, cpu := range cpus {
		attr := unix.PerfEventAttr{
			Type:        unix.PERF_TYPE_SOFTWARE,
			Size:        uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
			Config:      unix.PERF_COUNT_SW_DUMMY,
			Sample_type: unix.PERF_SAMPLE_TIME,
			Clockid:     unix.CLOCK_MONOTONIC,
			Wakeup:      wakeup,
			Bits:        bits | unix.PerfBitSampleIDAll | unix.PerfBitUseClockID,
		}
		fd, err := unix.PerfEventOpen(&attr, pid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if errors.Is(err, unix.ENODEV) {
			continue // the CPU went offline
		} else if err != nil {
			l.close()
			return perfLog{}, err
		}
		mem, err := unix.Mmap(fd, 0, os.Getpagesize()+size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			unix.Close(fd)
			l.close()
			return perfLog{}, err
		}
		l.cpus = append(l.cpus, perfRing{fd: fd, mem: mem})
	}
	return l, nil
}

func (l *perfLog) close() {
	for _, r := range l.cpus {
		unix.Munmap(r.mem)
		unix.Close(r.fd)
	}
	l.cpus = nil
}

// wait waits until the log has records, one of the descriptors others can be read, or
// the time most has passed. The log must have been opened with PerfBitWatermark.
func (l *perfLog) wait(most time.Duration, others ...int) {
	var fds []unix.PollFd
	for _, r := range l.cpus {
		fds = append(fds, unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN})
	}
	for _, fd := range others {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	unix.Poll(fds, int(most/time.Millisecond))
}

// records removes the new records from the log. It returns them sorted by time, without
// their last 8 bytes, which hold the time.
func (l *perfLog) records() [][]byte {
	when := func(rec []byte) uint64 { return binary.NativeEndian.Uint64(rec[len(rec)-8:]) }
	// While one ring is read, new records may arrive in the others. Keep records newer
	// than now for the next call, or they could overtake older ones.
	now := uint64(clockNow(unix.CLOCK_MONOTONIC))
	var recs [][]byte
	for i := range l.cpus {
		r := &l.cpus[i]
		all := append(r.early, r.read()...)
		n := 0
		for n < len(all) && when(all[n]) <= now {
			n++
		}
		recs = append(recs, all[:n]...)
		r.early = all[n:len(all):len(all)]
	}
	sorted.By(recs, func(rec *[]byte) uint64 { return when(*rec) })
	for i, rec := range recs {
		recs[i] = rec[:len(rec)-8]
	}
	return recs
}

// read removes the records from the ring and returns them. The last 8 bytes of each
// are its time.
func (r *perfRing) read() [][]byte {
	head, tail := perfPositions(r.mem)
	ring := r.mem[os.Getpagesize():]
	size := uint64(len(ring))
	at := func(pos, n uint64) []byte { // a record may wrap around
		b := make([]byte, n)
		for i := range b {
			b[i] = ring[(pos+uint64(i))%size]
		}
		return b
	}
	var recs [][]byte
	pos := atomic.LoadUint64(tail)
	for end := atomic.LoadUint64(head); pos < end; {
		n := uint64(binary.NativeEndian.Uint16(at(pos, 8)[6:]))
		if n < 16 || n > size {
			break
		}
		recs = append(recs, at(pos, n))
		pos += n
	}
	atomic.StoreUint64(tail, pos)
	return recs
}

// perfPositions returns pointers to data_head and data_tail of struct
// perf_event_mmap_page.
func perfPositions(mem []byte) (head, tail *uint64) {
	p := (*unix.PerfEventMmapPage)(unsafe.Pointer(&mem[0]))
	return &p.Data_head, &p.Data_tail
}
