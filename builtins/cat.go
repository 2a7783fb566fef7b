package builtins

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/gotrace/gotrace/runtime/object"
)

func catFile() *Def {
	return &Def{
		Name:   "cat",
		Kind:   Action,
		Params: formatParams,
		Doc: Doc{
			Summary:  "Prints a file, max_cat_bytes of it at most; its name is given as to printf.",
			Examples: []string{`interval:s:1 { cat("/proc/loadavg"); }`, `tracepoint:syscalls:sys_enter_execve { cat("/proc/%d/cmdline", pid); }`},
		},
		Check: checkMessage,
		Emit:  sendMessage,
		Handle: func(env Env, rec *object.Record) error {
			name := renderRecord(env, rec)
			f, err := os.Open(name)
			if err != nil {
				env.Fail("failed to open file '%s' (%s)", name, osReason(err))
				return nil
			}
			defer f.Close()
			data, err := io.ReadAll(io.LimitReader(f, int64(env.Settings().MaxCatBytes)))
			if err != nil {
				env.Fail("failed to read file '%s' (%s)", name, osReason(err))
			}
			env.Out().Printf("cat", string(data))
			return nil
		},
	}
}

// osReason is an error of the system in the C library's words.
func osReason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errorText(errno)
	}
	return err.Error()
}
