package output

import (
	"errors"
	"io"
	"io/fs"

	"github.com/gotrace/gotrace/runtime/outline"
)

// Mode selects when written bytes reach their destination.
type Mode uint8

const (
	// Line sends the lines of one wake-up of the reader together, before the reader
	// sleeps again.
	Line Mode = iota
	// Full sends only when the buffer is full, and at the end.
	Full
	// None sends every write at once.
	None
)

// ParseMode returns the mode with the given name on the command line.
func ParseMode(s string) (Mode, bool) {
	switch s {
	case "line":
		return Line, true
	case "full":
		return Full, true
	case "none":
		return None, true
	}
	return Line, false
}

const bufferSize = 64 << 10

// Writer buffers output according to a Mode. After an error it discards all output,
// and Flush returns the error.
type Writer struct {
	w    io.Writer
	mode Mode
	buf  []byte
	err  error
}

// NewWriter returns a Writer to w.
//
//go:noinline
func NewWriter(w io.Writer, mode Mode) *Writer { return &Writer{w: w, mode: mode} }

func (w *Writer) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	if w.mode == None || len(w.buf) >= bufferSize {
		w.Flush()
	}
	return len(p), nil
}

// Idle sends the buffered bytes unless the mode is Full.
func (w *Writer) Idle() error {
	if w.mode == Full {
		return w.err
	}
	return w.Flush()
}

// Flush sends the buffered bytes.
func (w *Writer) Flush() error {
	if len(w.buf) > 0 && w.err == nil {
		if _, err := w.w.Write(w.buf); err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err // without the operation and the path
			}
			w.err = outline.Errorf("cannot write the output: %w", err)
		}
	}
	w.buf = w.buf[:0]
	return w.err
}
