package daemon

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// watcher reports changes of a directory, also if it is replaced by another directory.
type watcher struct {
	changed chan struct{} // has an element if something changed
	dir     string
	fd      int
	f       *os.File
}

// watch watches a directory. If the kernel does not allow it, no changes are reported.
// The daemon also checks the directory at intervals.
func watch(dir string) *watcher {
	w := &watcher{changed: make(chan struct{}, 1), dir: dir}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return w
	}
	w.fd, w.f = fd, os.NewFile(uintptr(fd), "inotify")
	w.add()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := w.f.Read(buf); err != nil {
				return
			}
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}
	}()
	return w
}

// add watches the directory that currently has the name, and its parent directory. It
// does nothing for a directory that is watched already.
func (w *watcher) add() {
	if w.f == nil {
		return
	}
	const place = unix.IN_CREATE | unix.IN_MOVED_TO
	const inside = place | unix.IN_CLOSE_WRITE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_ATTRIB
	unix.InotifyAddWatch(w.fd, filepath.Dir(filepath.Clean(w.dir)), place|unix.IN_MASK_ADD)
	unix.InotifyAddWatch(w.fd, w.dir, inside|unix.IN_MASK_ADD)
}

func (w *watcher) close() {
	if w.f != nil {
		w.f.Close()
	}
}
