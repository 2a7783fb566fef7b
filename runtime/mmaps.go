package runtime

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/symbols"
)

// mmapLog records what a child maps as executable, from its exec on. Stacks are
// printed when the child may be long gone, and its memory map with it; this log
// is what their addresses are looked up in.
type mmapLog struct {
	fd  int
	mem []byte // a page of control, then the ring
	pid int
}

const mmapLogPages = 8

// newMmapLog opens the log of a process that has not executed its program yet.
func newMmapLog(pid int) (*mmapLog, error) {
	attr := unix.PerfEventAttr{
		Type:   unix.PERF_TYPE_SOFTWARE,
		Size:   uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Config: unix.PERF_COUNT_SW_DUMMY,
		Bits:   unix.PerfBitDisabled | unix.PerfBitEnableOnExec | unix.PerfBitMmap | unix.PerfBitMmap2,
	}
	fd, err := unix.PerfEventOpen(&attr, pid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, (1+mmapLogPages)*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &mmapLog{fd: fd, mem: mem, pid: pid}, nil
}

func (l *mmapLog) close() {
	unix.Munmap(l.mem)
	unix.Close(l.fd)
}

// drain hands over what was mapped since the last time.
func (l *mmapLog) drain(add func(symbols.Mapping)) {
	head, tail := mmapPositions(l.mem)
	ring := l.mem[os.Getpagesize():]
	size := uint64(len(ring))
	at := func(pos, n uint64) []byte { // a record may wrap around
		b := make([]byte, n)
		for i := range b {
			b[i] = ring[(pos+uint64(i))%size]
		}
		return b
	}
	ne := binary.NativeEndian
	pos := atomic.LoadUint64(tail)
	for end := atomic.LoadUint64(head); pos < end; {
		hdr := at(pos, 8)
		n := uint64(ne.Uint16(hdr[6:]))
		if n < 8 {
			break
		}
		if ne.Uint32(hdr) == unix.PERF_RECORD_MMAP2 && n > mmap2Fixed {
			rec := at(pos, n)
			start, length := ne.Uint64(rec[16:]), ne.Uint64(rec[24:])
			add(symbols.Mapping{
				Start: start, End: start + length, Offset: ne.Uint64(rec[32:]),
				Dev:   fmt.Sprintf("%02x:%02x", ne.Uint32(rec[40:]), ne.Uint32(rec[44:])),
				Inode: fmt.Sprint(ne.Uint64(rec[48:])),
				Path:  string(cString(rec[mmap2Fixed:])),
			})
		}
		pos += n
	}
	atomic.StoreUint64(tail, pos)
}

// mmap2Fixed is the size of struct perf_record_mmap2 before the file's name.
const mmap2Fixed = 72

// mmapPositions are data_head and data_tail of struct perf_event_mmap_page.
func mmapPositions(mem []byte) (head, tail *uint64) {
	p := (*unix.PerfEventMmapPage)(unsafe.Pointer(&mem[0]))
	return &p.Data_head, &p.Data_tail
}
