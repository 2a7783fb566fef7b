package runtime

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	bits64 "math/bits"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/symbols"
)

// mmapLog records executable mappings, executed programs, forks and exits of
// processes. When a stack is printed, its process and the memory map may be gone.
// The addresses are then looked up in this log. The log costs a little when a
// process starts, and nothing when an event of the script fires.
//
// The kernel keeps one log for each CPU, so the records of all CPUs are sorted by
// time.
type mmapLog struct {
	cpus    []mmapRing
	drained time.Time
	family  map[int]bool // the child and its descendants
	forked  int          // number of forks in the family
	lost    uint64       // records that the kernel had no room for
}

// mmapRing is the log of one CPU.
type mmapRing struct {
	fd  int
	mem []byte // a control page followed by the ring
	// early holds records that were read before older records of other CPUs.
	early [][]byte
}

const (
	allProcesses = -1

	// One CPU's ring holds the records of a few hundred program starts between two
	// reads.
	mmapLogSize    = 8 << 20 // bytes of all rings together
	minMmapLogRing = 64 << 10
	maxMmapLogRing = 512 << 10
)

// processWatcher is told of what the log records. *symbols.User is one.
type processWatcher interface {
	Mapped(pid int, m symbols.Mapping)
	Forked(pid, parent int)
	Executed(pid int)
	Ended(pid int)
}

// newMmapLog opens the log of all processes, or of the process pid, which has not
// executed its program yet, and its descendants. Forks of the process child and of
// its descendants are counted; if child is 0, none are.
func newMmapLog(pid, child int) (*mmapLog, error) {
	return openMmapLog(pid, child, unix.PerfBitWatermark, minMmapLogRing/4)
}

// openMmapLog is newMmapLog with more bits of struct perf_event_attr. With
// PerfBitWatermark, wait returns when a ring has wakeup bytes of records.
func openMmapLog(pid, child int, more uint64, wakeup uint32) (*mmapLog, error) {
	cpus, err := probes.OnlineCPUs()
	if err != nil {
		return nil, err
	}
	l := &mmapLog{family: map[int]bool{}}
	if child != 0 {
		l.family[child] = true
	}
	bits := uint64(unix.PerfBitDisabled | unix.PerfBitEnableOnExec | unix.PerfBitInherit)
	if pid == allProcesses {
		bits = 0
	}
	size := min(max(mmapLogSize/len(cpus), minMmapLogRing), maxMmapLogRing)
	size = max(1<<(bits64.Len(uint(size))-1), os.Getpagesize())
	for _, cpu := range cpus {
		attr := unix.PerfEventAttr{
			Type:        unix.PERF_TYPE_SOFTWARE,
			Size:        uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
			Config:      unix.PERF_COUNT_SW_DUMMY,
			Sample_type: unix.PERF_SAMPLE_TIME,
			Clockid:     unix.CLOCK_MONOTONIC,
			Wakeup:      wakeup,
			Bits: bits | more | unix.PerfBitSampleIDAll | unix.PerfBitUseClockID |
				unix.PerfBitMmap | unix.PerfBitMmap2 | unix.PerfBitTask | unix.PerfBitComm | unix.PerfBitCommExec,
		}
		fd, err := unix.PerfEventOpen(&attr, pid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if errors.Is(err, unix.ENODEV) {
			continue // the CPU went offline
		} else if err != nil {
			l.close()
			return nil, err
		}
		mem, err := unix.Mmap(fd, 0, os.Getpagesize()+size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			unix.Close(fd)
			l.close()
			return nil, err
		}
		l.cpus = append(l.cpus, mmapRing{fd: fd, mem: mem})
	}
	return l, nil
}

func (l *mmapLog) close() {
	for _, r := range l.cpus {
		unix.Munmap(r.mem)
		unix.Close(r.fd)
	}
}

// wait waits until there are records, which the log must have been opened with
// PerfBitWatermark for, or some time has passed.
func (l *mmapLog) wait(most time.Duration) {
	fds := make([]unix.PollFd, len(l.cpus))
	for i, r := range l.cpus {
		fds[i] = unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN}
	}
	unix.Poll(fds, int(most/time.Millisecond))
}

// drain passes all new records to syms. It reports whether there were any.
func (l *mmapLog) drain(syms processWatcher) bool {
	l.drained = time.Now()
	ne := binary.NativeEndian
	when := func(rec []byte) uint64 { return ne.Uint64(rec[len(rec)-8:]) }
	// While one ring is read, new records may arrive in the others. Records newer
	// than now stay back, or they could overtake older ones.
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
	slices.SortStableFunc(recs, func(a, b []byte) int { return cmp.Compare(when(a), when(b)) })
	for _, rec := range recs {
		l.note(syms, rec[:len(rec)-8])
	}
	return len(recs) > 0
}

// note passes one record to syms.
func (l *mmapLog) note(syms processWatcher, body []byte) {
	ne := binary.NativeEndian
	if len(body) < 16 {
		return
	}
	pid := int(ne.Uint32(body[8:]))
	switch ne.Uint32(body) {
	case unix.PERF_RECORD_LOST:
		if len(body) >= 24 {
			l.lost += ne.Uint64(body[16:])
		}
	case unix.PERF_RECORD_MMAP2:
		if len(body) <= mmap2Fixed || pid <= 0 { // a mapping of the kernel itself
			return
		}
		start, length := ne.Uint64(body[16:]), ne.Uint64(body[24:])
		syms.Mapped(pid, symbols.Mapping{
			Start: start, End: start + length, Offset: ne.Uint64(body[32:]),
			Dev:   fmt.Sprintf("%02x:%02x", ne.Uint32(body[40:]), ne.Uint32(body[44:])),
			Inode: strconv.FormatUint(ne.Uint64(body[48:]), 10),
			Path:  string(cString(body[mmap2Fixed:])),
		})
	case unix.PERF_RECORD_FORK:
		if parent := int(ne.Uint32(body[12:])); parent != pid {
			syms.Forked(pid, parent)
			if l.family[parent] {
				l.family[pid] = true
				l.forked++
			}
		}
	case unix.PERF_RECORD_EXIT:
		if len(body) >= 24 && pid == int(ne.Uint32(body[16:])) { // the thread is the process's main thread
			syms.Ended(pid)
			delete(l.family, pid)
		}
	case unix.PERF_RECORD_COMM:
		if ne.Uint16(body[4:])&unix.PERF_RECORD_MISC_COMM_EXEC != 0 {
			syms.Executed(pid)
		}
	}
}

// read removes the records from the ring and returns them. The last 8 bytes of each
// are its time.
func (r *mmapRing) read() [][]byte {
	head, tail := mmapPositions(r.mem)
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

// mmap2Fixed is the size of struct perf_record_mmap2 before the file's name.
const mmap2Fixed = 72

// mmapPositions returns pointers to data_head and data_tail of struct
// perf_event_mmap_page.
func mmapPositions(mem []byte) (head, tail *uint64) {
	p := (*unix.PerfEventMmapPage)(unsafe.Pointer(&mem[0]))
	return &p.Data_head, &p.Data_tail
}
