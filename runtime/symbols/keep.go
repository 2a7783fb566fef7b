package symbols

import (
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keeper opens files of processes while the processes run. When a process has ended, the
// file may be deleted, or the mount namespace of the process is gone, and with it every
// name of the file.
type keeper struct {
	proc    string // mount point of procfs
	devices *Devices

	mu     sync.Mutex
	wanted []wanted
	idle   chan struct{}       // closed when no file is wanted any more; nil: run is not running
	held   map[fileID]*os.File // nil: it was not possible or not wise to keep the file open
	order  []fileID            // the open files that only their process can open, the oldest first
	ours   []fileID            // those that this process can open by their path
}

// wanted is a mapping whose file has to be opened, or, if it is empty, the directory of a
// process's perf map.
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

// keepFile has the file of a mapping opened if nothing else makes sure that it can be read
// after the process has ended. For generated code, that is the directory of the perf map.
func (u *User) keepFile(p *process, m *mapping) {
	path := m.file.path
	if path == "" || strings.Contains(path, ":") { // [anon:NAME], /memfd:NAME
		if p.tmp == nil {
			dir := procDir(u.opt.ProcRoot, p.pid)
			p.tmp, p.inner, p.user = &fileID{dev: strconv.Itoa(p.pid), path: "/tmp"}, innerMap(dir, p.pid), userOf(dir)
			u.keep.want(p, &mapping{file: p.tmp})
		}
	}
	if m.named() && path != vdso && u.files[*m.file] == nil {
		u.keep.want(p, m)
	}
}

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

// run opens files until none is wanted, and closes idle then. It begins with the last one:
// a process that has just started may end soon.
func (k *keeper) run(idle chan struct{}) {
	defer close(idle)
	ours, _ := os.Readlink("/proc/self/ns/mnt")
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.wanted) > 0 {
		last := len(k.wanted) - 1
		w := k.wanted[last]
		k.wanted = k.wanted[:last]
		if _, known := k.held[w.file]; known {
			continue
		}
		k.mu.Unlock()
		f, own, ok := k.open(&w, ours)
		k.mu.Lock()
		if ok {
			k.hold(w.file, f, own)
		}
	}
	k.wanted, k.idle = nil, nil
}

// open opens the file of a mapping. If the process has ended, open tries its parent, which
// may map the same file, and then the file's path. It returns false if there is none.
func (k *keeper) open(w *wanted, ours string) (f *os.File, own, ok bool) {
	path := w.file.path
	for _, pid := range []int{w.pid, w.parent} {
		p := process{pid: pid}
		names := p.ownNames(k.proc, &mapping{start: w.start, end: w.end, file: &w.file})
		dir := procDir(k.proc, pid)
		theirs, err := os.Readlink(dir + "/ns/mnt")
		if err != nil {
			continue
		}
		dev := w.file.dev
		if w.end == 0 {
			dev = theirs
		}
		if !k.devices.Answer(dev, append(names, path)...) {
			return nil, false, false
		}
		if theirs == ours && w.end != 0 {
			// If the process has a separate root directory, the kernel shows the whole
			// path.
			if f, own, ok := w.file.byPath(); ok {
				return f, own, ok
			}
		}
		for _, name := range names {
			tree, err := openTree(dir, name[len(dir)+1:], theirs != ours)
			if err == nil {
				name = fdPath(tree)
				defer unix.Close(tree)
			}
			if f := w.file.open(name); f != nil {
				return f, false, true
			}
		}
	}
	if k.devices.Answer(w.file.dev, path) {
		return w.file.byPath()
	}
	return nil, false, false
}

// byPath opens a file by its path, if it is still there.
//
//go:noinline
func (id fileID) byPath() (f *os.File, own, ok bool) {
	st, err := os.Stat(id.path)
	if err != nil || !id.is(id.path, st) {
		return nil, false, false
	}
	return openLasting(id.path, st), true, true
}

// open opens the file if it has the name.
func (id fileID) open(name string) *os.File {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() && !st.IsDir() || !id.is(name, st) {
		f.Close()
		return nil
	}
	return f
}

// openLasting opens the file that has the path. An open file would keep its file system from
// being unmounted, so it is opened through a mount of its own. The device of the file system
// stays in use. If that is not possible, openLasting returns nil. It also returns nil if the
// path has another file by now, or if the file system renames an open file when it is
// deleted.
func openLasting(path string, st os.FileInfo) *os.File {
	var fs unix.Statfs_t
	var root unix.Stat_t
	if !st.Mode().IsRegular() || unix.Statfs(path, &fs) != nil || unix.Stat("/", &root) != nil {
		return nil
	}
	switch fs.Type {
	case unix.NFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return nil
	}
	if root.Dev != st.Sys().(*syscall.Stat_t).Dev {
		tree, err := openTree("/", path, false)
		if err != nil {
			return nil
		}
		defer unix.Close(tree)
		path = fdPath(tree)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(st, now) {
		f.Close()
		return nil
	}
	return f
}

// openTree opens a file or directory below dir through a mount of its own. Only a thread in
// the mount namespace of the file can do that. If it is foreign, dir is the directory below
// /proc of a process in that namespace.
func openTree(dir, path string, foreign bool) (fd int, err error) {
	at, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if foreign {
			runtime.LockOSThread() // the thread ends with this function
			var ns int
			if ns, err = unix.Openat(at, "ns/mnt", unix.O_CLOEXEC, 0); err != nil {
				return
			}
			if err = unix.Unshare(unix.CLONE_FS); err == nil {
				err = unix.Setns(ns, unix.CLONE_NEWNS)
			}
			unix.Close(ns)
			if err != nil {
				return
			}
		}
		fd, err = unix.OpenTree(at, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	}()
	<-done
	unix.Close(at)
	return fd, err
}

// hold stores an open file. If there are too many, it closes the oldest of those that this
// process can open by their path, or else the oldest.
func (k *keeper) hold(id fileID, f *os.File, own bool) {
	if f == nil {
		if len(k.held) >= maxIDs {
			maps.DeleteFunc(k.held, func(_ fileID, f *os.File) bool { return f == nil })
		}
		k.held[id] = nil
		return
	}
	k.held[id] = f
	list := &k.order
	if own {
		list = &k.ours
	}
	*list = append(*list, id)
	if len(k.order)+len(k.ours) <= maxHeld {
		return
	}
	if list = &k.ours; len(*list) == 0 {
		list = &k.order
	}
	k.held[(*list)[0]].Close()
	delete(k.held, (*list)[0])
	*list = slices.Delete(*list, 0, 1)
}

// take returns the open file and forgets it, or returns nil.
func (k *keeper) take(id *fileID) *os.File {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.held[*id]
	delete(k.held, *id)
	for i := range k.order {
		if k.order[i].dev == id.dev && k.order[i].path == id.path {
			k.order = slices.Delete(k.order, i, i+1)
			break
		}
	}
	return f
}

// fdPath returns the path of an open file.
//
//go:noinline
func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// with calls f with the path of the open file of a mapping, if there is one.
func (k *keeper) with(id fileID, f func(name string)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if file := k.held[id]; file != nil {
		f(fdPath(int(file.Fd())))
	}
}

// close closes the open files.
func (k *keeper) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wanted = nil
	for _, f := range k.held {
		f.Close()
	}
	k.order, k.ours, k.held = nil, nil, map[fileID]*os.File{}
}
