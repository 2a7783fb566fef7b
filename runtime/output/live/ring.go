package live

import (
	"bytes"
	"sync"
)

// ring keeps the last bytes that were written to it. Its methods may be called from any
// goroutine.
type ring struct {
	mu      sync.Mutex
	buf     []byte
	start   int // position of the oldest byte
	n       int // bytes kept
	written uint64
	dropped uint64 // number of lines that are not kept, or of which only the end is kept
	inLine  bool   // the oldest byte is not the first one of its line
}

//go:noinline
func newRing(size int) *ring { return &ring{buf: make([]byte, size)} }

// Write implements io.Writer. It never fails.
func (r *ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	size := len(p)
	r.written += uint64(size)
	if over := len(p) - len(r.buf); over > 0 {
		r.drop(r.n)
		r.dropped += uint64(bytes.Count(p[:over], newline))
		r.inLine = p[over-1] != '\n'
		p = p[over:]
	}
	r.drop(r.n + len(p) - len(r.buf))
	at := (r.start + r.n) % len(r.buf)
	k := copy(r.buf[at:], p)
	copy(r.buf, p[k:])
	r.n += len(p)
	return size, nil
}

var newline = []byte{'\n'}

// drop removes the n oldest bytes.
func (r *ring) drop(n int) {
	if n <= 0 {
		return
	}
	k := min(n, len(r.buf)-r.start)
	r.inLine = r.buf[(r.start+n-1)%len(r.buf)] != '\n'
	r.dropped += uint64(bytes.Count(r.buf[r.start:r.start+k], newline) + bytes.Count(r.buf[:n-k], newline))
	r.start = (r.start + n) % len(r.buf)
	r.n -= n
}

// total returns the number of bytes that were written.
func (r *ring) total() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.written
}

// contents returns the bytes that are kept, starting at the beginning of a line, and the
// number of lines before them.
func (r *ring) contents() (kept []byte, before uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := min(r.n, len(r.buf)-r.start)
	kept = append(append(make([]byte, 0, r.n), r.buf[r.start:r.start+k]...), r.buf[:r.n-k]...)
	before = r.dropped
	if r.inLine {
		if i := bytes.IndexByte(kept, '\n'); i >= 0 {
			kept, before = kept[i+1:], before+1
		}
	}
	return kept, before
}

// tail returns the last n bytes.
func (r *ring) tail(n int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, r.n)
	at := (r.start + r.n - n) % len(r.buf)
	k := min(n, len(r.buf)-at)
	return append(append(make([]byte, 0, n), r.buf[at:at+k]...), r.buf[:n-k]...)
}

// clear removes everything. It is called after the contents were printed.
func (r *ring) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start, r.n, r.dropped, r.inLine = 0, 0, 0, false
}
