package unwind

import (
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A file system may not answer, such as FUSE whose server hangs or a network file system
// whose network is down. Calls into it cannot be interrupted. So a builder leaves the
// file to a separate goroutine, and starts no other file on the same device until the
// file system answers.

// readPatience is the time for which a builder waits for an answer of a file system.
const readPatience = 500 * time.Millisecond

// answers measures the time for which a call into a file system has been waiting.
type answers struct {
	since atomic.Int64 // when the call began, in nanoseconds, or 0 if there is none
}

func (a *answers) begin() { a.since.Store(time.Now().UnixNano()) }
func (a *answers) end()   { a.since.Store(0) }

// late reports whether the call has been waiting for longer than most.
func (a *answers) late(most time.Duration) bool {
	at := a.since.Load()
	return at != 0 && time.Now().UnixNano()-at > int64(most)
}

// watched is a file whose reads are timed.
type watched struct {
	opened
	calls *answers
}

func (w watched) ReadAt(b []byte, off int64) (int, error) {
	w.calls.begin()
	defer w.calls.end()
	return w.opened.ReadAt(b, off)
}

// openRead opens a file to read it. It does not wait for the writer of a pipe.
func openRead(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// attend builds the tables of a file, or returns if its file system does not answer.
func (t *Tables) attend(f *file) {
	var calls answers
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.buildFile(f, &calls)
		t.mu.Lock()
		defer t.mu.Unlock()
		close(t.made)
		t.made = make(chan struct{})
	}()
	look := time.NewTicker(readPatience / 5)
	defer look.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.stop:
			return
		case <-look.C:
		}
		if !calls.late(readPatience) {
			continue
		}
		dev := f.key.dev
		t.mu.Lock()
		t.silent[dev]++
		t.mu.Unlock()
		go func() {
			<-done
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.silent[dev]--; t.silent[dev] == 0 {
				delete(t.silent, dev)
			}
			t.wake()
		}()
		return
	}
}
