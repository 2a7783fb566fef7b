package runtime

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	file "github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/store"
	"github.com/gotrace/gotrace/runtime/symbols"
	"github.com/gotrace/gotrace/runtime/unwind"
)

// unwinding maintains the tables with which programs unwind user stacks without frame
// pointers. A goroutine tracks the mappings of all processes while the session runs.
type unwinding struct {
	proc     string // mount point of procfs
	only     int    // the only process with tables; 0: all processes have them
	tables   *unwind.Tables
	log      *mmapLog
	mem      [][]byte      // mapped memory of the kernel's maps
	lost     uint64        // number of records that the log had lost at the last sweep
	swept    time.Time     // time of the last sweep
	wanted   []int         // processes whose tables must be complete before probes are attached
	surveyed chan struct{} // closed when the mappings of all processes have been read
	stop     chan struct{}
	done     chan struct{}
}

// startUnwinding builds the tables of the existing processes, and of others when they
// start, if a program of the session needs them.
func (s *Instance) startUnwinding() error {
	procs := s.maps[unwind.ProcsMap]
	if procs == nil {
		return nil
	}
	u := &unwinding{proc: s.procRoot(), surveyed: make(chan struct{}), stop: make(chan struct{}), done: make(chan struct{})}
	rules, err := u.mapMemory(s.maps[unwind.RulesMap], unwind.RulesSize)
	if err != nil {
		return err
	}
	chunks := s.maps[unwind.ChunksMap]
	chunk := s.obj.Kernel[slices.IndexFunc(s.obj.Kernel, func(m object.KernelMap) bool { return m.Name == unwind.ChunksMap })].InnerSpec()
	made := uint32(0)
	mem := unwind.Memory{
		Rules: rules,
		Chunk: func() ([]byte, error) {
			m, err := ebpf.NewMap(chunk)
			if err != nil {
				return nil, err
			}
			defer m.Close()
			b, err := u.mapMemory(m, unwind.ChunkSize+unwind.ChunkSlack)
			if err != nil {
				return nil, err
			}
			if err := chunks.Put(made, m); err != nil {
				return nil, err
			}
			made++
			return b, nil
		},
		SetProcess: func(pid int, list uint64) error {
			key := binary.NativeEndian.AppendUint32(nil, uint32(pid))
			if list == 0 {
				return store.DeleteElem(procs, key)
			}
			return store.UpdateElem(procs, key, binary.NativeEndian.AppendUint64(nil, list), unix.BPF_ANY)
		},
	}
	if files := s.maps[unwind.FilesMap]; files != nil {
		mem.SetFile = func(id unwind.FileID, list uint64) error {
			if list == 0 {
				return store.DeleteElem(files, id[:])
			}
			return store.UpdateElem(files, id[:], binary.NativeEndian.AppendUint64(nil, list), unix.BPF_ANY)
		}
	}
	// Without the log, processes that start later have no tables. Programs count their
	// stacks as failed.
	u.log, _ = newMmapLog(allProcesses, 0)
	u.tables = unwind.New(unwind.ByName(s.opt.Kernel.Arch()), mem, s.procRoot(), file.GoFunctions)
	s.unwind = u
	if c := s.opt.Child; c != nil {
		u.want(c.PID(), asMapped(filesOfProgram(c.cmd.Args[1])))
	}
	if pid := s.opt.PID; pid > 0 {
		if s.obj.Follow == nil && !s.iterates() {
			u.only = pid
		}
		u.want(pid, symbols.Executable(s.procRoot(), pid))
	}
	go u.follow()
	return nil
}

// want gives priority to the tables of files that a process maps or will map.
func (u *unwinding) want(pid int, files []symbols.Mapping) {
	u.tables.Prefer(pid)
	for _, m := range files {
		u.Mapped(pid, m)
	}
	u.tables.Flush()
	u.wanted = append(u.wanted, pid)
}

// tablePatience is the maximum time for which the start of the session waits for the
// tables of the traced process.
const tablePatience = time.Second

// allPatience is the maximum time for which the start of the session waits for the tables
// of all processes.
const allPatience = 10 * time.Second

// awaitTables waits for the tables of the process of -c or -p, or of all processes if an
// iterator takes their stacks, so that the stacks of
// its first events are complete.
func (s *Instance) awaitTables() {
	if s.unwind == nil {
		return
	}
	s.opt.Progress.Begin("Building unwind tables", 0)
	if s.opt.PID == 0 && s.iterates() {
		late := newStopwatch().after(allPatience, 2*allPatience)
		select {
		case <-s.unwind.surveyed:
		case <-late:
		}
		s.unwind.tables.Await(0, late)
		return
	}
	late := newStopwatch().after(tablePatience, allPatience)
	for _, pid := range s.unwind.wanted {
		s.unwind.tables.Await(pid, late)
		select { // until then the log of mappings is not read at once
		case <-s.unwind.surveyed:
		case <-late:
		}
	}
}

// iterates reports whether an iterator may take the stacks of any processes.
func (s *Instance) iterates() bool {
	return slices.ContainsFunc(s.obj.Programs, func(p *object.Program) bool { return p.Sleeps })
}

// mapMemory maps the memory of an array with one element.
func (u *unwinding) mapMemory(m *ebpf.Map, size int) ([]byte, error) {
	b, err := unix.Mmap(m.FD(), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, outline.Errorf("cannot map the memory of an unwind table: %w", err)
	}
	u.mem = append(u.mem, b)
	return b, nil
}

// follow reads the mappings of the existing processes, and then the kernel's log of
// mappings.
func (u *unwinding) follow() {
	defer close(u.done)
	pids, _ := u.running() // without procfs, the log tells of later mappings
	for pid := range pids {
		for _, m := range symbols.Executable(u.proc, pid) {
			u.Mapped(pid, m)
		}
		u.tables.Flush()
		if u.stopping() {
			return
		}
		u.note() // so that new processes need not wait for the others
	}
	close(u.surveyed)
	for u.log != nil && !u.stopping() {
		u.log.wait(tick)
		u.note()
	}
}

// note reads the log of mappings.
func (u *unwinding) note() {
	if u.log != nil {
		u.log.drain(u)
		u.sweep()
		u.tables.Flush() // lists may also be due later
	}
}

// sweepPause is the time between two calls of sweep that have an effect.
const sweepPause = 10 * time.Second

// sweep removes processes whose end was not reported, and reads the mappings of the others,
// if the log has lost records.
func (u *unwinding) sweep() {
	if u.log.lost == u.lost || time.Since(u.swept) < sweepPause {
		return
	}
	u.lost, u.swept = u.log.lost, time.Now()
	if pids, err := u.running(); err == nil {
		u.tables.Running(pids)
		for pid := range pids {
			for _, m := range symbols.Executable(u.proc, pid) {
				u.Mapped(pid, m)
			}
		}
	}
}

// running returns the running processes that have tables.
func (u *unwinding) running() (map[int]bool, error) {
	pids, err := symbols.Running(u.proc)
	for pid := range pids {
		if u.leftOut(pid) {
			delete(pids, pid)
		}
	}
	return pids, err
}

// leftOut reports whether a process has no tables, because -p names another one.
func (u *unwinding) leftOut(pid int) bool { return u.only != 0 && pid != u.only }

func (u *unwinding) stopping() bool {
	select {
	case <-u.stop:
		return true
	default:
		return false
	}
}

// Mapped, Forked, Executed and Ended update the tables with the events of the log.
func (u *unwinding) Mapped(pid int, m symbols.Mapping) {
	if u.leftOut(pid) {
		return
	}
	major, minor, _ := strings.Cut(m.Dev, ":")
	hi, _ := strconv.ParseUint(major, 16, 32)
	lo, _ := strconv.ParseUint(minor, 16, 32)
	inode, _ := strconv.ParseUint(m.Inode, 10, 64)
	path := m.Path
	if path == "//anon" { // memory without a file, in the kernel's log
		path = ""
	}
	u.tables.Mapped(pid, unwind.Mapping{Start: m.Start, End: m.End, Offset: m.Offset, Dev: hi<<32 | lo, Inode: inode, Generation: m.Generation, Path: path})
}

func (u *unwinding) Forked(pid, parent int, at uint64) {
	if !u.leftOut(pid) {
		u.tables.Forked(pid, parent)
	}
}
func (u *unwinding) Executed(pid int) {
	if !u.leftOut(pid) {
		u.tables.Executed(pid)
	}
}

func (u *unwinding) Ended(pid int) { u.tables.Ended(pid) }

// stopUnwinding stops building tables. The programs must no longer run.
func (s *Instance) stopUnwinding() {
	u := s.unwind
	if u == nil {
		return
	}
	s.unwind = nil
	close(u.stop)
	<-u.done
	u.tables.Close()
	if s.opt.Verbose {
		st := u.tables.Stats()
		fmt.Fprintf(s.opt.Stderr, "Unwind tables: %d files (%d not opened) in %v (longest %v), %d share another's; %d rows, %d rules, %d processes, %d KiB of %d KiB\n",
			st.Files, st.Failed, st.Total.Round(time.Millisecond), st.Longest.Round(time.Millisecond), st.Shared, st.Rows, st.Rules, st.Processes, st.Bytes>>10, st.Chunks*unwind.ChunkSize>>10)
	}
	if u.log != nil {
		u.log.close()
	}
	for _, b := range u.mem {
		unix.Munmap(b)
	}
}
