package requests

import "bytes"

// window is a piece of a stream: n bytes, of which only the first ones are known.
type window struct {
	data []byte
	n    uint64
}

// cut reports whether the next byte is unknown.
func (w *window) cut() bool { return len(w.data) == 0 && w.n > 0 }

// skip skips up to k bytes and returns their number.
//
//go:noinline
func (w *window) skip(k uint64) uint64 {
	k = min(k, w.n)
	w.data = w.data[min(k, uint64(len(w.data))):]
	w.n -= k
	return k
}

// text collects bytes up to and including a mark, in several pieces of a stream.
type text struct {
	buf []byte
}

// maxText is the maximum number of bytes of a header that are kept.
const maxText = 16384

// until moves bytes from w to the text, up to and including the mark, and returns their
// number. found reports whether the mark was there. If it was not and w is not empty, the
// text is too long or has a gap.
func (t *text) until(w *window, mark string) (found bool, taken uint64) {
	before := len(t.buf)
	room := min(len(w.data), maxText-len(t.buf))
	t.buf = append(t.buf, w.data[:room]...)
	from := max(before-len(mark)+1, 0)
	if i := bytes.Index(t.buf[from:], []byte(mark)); i >= 0 {
		t.buf = t.buf[:from+i+len(mark)]
		found = true
	}
	return found, w.skip(uint64(len(t.buf) - before))
}
