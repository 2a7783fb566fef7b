package symbols

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// keeper opens files of processes that see other files than this process, such as those
// in containers, while the processes run. When such a process has ended, its mount
// namespace may be gone, and with it every name of the file.
type keeper struct {
	proc    string // mount point of procfs
	devices *Devices

	mu     sync.Mutex
	wanted []wanted
	idle   chan struct{}       // closed when no file is wanted any more; nil: run is not running
	held   map[fileID]*os.File // nil: this process can open the file by its path
	order  []fileID            // the open files, the oldest first
}

// wanted is a mapping whose file has to be opened.
type wanted struct {
	pid        int
	parent     int // 0: not known
	start, end uint64
	file       fileID
}

const (
	maxHeld   = 512  // open files
	maxWanted = 4096 // mappings that wait for their turn
)

// want requests that the file of a mapping be opened, unless it is known. It does not
// wait, because opening a file may take long.
func (k *keeper) want(p *process, m *mapping) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, known := k.held[*m.file]; known || len(k.wanted) >= maxWanted {
		return
	}
	k.wanted = append(k.wanted, wanted{p.pid, p.parent, m.start, m.end, *m.file})
	if k.idle == nil {
		k.idle = make(chan struct{})
		go k.run(k.idle)
	}
}

// await waits until all files that are wanted have been opened, or late.
func (k *keeper) await(late <-chan time.Time) {
	k.mu.Lock()
	idle := k.idle
	k.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-late:
	}
}

// run opens files until none is wanted, and closes idle then.
func (k *keeper) run(idle chan struct{}) {
	defer close(idle)
	ours, _ := os.Readlink("/proc/self/ns/mnt")
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.wanted) > 0 {
		w := k.wanted[0]
		k.wanted = k.wanted[1:]
		if _, known := k.held[w.file]; known {
			continue
		}
		k.mu.Unlock()
		f, ok := k.open(&w, ours)
		k.mu.Lock()
		if ok {
			k.hold(w.file, f)
		}
	}
	k.wanted, k.idle = nil, nil
}

// open opens the file of a mapping, or returns nil if this process can do so later. If
// the process has ended, open tries its parent, which may map the same file. It returns
// false if the parent has ended too.
func (k *keeper) open(w *wanted, ours string) (*os.File, bool) {
	for _, pid := range []int{w.pid, w.parent} {
		p := process{pid: pid}
		names := p.ownNames(k.proc, &mapping{start: w.start, end: w.end, file: &w.file})
		theirs, err := os.Readlink(filepath.Join(k.proc, strconv.Itoa(pid), "ns/mnt"))
		if err != nil {
			continue
		}
		if !k.devices.Answer(w.file.dev, append(names, w.file.path)...) {
			return nil, false
		}
		if theirs == ours {
			// If the process has a separate root directory, the kernel shows the whole
			// path.
			if st, err := os.Stat(w.file.path); err == nil && w.file.is(w.file.path, st) {
				return nil, true
			}
		}
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				continue
			}
			if st, err := f.Stat(); err == nil && st.Mode().IsRegular() && w.file.is(name, st) {
				return f, true
			}
			f.Close()
		}
	}
	return nil, false
}

// hold stores an open file.
func (k *keeper) hold(id fileID, f *os.File) {
	if f == nil {
		if len(k.held) >= maxIDs {
			maps.DeleteFunc(k.held, func(_ fileID, f *os.File) bool { return f == nil })
		}
		k.held[id] = nil
		return
	}
	k.held[id] = f
	if k.order = append(k.order, id); len(k.order) > maxHeld {
		k.held[k.order[0]].Close()
		delete(k.held, k.order[0])
		k.order = slices.Delete(k.order, 0, 1)
	}
}

// with calls f with the path of the open file of a mapping, if there is one.
func (k *keeper) with(id fileID, f func(name string)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if file := k.held[id]; file != nil {
		f("/proc/self/fd/" + strconv.Itoa(int(file.Fd())))
	}
}

// close closes the open files.
func (k *keeper) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wanted = nil
	for _, id := range k.order {
		k.held[id].Close()
	}
	k.order, k.held = nil, map[fileID]*os.File{}
}
