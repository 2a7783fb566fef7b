package runtime

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/symbols"
)

// mmapLog records executable mappings, executed programs, forks and exits of processes.
// When a stack is printed, its process and the memory map may be gone. The addresses are
// then looked up in this log. The log costs some time when a process starts, but none at
// the script's events.
type mmapLog struct {
	*perfLog
	family map[int]bool // the process of -c or -p and its descendants
	forked int          // number of forks in the family
	lost   uint64       // records that did not fit into the buffer
	inodes map[inode]fileName
}

// inode identifies a file in a record, fileName in /proc/PID/maps.
type (
	inode struct {
		major, minor uint32
		number       uint64
	}
	fileName struct{ dev, inode string }
)

// maxInodes is the number of files of which names are cached.
const maxInodes = 16 << 10

// processWatcher receives what the log records. *symbols.User implements it.
type processWatcher interface {
	Mapped(pid int, m symbols.Mapping)
	Forked(pid, parent int, at uint64) // at: CLOCK_MONOTONIC in ns
	Executed(pid int)
	Ended(pid int)
}

// newMmapLog opens the log of all processes, or of the process pid, which has not
// executed its program yet, and its descendants. Forks of the process root and of its
// descendants are counted; if root is 0, none are.
func newMmapLog(pid, root int) (*mmapLog, error) {
	l := &mmapLog{family: map[int]bool{}}
	if root != 0 {
		l.family[root] = true
	}
	bits := uint64(unix.PerfBitWatermark | unix.PerfBitMmap | unix.PerfBitMmap2 | unix.PerfBitTask | unix.PerfBitComm | unix.PerfBitCommExec)
	if pid != allProcesses {
		bits |= unix.PerfBitDisabled | unix.PerfBitEnableOnExec | unix.PerfBitInherit
	}
	var err error
	l.perfLog, err = openPerfLog([]int{pid}, bits, 1)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// newForkLog opens a log of the forks of a running process and of its descendants. Of the
// threads that it has now, only some are watched if there are very many, because each
// costs a descriptor per CPU.
func newForkLog(pid int) (*mmapLog, error) {
	threads, err := symbols.Running(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	var tids []int
	for tid := range threads {
		if len(tids) < 64 {
			tids = append(tids, tid)
		}
	}
	l := &mmapLog{family: map[int]bool{pid: true}}
	if l.perfLog, err = openPerfLog(tids, unix.PerfBitTask|unix.PerfBitInherit, 0); err != nil {
		return nil, err
	}
	return l, nil
}

// drain passes all new records to syms. It reports whether there were any.
func (l *mmapLog) drain(syms processWatcher) bool {
	recs := l.records()
	for _, rec := range recs {
		l.note(syms, rec)
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
		name := l.fileName(inode{ne.Uint32(body[40:]), ne.Uint32(body[44:]), ne.Uint64(body[48:])})
		start, length := ne.Uint64(body[16:]), ne.Uint64(body[24:])
		syms.Mapped(pid, symbols.Mapping{
			Start: start, End: start + length, Offset: ne.Uint64(body[32:]),
			Dev: name.dev, Inode: name.inode, Generation: ne.Uint64(body[56:]),
			Path: string(cString(body[mmap2Fixed:])),
		})
	case unix.PERF_RECORD_FORK:
		if parent := int(ne.Uint32(body[12:])); parent != pid && len(body) >= 32 {
			syms.Forked(pid, parent, ne.Uint64(body[24:]))
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

// fileName returns the name of a file's device and inode.
func (l *mmapLog) fileName(id inode) fileName {
	name, ok := l.inodes[id]
	if !ok {
		name = fileName{fmt.Sprintf("%02x:%02x", id.major, id.minor), strconv.FormatUint(id.number, 10)}
		if l.inodes == nil || len(l.inodes) >= maxInodes {
			l.inodes = map[inode]fileName{}
		}
		l.inodes[id] = name
	}
	return name
}

// mmap2Fixed is the size of struct perf_record_mmap2 before the file's name.
const mmap2Fixed = 72
