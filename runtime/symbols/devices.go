package symbols

import (
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Devices records which file systems answer. A call into a file system that does not
// answer, such as FUSE with a server that hangs or a network that is down, never returns
// and cannot be interrupted. The zero value is ready to use, from any goroutine.
type Devices struct {
	mu     sync.Mutex
	known  map[string]*device
	open   func(path string) // openOnce, except in tests
	failed int
}

// device is a file system that has been asked.
type device struct {
	answered time.Time     // time of the last answer
	asked    time.Time     // when the call that waits began
	done     chan struct{} // closed when that call returns; nil if none waits
}

const (
	// devicePatience is the time in which a file system must answer.
	devicePatience = 2 * time.Second
	// trusted is the time after an answer for which a device is not asked again.
	trusted = time.Second
	// maxDevices is the number of devices above which those that answered are forgotten. The
	// directories of perf maps count as devices.
	maxDevices = 4096
)

// Answer reports whether the file system with a device number, in the format of
// /proc/PID/maps, answers. It opens the files paths if that is not known.
func (d *Devices) Answer(dev string, paths ...string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	it := d.known[dev]
	if it == nil {
		if d.known == nil {
			d.known = map[string]*device{}
		}
		if len(d.known) >= maxDevices {
			for name, other := range d.known {
				if other.done == nil {
					delete(d.known, name)
				}
			}
		}
		it = &device{}
		d.known[dev] = it
	}
	if it.done == nil {
		if time.Since(it.answered) < trusted {
			return true
		}
		it.asked, it.done = time.Now(), make(chan struct{})
		go d.ask(it, paths)
	}
	done := it.done
	late := time.NewTimer(time.Until(it.asked.Add(devicePatience)))
	defer late.Stop()
	d.mu.Unlock()
	select {
	case <-done:
	case <-late.C:
	}
	d.mu.Lock()
	if it.done == done {
		d.failed++
		return false
	}
	return true
}

// ask opens files of a device, and records that it answered.
func (d *Devices) ask(it *device, paths []string) {
	open := d.open
	if open == nil {
		open = openOnce
	}
	for _, path := range paths {
		open(path)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	close(it.done)
	it.done, it.answered = nil, time.Now()
}

// Failed returns the number of times that a file system did not answer.
func (d *Devices) Failed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// Hang is for tests: files below a directory do not answer until release is called.
func (d *Devices) Hang(dir string) (release func()) {
	wait := make(chan struct{})
	d.open = func(path string) {
		if strings.HasPrefix(path, dir) {
			<-wait
		}
	}
	return sync.OnceFunc(func() { close(wait) })
}

// openOnce opens a file and closes it. It does not wait for the writer of a pipe.
func openOnce(path string) {
	if f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
		f.Close()
	}
}
