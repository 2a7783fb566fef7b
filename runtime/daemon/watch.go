package daemon

import (
	"os"

	"golang.org/x/sys/unix"
)

// watcher reports changes of a directory.
type watcher struct {
	changed chan struct{} // has an element if something changed
	f       *os.File
}

// watch watches a directory. If the kernel does not allow it, no change is reported: the
// daemon looks at the directory now and then anyway.
func watch(dir string) *watcher {
	w := &watcher{changed: make(chan struct{}, 1)}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return w
	}
	const events = unix.IN_CLOSE_WRITE | unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB
	if _, err := unix.InotifyAddWatch(fd, dir, events); err != nil {
		unix.Close(fd)
		return w
	}
	w.f = os.NewFile(uintptr(fd), "inotify")
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

func (w *watcher) close() {
	if w.f != nil {
		w.f.Close()
	}
}
