package runtime

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/symbols"
)

// fileWatch calls found with the files that processes map as code: first with those of
// the running processes, then from a goroutine with those that are mapped later.
type fileWatch struct {
	found   func(pid int, m symbols.Mapping)
	proc    string
	log     *mmapLog // nil: later files are not seen
	stop    chan struct{}
	wake    int // eventfd that ends the wait for the log; -1: none
	done    sync.WaitGroup
	devices symbols.Devices
	silent  []mappedBy // on file systems that have not answered yet
	// broken is the number of mappings whose files could not be read to the end.
	broken int
}

// mappedBy is a mapping of a process.
type mappedBy struct {
	pid int
	symbols.Mapping
}

// maxSilent limits the number of mappings that wait for their file systems.
const maxSilent = 4096

// newFileWatch opens the kernel's log of mappings of a process, or of all for
// allProcesses. The log is opened before survey is called, so that no file is missed
// between survey and follow.
func (s *Instance) newFileWatch(pid int, found func(pid int, m symbols.Mapping)) *fileWatch {
	w := &fileWatch{found: found, proc: s.procRoot(), stop: make(chan struct{}), wake: -1}
	var err error
	if w.log, err = newMmapLog(pid, 0); err != nil && !s.opt.NoWarnings {
		fmt.Fprintf(s.opt.Stderr, "WARNING: files that processes map from now on are not traced: %v\n", err)
	}
	return w
}

// survey finds the files of all running processes.
func (w *fileWatch) survey() {
	pids, _ := symbols.Running(w.proc) // without procfs, the log still has later mappings
	for pid := range pids {
		w.process(pid)
	}
}

// process finds the files of a process.
func (w *fileWatch) process(pid int) {
	for _, m := range symbols.Executable(w.proc, pid) {
		w.see(pid, m)
	}
}

// again retries the files whose file systems did not answer.
func (w *fileWatch) again() {
	late := w.silent
	w.silent = nil
	for _, m := range late {
		w.see(m.pid, m.Mapping)
	}
}

// pathsOf returns the paths by which a mapped file can be opened: the mapping, which
// exists even if the file was deleted, and the path of the process.
func (w *fileWatch) pathsOf(pid int, m symbols.Mapping) []string {
	dir := filepath.Join(w.proc, strconv.Itoa(pid))
	return []string{fmt.Sprintf("%s/map_files/%x-%x", dir, m.Start, m.End), dir + "/root" + m.Path, m.Path}
}

// see calls found, unless the file's file system does not answer. A file that is truncated
// while it is read, or damaged so that it cannot be read, does not end the session.
func (w *fileWatch) see(pid int, m symbols.Mapping) {
	if m.Dev != "" && strings.HasPrefix(m.Path, "/") && !w.devices.Answer(m.Dev, w.pathsOf(pid, m)...) {
		if len(w.silent) < maxSilent {
			w.silent = append(w.silent, mappedBy{pid, m})
		}
		return
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			w.broken++
		}
	}()
	w.found(pid, m)
}

// follow starts the goroutine that finds files when they are mapped.
func (w *fileWatch) follow() {
	if w.log == nil {
		return
	}
	if fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		w.wake = fd
	}
	w.done.Go(func() {
		for {
			w.log.wait(tick, w.wake)
			select {
			case <-w.stop:
				return
			default:
				w.log.drain(w)
				w.again()
			}
		}
	})
}

// Mapped, Forked, Executed and Ended implement processWatcher.
func (w *fileWatch) Mapped(pid int, m symbols.Mapping) { w.see(pid, m) }
func (w *fileWatch) Forked(pid, parent int, at uint64) {}
func (w *fileWatch) Executed(pid int)                  {}
func (w *fileWatch) Ended(pid int)                     {}

// close ends the goroutine. It reports the files that were not seen on warn, which may be
// nil.
func (w *fileWatch) close(warn io.Writer) {
	close(w.stop)
	if w.log != nil {
		w.closeLog()
	}
	if warn == nil {
		return
	}
	if w.log != nil && w.log.lost > 0 {
		fmt.Fprintf(warn, "WARNING: %d records of mapped files were lost: functions in them may not have been traced\n", w.log.lost)
	}
	if n := len(w.silent); n > 0 {
		fmt.Fprintf(warn, "WARNING: %d mapped files are on file systems that do not answer: functions in them are not traced\n", n)
	}
	if w.broken > 0 {
		fmt.Fprintf(warn, "WARNING: %d mapped files are damaged or changed while they were read: functions in them are not traced\n", w.broken)
	}
}

// closeLog ends the goroutine and closes the log.
func (w *fileWatch) closeLog() {
	if w.wake >= 0 {
		unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
	w.done.Wait()
	w.log.close()
	if w.wake >= 0 {
		unix.Close(w.wake)
	}
}

// warnings returns the writer for warnings, or nil if they are suppressed.
func (s *Instance) warnings() io.Writer {
	if s.opt.NoWarnings {
		return nil
	}
	return s.opt.Stderr
}
