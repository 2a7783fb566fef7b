package unwind

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fileKey identifies a file on the machine while it exists. When it has been deleted,
// another file may get its inode.
type fileKey struct {
	dev, inode uint64
	special    string // for mappings of the kernel, such as [vdso]
}

// version distinguishes files that have had the same key, and successive contents of a
// file.
type version struct {
	size, sec, nsec int64 // the time is that of the last modification
}

// file is a mapped file.
type file struct {
	key        fileKey
	generation uint64    // of the inode, or 0 if the log of mappings has not told it
	version    version   // version when the file was opened
	checked    time.Time // when the version was last compared
	asked      bool      // it is being compared
	path       string    // path in the mount namespace of its users
	near       []int     // processes that are likely in this namespace and last longer
	code       uint64    // mapped bytes; building the tables takes time about proportional to them
	kind       int       // kind of the entries for addresses without a segment
	segs       []segment
	early      []segment // segments of the first of two rounds; lists of processes may refer to them
	following  bool      // the second round has not ended
	users      map[*process]bool
	same       *file // another file with the same contents, whose tables are used
	ready      bool
	retired    bool // another file now has the key
	build      string
	failed     time.Time // time of the last failure to open the file
	list       block     // the list in FilesMap
	first      bool      // a preferred process has mapped it
}

// Files without tables.
var (
	trampoline = &file{kind: Trampoline, ready: true}
	vsyscall   = &file{kind: NoTable, ready: true}
)

const (
	// retryAfter is the time after a failure to open a file after which the next mapping
	// of it causes another attempt.
	retryAfter = 10 * time.Millisecond
	// checkAfter is the time after a check after which the next mapping of a file causes
	// another comparison of its version. A file with another generation of the inode
	// needs no check.
	checkAfter = 10 * time.Millisecond
	// statPatience is the time for which a mapping waits for the version of its file.
	statPatience = 20 * time.Millisecond
	// maxNear is the maximum number of processes through which a file is searched when
	// the processes that mapped it have ended.
	maxNear = 4
)

// keyOf returns the key of the file of a mapping. ok is false if it has none.
func keyOf(m Mapping) (key fileKey, ok bool) {
	if m.Path == "[vdso]" {
		return fileKey{special: m.Path}, true
	}
	return fileKey{dev: m.Dev, inode: m.Inode}, m.Path != "" && m.Path[0] == '/' && m.Inode != 0
}

// fileOf returns the file of a mapping of a process, or nil if it has none.
func (t *Tables) fileOf(p *process, m Mapping) *file {
	switch m.Path {
	case "[uprobes]":
		return trampoline
	case "[vsyscall]":
		return vsyscall
	}
	key, ok := keyOf(m)
	if !ok {
		return nil
	}
	f := t.files[key]
	if f != nil && f.replaced(m) {
		t.retire(f)
		f = nil
	}
	if f == nil {
		t.limitFiles()
		f = &file{key: key, generation: m.Generation, code: m.End - m.Start, path: m.Path, kind: Pending, users: map[*process]bool{}}
		t.files[key] = f
		t.enqueue(f)
	} else if !f.failed.IsZero() && time.Since(f.failed) > retryAfter {
		f.failed = time.Time{}
		t.enqueue(f)
	}
	if !f.ready {
		for a := p.parent; a > 0 && len(f.near) < maxNear && !slices.Contains(f.near, a); {
			f.near = append(f.near, a)
			if up := t.procs[a]; up != nil {
				a = up.parent
			}
		}
	}
	return f
}

// enqueue adds a file to the queue of the builders.
func (t *Tables) enqueue(f *file) {
	t.queue = append(t.queue, f)
	t.wake()
}

// wake wakes the builders, which then check the queue.
func (t *Tables) wake() {
	for _, w := range t.workers {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// replaced reports whether a mapping belongs to another file than f with the same inode,
// according to the log of mappings.
func (f *file) replaced(m Mapping) bool {
	return f.generation != 0 && m.Generation != 0 && f.generation != m.Generation
}

// refresh drops the tables of the file of a mapping if the file was written after they
// were built. The file system may not answer, so t.mu must not be locked, and refresh
// waits only for a short time.
func (t *Tables) refresh(pid int, m Mapping) {
	key, ok := keyOf(m)
	if !ok || key.special != "" {
		return
	}
	t.mu.Lock()
	f := t.files[key]
	if f == nil || f.asked || !f.ready || f.version == (version{}) || f.replaced(m) || time.Since(f.checked) < checkAfter {
		t.mu.Unlock()
		return
	}
	f.asked = true
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		v, ok := t.currentVersion(pid, m.Path, key)
		t.mu.Lock()
		defer t.mu.Unlock()
		f.asked, f.checked = false, time.Now()
		switch {
		case !ok || t.files[key] != f || t.closed():
		case v != f.version:
			t.retire(f)
		default:
			f.generation = max(f.generation, m.Generation)
		}
	}()
	late := time.NewTimer(t.patience)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}

// closed reports whether the tables are being closed.
func (t *Tables) closed() bool {
	select {
	case <-t.stop:
		return true
	default:
		return false
	}
}

// currentVersion returns the version of a file that a process maps, found by its path.
func (t *Tables) currentVersion(pid int, path string, key fileKey) (version, bool) {
	for _, name := range []string{filepath.Join(t.procRoot, strconv.Itoa(pid), "root", path), path} {
		if info, err := t.stat(name); err == nil && isMapped(name, info, key) {
			return versionOf(info), true
		}
	}
	return version{}, false
}

// retire removes a file whose key another file has now. Processes that map it keep its
// tables.
func (t *Tables) retire(f *file) {
	f.retired = true
	delete(t.files, f.key)
	t.retired = append(t.retired, f)
	t.forgetFile(f)
}

// opened is an open file.
type opened interface {
	io.ReaderAt
	io.Closer
}

// maxSources is the number of mappings of a file that are tried.
const maxSources = 16

// open opens a file through one of the processes that map it.
func (t *Tables) open(f *file) (opened, os.FileInfo, error) {
	// The goroutine of the events may change the mappings in the meantime.
	type source struct {
		pid        int
		start, end uint64
	}
	var from []source
	t.mu.Lock()
	for p := range f.users {
		for _, m := range p.maps {
			if m.file == f && len(from) < maxSources {
				from = append(from, source{p.pid, m.start, m.end})
			}
		}
	}
	near := slices.Clone(f.near)
	t.mu.Unlock()
	var names []string
	for _, s := range from {
		dir := filepath.Join(t.procRoot, strconv.Itoa(s.pid))
		if f.key.special != "" {
			if r, err := readMemory(dir, s.start, s.end); err == nil {
				return r, nil, nil
			}
			continue
		}
		// The first is the mapped file, even if it was deleted. The kernel may have divided
		// or joined mappings, so that it has another name.
		names = append(names, filepath.Join(dir, "map_files", fmt.Sprintf("%x-%x", s.start, s.end)), filepath.Join(dir, "root", f.path))
	}
	if f.key.special != "" {
		return nil, nil, errGone
	}
	// If the processes have ended, the next ones that map the file may also end soon.
	for _, pid := range near {
		names = append(names, filepath.Join(t.procRoot, strconv.Itoa(pid), "root", f.path))
	}
	for _, name := range append(names, f.path) {
		r, err := t.openFile(name)
		if err != nil {
			continue
		}
		info, err := r.Stat()
		if err == nil && info.Mode().IsRegular() && isMapped(name, info, f.key) && (name != f.path || sameDevice(name, info, f.key)) {
			return r, info, nil
		}
		r.Close()
	}
	return nil, nil, errGone
}

// isMapped reports whether the file at a path is likely the one of a mapping: it has
// its inode. On an overlay, the inode of the mapping may be that of the file below.
func isMapped(name string, info os.FileInfo, key fileKey) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Ino == key.inode || fsType(name) == unix.OVERLAYFS_SUPER_MAGIC)
}

// sameDevice reports whether a file is on the device of a mapping. On some file systems
// stat returns another device.
func sameDevice(name string, info os.FileInfo, key fileKey) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	if uint64(unix.Major(st.Dev))<<32|uint64(unix.Minor(st.Dev)) == key.dev {
		return true
	}
	fs := fsType(name)
	return st.Ino == key.inode && (fs == unix.OVERLAYFS_SUPER_MAGIC || fs == unix.BTRFS_SUPER_MAGIC)
}

// fsType returns the magic number of the file system that a path is on, or 0.
func fsType(name string) int64 {
	var fs unix.Statfs_t
	if unix.Statfs(name, &fs) != nil {
		return 0
	}
	return int64(fs.Type)
}

// versionOf returns the version of a file that was opened or found.
func versionOf(info os.FileInfo) version {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return version{}
	}
	return version{st.Size, st.Mtim.Sec, st.Mtim.Nsec}
}

// FileID is a key of FilesMap.
type FileID [FileKeySize]byte

// id returns the file's key in FilesMap.
func (f *file) id() (id FileID) {
	ne := binary.NativeEndian
	ne.PutUint32(id[FileDevice:], uint32(f.key.dev>>32<<20|f.key.dev&(1<<20-1))) // as the kernel numbers it
	ne.PutUint32(id[FileNsec:], uint32(f.version.nsec))
	ne.PutUint64(id[FileInode:], f.key.inode)
	ne.PutUint64(id[FileSize:], uint64(f.version.size))
	ne.PutUint64(id[FileSec:], uint64(f.version.sec))
	return id
}

// publishFile makes the segments of a file available to programs that find the file
// through the kernel's mappings.
func (t *Tables) publishFile(f *file) {
	if f.key.special != "" || f.retired || t.mem.SetFile == nil {
		return
	}
	whole := mapping{end: 1 << 47, file: f}
	b, word, err := t.writeList(whole.entries(nil))
	if err != nil {
		return // programs find the file only in the lists of processes
	}
	if t.mem.SetFile(f.id(), word) != nil { // the map is full
		t.dropIdle(f)
		if t.mem.SetFile(f.id(), word) != nil {
			t.memory.release(b)
			return
		}
	}
	f.list = b
}

// forgetFile undoes publishFile.
func (t *Tables) forgetFile(f *file) {
	if f.list.size > 0 {
		_ = t.mem.SetFile(f.id(), 0)
		t.memory.release(f.list)
		f.list = block{}
	}
}

// alloc returns memory for a list or a segment. If there is none left, it releases the
// tables of files that no process maps.
func (t *Tables) alloc(size int) (block, []byte, error) {
	b, mem, err := t.memory.alloc(size)
	if err == nil {
		return b, mem, nil
	}
	t.dropIdle(nil)
	// The memory becomes free when no program can still be reading it.
	return t.memory.alloc(size)
}

// limitFiles drops files that no process maps if there are many.
func (t *Tables) limitFiles() {
	if len(t.files)+len(t.retired) < max(t.fileLimit, MaxFiles) {
		return
	}
	t.dropIdle(nil)
	t.fileLimit = 2 * (len(t.files) + len(t.retired))
}

// dropIdle releases the tables of all files that no process maps, except keep.
func (t *Tables) dropIdle(keep *file) {
	shared := map[*file]bool{keep: true}
	for _, f := range t.files {
		shared[f.same] = true
	}
	for _, f := range t.retired {
		if len(f.users) > 0 {
			shared[f.same] = true
		}
	}
	drop := func(f *file) bool {
		built := f.ready && !f.following || !f.failed.IsZero()
		if len(f.users) > 0 || !built || shared[f] {
			return false
		}
		for _, s := range slices.Concat(f.segs, f.early) {
			t.memory.release(s.block)
		}
		t.forgetFile(f)
		if t.byBuild[f.build] == f {
			delete(t.byBuild, f.build)
		}
		return true
	}
	for key, f := range t.files {
		if drop(f) {
			delete(t.files, key)
		}
	}
	t.retired = slices.DeleteFunc(t.retired, drop)
}
