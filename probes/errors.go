package probes

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// AttachError is the reason why a probe could not be attached, in terms that users
// know.
type AttachError struct {
	Point *object.Point
	Msg   string
	Err   error // the kernel's error
}

// Error returns the point and the reason.
func (e *AttachError) Error() string { return "cannot attach " + e.Point.Name + ": " + e.Msg }

func (e *AttachError) Unwrap() error { return e.Err }

// attachError returns an AttachError that explains err. caps are the capabilities of the
// kind, see Kind.Caps. why contains messages for error numbers, which take
// precedence over the general ones.
func attachError(p *object.Point, err error, caps []Capability, why map[error]string) error {
	if err == nil {
		return nil
	}
	var done *AttachError
	if errors.As(err, &done) {
		return err
	}
	if errors.Is(err, unix.EACCES) {
		if msg := paranoid(); msg != "" {
			return &AttachError{p, msg, err}
		}
	}
	for errno, msg := range why {
		if errors.Is(err, errno) {
			return &AttachError{p, msg, err}
		}
	}
	msg := err.Error()
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		msg = fmt.Sprintf("%s: %v", noPermission(p.Kind, caps), err)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		msg = "too many open files: raise the limit (ulimit -n) or attach to fewer places"
	case errors.Is(err, unix.ESRCH):
		if p.PID != 0 {
			msg = fmt.Sprintf("there is no process %d", p.PID)
		}
	case errors.Is(err, unix.E2BIG):
		msg = "the kernel runs at most 64 programs there, those of other tools included: join blocks or policies"
	}
	return &AttachError{p, msg, err}
}

// Needs returns the message that what needs a feature that the kernel lacks. It
// contains the first release with the feature, and the kernel's release.
func Needs(k Kernel, what string, f Feature) string {
	since, _ := k.Since(f)
	if since == "" {
		return fmt.Sprintf("%s needs %s, which this kernel does not have", what, f)
	}
	return fmt.Sprintf("%s needs Linux %s (%s), this is %s", what, since, f, k.Release())
}

// tooOld returns the error for a kernel without a feature.
func tooOld(e *Env, what string, f Feature) error {
	return outline.Errorf("%s: %w", Needs(e.Kernel, what, f), ebpf.ErrNotSupported)
}
