package probes

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// TestAttachError checks the words for errors of the kernel.
func TestAttachError(t *testing.T) {
	p := &object.Point{Name: "tracepoint:a:b", PID: 7}
	for errno, want := range map[unix.Errno]string{
		unix.E2BIG:  "cannot attach tracepoint:a:b: the kernel runs at most 64 programs there",
		unix.EMFILE: "too many open files: raise the limit",
		unix.ESRCH:  "there is no process 7",
		unix.EBUSY:  "of the kind",
		unix.EIO:    "input/output error",
	} {
		err := attachError(p, errno, nil, map[error]string{unix.EBUSY: "of the kind"})
		if !strings.Contains(err.Error(), want) || !errors.Is(err, errno) {
			t.Errorf("%v: %v, want %s", errno, err, want)
		}
	}
}
