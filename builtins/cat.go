package builtins

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/gotrace/gotrace/runtime/object"
)

func catFile() *Def {
	return &Def{
		Name: "cat",
		Kind: Action,
		Records: Records{
			Outside: true, ShowsNow: func(*Call) bool { return true },
			Sends: []Sent{{Lits: []any{(*object.Message)(nil)}}},
			Handle: func(env Env, rec *object.Record) error {
				name := renderRecord(env, rec)
				// Without O_NONBLOCK, opening a pipe waits for a writer.
				f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
				if err != nil {
					env.Fail("failed to open file '%s' (%s)", name, OSReason(err))
					return nil
				}
				defer f.Close()
				// Reads that may block are interrupted by a deadline.
				defer context.AfterFunc(env.Outside(), func() { f.SetReadDeadline(time.Unix(1, 0)) })()
				data, err := io.ReadAll(io.LimitReader(f, int64(env.Settings().MaxCatBytes)))
				if errors.Is(err, os.ErrDeadlineExceeded) {
					return ErrGivenUp
				} else if err != nil {
					env.Fail("failed to read file '%s' (%s)", name, OSReason(err))
				}
				env.Out().Printf("cat", string(data))
				return nil
			},
		},
		Params: formatParams,
		Doc: Doc{
			Summary:  "Prints a file, at most max_cat_bytes of it. Its name is a format with arguments, as for printf.",
			Examples: []string{`interval:s:1 { cat("/proc/loadavg"); }`, `tracepoint:syscalls:sys_enter_execve { cat("/proc/%d/cmdline", pid); }`},
		},
		Check: checkMessage,
		Emit:  sendMessage,
	}
}

// OSReason returns the C library's text for a system error.
func OSReason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errorText(errno)
	}
	return err.Error()
}
