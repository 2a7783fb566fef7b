package runtime

import (
	"errors"

	"golang.org/x/sys/unix"
)

// reason returns the innermost error: the kernel's answer without the context that
// callers added.
func reason(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		if errno, ok := inner.(unix.Errno); ok {
			return errno
		}
		err = inner
	}
}
