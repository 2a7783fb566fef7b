package probes

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes/binary"
)

// CodeFile is a file with code that a process has mapped.
type CodeFile struct {
	Name string // in the process
	Path string // path by which the file can be opened until Close, even if the process has ended
	x    *binary.File
	open *os.File
}

// Close releases the file.
func (f *CodeFile) Close() {
	f.x.Close()
	f.open.Close()
}

// CodeFiles opens each file that processes have mapped once. Files with the same inode
// are the same file, because the kernel has one probe for all processes that map it.
type CodeFiles struct {
	seen map[codeID]bool
	like map[codeCopy]overlays
	left map[codeID]bool // number of files that exceeded the limit
}

// maxCodeFiles limits the number of files that are opened.
const maxCodeFiles = 32768

// codeID identifies a file in one mount of its file system.
type codeID struct {
	dev uint64
	codeCopy
}

// codeCopy identifies a file in all mounts of its file system. Overlays show files of
// their layers with the same inode but another device.
type codeCopy struct {
	inode        uint64
	size         int64
	mtime, ctime int64 // ns since the epoch
}

// overlays records whether a file with the same codeCopy was seen on an overlay, and on
// another file system.
type overlays struct{ on, off bool }

// Open opens a file by the first of the paths that works. It returns nil if there is none,
// the file is not a program, or it has been opened or marked before.
func (c *CodeFiles) Open(name string, paths ...string) *CodeFile {
	for _, path := range paths {
		// A file that has been seen is not opened again.
		if id, over, err := identify(func(st *unix.Stat_t) error { return unix.Stat(path, st) }, path); err != nil {
			continue
		} else if c.has(id, over) {
			return nil
		}
		file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // the path may now be a pipe
		if err != nil {
			continue
		}
		held := fmt.Sprintf("/proc/self/fd/%d", file.Fd())
		id, over, err := identify(func(st *unix.Stat_t) error { return unix.Fstat(int(file.Fd()), st) }, held)
		if err != nil || !c.add(id, over) {
			file.Close()
			return nil
		}
		x, err := binary.Open(held)
		if err != nil {
			file.Close()
			return nil // it is not a program
		}
		return &CodeFile{Name: name, Path: held, x: x, open: file}
	}
	return nil
}

// Mark makes Open return nil for a file.
func (c *CodeFiles) Mark(path string) {
	if id, over, err := identify(func(st *unix.Stat_t) error { return unix.Stat(path, st) }, path); err == nil {
		c.add(id, over)
	}
}

// Len returns the number of files that have been opened or marked. Left returns the
// number of files that exceeded the limit.
func (c *CodeFiles) Len() int  { return len(c.seen) }
func (c *CodeFiles) Left() int { return len(c.left) }

// has reports whether a file has been added. over is set if it is on an overlay.
func (c *CodeFiles) has(id codeID, over bool) bool {
	like := c.like[id.codeCopy]
	return c.seen[id] || like.on || over && like.off
}

// add adds a file. It returns false if the file is not new or the limit is reached.
func (c *CodeFiles) add(id codeID, over bool) bool {
	if c.seen == nil {
		c.seen, c.like, c.left = map[codeID]bool{}, map[codeCopy]overlays{}, map[codeID]bool{}
	}
	known := c.has(id, over)
	if !known && len(c.seen) >= maxCodeFiles {
		c.left[id] = true
		return false
	}
	like := c.like[id.codeCopy]
	c.seen[id], c.like[id.codeCopy] = true, overlays{like.on || over, like.off || !over}
	return !known
}

// identify returns the identity of a regular file, and whether it is on an overlay.
func identify(stat func(*unix.Stat_t) error, path string) (id codeID, over bool, err error) {
	var st unix.Stat_t
	if err := stat(&st); err != nil {
		return id, false, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return id, false, unix.EINVAL
	}
	return codeID{uint64(st.Dev), codeCopy{st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}}, OnOverlay(path), nil
}

// OnOverlay reports whether a file is on an overlay.
func OnOverlay(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC
}
