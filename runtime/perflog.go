package runtime

import (
	"encoding/binary"
	"errors"
	bits64 "math/bits"
	"os"
	"sync"
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
	mu   sync.Mutex
	cpus []perfRing
}

// perfRing is the log of one CPU.
type perfRing struct {
	fd  int
	fds []int  // of the other threads that write to the ring
	mem []byte // a control page followed by the ring
	// early holds records that were moved out of the ring and not returned yet.
	early [][]byte
	size  int // of early, in bytes
}

const (
	allProcesses = -1

	// The ring of one CPU holds the records of a few hundred program starts between two
	// reads.
	perfLogSize    = 8 << 20 // bytes of all rings together
	minPerfLogRing = 64 << 10
	maxPerfLogRing = 512 << 10

	// maxEarly is the number of bytes that are moved out of one CPU's ring before they
	// are handled.
	maxEarly = 16 << 20
)

// openPerfLog opens the log of threads or of allProcesses. bits are those of struct
// perf_event_attr that select the records. With PerfBitWatermark, wait returns when
// a ring has wakeup bytes of records.
func openPerfLog(tids []int, bits uint64, wakeup uint32) (*perfLog, error) {
	l := &perfLog{}
	cpus, err := probes.OnlineCPUs()
	if err != nil {
		return nil, err
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
		var ring *perfRing // of this CPU, from the first thread on
		for _, tid := range tids {
			fd, err := unix.PerfEventOpen(&attr, tid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
			switch {
			case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ESRCH):
				continue // the CPU went offline, or the thread has ended
			case err == nil && ring != nil:
				ring.fds = append(ring.fds, fd)
				err = unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_OUTPUT, ring.fd)
			case err == nil:
				l.cpus = append(l.cpus, perfRing{fd: fd})
				ring = &l.cpus[len(l.cpus)-1]
				ring.mem, err = unix.Mmap(fd, 0, os.Getpagesize()+size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			}
			if err != nil {
				l.close()
				return nil, err
			}
		}
	}
	if len(l.cpus) == 0 {
		return nil, unix.ESRCH
	}
	return l, nil
}

func (l *perfLog) close() {
	for _, r := range l.cpus {
		unix.Munmap(r.mem)
		for _, fd := range r.fds {
			unix.Close(fd)
		}
		unix.Close(r.fd)
	}
	l.cpus = nil
}

// wait waits until the log has records, one of the descriptors others can be read, or
// limit has passed. The log must have been opened with PerfBitWatermark.
func (l *perfLog) wait(limit time.Duration, others ...int) {
	var fds []unix.PollFd
	for i := range l.cpus {
		fds = append(fds, unix.PollFd{Fd: int32(l.cpus[i].fd), Events: unix.POLLIN})
	}
	for _, fd := range others {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	unix.Poll(fds, int(limit/time.Millisecond))
}

// when returns the time of a record.
func when(rec []byte) uint64 { return binary.NativeEndian.Uint64(rec[len(rec)-8:]) }

// collect moves the new records out of the kernel's rings, so that there is room for more
// before records is called. It may be called from any goroutine.
func (l *perfLog) collect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.cpus {
		l.cpus[i].collect()
	}
}

// records removes the new records from the log. It returns them sorted by time, without
// their last 8 bytes, which hold the time.
func (l *perfLog) records() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	// While one ring is read, new records may arrive in the others. Keep records newer
	// than now for the next call, or they could overtake older ones.
	now := uint64(clockNow(unix.CLOCK_MONOTONIC))
	var recs [][]byte
	for i := range l.cpus {
		r := &l.cpus[i]
		r.collect()
		n := 0
		for n < len(r.early) && when(r.early[n]) <= now {
			r.size -= len(r.early[n])
			n++
		}
		recs = append(recs, r.early[:n]...)
		r.early = r.early[n:len(r.early):len(r.early)]
	}
	sorted.By(recs, func(rec *[]byte) uint64 { return when(*rec) })
	for i, rec := range recs {
		recs[i] = rec[:len(rec)-8]
	}
	return recs
}

// collect moves the records out of the ring unless there are too many already.
func (r *perfRing) collect() {
	if r.size >= maxEarly {
		return
	}
	head, tail := perfPositions(r.mem)
	pos := atomic.LoadUint64(tail)
	var n int
	r.early, n = splitRing(r.early, r.mem[os.Getpagesize():], pos, atomic.LoadUint64(head))
	r.size += n
	atomic.StoreUint64(tail, pos+uint64(n))
}

// splitRing copies the bytes of a ring between two positions, and appends the records in
// them to recs. n is the length of the records.
func splitRing(recs [][]byte, ring []byte, from, to uint64) (_ [][]byte, n int) {
	size := uint64(len(ring))
	if to <= from || to-from > size {
		return recs, 0
	}
	data := make([]byte, to-from)
	copied := copy(data, ring[from%size:])
	copy(data[copied:], ring) // it wraps around
	for len(data)-n >= 16 {
		length := int(binary.NativeEndian.Uint16(data[n+6:]))
		if length < 16 || length > len(data)-n {
			break
		}
		recs = append(recs, data[n:n+length:n+length])
		n += length
	}
	return recs, n
}

// perfPositions returns pointers to data_head and data_tail of struct
// perf_event_mmap_page.
func perfPositions(mem []byte) (head, tail *uint64) {
	p := (*unix.PerfEventMmapPage)(unsafe.Pointer(&mem[0]))
	return &p.Data_head, &p.Data_tail
}
