package runtime

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/symbols"
)

// mmapLog records what a child and the processes it forks map as executable,
// from its exec on. Stacks are printed when a process may be long gone, and its
// memory map with it; this log is what their addresses are looked up in.
//
// The kernel keeps a log that children inherit for each CPU only, so the
// records of all are put in order by their time.
type mmapLog struct {
	cpus   []mmapRing
	forked int // processes that were forked
}

// mmapRing is the log of one CPU.
type mmapRing struct {
	fd  int
	mem []byte // a page of control, then the ring
}

const mmapLogPages = 8

// newMmapLog opens the log of a process that has not executed its program yet.
func newMmapLog(pid int) (*mmapLog, error) {
	cpus, err := probes.OnlineCPUs()
	if err != nil {
		return nil, err
	}
	l := &mmapLog{}
	for _, cpu := range cpus {
		attr := unix.PerfEventAttr{
			Type:        unix.PERF_TYPE_SOFTWARE,
			Size:        uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
			Config:      unix.PERF_COUNT_SW_DUMMY,
			Sample_type: unix.PERF_SAMPLE_TIME,
			Bits: unix.PerfBitDisabled | unix.PerfBitEnableOnExec | unix.PerfBitInherit | unix.PerfBitSampleIDAll |
				unix.PerfBitMmap | unix.PerfBitMmap2 | unix.PerfBitTask | unix.PerfBitComm | unix.PerfBitCommExec,
		}
		fd, err := unix.PerfEventOpen(&attr, pid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if errors.Is(err, unix.ENODEV) {
			continue // the CPU went offline
		} else if err != nil {
			l.close()
			return nil, err
		}
		mem, err := unix.Mmap(fd, 0, (1+mmapLogPages)*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			unix.Close(fd)
			l.close()
			return nil, err
		}
		l.cpus = append(l.cpus, mmapRing{fd, mem})
	}
	return l, nil
}

func (l *mmapLog) close() {
	for _, r := range l.cpus {
		unix.Munmap(r.mem)
		unix.Close(r.fd)
	}
}

// drain tells syms what has happened since the last time.
func (l *mmapLog) drain(syms *symbols.User) {
	var recs [][]byte
	for _, r := range l.cpus {
		recs = append(recs, r.read()...)
	}
	ne := binary.NativeEndian
	when := func(rec []byte) uint64 { return ne.Uint64(rec[len(rec)-8:]) }
	slices.SortStableFunc(recs, func(a, b []byte) int { return cmp.Compare(when(a), when(b)) })
	for _, rec := range recs {
		body := rec[:len(rec)-8]
		if len(body) < 16 {
			continue
		}
		pid := int(ne.Uint32(body[8:]))
		switch ne.Uint32(body) {
		case unix.PERF_RECORD_MMAP2:
			if len(body) <= mmap2Fixed {
				continue
			}
			start, length := ne.Uint64(body[16:]), ne.Uint64(body[24:])
			syms.Mapped(pid, symbols.Mapping{
				Start: start, End: start + length, Offset: ne.Uint64(body[32:]),
				Dev:   fmt.Sprintf("%02x:%02x", ne.Uint32(body[40:]), ne.Uint32(body[44:])),
				Inode: fmt.Sprint(ne.Uint64(body[48:])),
				Path:  string(cString(body[mmap2Fixed:])),
			})
		case unix.PERF_RECORD_FORK:
			if parent := int(ne.Uint32(body[12:])); parent != pid {
				syms.Forked(pid, parent)
				l.forked++
			}
		case unix.PERF_RECORD_COMM:
			if ne.Uint16(body[4:])&unix.PERF_RECORD_MISC_COMM_EXEC != 0 {
				syms.Executed(pid)
			}
		}
	}
}

// read takes the records out of the ring. The last 8 bytes of each are its time.
func (r mmapRing) read() [][]byte {
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

// mmapPositions are data_head and data_tail of struct perf_event_mmap_page.
func mmapPositions(mem []byte) (head, tail *uint64) {
	p := (*unix.PerfEventMmapPage)(unsafe.Pointer(&mem[0]))
	return &p.Data_head, &p.Data_tail
}
