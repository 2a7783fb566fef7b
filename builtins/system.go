package builtins

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"

	"github.com/gotrace/gotrace/runtime/wire"
)

func system() *Def {
	return &Def{
		Name:   "system",
		Kind:   Action,
		Unsafe: true,
		Params: formatParams,
		Doc: Doc{
			Summary:  "Runs a shell command, given as to printf, and prints what it prints. Needs --unsafe.",
			Examples: []string{`tracepoint:syscalls:sys_enter_execve { system("ps -p %d\n", pid); }`},
		},
		Check: checkMessage,
		Emit:  sendMessage,
		Handle: func(env Env, rec *wire.Record) error {
			cmd := exec.Command("/bin/sh", "-c", renderRecord(env, rec))
			var out bytes.Buffer
			cmd.Stdout = &out
			cmd.Stderr = env.Err()
			err := cmd.Run()
			env.Out().Printf("syscall", out.String())
			// A command's own failure is its business; that it could not run, ours.
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				env.Out().Message("errorf", fmt.Sprintf("system: %v", err), rec.Span)
			}
			return nil
		},
	}
}
