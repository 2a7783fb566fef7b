package symbols

import (
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Devices tells which file systems answer. One of FUSE whose server hangs, or one of a
// network that is down, keeps a caller waiting for ever, and the call cannot be interrupted.
// The zero value is ready to use, from any goroutine.
type Devices struct {
	mu     sync.Mutex
	known  map[string]*device
	open   func(path string) // openOnce, except in tests
	failed int
}

// device is a file system that has been asked.
type device struct {
	answered time.Time // when it did the last time
	waiting  bool      // it has not answered yet
}

const (
	// devicePatience is how long Answer waits.
	devicePatience = 2 * time.Second
	// trusted is how long after an answer a device is not asked again.
	trusted = time.Second
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
		it = &device{}
		d.known[dev] = it
	}
	switch {
	case it.waiting:
		d.failed++
		return false
	case time.Since(it.answered) < trusted:
		return true
	}
	it.waiting = true
	open := d.open
	if open == nil {
		open = openOnce
	}
	done := make(chan struct{})
	go func() {
		for _, path := range paths {
			open(path)
		}
		d.mu.Lock()
		it.waiting, it.answered = false, time.Now()
		d.mu.Unlock()
		close(done)
	}()
	d.mu.Unlock()
	late := time.NewTimer(devicePatience)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
	d.mu.Lock()
	if it.waiting {
		d.failed++
	}
	return !it.waiting
}

// Failed returns how often a file system has not answered.
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
